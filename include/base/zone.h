/* zone.h: IANA time zones, from the machine's TZif files (RFC 9636, versions 1 to 4; Debian's package
 * tzdata). "UTC" is there without them. A zone is read-only once loaded, so any thread may ask it. */
#ifndef OTAD_BASE_ZONE_H
#define OTAD_BASE_ZONE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_NAME_SIZE  65    /* "America/Argentina/Buenos_Aires" and longer, with its end */
#define ZONE_FILE_MAX   65536 /* bytes; real ones stay below 4 KB */
#define ZONE_OFFSET_MAX 93599 /* seconds, either way: a second less than the 26 hours of RFC 9636 */

struct zone;

/* The zone of that name; the caller owns *out (zone_close). ERR_INVALID for what cannot be a name, or a file
 * that is damaged, ERR_NOT_FOUND when there is no such zone, ERR_INTERNAL when the machine has none at all.
 * Names are IANA's, in their spelling: not the files beside them, nor those below right/ and posix/. */
int zone_load(const char *name, struct zone **out, struct err *e);

/* The same from the bytes of a TZif file. ERR_INVALID says what is wrong with them. */
int zone_parse(const unsigned char *bytes, size_t len, struct zone **out, struct err *e);
void zone_close(struct zone *z);

/* As zone_load, but each name is read once in the life of the process, and what comes back stays: new rules
 * take a restart. What fails is tried again. Thread-safe. */
const struct zone *zone_get(const char *name, struct err *e);

/* Seconds east of UTC at that moment, in seconds since 1970. Any moment will do. */
int32_t zone_offset(const struct zone *z, int64_t at_s);

/* The first moment after after_s from which the offset is another than just before it; false when it stays
 * for good. */
bool zone_next_change(const struct zone *z, int64_t after_s, int64_t *at_s);

/* Quotients round down, so that days and weeks go on evenly before 1970. n > 0. */
static inline int64_t floor_div(int64_t value, int64_t n)
{
    return value / n - (value % n < 0);
}

static inline int64_t floor_mod(int64_t value, int64_t n)
{
    return value % n + (value % n < 0 ? n : 0);
}

#endif
