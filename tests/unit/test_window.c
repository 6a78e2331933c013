#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "rollout/window.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MINUTE 60000LL
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define MON    1u
#define FRI    (1u << 4)
#define SAT    (1u << 5)
#define SUN    (1u << 6)

static int64_t at(const char *text)
{
    int64_t ms;
    assert_int_equal(clock_parse(text, &ms), 0);
    return ms;
}

static const struct zone *zone(const char *name)
{
    struct err e = {0};
    const struct zone *z = zone_get(name, &e);
    if (!z && e.code == ERR_INTERNAL) {
        print_message("SKIPPED: %s\n", e.text);
        skip();
    }
    if (!z)
        fail_msg("%s: %s", name, e.text);
    return z;
}

/* The window is shut just before `open`, open from there on, and shut again at `close`. */
static void assert_stretch(const struct window *w, const struct zone *z, const char *open, const char *close)
{
    int64_t first = at(open), end = at(close);
    if (window_open(w, z, first - 1) || !window_open(w, z, first) || !window_open(w, z, end - 1) ||
        window_open(w, z, end))
        fail_msg("not open from %s to %s", open, close);
    assert_int_equal(window_next_open(w, z, first - 1), first);
    assert_int_equal(window_next_open(w, z, first), first);
    assert_int_equal(window_next_open(w, z, first + 1), first + 1);
    assert_int_equal(window_next_open(w, z, end - 1), end - 1);
    assert_true(window_next_open(w, z, end) > end);
    assert_int_equal(window_next_close(w, z, first - 1), first - 1);
    assert_int_equal(window_next_close(w, z, first), end);
    assert_int_equal(window_next_close(w, z, end - 1), end);
    assert_int_equal(window_next_close(w, z, end), end);
}

static void within_a_day(void **state)
{
    (void)state;
    const struct zone *utc = zone("UTC");
    struct window w = {.days = WINDOW_ALL_DAYS, .from_min = 120, .to_min = 300};
    assert_stretch(&w, utc, "2026-11-21T02:00:00Z", "2026-11-21T05:00:00Z");
    assert_int_equal(window_next_open(&w, utc, at("2026-11-21T05:00:00Z")), at("2026-11-22T02:00:00Z"));
    assert_stretch(&w, zone("Asia/Shanghai"), "2026-11-20T18:00:00Z", "2026-11-20T21:00:00Z");
    assert_stretch(&w, zone("Asia/Kathmandu"), "2026-11-20T20:15:00Z", "2026-11-20T23:15:00Z");
    w.days = SAT; /* Shanghai's Saturday begins on Friday */
    assert_stretch(&w, zone("Asia/Shanghai"), "2026-11-20T18:00:00Z", "2026-11-20T21:00:00Z");
    assert_int_equal(window_next_open(&w, zone("Asia/Shanghai"), at("2026-11-20T21:00:00Z")),
                     at("2026-11-27T18:00:00Z"));
    w.days = MON;
    assert_stretch(&w, utc, "2026-11-23T02:00:00Z", "2026-11-23T05:00:00Z");
    /* before 1970 as well */
    w.days = WINDOW_ALL_DAYS;
    assert_false(window_open(&w, utc, -1));
    assert_true(window_open(&w, utc, -19 * HOUR - 1));
    assert_int_equal(window_next_open(&w, utc, -19 * HOUR), 2 * HOUR);
}

