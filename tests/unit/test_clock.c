#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INVALID (-1)

static const struct {
    const char *text;
    int64_t want;
} moments[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"2026-12-01T02:00:00Z", 1796090400000},
    {"2026-12-01T02:00:00.000Z", 1796090400000},
    {"2026-12-01t02:00:00z", 1796090400000},
    {"2026-12-01 02:00:00Z", 1796090400000},
    {"2026-12-01T02:00:00.5Z", 1796090400500},
    {"2026-12-01T02:00:00.05Z", 1796090400050},
    {"2026-12-01T02:00:00.9999999999999Z", 1796090400999},
    {"9999-12-31T23:59:59.999Z", 253402300799999},
    /* offsets */
    {"2026-12-01T02:00:00+00:00", 1796090400000},
    {"2026-12-01T02:00:00-00:00", 1796090400000},
    {"2026-12-01T03:00:00+01:00", 1796090400000},
    {"2026-11-30T20:30:00-05:30", 1796090400000},
    {"2026-12-02T01:59:00+23:59", 1796090400000},
    {"1970-01-01T01:00:00+01:00", 0},
    {"1970-01-01T00:59:59+01:00", INVALID},
    {"2026-12-01T02:00:00+24:00", INVALID},
    {"2026-12-01T02:00:00+01:60", INVALID},
    {"2026-12-01T02:00:00+0100", INVALID},
    {"2026-12-01T02:00:00+01", INVALID},
    {"2026-12-01T02:00:00 +01:00", INVALID},
    {"2026-12-01T02:00:00", INVALID},
    /* the calendar */
    {"2024-02-29T00:00:00Z", 1709164800000},
    {"2000-02-29T00:00:00Z", 951782400000},
    {"2026-02-28T23:59:59Z", 1772323199000},
    {"2026-02-29T00:00:00Z", INVALID},
    {"2026-02-29T00:00:01Z", INVALID},
    {"2100-02-29T00:00:00Z", INVALID},
    {"2024-02-30T00:00:00Z", INVALID},
    {"2026-04-30T00:00:00Z", 1777507200000},
    {"2026-04-31T00:00:00Z", INVALID},
    {"2026-12-31T00:00:00Z", 1798675200000},
    {"2026-12-32T00:00:00Z", INVALID},
    {"2026-01-00T00:00:00Z", INVALID},
    {"2026-00-01T00:00:00Z", INVALID},
    {"2026-13-01T00:00:00Z", INVALID},
    {"1969-12-31T23:59:59Z", INVALID},
    {"1969-12-31T23:59:59-01:00", INVALID},
    {"0000-01-01T00:00:00Z", INVALID},
    /* the clock */
    {"2026-12-01T23:59:59Z", 1796169599000},
    {"2026-12-01T24:00:00Z", INVALID},
    {"2026-12-01T02:60:00Z", INVALID},
    {"2026-12-01T02:00:61Z", INVALID},
    /* a leap second counts as the first of the next day */
    {"2016-12-31T23:59:60Z", 1483228800000},
    {"2016-12-31T23:59:60.250Z", 1483228800250},
    {"2017-01-01T00:59:60+01:00", 1483228800000},
    {"2016-12-31T23:58:60Z", INVALID},
    {"2016-12-31T22:59:60Z", INVALID},
    {"2016-12-31T23:59:60+01:00", INVALID},
    /* the form */
    {"", INVALID},
    {"2026", INVALID},
    {"2026-12-01", INVALID},
    {"2026-12-1T02:00:00Z", INVALID},
    {"2026/12/01T02:00:00Z", INVALID},
    {"2026-12-01T02:00Z", INVALID},
    {"2026-12-01T2:00:00Z", INVALID},
    {"2026-12-01T02:00:00.Z", INVALID},
    {"2026-12-01T02:00:00,5Z", INVALID},
    {"2026-12-01T02:00:00.5", INVALID},
    {"2026-12-01T02:00:00ZZ", INVALID},
    {"2026-12-01T02:00:00Z ", INVALID},
    {" 2026-12-01T02:00:00Z", INVALID},
    {"+026-12-01T02:00:00Z", INVALID},
    {"12026-12-01T02:00:00Z", INVALID},
};

static void moments_as_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
        int64_t at_ms = 77;
        int rc = clock_parse(moments[i].text, &at_ms);
        bool valid = moments[i].want != INVALID;
        if (rc != (valid ? 0 : -1) || at_ms != (valid ? moments[i].want : 77))
            fail_msg("%s: %d, %lld", moments[i].text, rc, (long long)at_ms);
    }
}

static void moments_to_text(void **state)
{
    (void)state;
    static const struct {
        int64_t at_ms;
        const char *want;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {7, "1970-01-01T00:00:00.007Z"},
        {1796090400000, "2026-12-01T02:00:00.000Z"},
        {1709251199999, "2024-02-29T23:59:59.999Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-1, "1970-01-01T00:00:00.000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[CLOCK_TEXT_SIZE];
        clock_format(rows[i].at_ms, text);
        assert_string_equal(text, rows[i].want);
    }
}

/* Every day of 130 years, at a time that differs from day to day. */
static void every_day_comes_back(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 130 * 366; day++) {
        int64_t at_ms = day * 86400000 + day * 7919 % 86400000, again;
        char text[CLOCK_TEXT_SIZE], http[CLOCK_HTTP_SIZE];
        clock_format(at_ms, text);
        assert_int_equal(clock_parse(text, &again), 0);
        assert_int_equal(again, at_ms);
        clock_http_format(at_ms, http);
        assert_int_equal(clock_http_parse(http, &again), 0);
        assert_int_equal(again, at_ms / 1000 * 1000);
    }
}

