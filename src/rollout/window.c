#include "rollout/window.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DAY       86400
#define DAY_MIN   1440
#define BY_DEVICE "device"

static const char *const day_words[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* ---- the clock on the wall: local seconds since 1970, as if there were no zones */

static bool has_day(const struct window *w, int64_t day)
{
    return w->days >> floor_mod(day + 3, 7) & 1; /* 1970 began on a Thursday */
}

static bool open_by_wall(const struct window *w, int64_t local_s)
{
    int64_t day = floor_div(local_s, DAY), minute = floor_mod(local_s, DAY) / 60;
    if (w->from_min < w->to_min)
        return has_day(w, day) && minute >= w->from_min && minute < w->to_min;
    return (has_day(w, day) && minute >= w->from_min) || (has_day(w, day - 1) && minute < w->to_min);
}

/* Until then it stays as it is, if nobody touches the clock. */
static int64_t next_edge(const struct window *w, int64_t local_s)
{
    int64_t midnight = floor_div(local_s, DAY) * DAY, best = midnight + DAY;
    const int64_t edges[] = {midnight + 60LL * w->from_min, midnight + 60LL * w->to_min};
    for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
        if (edges[i] > local_s && edges[i] < best)
            best = edges[i];
    return best;
}

/* ---- moments */

static bool open_at(const struct window *w, const struct zone *z, int64_t at_s)
{
    return open_by_wall(w, at_s + zone_offset(z, at_s));
}

bool window_open(const struct window *w, const struct zone *z, int64_t at_ms)
{
    return open_at(w, z, floor_div(at_ms, 1000));
}

/* From edge to edge of the window, and to each change of the clock between them: after one the wall may show
 * anything. */
static int64_t next(const struct window *w, const struct zone *z, int64_t at_ms, bool open)
{
    int64_t at_s = floor_div(at_ms, 1000), last = at_s + WINDOW_DAYS_SEEN * (int64_t)DAY, change = at_s;
    if (open_at(w, z, at_s) == open)
        return at_ms;
    for (;;) {
        if (at_s >= change && !zone_next_change(z, at_s, &change))
            change = INT64_MAX;
        int32_t offset = zone_offset(z, at_s);
        int64_t edge = next_edge(w, at_s + offset) - offset;
        at_s = edge < change ? edge : change;
        if (at_s > last || at_s > INT64_MAX / 1000)
            return INT64_MAX;
        if (open_at(w, z, at_s) == open)
            return at_s * 1000;
    }
}

int64_t window_next_open(const struct window *w, const struct zone *z, int64_t at_ms)
{
    return next(w, z, at_ms, true);
}

int64_t window_next_close(const struct window *w, const struct zone *z, int64_t at_ms)
{
    return next(w, z, at_ms, false);
}

bool window_by_device(const struct window *w)
{
    return strcmp(w->tz, BY_DEVICE) == 0;
}

/* ---- JSON */

static int parse_days(const json_t *list, unsigned *out, struct err *e)
{
    unsigned days = 0;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *word = json_string_value(item);
        size_t day = 0;
        while (word && day < ARRAY_SIZE(day_words) && strcmp(word, day_words[day]) != 0)
            day++;
        if (!word || day == ARRAY_SIZE(day_words))
            return err_field(e, ERR_INVALID, "days",
                             "days holds \"%.32s\"; days are mon, tue, wed, thu, fri, sat, sun",
                             word ? word : "something that is not a string");
        days |= 1u << day;
    }
    if (!days)
        return err_field(e, ERR_INVALID, "days", "days is empty: a window that never opens");
    *out = days;
    return 0;
}

/* "02:00"; "24:00" is the end of a day. */
static int parse_time(const char *key, const char *text, int max, int *out, struct err *e)
{
    static const char form[] = "dd:dd";
    size_t i = 0;
    while (form[i] && (form[i] == 'd' ? isdigit((unsigned char)text[i]) : text[i] == form[i]))
        i++;
    bool valid = !form[i] && !text[i];
    int hour = valid ? (text[0] - '0') * 10 + text[1] - '0' : 0;
    int minute = valid ? (text[3] - '0') * 10 + text[4] - '0' : 60;
    if (minute > 59 || hour * 60 + minute > max)
        return err_field(e, ERR_INVALID, key, "%s must be a time such as \"02:00\", at most \"%02d:%02d\"",
                         key, max / 60, max % 60);
    *out = hour * 60 + minute;
    return 0;
}

int window_check(const struct window *w, struct err *e)
{
    const struct zone *z = zone_get(window_by_device(w) ? "UTC" : w->tz, e);
    if (!z && (e->code == ERR_INVALID || e->code == ERR_NOT_FOUND))
        return err_field(e, ERR_INVALID, "window.tz", "there is no time zone \"%s\"", w->tz);
    if (!z)
        return -(int)e->code;
    if (window_next_open(w, z, clock_wall_ms()) == INT64_MAX)
        return err_field(e, ERR_INVALID, "window", "the window does not open within %d days",
                         WINDOW_DAYS_SEEN);
    return 0;
}

static int parse(const json_t *object, struct window *out, struct err *e)
{
    struct window w = {.days = WINDOW_ALL_DAYS, .tz = "UTC", .given = true};
    const json_t *days = NULL;
    char from[8], to[8];
    const struct json_field fields[] = {
        {.key = "days", .kind = JSON_KIND_ARRAY, .out = &days},
        {.key = "from", .kind = JSON_KIND_TEXT, .out = from, .size = sizeof from, .required = true},
        {.key = "to", .kind = JSON_KIND_TEXT, .out = to, .size = sizeof to, .required = true},
        {.key = "tz", .kind = JSON_KIND_TEXT, .out = w.tz, .size = sizeof w.tz},
    };
    int rc = json_read(object, fields, ARRAY_SIZE(fields), true, e);
    if (rc == 0 && days)
        rc = parse_days(days, &w.days, e);
    if (rc == 0)
        rc = parse_time("from", from, DAY_MIN - 1, &w.from_min, e);
    if (rc == 0)
        rc = parse_time("to", to, DAY_MIN, &w.to_min, e);
    if (rc == 0 && w.from_min == w.to_min)
        rc = err_field(e, ERR_INVALID, "to", "from and to are the same: a window that never opens");
    if (rc == 0)
        *out = w;
    return rc;
}

int window_read(const struct json_t *object, struct window *out, struct err *e)
{
    return parse(object, out, e) != 0 ? err_under(e, "window") : 0;
}

int window_parse(const struct json_t *object, struct window *out, struct err *e)
{
    struct window w = {0};
    int rc = window_read(object, &w, e);
    if (rc == 0)
        rc = window_check(&w, e);
    if (rc == 0)
        *out = w;
    return rc;
}

static void put_time(json_t *object, const char *key, int minute)
{
    char text[16];
    snprintf(text, sizeof text, "%02d:%02d", minute / 60, minute % 60);
    json_put_text(object, key, text);
}

struct json_t *window_json(const struct window *w)
{
    json_t *object = json_object(), *days = json_array();
    for (size_t day = 0; day < ARRAY_SIZE(day_words); day++)
        if (w->days >> day & 1)
            json_array_append_new(days, json_string(day_words[day]));
    json_put(object, "days", days);
    put_time(object, "from", w->from_min);
    put_time(object, "to", w->to_min);
    json_put_text(object, "tz", w->tz);
    return object;
}