static void whole_days(void **state)
{
    (void)state;
    const struct zone *utc = zone("UTC");
    struct window w = {.days = WINDOW_ALL_DAYS, .from_min = 0, .to_min = 1440};
    int64_t now = at("2026-11-21T12:34:56.789Z");
    assert_true(window_open(&w, utc, now));
    assert_int_equal(window_next_open(&w, utc, now), now);
    assert_int_equal(window_next_close(&w, utc, now), INT64_MAX);
    w.days = SAT | SUN | MON; /* from Saturday to the end of Monday without a pause */
    assert_stretch(&w, utc, "2026-11-21T00:00:00Z", "2026-11-24T00:00:00Z");
    w.days = 0; /* nobody can ask for that */
    assert_int_equal(window_next_open(&w, utc, now), INT64_MAX);
    assert_int_equal(window_next_close(&w, utc, now), now);
    w.days = WINDOW_ALL_DAYS;
    w.from_min = 60;
    assert_int_equal(window_next_open(&w, utc, INT64_MAX), INT64_MAX);
    window_next_close(&w, utc, INT64_MAX);
    window_next_open(&w, utc, INT64_MIN);
    window_next_close(&w, utc, INT64_MIN);
}

static void across_midnight(void **state)
{
    (void)state;
    const struct zone *utc = zone("UTC");
    struct window w = {.days = WINDOW_ALL_DAYS, .from_min = 1320, .to_min = 240};
    assert_stretch(&w, utc, "2026-11-20T22:00:00Z", "2026-11-21T04:00:00Z");
    assert_stretch(&w, zone("America/New_York"), "2026-11-21T03:00:00Z", "2026-11-21T09:00:00Z");
    w.days = FRI; /* 2026-11-20 is one */
    assert_stretch(&w, utc, "2026-11-20T22:00:00Z", "2026-11-21T04:00:00Z");
    assert_false(window_open(&w, utc, at("2026-11-20T03:00:00Z")));
    assert_false(window_open(&w, utc, at("2026-11-21T23:00:00Z")));
    assert_int_equal(window_next_open(&w, utc, at("2026-11-21T04:00:00Z")), at("2026-11-27T22:00:00Z"));
    w.days = SUN; /* the week's end goes into its beginning */
    assert_stretch(&w, utc, "2026-11-22T22:00:00Z", "2026-11-23T04:00:00Z");
    w.to_min = 0; /* to midnight, as 1440 */
    assert_stretch(&w, utc, "2026-11-22T22:00:00Z", "2026-11-23T00:00:00Z");
    w.to_min = 1440;
    assert_stretch(&w, utc, "2026-11-22T22:00:00Z", "2026-11-23T00:00:00Z");
    w.days = WINDOW_ALL_DAYS;
    w.from_min = 1; /* all but a minute */
    w.to_min = 0;
    assert_stretch(&w, utc, "2026-11-22T00:01:00Z", "2026-11-23T00:00:00Z");
}

