/* What the store wants now and then: what memory holds is written, what nobody asks for any more is
 * forgotten. */
#include "main/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "store/certificate.h"
#include "store/old_secret.h"
#include "store/token.h"

#define IDEMPOTENCY_MS 86400000 /* how long a repeated POST is recognised */

/* ---- each minute: in steps, each of which says whether there is more */

struct step {
    struct otad *otad;
    bool more;
};

static int flush_presence(struct db *w, void *arg, struct err *e)
{
    struct step *s = arg;
    return presence_flush(s->otad->rollout.presence, w, 2000, &s->more, e);
}

static int flush_token_uses(struct db *w, void *arg, struct err *e)
{
    struct step *s = arg;
    return token_uses_flush(s->otad->http_env.token_uses, w, 1000, &s->more, e);
}

void upkeep_minute(struct otad *o)
{
    static int (*const flushes[])(struct db *, void *, struct err *) = {flush_presence, flush_token_uses};
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(flushes); i++) {
        struct step s = {.otad = o, .more = true};
        while (s.more && store_write(o->store, flushes[i], &s, &e) == 0)
            ;
    }
}

/* ---- each hour: a bounded number of rows, the next hour takes the rest */

static int forget_requests(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    return idempotency_forget(w, clock_wall_ms() - IDEMPOTENCY_MS, e);
}

static int forget_certificates(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    return certificate_forget(w, clock_wall_ms() - CERTIFICATE_LISTED_MS, e);
}

static int forget_secrets(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    return old_secrets_forget(w, clock_wall_ms(), e);
}

void upkeep_hour(struct otad *o)
{
    static const struct {
        int (*forget)(struct db *w, void *arg, struct err *e);
        const char *what;
    } rows[] = {{forget_requests, "old idempotency keys"},
                {forget_certificates, "certificates that ended"},
                {forget_secrets, "replaced secrets"}};
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (store_write(o->store, rows[i].forget, NULL, &e) < 0)
            log_error("cannot forget %s: %s", rows[i].what, e.text);
}
