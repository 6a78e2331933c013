#include "rollout/pace.h"

/* A second's worth may be saved up, since the tick comes once in it; spreading a minute's offers over 61
 * seconds keeps any one minute within the rate all the same. */
#define SAVED_US  1000000LL
#define SPREAD_US 61000000LL

int pace_get(struct db *db, int64_t campaign_id, struct pace *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_PACE_GET);
    bind_int(s, ":campaign_id", campaign_id);
    int rc = stmt_step(s, e);
    *out = (struct pace){.wave = -1};
    if (rc > 0)
        *out = (struct pace){(int)col_int(s, 0), col_int(s, 1), col_int(s, 2), col_int(s, 3)};
    return rc < 0 ? rc : 0;
}

int pace_start(struct db *w, int64_t campaign_id, int wave, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PACE_START);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    return stmt_run(s, NULL, e);
}

int64_t pace_interval_us(int64_t rate_per_minute)
{
    if (rate_per_minute == 0)
        return 0;
    return (SPREAD_US + rate_per_minute - 1) / rate_per_minute;
}

int64_t pace_next_ms(const struct pace *p, int64_t rate_per_minute, int64_t now_ms)
{
    int64_t next_ms = (p->next_offer_us + 999) / 1000;
    int64_t latest_ms = now_ms + pace_interval_us(rate_per_minute) / 1000 + 1;
    return next_ms > latest_ms ? now_ms : next_ms; /* the clock was put back: what it said before is void */
}

int pace_in_flight(struct db *db, int64_t campaign_id, const struct pace *p, int64_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_PACE_ACTIVE);
    bind_int(s, ":campaign_id", campaign_id);
    int rc = stmt_step(s, e);
    if (rc > 0)
        *n = col_int(s, 0) - p->silent;
    return rc < 0 ? rc : 0;
}

int pace_silent(struct db *w, int64_t campaign_id, int64_t n, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PACE_SILENT);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":n", n);
    return stmt_run(s, NULL, e);
}

int pace_pay(struct db *w, int64_t campaign_id, const struct policy *policy, int64_t now_ms, struct err *e)
{
    if (policy->rate_per_minute == 0)
        return 0;
    struct stmt *s = db_stmt(w, Q_PACE_PAY);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":floor_us", now_ms * 1000 - SAVED_US);
    bind_int(s, ":ceiling_us", now_ms * 1000);
    bind_int(s, ":interval_us", pace_interval_us(policy->rate_per_minute));
    return stmt_run(s, NULL, e);
}