static void clock_put_forward(void **state)
{
    (void)state;
    const struct zone *berlin = zone("Europe/Berlin"), *york = zone("America/New_York"),
                      *howe = zone("Australia/Lord_Howe");
    struct window w = {.days = WINDOW_ALL_DAYS, .from_min = 120, .to_min = 300};
    /* 02:00 is not there: it opens at 03:00, which is the same moment */
    assert_stretch(&w, berlin, "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z");
    assert_stretch(&w, york, "2026-03-08T07:00:00Z", "2026-03-08T09:00:00Z");
    assert_stretch(&w, howe, "2026-10-03T15:30:00Z", "2026-10-03T18:00:00Z");
    /* it would open within the hour that is skipped */
    w.from_min = 150;
    assert_stretch(&w, berlin, "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z");
    /* it would close there */
    w.from_min = 60;
    w.to_min = 150;
    assert_stretch(&w, berlin, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z");
    assert_stretch(&w, york, "2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z");
    /* all of it is skipped: the next is a day later */
    w.from_min = 130;
    w.to_min = 140;
    assert_int_equal(window_next_open(&w, berlin, at("2026-03-28T02:00:00Z")), at("2026-03-30T00:10:00Z"));
    assert_int_equal(window_next_open(&w, york, at("2026-03-07T08:00:00Z")), at("2026-03-09T06:10:00Z"));
    assert_int_equal(window_next_open(&w, howe, at("2026-10-02T16:00:00Z")), at("2026-10-04T15:10:00Z"));
    w.days = SUN; /* a week later, then */
    assert_int_equal(window_next_open(&w, berlin, at("2026-03-28T02:00:00Z")), at("2026-04-05T00:10:00Z"));
}

static void clock_put_back(void **state)
{
    (void)state;
    const struct zone *berlin = zone("Europe/Berlin"), *york = zone("America/New_York"),
                      *howe = zone("Australia/Lord_Howe");
    struct window w = {.days = WINDOW_ALL_DAYS, .from_min = 120, .to_min = 300};
    /* one hour more */
    assert_stretch(&w, berlin, "2026-10-25T00:00:00Z", "2026-10-25T04:00:00Z");
    assert_stretch(&w, york, "2026-11-01T07:00:00Z", "2026-11-01T10:00:00Z"); /* there it is from one */
    w.from_min = 60;
    assert_stretch(&w, york, "2026-11-01T05:00:00Z", "2026-11-01T10:00:00Z");
    /* an hour that comes twice is open twice */
    w.from_min = 130;
    w.to_min = 140;
    assert_stretch(&w, berlin, "2026-10-25T00:10:00Z", "2026-10-25T00:20:00Z");
    assert_stretch(&w, berlin, "2026-10-25T01:10:00Z", "2026-10-25T01:20:00Z");
    assert_int_equal(window_next_open(&w, berlin, at("2026-10-25T00:20:00Z")), at("2026-10-25T01:10:00Z"));
    /* half an hour in Lord Howe: from 02:00 back to 01:30 */
    w.from_min = 100;
    w.to_min = 110;
    assert_stretch(&w, howe, "2026-04-04T14:40:00Z", "2026-04-04T14:50:00Z");
    assert_stretch(&w, howe, "2026-04-04T15:10:00Z", "2026-04-04T15:20:00Z");
    /* shut by the change: 03:00 becomes 02:00 just when it opens, and when it is open */
    w.from_min = 180;
    w.to_min = 240;
    assert_stretch(&w, berlin, "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z");
    w.from_min = 150;
    w.to_min = 200;
    assert_stretch(&w, berlin, "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z");
    assert_stretch(&w, berlin, "2026-10-25T01:30:00Z", "2026-10-25T02:20:00Z");
}

/* Samoa went from Thursday to Saturday. */
static void day_that_never_was(void **state)
{
    (void)state;
    const struct zone *apia = zone("Pacific/Apia");
    struct window w = {.days = FRI, .from_min = 120, .to_min = 300};
    assert_int_equal(window_next_open(&w, apia, at("2011-12-28T00:00:00Z")), at("2012-01-05T12:00:00Z"));
    w.days = SAT;
    assert_int_equal(window_next_open(&w, apia, at("2011-12-28T00:00:00Z")), at("2011-12-30T12:00:00Z"));
}

/* ---- against one's own eyes: the wall is looked at every minute */

enum { MINUTES = 366 * 1440 };

static bool wall_says_open(const struct window *w, const struct zone *z, int64_t at_ms)
{
    static const int from_sunday[] = {6, 0, 1, 2, 3, 4, 5};
    int64_t local = at_ms / 60000 + zone_offset(z, at_ms / 1000) / 60; /* whole minutes, these days */
    int minute = (int)(local % 1440), day = from_sunday[(local / 1440 + 4) % 7], eve = (day + 6) % 7;
    bool today = w->days & 1u << day, yesterday = w->days & 1u << eve;
    if (w->from_min < w->to_min)
        return today && minute >= w->from_min && minute < w->to_min;
    return (today && minute >= w->from_min) || (yesterday && minute < w->to_min);
}

/* From the end of the year back to its beginning, so that what comes next is known. Between edges every
 * seventh hour will do. */
static void walk_a_year(const struct window *w, const char *name, int64_t start)
{
    const struct zone *z = zone(name);
    bool *open = malloc((MINUTES + 1) * sizeof *open);
    int64_t next_open = INT64_MAX, next_close = INT64_MAX;
    assert_non_null(open);
    for (int i = 0; i <= MINUTES; i++)
        open[i] = wall_says_open(w, z, start + i * MINUTE);
    for (int i = MINUTES; i >= 0; i--) {
        int64_t now = start + i * MINUTE;
        bool edge = (i < MINUTES && open[i] != open[i + 1]) || (i > 0 && open[i] != open[i - 1]);
        *(open[i] ? &next_open : &next_close) = now;
        if (!edge && i % 419 != 0)
            continue;
        if (window_open(w, z, now) != open[i])
            fail_msg("%s: minute %d is %s", name, i, open[i] ? "shut" : "open");
        if (next_open != INT64_MAX && window_next_open(w, z, now) != next_open)
            fail_msg("%s: minute %d opens at %lld", name, i, (long long)window_next_open(w, z, now));
        if (next_close != INT64_MAX && window_next_close(w, z, now) != next_close)
            fail_msg("%s: minute %d closes at %lld", name, i, (long long)window_next_close(w, z, now));
    }
    free(open);
}

static void agrees_with_the_wall(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin",     "America/New_York", "Australia/Lord_Howe",
                                        "Africa/Casablanca", "Antarctica/Troll", "America/Nuuk",
                                        "Pacific/Kiritimati"};
    static const struct window windows[] = {
        {.days = WINDOW_ALL_DAYS, .from_min = 120, .to_min = 300},
        {.days = SAT | SUN, .from_min = 130, .to_min = 140},
        {.days = SUN, .from_min = 1380, .to_min = 90},
        {.days = WINDOW_ALL_DAYS & ~SUN, .from_min = 1439, .to_min = 1438},
        {.days = MON | FRI | SUN, .from_min = 0, .to_min = 1440},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        for (size_t k = 0; k < ARRAY_SIZE(windows); k++)
            if ((i + k) % 2 == 0)
                walk_a_year(&windows[k], names[i], at("2026-01-01T00:00:00Z"));
    walk_a_year(&windows[0], "Pacific/Apia", at("2011-06-01T00:00:00Z"));
    walk_a_year(&windows[2], "Pacific/Apia", at("2011-06-01T00:00:00Z"));
}

/* ---- JSON */

static json_t *object(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void windows_as_json(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned days;
        int from, to;
        const char *tz, *again; /* NULL: the same */
    } rows[] = {
        {"{\"from\":\"02:00\",\"to\":\"05:00\"}", WINDOW_ALL_DAYS, 120, 300, "UTC",
         "{\"days\":[\"mon\",\"tue\",\"wed\",\"thu\",\"fri\",\"sat\",\"sun\"],\"from\":\"02:00\",\"to\":\"05:"
         "00\","
         "\"tz\":\"UTC\"}"},
        {"{\"days\":[\"sat\",\"sun\"],\"from\":\"22:30\",\"to\":\"04:05\",\"tz\":\"device\"}", SAT | SUN,
         1350, 245, "device", NULL},
        {"{\"days\":[\"sun\",\"mon\",\"sun\"],\"from\":\"00:00\",\"to\":\"24:00\",\"tz\":null}", MON | SUN, 0,
         1440, "UTC", "{\"days\":[\"mon\",\"sun\"],\"from\":\"00:00\",\"to\":\"24:00\",\"tz\":\"UTC\"}"},
        {"{\"days\":[\"fri\"],\"from\":\"23:59\",\"to\":\"00:00\",\"tz\":\"UTC\"}", FRI, 1439, 0, "UTC",
         NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct window w = {0};
        struct err e = {0};
        json_t *o = object(rows[i].text);
        if (window_parse(o, &w, &e) != 0)
            fail_msg("%s: %s", rows[i].text, e.text);
        json_decref(o);
        assert_true(w.given);
        assert_int_equal(w.days, rows[i].days);
        assert_int_equal(w.from_min, rows[i].from);
        assert_int_equal(w.to_min, rows[i].to);
        assert_string_equal(w.tz, rows[i].tz);
        assert_int_equal(window_by_device(&w), strcmp(rows[i].tz, "device") == 0);
        json_t *back = window_json(&w);
        char *text = json_text(back);
        assert_string_equal(text, rows[i].again ? rows[i].again : rows[i].text);
        free(text);
        json_decref(back);
    }
    zone("Asia/Shanghai");
    struct window w;
    struct err e;
    json_t *o = object("{\"from\":\"02:00\",\"to\":\"05:00\",\"tz\":\"Asia/Shanghai\"}");
    assert_int_equal(window_parse(o, &w, &e), 0);
    assert_string_equal(w.tz, "Asia/Shanghai");
    json_decref(o);
}

static void windows_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field, *says;
    } rows[] = {
        {"{}", "window.from", "missing"},
        {"{\"from\":\"02:00\"}", "window.to", "missing"},
        {"{\"from\":\"02:00\",\"to\":null}", "window.to", "missing"},
        {"{\"from\":\"02:00\",\"to\":\"02:00\"}", "window.to", "never opens"},
        {"{\"from\":\"2:00\",\"to\":\"05:00\"}", "window.from", "02:00"},
        {"{\"from\":\"02:00:00\",\"to\":\"05:00\"}", "window.from", ""},
        {"{\"from\":\"02-00\",\"to\":\"05:00\"}", "window.from", "02:00"},
        {"{\"from\":\"02:0\",\"to\":\"05:00\"}", "window.from", "02:00"},
        {"{\"from\":\"02:60\",\"to\":\"05:00\"}", "window.from", "23:59"},
        {"{\"from\":\"24:00\",\"to\":\"05:00\"}", "window.from", "23:59"},
        {"{\"from\":\"0a:00\",\"to\":\"05:00\"}", "window.from", "23:59"},
        {"{\"from\":\"\",\"to\":\"05:00\"}", "window.from", ""},
        {"{\"from\":120,\"to\":\"05:00\"}", "window.from", "string"},
        {"{\"from\":\"02:00\",\"to\":\"24:01\"}", "window.to", "24:00"},
        {"{\"from\":\"02:00\",\"to\":\"05:00 \"}", "window.to", "24:00"},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"days\":[]}", "window.days", "never opens"},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"days\":\"mon\"}", "window.days", "array"},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"days\":[\"monday\"]}", "window.days", "\"monday\""},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"days\":[\"Mon\"]}", "window.days", "\"Mon\""},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"days\":[1]}", "window.days", "not a string"},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"tz\":\"../x\"}", "window.tz", "no time zone \"../x\""},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"tz\":\"berlin\"}", "window.tz", "no time zone \"berlin\""},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"tz\":\"Mars/Olympus\"}", "window.tz", "\"Mars/Olympus\""},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"tz\":\"\"}", "window.tz", ""},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"tz\":8}", "window.tz", "string"},
        {"{\"from\":\"02:00\",\"to\":\"05:00\",\"zone\":\"UTC\"}", "window.zone", "unknown"},
    };
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct window w = {.from_min = 4711};
        struct err e = {0};
        json_t *o = object(rows[i].text);
        if (strstr(rows[i].text, "Mars") && stat("/usr/share/zoneinfo", &st) != 0) {
            print_message("SKIPPED: no time zones are installed\n");
        } else {
            assert_int_equal(window_parse(o, &w, &e), -ERR_INVALID);
            if (strcmp(e.field, rows[i].field) != 0 || !strstr(e.text, rows[i].says))
                fail_msg("%s: %s: %s", rows[i].text, e.field, e.text);
        }
        assert_int_equal(w.from_min, 4711);
        json_decref(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_a_day),         cmocka_unit_test(whole_days),
        cmocka_unit_test(across_midnight),      cmocka_unit_test(clock_put_forward),
        cmocka_unit_test(clock_put_back),       cmocka_unit_test(day_that_never_was),
        cmocka_unit_test(agrees_with_the_wall), cmocka_unit_test(windows_as_json),
        cmocka_unit_test(windows_refused),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