static void spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {
        {"0s", 0},
        {"1s", 1000},
        {"30s", 30000},
        {"10m", 600000},
        {"2h", 7200000},
        {"7d", 604800000},
        {"0007d", 604800000},
        {"10000d", 864000000000},
        {"10001d", INVALID},
        {"240000h", 864000000000},
        {"240001h", INVALID},
        {"14400000m", 864000000000},
        {"14400001m", INVALID},
        {"864000000s", 864000000000},
        {"864000001s", INVALID},
        {"9999999999s", INVALID},
        {"18446744073709551617s", INVALID},
        {"", INVALID},
        {"s", INVALID},
        {"10", INVALID},
        {"10 s", INVALID},
        {"10S", INVALID},
        {"10ms", INVALID},
        {"10w", INVALID},
        {"1h30m", INVALID},
        {"-1s", INVALID},
        {"+1s", INVALID},
        {"1.5h", INVALID},
        {" 1s", INVALID},
        {"1s ", INVALID},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t after_ms = 77;
        int rc = clock_span_parse(rows[i].text, &after_ms);
        bool valid = rows[i].want != INVALID;
        if (rc != (valid ? 0 : -1) || after_ms != (valid ? rows[i].want : 77))
            fail_msg("%s: %d, %lld", rows[i].text, rc, (long long)after_ms);
    }
}

static void dates_of_http(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {
        /* the three forms of RFC 9110 5.6.7 */
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000},
        {"Sun Nov  6 08:49:37 1994", 784111777000},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199000},
        {"Sat, 21 Nov 2026 06:00:00 GMT", 1795240800000},
        {"Sat Nov 21 06:00:00 2026", 1795240800000},
        /* what strptime would take */
        {"Mon, 06 Nov 1994 08:49:37 GMT", INVALID},
        {"sun, 06 nov 1994 08:49:37 gmt", INVALID},
        {"Sunday, 06 Nov 1994 08:49:37 GMT", INVALID},
        {"Sun, 6 Nov 1994 08:49:37 GMT", INVALID},
        {"Sun, 06  Nov 1994 08:49:37 GMT", INVALID},
        {"Sun,06 Nov 1994 08:49:37 GMT", INVALID},
        {"Sun, 06 November 1994 08:49:37 GMT", INVALID},
        {"Sun, 06 Nov 1994 8:49:37 GMT", INVALID},
        {"Thu, 31 Feb 1994 08:49:37 GMT", INVALID},
        {"Thu, 29 Feb 2026 08:49:37 GMT", INVALID},
        {"Sun, 06 Nov 1994 24:00:00 GMT", INVALID},
        {"Sun, 06 Nov 1994 08:49:37 UTC", INVALID},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", INVALID},
        {" Sun, 06 Nov 1994 08:49:37 GMT", INVALID},
        {"Sun, 06 Nov 1994 08:49:37", INVALID},
        {"Sun Nov 06 08:49:37 1994", INVALID},
        {"1994-11-06T08:49:37Z", INVALID},
        {"", INVALID},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t at_ms = 77;
        int rc = clock_http_parse(rows[i].text, &at_ms);
        bool valid = rows[i].want != INVALID;
        if (rc != (valid ? 0 : -1) || at_ms != (valid ? rows[i].want : 77))
            fail_msg("%s: %d, %lld", rows[i].text, rc, (long long)at_ms);
    }
    char text[CLOCK_HTTP_SIZE];
    clock_http_format(784111777999, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    clock_http_format(-1, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    clock_http_format(INT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Texts are UTC wherever the machine stands. */
static void the_time_zone_does_not_matter(void **state)
{
    (void)state;
    int64_t at_ms;
    char text[CLOCK_TEXT_SIZE];
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    assert_int_equal(clock_parse("2026-12-01T02:00:00Z", &at_ms), 0);
    assert_int_equal(at_ms, 1796090400000);
    clock_format(at_ms, text);
    assert_string_equal(text, "2026-12-01T02:00:00.000Z");
    assert_int_equal(clock_http_parse("Sun, 06 Nov 1994 08:49:37 GMT", &at_ms), 0);
    assert_int_equal(at_ms, 784111777000);
    unsetenv("TZ");
    tzset();
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t wall = clock_wall_ms(), mono = clock_mono_ms(), s = (int64_t)time(NULL);
    assert_true(wall / 1000 >= s - 2 && wall / 1000 <= s + 2);
    while (clock_mono_ms() == mono) /* at most a millisecond */
        ;
    assert_true(clock_mono_ms() > mono);
    assert_true(clock_mono_ms() - mono < 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_as_text),      cmocka_unit_test(moments_to_text),
        cmocka_unit_test(every_day_comes_back), cmocka_unit_test(spans),
        cmocka_unit_test(dates_of_http),        cmocka_unit_test(the_time_zone_does_not_matter),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
