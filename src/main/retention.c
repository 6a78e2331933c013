#include "main/retention.h"

#include "base/clock.h"
#include "base/log.h"

#define EVERY_MS 3600000
#define WHOLE    24 /* of so many rounds one looks at everything */
#define STEPS    4  /* a second: the writer has others to serve, and the tick waits for them */

struct step {
    struct retention_round *round;
    bool more;
};

static int run_step(struct db *w, void *arg, struct err *e)
{
    struct step *s = arg;
    return retention_step(w, s->round, &s->more, e);
}

static int begin(struct retention_clock *c, const struct settings *s, struct store *store, struct err *e)
{
    const struct retention keep = {.executions_ms = s->keep_executions_ms,
                                   .timeline_ms = s->keep_timeline_ms,
                                   .audit_ms = s->keep_audit_ms,
                                   .rows = s->keep_rows};
    struct db *db;
    int rc = store_reader(store, &db, e);
    if (rc == 0)
        rc = retention_begin(db, &keep, clock_wall_ms(), &c->round, e);
    c->round.whole = c->rounds++ % WHOLE == 0;
    return rc;
}

static void tell(const struct retention_round *r)
{
    for (int kind = 0; kind < RETENTION_KINDS; kind++)
        if (r->removed[kind])
            log_info("retention has removed %lld of the %s", (long long)r->removed[kind],
                     retention_kind_name((enum retention_kind)kind));
}

/* What fails is tried again an hour later, and said once. */
static void fail(struct retention_clock *c, const struct err *e)
{
    if (!c->failed)
        log_error("what is old cannot be removed from the store: %s", e->text);
    c->failed = true;
    c->in_round = false;
}

void retention_tick(struct retention_clock *c, const struct settings *s, struct store *store)
{
    int64_t now_ms = clock_wall_ms();
    struct step step = {.round = &c->round, .more = true};
    struct err e;
    if (!c->in_round && c->began_ms && now_ms >= c->began_ms && now_ms - c->began_ms < EVERY_MS)
        return;
    if (!c->in_round) {
        c->began_ms = now_ms;
        c->in_round = true;
        if (begin(c, s, store, &e) < 0) {
            fail(c, &e);
            return;
        }
    }
    for (int i = 0; i < STEPS && step.more; i++)
        if (store_write(store, run_step, &step, &e) < 0) {
            fail(c, &e);
            return;
        }
    if (step.more)
        return;
    tell(&c->round);
    c->failed = false;
    c->in_round = false;
}
