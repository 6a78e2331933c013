/* pace.h: how many blocks of files one session may ask for. The broker has one thread and one queue to otad:
 * who asks without end would fill it before otad could give everybody a turn. A device that waits for its
 * answers never comes near. Pure functions. */
#ifndef OTAD_BROKER_PLUGIN_PACE_H
#define OTAD_BROKER_PLUGIN_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_PER_MS 1    /* in the long run */
#define PACE_BURST  1000 /* at once */

struct pace { /* zeroed: nothing asked yet */
    int64_t at_ms;
    int64_t level; /* of the bucket that drains, at at_ms */
};

/* Counts one more; false: it is too many now. now_ms: monotonic. */
bool pace_allows(struct pace *p, int64_t now_ms);

#endif
