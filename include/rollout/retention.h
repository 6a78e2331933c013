/* retention.h: what is not kept for ever: the executions of campaigns that are over, the timeline, the audit,
 * and the names of devices that are gone and of which nothing tells any more. By age, and by number.
 *
 * A campaign's row, and its counts, stay. Its executions go all together, those of the campaign that ended
 * first before all others; what is not over, and what something that is not over depends on, stays (the view
 * prunable says what). Of the timeline and the audit the oldest rows go, by their ids, one after the other.
 *
 * A round is begun by a reader, which turns what is to be kept into limits, and is done in steps of the
 * writer. Cut off, it is begun anew: what is half gone is found again. */
#ifndef OTAD_ROLLOUT_RETENTION_H
#define OTAD_ROLLOUT_RETENTION_H

#include "store/db.h"

struct retention { /* 0: for ever */
    int64_t executions_ms, timeline_ms, audit_ms;
    int64_t rows; /* of each of the three */
};

struct retention_limit {
    int64_t before_ms; /* of this moment, and older */
    int64_t upto_id;
};

enum retention_kind {
    RETENTION_EXECUTIONS,
    RETENTION_TIMELINE,
    RETENTION_AUDIT,
    RETENTION_GONE,
    RETENTION_KINDS
};

struct retention_round {
    int64_t now_ms;
    struct retention_limit limit[RETENTION_KINDS]; /* of executions: before_ms, when their campaign ended */
    enum retention_kind at;
    bool whole; /* looks for names of devices also when no executions have gone; the caller's to set */
    int64_t gone_after;               /* device_gone, up to this id */
    int64_t removed[RETENTION_KINDS]; /* rows, so far */
};

/* By age a round goes no farther than so much from the oldest of each. */
#define RETENTION_REACH_MS 86400000
int retention_begin(struct db *db, const struct retention *keep, int64_t now_ms, struct retention_round *out,
                    struct err *e);

/* At most so many rows, and a stretch of the 50 ms that a transaction may take. */
#define RETENTION_STEP_ROWS 4096
int retention_step(struct db *w, struct retention_round *r, bool *more, struct err *e);

const char *retention_kind_name(enum retention_kind kind);

#endif
