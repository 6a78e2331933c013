/* scan.h: the tick's ways to devices: where offers go, and the walks over those that are there. On the
 * writer's thread. */
#ifndef OTAD_ROLLOUT_SCAN_H
#define OTAD_ROLLOUT_SCAN_H

#include "rollout/execution.h"

/* Where offers of a tick go. */
struct sink {
    struct outgoing *out;
    size_t cap, n;
};

/* Offers to a device that is there; one that is away costs nothing (invariant 10). */
int offer_to(struct rollout *r, struct db *w, int64_t device_id, int64_t now_ms, struct sink *sink,
             struct err *e);

/* What is due for devices that were changed, dynamic campaigns that take them in now too. */
int offer_changed(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, struct err *e);

/* One stretch of one campaign's walk. *again: more is to be walked now. */
int scan_step(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again, struct err *e);

/* Time has passed for a campaign whose window may have opened for some. */
void scan_windows(struct rollout *r, const struct campaign *c, int64_t before_ms, int64_t now_ms);

#endif
