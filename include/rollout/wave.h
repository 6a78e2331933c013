/* wave.h: the ordered parts of a campaign's devices. A campaign without waves has one, for all.
 *
 * A device's wave is the first of which it is: one by tags takes who has them; one by percent takes the
 * devices whose hash is below so much of the target; one by number takes so many of the smallest hashes that
 * are left, for which the limit is found while the campaign is prepared. The last wave takes everyone. */
#ifndef OTAD_ROLLOUT_WAVE_H
#define OTAD_ROLLOUT_WAVE_H

#include "rollout/target.h"

#define WAVES_MAX 32
#define NO_WAVE   (-1) /* of an execution that was over when it was made */

struct wave {
    int64_t devices; /* asked for so many; 0: not by number */
    int64_t upto;    /* hashes below it; 0: by tags, or not found yet */
    char *tags;      /* owned JSON object; NULL: not by tags */
    int64_t success_pct, soak_ms;
    int64_t started_at_ms, met_at_ms; /* 0 not yet */
};

struct waves {
    size_t n;
    struct wave at[WAVES_MAX];
};

struct json_t;
/* [{"count":10 | "percent":10 | "tags":{..}, "success_pct":100, "soak":"30m"}, ...]; list NULL: one for all.
 * percent of the devices that target_percent leaves. ERR_INVALID says what does not add up. */
int waves_parse(const struct json_t *list, int64_t target_percent, struct waves *out, struct err *e);
void waves_copy(struct waves *out, const struct waves *w);
void waves_clear(struct waves *w);
/* Tags that nobody has: ERR_INVALID names "waves". */
int waves_check(struct db *db, const struct waves *w, struct err *e);
/* Some are by number: their limits have to be found. */
bool waves_need_survey(const struct waves *w);

int waves_insert(struct db *w, int64_t campaign_id, const struct waves *waves, struct err *e);
int waves_load(struct db *db, int64_t campaign_id, struct waves *out, struct err *e);

/* One of them, without its tags; last: the number of the last one. */
int wave_get(struct db *db, int64_t campaign_id, int wave, struct wave *out, int *last, struct err *e);

/* The device's place. */
int wave_of(struct db *db, const struct waves *waves, int64_t device_id, int64_t hash, int *wave,
            struct err *e);

/* ---- the survey: the hashes of all devices that will be offered something, for the limits of waves by
 * number. 32 bytes a device while it is made. Sorting a million of them takes longer than others may be kept
 * waiting, so it goes in steps. */
struct surveyed {
    int64_t hash;
    uint32_t tagged; /* bit 1 << wave: has that wave's tags */
};
struct survey {
    struct surveyed *at;
    size_t n, cap;
    /* settling: at is merged into other, runs of so many into runs of twice that; the pair that `to` is in
     * stands at left and right. Then the waves take what comes, up to `taken` */
    struct surveyed *other;
    size_t run, left, right, to, taken;
    int64_t room[WAVES_MAX], upto[WAVES_MAX];
};
#define SURVEY_STEP 100000 /* devices moved in one step, a millisecond or two */
int survey_add(struct db *db, struct survey *s, const struct waves *waves, int64_t device_id, int64_t hash,
               struct err *e);
/* Finds the limits, when all are added; to be called until *done. */
int survey_settle(struct survey *s, struct waves *waves, bool *done, struct err *e);
void survey_clear(struct survey *s);

#endif
