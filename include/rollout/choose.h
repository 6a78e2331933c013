/* choose.h: which file of a module a device gets on its way to a goal: the full one, a delta from just its
 * version, or, where the goal requires a version that the device does not have, the newest stepping stone
 * that it may take, one that the goal takes before all others. Reads only. */
#ifndef OTAD_ROLLOUT_CHOOSE_H
#define OTAD_ROLLOUT_CHOOSE_H

#include "base/str.h"
#include "base/version.h"
#include "store/db.h"

#define CHOSEN_TEXT_SIZE 256

struct chosen {
    int64_t firmware_id; /* 0: there is no way; see text */
    bool is_stone, is_delta;
    char version[VERSION_SIZE]; /* what the device will report */
    int64_t bytes;
    char text[CHOSEN_TEXT_SIZE]; /* the sum of it, for people */
};

/* has "": not known; then only what requires nothing may be offered. */
int choose_file(struct db *db, int64_t goal_id, enum version_scheme scheme, const char *has, bool deltas,
                struct chosen *out, struct err *e);

/* Whole ways, remembered by version: fleets have few. */
#define WAYS_MAX 32
struct way {
    int64_t goal_id;
    char has[VERSION_SIZE];
    bool open;
    int64_t bytes; /* of all files on it */
    char text[CHOSEN_TEXT_SIZE];
};
struct ways {
    struct way at[WAYS_MAX];
    size_t n, next;
};
/* From has to the goal. *out points into ways, until the next call. */
int way_find(struct db *db, struct ways *ways, int64_t goal_id, enum version_scheme scheme, const char *has,
             bool deltas, const struct way **out, struct err *e);

#endif
