/* main/retention.h: when what is not kept any more goes: a round an hour, some steps of it a second. Main's
 * own. */
#ifndef OTAD_MAIN_RETENTION_H
#define OTAD_MAIN_RETENTION_H

#include "config/settings.h"
#include "rollout/retention.h"

struct retention_clock {
    struct retention_round round;
    bool in_round, failed;
    unsigned rounds;
    int64_t began_ms; /* the last round, wall clock; 0 none yet */
};

/* Once a second. */
void retention_tick(struct retention_clock *c, const struct settings *s, struct store *store);

#endif
