/* window.h: the hours of a week in which devices may be asked to update, by the clock on a wall somewhere.
 * It is open whenever that clock shows a time from `from` to just before `to` on a day of the window: an hour
 * that comes twice when the clock is put back is open twice, one that is skipped is not there. Pure: what
 * zone the wall stands in is the caller's to say. */
#ifndef OTAD_ROLLOUT_WINDOW_H
#define OTAD_ROLLOUT_WINDOW_H

#include "base/err.h"
#include "base/zone.h"

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_ALL_DAYS  127u
#define WINDOW_DAYS_SEEN 400 /* how far ahead one looks for an opening, or an end */

struct window {
    unsigned days; /* bit 0 = Monday .. bit 6 = Sunday */
    /* minutes of the local day; to may be 1440. from > to goes across midnight, and belongs to the day on
     * which it begins */
    int from_min, to_min;
    char tz[ZONE_NAME_SIZE]; /* IANA's name, or "device": each device's own tag tz */
    bool given;
};

bool window_open(const struct window *w, const struct zone *z, int64_t at_ms);

/* at_ms when it is open (closed), else the first moment after it at which it is; INT64_MAX when there is none
 * within WINDOW_DAYS_SEEN. */
int64_t window_next_open(const struct window *w, const struct zone *z, int64_t at_ms);
int64_t window_next_close(const struct window *w, const struct zone *z, int64_t at_ms);

/* {"days": ["mon", ..], "from": "02:00", "to": "05:00", "tz": "Asia/Shanghai" or "device"}: without days
 * every day, without tz UTC. ERR_INVALID names the field below "window". */
struct json_t;
int window_parse(const struct json_t *object, struct window *out, struct err *e);
/* Its two halves: what is written, and whether its zone is there now, without which it stays shut. */
int window_read(const struct json_t *object, struct window *out, struct err *e);
int window_check(const struct window *w, struct err *e);
/* What window_parse reads as the same window, with every field. The caller owns it. */
struct json_t *window_json(const struct window *w);

bool window_by_device(const struct window *w); /* its tz is "device" */

#endif
