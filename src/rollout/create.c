/* The rows of a campaign: as its planner judges, for one device or for many. */
#include "rollout/execution.h"
#include "rollout/pace.h"
#include "rollout/plan.h"

#include "store/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What waits, or may be called back. */
struct older {
    int64_t device_id;
    struct waiting x;
};

/* What stands on a stretch of devices for the same modules. What is in the midst of installing cannot be
 * called back. */
static int find_older(struct db *w, const struct campaign *c, int64_t first_id, int64_t last_id,
                      struct older out[EXECUTION_PORTION], size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_OLDER);
    bind_int(s, ":first_id", first_id);
    bind_int(s, ":last_id", last_id);
    bind_int(s, ":state", c->policy.replace ? EXECUTION_INSTALLING : EXECUTION_OFFERED);
    bind_int(s, ":campaign_id", c->id);
    bind_int(s, ":cap", EXECUTION_PORTION);
    int rc = 0;
    for (*n = 0; *n < EXECUTION_PORTION && (rc = stmt_step(s, e)) > 0; (*n)++)
        out[*n] = (struct older){.device_id = col_int(s, 1),
                                 .x = {.id = col_int(s, 0),
                                       .campaign_id = col_int(s, 3),
                                       .wave = (int)col_int(s, 4),
                                       .state = (enum execution_state)col_int(s, 2)}};
    return rc < 0 ? rc : 0;
}

static int call_back(struct db *w, int64_t id, const char *detail, int64_t now_ms, struct err *e)
{
    struct execution x;
    int rc = execution_get(w, id, &x, e);
    if (rc < 0)
        return rc;
    struct change change = {.reason = REASON_NONE, .detail = detail, .attempt = x.attempt};
    return execution_move(w, &x, EXECUTION_SUPERSEDED, &change, now_ms, e);
}

/* Invariant 5, for devices in the order of their ids. */
static int supersede_older(struct db *w, const struct campaign *c, const int64_t device_ids[], size_t n,
                           int64_t now_ms, struct err *e)
{
    struct older older[EXECUTION_PORTION];
    struct waiting waiting[EXECUTION_PORTION];
    int64_t first_id = n ? device_ids[0] : 0;
    size_t found = n ? EXECUTION_PORTION : 0, at = 0;
    char detail[64];
    int rc = 0;
    snprintf(detail, sizeof detail, "by campaign %lld", (long long)c->id);
    while (rc == 0 && found == EXECUTION_PORTION) {
        size_t wait = 0;
        rc = find_older(w, c, first_id, device_ids[n - 1], older, &found, e);
        for (size_t i = 0; i < found && rc == 0; i++) {
            while (at + 1 < n && device_ids[at] < older[i].device_id)
                at++;
            if (device_ids[at] != older[i].device_id)
                continue; /* the campaign is not for it */
            if (execution_is_active(older[i].x.state))
                rc = call_back(w, older[i].x.id, detail, now_ms, e);
            else
                waiting[wait++] = older[i].x;
        }
        if (rc == 0)
            rc = execution_withdraw(w, waiting, wait, EXECUTION_SUPERSEDED, detail, now_ms, e);
        if (found) /* the last device may have more; what it had is not found again, or is not ours */
            first_id = older[found - 1].device_id + (older[found - 1].device_id == first_id);
    }
    return rc;
}

/* What a verdict makes of a device that gets a row. */
static const struct outcome {
    enum execution_state state;
    enum reason reason;
} outcomes[VERDICTS] = {
    [VERDICT_QUEUED] = {EXECUTION_PENDING, REASON_NONE},
    [VERDICT_THERE] = {EXECUTION_SUCCEEDED, REASON_ALREADY_INSTALLED},
    [VERDICT_ABOVE] = {EXECUTION_SUPERSEDED, REASON_NEWER_INSTALLED},
    [VERDICT_NO_WAY] = {EXECUTION_FAILED, REASON_INCOMPATIBLE},
    [VERDICT_NO_GOAL] = {EXECUTION_FAILED, REASON_INCOMPATIBLE},
};

