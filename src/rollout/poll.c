/* A device that asks by HTTPS, again and again: what can be answered without a write. */
#include "rollout/execution.h"

#include <string.h>

struct look {
    bool known; /* the version is no news */
    bool busy;  /* something is under way, waits, or may yet be taken in; else there is nothing more to see */
};

static int look_at(struct db *reader, int64_t device_id, const char *module, const char *version,
                   struct look *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(reader, Q_POLL_LOOK);
    bind_int(s, ":id", device_id);
    bind_text(s, ":module", module);
    int rc = stmt_step(s, e);
    out->known = rc > 0 && (!*version || strcmp(col_ptr(s, 0), version) == 0);
    out->busy = rc > 0 && col_int(s, 1);
    return rc < 0 ? rc : 0;
}

static bool brings(const struct party *p, const struct live_module *m, const char *version)
{
    return version_standing(p->scheme, version, m->target) == STANDING_ON_TARGET ||
           (*m->offered && version_standing(p->scheme, version, m->offered) == STANDING_ON_TARGET);
}

/* Whether a version, which is no news, is what a live execution has yet to be told: its attempt had failed
 * before. That is taken whether or not anything may be offered. */
static int is_awaited(struct db *reader, const struct party *p, const char *module, const char *version,
                      bool *awaited, struct err *e)
{
    struct live_module live[LIVE_MAX];
    size_t n = 0;
    int rc = *version ? execution_live_modules(reader, p->device_id, module, live, &n, e) : 0;
    *awaited = false;
    for (size_t i = 0; i < n && rc == 0; i++)
        *awaited |= brings(p, &live[i], version);
    return rc;
}

/* Whether the version, or a campaign that takes in who comes, would have the writer do something. */
static int has_news(struct db *reader, const struct party *p, const char *module, const char *version,
                    bool *news, struct err *e)
{
    int rc = is_awaited(reader, p, module, version, news, e);
    return rc == 0 && !*news ? execution_would_take_in(reader, p, news, e) : rc;
}

/* r NULL: an offer is not wanted. */
static int look_closely(struct rollout *r, struct db *reader, int64_t device_id, const char *module,
                        const char *version, int64_t now_ms, struct polled *out, struct err *e)
{
    struct party p;
    bool news = true, would = true;
    size_t sends; /* seen by the offer's kind */
    int rc = party_get_id(reader, device_id, &p, e);
    if (rc == 0)
        rc = has_news(reader, &p, module, version, &news, e);
    if (rc < 0 || news)
        return rc;
    rc = dispatch_would(reader, &p, now_ms, &would, e);
    out->idle = rc == 0 && !would;
    return rc == 0 && would && r ? dispatch_look_again(r, reader, &p, now_ms, &out->offer, &sends, e) : rc;
}

int rollout_poll(struct rollout *r, struct db *reader, int64_t device_id, const char *module,
                 const char *version, int64_t now_ms, struct polled *out, struct err *e)
{
    static const struct polled nothing = {.offer = {.kind = OUTGOING_NOTHING}};
    struct look look;
    int rc = look_at(reader, device_id, module, version, &look, e);
    *out = nothing;
    out->idle = rc == 0 && look.known && !look.busy;
    if (rc < 0 || out->idle || !look.known)
        return rc;
    rc = db_read_begin(reader, e);
    if (rc < 0)
        return rc;
    rc = look_closely(r, reader, device_id, module, version, now_ms, out, e);
    rc = db_read_end(reader, rc, e);
    if (rc < 0) {
        outgoing_clear(&out->offer);
        *out = nothing;
    }
    return rc;
}

int rollout_poll_idle(struct db *reader, int64_t device_id, const char *module, const char *version,
                      int64_t now_ms, bool *idle, struct err *e)
{
    struct polled said;
    int rc = rollout_poll(NULL, reader, device_id, module, version, now_ms, &said, e);
    *idle = said.idle;
    return rc;
}
