/* plan.h: what a campaign means for each device: the same code makes the plan of a dry run, the rows of a
 * campaign that starts, and the row of a device that comes later. */
#ifndef OTAD_ROLLOUT_PLAN_H
#define OTAD_ROLLOUT_PLAN_H

#include "rollout/execution.h"
#include "rollout/wave.h"
#include "store/product.h"

struct planner {
    int64_t product_id;
    enum version_scheme scheme;
    bool takes_deltas, allow_downgrade;
    struct target target;
    struct seeker seeker;
    struct waves waves;
    struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX];
    size_t module_count;
    int64_t source_id; /* puts_back: whose versions they were; else 0 */
    struct ways ways;  /* what was found out about versions so far */
};

/* What it is for one device. */
enum verdict {
    VERDICT_OUTSIDE, /* not of the target: no row */
    VERDICT_PERCENT, /* of the target but for its hash: no row */
    VERDICT_VERSION, /* but for its version: no row */
    VERDICT_QUEUED,  /* to be updated */
    VERDICT_THERE,   /* on all targets: succeeded, already_installed (invariant 6) */
    VERDICT_ABOVE,   /* beyond one: superseded, newer_installed (invariant 6) */
    VERDICT_NO_WAY,  /* a firmware's requires, and no stepping stone: failed, incompatible */
    VERDICT_NO_GOAL, /* puts_back: what it had before is not known, or not stored: failed, incompatible */
    VERDICTS
};
const char *verdict_word(enum verdict v);

struct judged {
    enum verdict verdict;
    int wave; /* of QUEUED; NO_WAVE else */
    int64_t hash;
    int64_t bytes;                       /* of QUEUED: what it will be sent */
    int64_t goal[CAMPAIGN_FIRMWARE_MAX]; /* puts_back: the firmware of each module, 0 none */
    bool at_work; /* puts_back: that campaign is not done with it, and what it has now may change */
    char detail[DETAIL_SIZE];
};

/* Of a campaign in the store. The caller clears, also after an error. */
int planner_load(struct db *db, const struct campaign *c, struct planner *out, struct err *e);
/* Of one that was asked for; spec has been checked. */
int planner_of_spec(struct db *db, const struct campaign_spec *spec, const struct campaign_module modules[],
                    const struct product *product, struct planner *out, struct err *e);
void planner_clear(struct planner *p);
int planner_judge(struct db *db, struct planner *p, int64_t device_id, struct judged *out, struct err *e);

/* ---- dry run: reads only, any connection; looks at every device of the target. */
struct plan {
    int64_t devices;          /* that get a row */
    int64_t waves[WAVES_MAX]; /* to be updated, wave by wave */
    size_t wave_count;
    int64_t verdicts[VERDICTS]; /* OUTSIDE stays 0: they were not counted */
    int64_t bytes;
    int64_t earliest_end_at_ms; /* if every device were there, and none failed; INT64_MAX: never */
};
int campaign_plan(struct db *db, const struct campaign_spec *spec, int64_t now_ms, struct plan *out,
                  struct err *e);

#endif