/* Counts of one stretch, so that a row is not paid for twice. */
struct tally {
    int64_t n[WAVES_MAX + 1][EXECUTION_STATES]; /* [0] NO_WAVE */
};

static enum execution_state state_of(const struct judged *j, int started)
{
    enum execution_state state = outcomes[j->verdict].state;
    return state == EXECUTION_PENDING && j->wave <= started ? EXECUTION_QUEUED : state;
}

static int insert(struct db *w, const struct campaign *c, int64_t device_id, const struct judged *j,
                  enum execution_state state, int64_t now_ms, struct err *e)
{
    const struct outcome *o = &outcomes[j->verdict];
    struct stmt *s = db_stmt(w, Q_EXECUTION_INSERT);
    bind_int(s, ":campaign_id", c->id);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":wave", j->wave);
    bind_int(s, ":state", state);
    bind_text(s, ":reason", reason_word(o->reason));
    bind_text(s, ":detail", j->detail);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

/* Of those that are to be updated, all at once: each is a device's id and, in the last bits, its wave. */
#define WAVE_BITS 6
_Static_assert(WAVES_MAX <= 1 << WAVE_BITS, "a wave fits");

static int insert_many(struct db *w, const struct campaign *c, const int64_t rows[], size_t n, int started,
                       int64_t now_ms, struct err *e)
{
    char text[ID_LIST_SIZE(EXECUTION_PORTION)];
    if (n == 0)
        return 0;
    id_list(text, rows, n);
    struct stmt *s = db_stmt(w, Q_EXECUTION_INSERT_MANY);
    bind_int(s, ":campaign_id", c->id);
    bind_text(s, ":rows", text);
    bind_int(s, ":started", started);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

/* puts_back: where this device goes to, which only its own row knows. */
static int insert_goals(struct db *w, const struct campaign *c, const struct planner *p, int64_t device_id,
                        const struct judged *j, struct err *e)
{
    int64_t execution_id = db_last_id(w);
    int rc = 0;
    for (size_t i = 0; i < p->module_count && rc == 0; i++) {
        if (!p->source_id || !j->goal[i])
            continue;
        struct stmt *s = db_stmt(w, Q_CAMPAIGN_FIRMWARE_INSERT);
        bind_int(s, ":campaign_id", c->id);
        bind_int(s, ":ord", (int64_t)i);
        bind_int(s, ":firmware_id", j->goal[i]);
        bind_text(s, ":module", p->modules[i].module);
        bind_int(s, ":by_device", 1);
        rc = stmt_run(s, NULL, e);
        if (rc < 0)
            break;
        s = db_stmt(w, Q_EXECUTION_MODULE_INSERT);
        bind_int(s, ":execution_id", execution_id);
        bind_int(s, ":ord", (int64_t)i);
        bind_int(s, ":device_id", device_id);
        bind_text(s, ":module", p->modules[i].module);
        bind_int(s, ":firmware_id", j->goal[i]);
        bind_int(s, ":goal_id", j->goal[i]);
        rc = stmt_run(s, NULL, e);
    }
    return rc;
}

static int flush(struct db *w, int64_t campaign_id, const struct tally *tally, struct err *e)
{
    int rc = 0;
    for (int wave = NO_WAVE; wave < WAVES_MAX; wave++)
        for (int state = 0; state < EXECUTION_STATES && rc == 0; state++)
            if (tally->n[wave + 1][state])
                rc = wave_count_add(w, campaign_id, wave, (enum execution_state)state,
                                    tally->n[wave + 1][state], e);
    return rc;
}

static int create_portion(struct db *w, const struct campaign *c, struct planner *p,
                          const int64_t device_ids[], size_t n, int started, struct tally *tally,
                          int64_t now_ms, struct err *e)
{
    int64_t ours[EXECUTION_PORTION], rows[EXECUTION_PORTION];
    size_t our_count = 0, row_count = 0;
    struct judged j;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = planner_judge(w, p, device_ids[i], &j, e);
        if (rc < 0 || j.verdict < VERDICT_QUEUED)
            continue;
        enum execution_state state = state_of(&j, started);
        tally->n[j.wave + 1][state]++;
        /* a campaign that has nothing for the device takes nothing from it */
        if (j.verdict == VERDICT_QUEUED || j.verdict == VERDICT_THERE)
            ours[our_count++] = device_ids[i];
        if (j.verdict == VERDICT_QUEUED && !p->source_id) {
            rows[row_count++] = device_ids[i] << WAVE_BITS | j.wave;
            continue;
        }
        rc = insert(w, c, device_ids[i], &j, state, now_ms, e);
        if (rc == 0)
            rc = insert_goals(w, c, p, device_ids[i], &j, e);
    }
    if (rc == 0) /* of one that puts back, the modules are known with its goals */
        rc = supersede_older(w, c, ours, our_count, now_ms, e);
    return rc < 0 ? rc : insert_many(w, c, rows, row_count, started, now_ms, e);
}

