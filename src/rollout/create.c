#include "rollout/execution.h"

#include "store/device.h"

#include <stdio.h>

/* Invariant 5. */
static int supersede_older(struct db *w, int64_t campaign_id, int64_t device_id, int64_t now_ms,
                           struct err *e)
{
    int64_t older[64];
    size_t n = 0;
    char detail[64];
    struct stmt *s = db_stmt(w, Q_EXECUTION_OLDER);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":campaign_id", campaign_id);
    int rc;
    while ((rc = stmt_step(s, e)) > 0 && n < ARRAY_SIZE(older))
        older[n++] = col_int(s, 0);
    stmt_end(s);
    snprintf(detail, sizeof detail, "by campaign %lld", (long long)campaign_id);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct execution x;
        rc = execution_get(w, older[i], &x, e);
        struct change c = {.reason = REASON_NONE, .detail = detail};
        if (rc == 0) {
            c.attempt = x.attempt;
            rc = execution_move(w, &x, EXECUTION_SUPERSEDED, &c, now_ms, e);
        }
    }
    return rc;
}

struct verdict {
    enum execution_state state;
    enum reason reason;
    char detail[DETAIL_SIZE];
};

/* Invariant 6, over all modules: on every target -> succeeded; above one -> not for this device; else queued.
 */
static int judge(struct db *w, const struct campaign *c, enum version_scheme scheme,
                 const struct campaign_module modules[], size_t n, int64_t device_id, struct verdict *out,
                 struct err *e)
{
    size_t on_target = 0;
    *out = (struct verdict){.state = EXECUTION_QUEUED, .reason = REASON_NONE};
    for (size_t i = 0; i < n; i++) {
        char has[VERSION_SIZE];
        int rc = device_version_get(w, device_id, modules[i].module, has, e);
        if (rc < 0)
            return rc;
        enum standing standing = version_standing(scheme, has, modules[i].version);
        on_target += standing == STANDING_ON_TARGET;
        if (standing == STANDING_ABOVE && !c->policy.allow_downgrade) {
            *out = (struct verdict){.state = EXECUTION_SUPERSEDED, .reason = REASON_NEWER_INSTALLED};
            snprintf(out->detail, sizeof out->detail, "module %s has %s, above %s", modules[i].module, has,
                     modules[i].version);
            return 0;
        }
    }
    if (on_target == n)
        *out = (struct verdict){.state = EXECUTION_SUCCEEDED, .reason = REASON_ALREADY_INSTALLED};
    return 0;
}

static int insert_execution(struct db *w, int64_t campaign_id, int64_t device_id, const struct verdict *v,
                            int64_t now_ms, int64_t *id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_INSERT);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":wave", 0);
    bind_int(s, ":state", v->state);
    bind_text(s, ":reason", reason_word(v->reason));
    bind_text(s, ":detail", v->detail);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, NULL, e);
    if (rc == 0)
        *id = db_last_id(w);
    return rc;
}

static int insert_module(struct db *w, int64_t execution_id, int64_t device_id,
                         const struct campaign_module *m, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_INSERT);
    bind_int(s, ":execution_id", execution_id);
    bind_int(s, ":ord", m->ord);
    bind_int(s, ":device_id", device_id);
    bind_text(s, ":module", m->module);
    bind_int(s, ":firmware_id", m->firmware_id);
    return stmt_run(s, NULL, e);
}

int execution_create(struct db *w, const struct campaign *c, enum version_scheme scheme,
                     const struct campaign_module modules[], size_t n, int64_t device_id, int64_t now_ms,
                     struct err *e)
{
    struct verdict v;
    int64_t id = 0;
    int rc = judge(w, c, scheme, modules, n, device_id, &v, e);
    /* a campaign that is not for the device takes nothing from it */
    if (rc == 0 && v.state != EXECUTION_SUPERSEDED)
        rc = supersede_older(w, c->id, device_id, now_ms, e);
    if (rc == 0)
        rc = insert_execution(w, c->id, device_id, &v, now_ms, &id, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = insert_module(w, id, device_id, &modules[i], e);
    if (rc == 0)
        rc = wave_count_add(w, c->id, 0, v.state, 1, e);
    return rc;
}
