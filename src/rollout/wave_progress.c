/* The waves of a campaign that runs. */
#include "rollout/execution.h"
#include "rollout/pace.h"
#include "rollout/threshold.h"

#include "base/clock.h"
#include "base/log.h"

#define STRETCH    500 /* executions of a wave that are queued between two looks at the clock */
#define STRETCH_MS 15

int wave_begin(struct db *w, int64_t id, int wave, int64_t now_ms, struct err *e)
{
    int rc = pace_start(w, id, wave, e);
    if (rc < 0)
        return rc;
    struct stmt *s = db_stmt(w, Q_WAVE_STARTED);
    bind_int(s, ":campaign_id", id);
    bind_int(s, ":wave", wave);
    bind_int(s, ":now_ms", now_ms);
    rc = stmt_run(s, NULL, e);
    if (rc == 0 && wave > 0)
        log_info("campaign %lld: wave %d starts", (long long)id, wave);
    return rc;
}

int wave_queued(struct db *w, int64_t campaign_id, int64_t to_id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PACE_QUEUED);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":queued_to", to_id);
    return stmt_run(s, NULL, e);
}

static int pending_waves(struct db *w, int64_t campaign_id, int wave, int out[WAVES_MAX], size_t *n,
                         struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_WAVE_PENDING);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    int rc = 0;
    for (*n = 0; *n < WAVES_MAX && (rc = stmt_step(s, e)) > 0; (*n)++)
        out[*n] = (int)col_int(s, 0);
    return rc < 0 ? rc : 0;
}

/* *to_id shrinks to where the stretch of one wave ends. */
static int stretch_end(struct db *w, int64_t campaign_id, int wave, int64_t after_id, int64_t *to_id,
                       struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_WAVE_QUEUE_END);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    bind_int(s, ":after_id", after_id);
    bind_int(s, ":cap", STRETCH);
    int rc = stmt_step(s, e);
    if (rc > 0 && col_int(s, 0) < *to_id)
        *to_id = col_int(s, 0);
    return rc < 0 ? rc : 0;
}

static int queue_wave(struct db *w, int64_t campaign_id, int wave, int64_t after_id, int64_t to_id,
                      int64_t now_ms, struct err *e)
{
    int64_t moved = 0;
    struct stmt *s = db_stmt(w, Q_WAVE_QUEUE);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    bind_int(s, ":after_id", after_id);
    bind_int(s, ":to_id", to_id);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, &moved, e);
    if (rc == 0 && moved)
        rc = wave_count_add(w, campaign_id, wave, EXECUTION_PENDING, -moved, e);
    return rc == 0 && moved ? wave_count_add(w, campaign_id, wave, EXECUTION_QUEUED, moved, e) : rc;
}

/* Pending executions of waves that have started are queued, a stretch of devices at once: it is the same for
 * all, and no device need know. */
static int queue_stretch(struct db *w, int64_t campaign_id, int wave, int64_t after_id, int64_t *to_id,
                         int64_t now_ms, struct err *e)
{
    int waves[WAVES_MAX];
    size_t n;
    int rc = pending_waves(w, campaign_id, wave, waves, &n, e);
    *to_id = INT64_MAX;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = stretch_end(w, campaign_id, waves[i], after_id, to_id, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = queue_wave(w, campaign_id, waves[i], after_id, *to_id, now_ms, e);
    return rc;
}

/* Stretches until the time is over, or *queued_to says that there are no more. */
static int queue_some(struct db *w, int64_t campaign_id, int wave, int64_t *queued_to, int64_t now_ms,
                      struct err *e)
{
    int64_t end_ms = clock_mono_ms() + STRETCH_MS;
    int rc;
    do {
        rc = queue_stretch(w, campaign_id, wave, *queued_to, queued_to, now_ms, e);
    } while (rc == 0 && *queued_to < INT64_MAX && clock_mono_ms() < end_ms);
    return rc < 0 ? rc : wave_queued(w, campaign_id, *queued_to, e);
}

static int set_met(struct db *w, int64_t campaign_id, int wave, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_WAVE_MET);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

/* The next one starts when the success of this one is met, and has been for the soak. */
static int ripen(struct rollout *r, struct db *w, int64_t campaign_id, int wave, int64_t now_ms, bool *more,
                 struct err *e)
{
    struct wave v = {0};
    bool met = false;
    int last = 0, rc = wave_get(w, campaign_id, wave, &v, &last, e);
    bool asks = v.success_pct > 0 || wave < last; /* the last one mostly asks for nothing */
    if (rc == 0 && asks && !v.met_at_ms)
        rc = wave_success(w, campaign_id, wave, v.success_pct, &met, e);
    if (rc == 0 && met) {
        v.met_at_ms = now_ms;
        rc = set_met(w, campaign_id, wave, now_ms, e);
    }
    if (rc == 0 && asks && !v.met_at_ms)
        rc = wave_ended(w, campaign_id, wave, v.success_pct, now_ms, e);
    if (rc < 0 || wave >= last || !v.met_at_ms || now_ms - v.met_at_ms < v.soak_ms)
        return rc;
    *more = true;
    rc = wave_begin(w, campaign_id, wave + 1, now_ms, e);
    scan_campaign(r, campaign_id);
    return rc;
}

int wave_step(struct rollout *r, struct db *w, int64_t campaign_id, int wave, int64_t queued_to,
              int64_t now_ms, bool *more, struct err *e)
{
    if (wave < 0) { /* an operator has said yes */
        *more = true;
        return wave_begin(w, campaign_id, 0, now_ms, e);
    }
    if (queued_to == INT64_MAX)
        return ripen(r, w, campaign_id, wave, now_ms, more, e);
    *more = true;
    int rc = queue_some(w, campaign_id, wave, &queued_to, now_ms, e);
    if (rc == 0 && queued_to == INT64_MAX)
        scan_campaign(r, campaign_id);
    return rc;
}