int execution_create(struct db *w, const struct campaign *c, struct planner *p, const int64_t device_ids[],
                     size_t n, int64_t now_ms, struct err *e)
{
    struct tally tally = {0};
    struct pace pace;
    int rc = pace_get(w, c->id, &pace, e);
    for (size_t done = 0; done < n && rc == 0; done += EXECUTION_PORTION) {
        size_t portion = n - done < EXECUTION_PORTION ? n - done : EXECUTION_PORTION;
        rc = create_portion(w, c, p, device_ids + done, portion, pace.wave, &tally, now_ms, e);
    }
    return rc < 0 ? rc : flush(w, c->id, &tally, e);
}

/* ---- dynamic campaigns */

/* Those of the product that do not know the device yet, and no newer one for the same module does. */
static int dynamic_campaigns(struct db *db, const struct party *p, int64_t ids[], size_t cap, size_t *n,
                             struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_DYNAMIC);
    bind_int(s, ":product_id", p->product_id);
    bind_int(s, ":device_id", p->device_id);
    bind_int(s, ":cap", (int64_t)cap);
    int rc = 0;
    for (*n = 0; *n < cap && (rc = stmt_step(s, e)) > 0; (*n)++)
        ids[*n] = col_int(s, 0);
    return rc < 0 ? rc : 0;
}

/* The newest that it is a device of. w: with its row made. */
static int find_dynamic(struct db *db, struct db *w, const struct party *p, int64_t now_ms, bool *found,
                        struct err *e)
{
    int64_t ids[SCANS_MAX];
    size_t n;
    *found = false;
    int rc = dynamic_campaigns(db, p, ids, ARRAY_SIZE(ids), &n, e);
    if (rc < 0 || n == 0)
        return rc;
    struct planner *planner = calloc(1, sizeof *planner);
    if (!planner)
        return err_set(e, ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < n && rc == 0 && !*found; i++) {
        struct campaign c;
        struct judged j = {0};
        rc = campaign_get(db, ids[i], &c, e);
        if (rc == 0)
            rc = planner_load(db, &c, planner, e);
        if (rc == 0)
            rc = planner_judge(db, planner, p->device_id, &j, e);
        *found = rc == 0 && j.verdict >= VERDICT_QUEUED;
        if (*found && w)
            rc = execution_create(w, &c, planner, &p->device_id, 1, now_ms, e);
        planner_clear(planner);
    }
    free(planner);
    return rc;
}

int execution_take_in(struct db *w, const struct party *p, int64_t now_ms, struct err *e)
{
    bool found;
    return find_dynamic(w, w, p, now_ms, &found, e);
}

int execution_would_take_in(struct db *db, const struct party *p, bool *would, struct err *e)
{
    return find_dynamic(db, NULL, p, 0, would, e);
}
