/* A device that asks by HTTPS, again and again: what can be answered without a write. */
#include "rollout/execution.h"

#include "store/device.h"

#include <string.h>

/* Nothing is under way, waits or may yet be taken in, and its version is no news: then there is nothing more
 * to look at. */
static int is_quiet(struct db *reader, int64_t device_id, const char *module, const char *version,
                    bool *quiet, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(reader, Q_POLL_QUIET);
    bind_int(s, ":id", device_id);
    bind_text(s, ":module", module);
    int rc = stmt_step(s, e);
    *quiet = rc > 0 && !col_int(s, 1) && (!*version || strcmp(col_ptr(s, 0), version) == 0);
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

/* What the version, and what the product's campaigns, would have the writer do. */
static int has_news(struct db *reader, const struct party *p, const char *module, const char *version,
                    bool *news, struct err *e)
{
    char has[VERSION_SIZE];
    int rc = device_version_get(reader, p->device_id, module, has, e);
    if (rc < 0)
        return rc;
    *news = *version && strcmp(has, version) != 0;
    if (!*news)
        rc = is_awaited(reader, p, module, version, news, e);
    return rc == 0 && !*news ? execution_would_take_in(reader, p, news, e) : rc;
}

int rollout_poll_idle(struct db *reader, int64_t device_id, const char *module, const char *version,
                      int64_t now_ms, bool *idle, struct err *e)
{
    struct party p;
    bool would = true;
    int rc = is_quiet(reader, device_id, module, version, idle, e);
    if (rc < 0 || *idle)
        return rc;
    rc = party_get_id(reader, device_id, &p, e);
    if (rc == 0)
        rc = has_news(reader, &p, module, version, &would, e);
    if (rc == 0 && !would)
        rc = dispatch_would(reader, &p, now_ms, &would, e);
    *idle = rc == 0 && !would;
    return rc;
}

int rollout_poll_again(struct rollout *r, struct db *reader, int64_t device_id, const char *module,
                       const char *version, int64_t now_ms, struct outgoing *out, size_t *sends,
                       struct err *e)
{
    struct party p;
    bool news = true;
    *sends = 0;
    int rc = party_get_id(reader, device_id, &p, e);
    if (rc == 0)
        rc = has_news(reader, &p, module, version, &news, e);
    return rc == 0 && !news ? dispatch_look_again(r, reader, &p, now_ms, out, sends, e) : rc;
}
