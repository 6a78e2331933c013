/* A campaign's rows, made in stretches of bounded time: first, where waves are by number, its devices are
 * measured; then each gets its row. What is kept between two stretches is in memory only for the measuring,
 * which begins anew after a restart; the rows say how far they have come. */
#include "rollout/execution.h"
#include "rollout/pace.h"
#include "rollout/plan.h"

#include "base/clock.h"

#include <stdlib.h>

#define STRETCH    4096              /* devices at most in one transaction */
#define PORTION    EXECUTION_PORTION /* and so many between two looks at the clock */
#define STRETCH_MS 15                /* far below the 50 ms that others may be kept waiting */

static int last_device(struct db *w, int64_t *id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_DEVICE_LAST);
    int rc = stmt_step(s, e);
    if (rc > 0)
        *id = col_int(s, 0);
    return rc < 0 ? rc : 0;
}

static int set_id(struct db *w, enum query query, int64_t campaign_id, const char *name, int64_t device_id,
                  struct err *e)
{
    struct stmt *s = db_stmt(w, query);
    bind_int(s, ":id", campaign_id);
    bind_int(s, name, device_id);
    return stmt_run(s, NULL, e);
}

/* A static campaign is for the devices that there are when it starts. */
static int begin(struct db *w, struct campaign *c, struct err *e)
{
    int rc = pace_start(w, c->id, c->policy.confirm == CONFIRM_OPERATOR ? -1 : 0, e);
    if (rc == 0)
        rc = last_device(w, &c->devices_to, e);
    if (rc == 0 && c->devices_to == 0)
        c->devices_to = 1; /* 0 is: not begun */
    return rc < 0 ? rc : set_id(w, Q_CAMPAIGN_PREPARE, c->id, ":devices_to", c->devices_to, e);
}

/* ---- measuring */

void rollout_forget(struct rollout *r)
{
    if (r->preparing.survey) {
        survey_clear(r->preparing.survey);
        free(r->preparing.survey);
    }
    r->preparing.survey = NULL;
    r->preparing.campaign_id = r->preparing.after_id = 0;
    r->preparing.measured = false;
}

static int store_limits(struct db *w, int64_t campaign_id, const struct waves *waves, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < waves->n && rc == 0; i++) {
        if (!waves->at[i].devices)
            continue;
        struct stmt *s = db_stmt(w, Q_WAVE_LIMIT);
        bind_int(s, ":campaign_id", campaign_id);
        bind_int(s, ":wave", (int64_t)i);
        bind_int(s, ":upto", waves->at[i].upto);
        rc = stmt_run(s, NULL, e);
    }
    return rc;
}

static int find_survey(struct rollout *r, const struct campaign *c, struct err *e)
{
    if (r->preparing.campaign_id != c->id)
        rollout_forget(r);
    if (!r->preparing.survey && !(r->preparing.survey = calloc(1, sizeof *r->preparing.survey)))
        return err_set(e, ERR_INTERNAL, "out of memory");
    r->preparing.campaign_id = c->id;
    return 0;
}

static int measure_stretch(struct rollout *r, struct db *w, const struct campaign *c, struct planner *p,
                           struct err *e)
{
    int64_t ids[STRETCH], end_ms = clock_mono_ms() + STRETCH_MS;
    size_t n, done = 0;
    struct judged j;
    int rc = target_next(w, &p->seeker, r->preparing.after_id, c->devices_to, ids, STRETCH, &n, e);
    while (done < n && rc == 0 && (done == 0 || done % PORTION || clock_mono_ms() < end_ms)) {
        rc = planner_judge(w, p, ids[done], &j, e);
        if (rc == 0 && j.verdict == VERDICT_QUEUED)
            rc = survey_add(w, r->preparing.survey, &p->waves, ids[done], j.hash, e);
        done += rc == 0; /* one that could not be looked at is the first next time */
    }
    if (done > 0)
        r->preparing.after_id = ids[done - 1];
    if (rc == 0 && done == n && n < STRETCH)
        r->preparing.measured = true;
    return rc;
}

static int settle(struct rollout *r, struct db *w, const struct campaign *c, struct planner *p, struct err *e)
{
    int64_t end_ms = clock_mono_ms() + STRETCH_MS;
    bool done = false;
    int rc = 0;
    while (rc == 0 && !done && clock_mono_ms() < end_ms)
        rc = survey_settle(r->preparing.survey, &p->waves, &done, e);
    if (rc == 0 && done)
        rc = store_limits(w, c->id, &p->waves, e);
    if (rc == 0 && done)
        rollout_forget(r);
    return rc;
}

static int measure(struct rollout *r, struct db *w, const struct campaign *c, struct planner *p,
                   struct err *e)
{
    int rc = find_survey(r, c, e);
    if (rc < 0)
        return rc;
    return r->preparing.measured ? settle(r, w, c, p, e) : measure_stretch(r, w, c, p, e);
}

/* ---- the rows */

static int make_rows(struct db *w, struct campaign *c, struct planner *p, int64_t now_ms, bool *done,
                     struct err *e)
{
    int64_t ids[STRETCH], end_ms = clock_mono_ms() + STRETCH_MS;
    size_t n, made = 0;
    int rc = target_next(w, &p->seeker, c->prepared_to, c->devices_to, ids, STRETCH, &n, e);
    while (rc == 0 && made < n && (made == 0 || clock_mono_ms() < end_ms)) {
        size_t portion = n - made < PORTION ? n - made : PORTION;
        rc = execution_create(w, c, p, ids + made, portion, now_ms, e);
        made += portion;
    }
    if (rc == 0 && made > 0)
        rc = set_id(w, Q_CAMPAIGN_PREPARED, c->id, ":device_id", ids[made - 1], e);
    *done = rc == 0 && made == n && n < STRETCH;
    return rc;
}

int prepare_step(struct rollout *r, struct db *w, struct campaign *c, int64_t now_ms, bool *done,
                 struct err *e)
{
    struct planner *p = calloc(1, sizeof *p);
    *done = false;
    if (!p)
        return err_set(e, ERR_INTERNAL, "out of memory");
    int rc = c->devices_to == 0 ? begin(w, c, e) : 0;
    if (rc == 0)
        rc = planner_load(w, c, p, e);
    if (rc == 0)
        rc = waves_need_survey(&p->waves) ? measure(r, w, c, p, e) : make_rows(w, c, p, now_ms, done, e);
    planner_clear(p);
    free(p);
    return rc;
}
