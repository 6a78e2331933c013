/* pace.h: how fast a campaign goes: the rate of its offers, and how many devices are at work. Both are asked
 * before an offer and paid with it, in one transaction. */
#ifndef OTAD_ROLLOUT_PACE_H
#define OTAD_ROLLOUT_PACE_H

#include "rollout/policy.h"
#include "store/db.h"

struct pace {
    int wave;              /* the last one that has started; -1 none */
    int64_t queued_to;     /* the last device whose execution is queued for it; INT64_MAX all */
    int64_t next_offer_us; /* the rate allows no offer before */
    int64_t silent;        /* active executions that hold no slot */
};

int pace_get(struct db *db, int64_t campaign_id, struct pace *out, struct err *e);
int pace_start(struct db *w, int64_t campaign_id, int wave, struct err *e); /* inserts or begins a wave */

/* Microseconds between two offers, with a second's worth saved up at most: never more than rate_per_minute of
 * them in any minute. 0 for no limit. */
int64_t pace_interval_us(int64_t rate_per_minute);

/* When the rate allows the next offer; now_ms or before: now. */
int64_t pace_next_ms(const struct pace *p, int64_t rate_per_minute, int64_t now_ms);
/* Devices that hold a slot. */
int pace_in_flight(struct db *db, int64_t campaign_id, const struct pace *p, int64_t *n, struct err *e);
/* So many more of its devices at work hold no slot; below 0: so many are heard of again. */
int pace_silent(struct db *w, int64_t campaign_id, int64_t n, struct err *e);
/* An offer is made. */
int pace_pay(struct db *w, int64_t campaign_id, const struct policy *policy, int64_t now_ms, struct err *e);

#endif
