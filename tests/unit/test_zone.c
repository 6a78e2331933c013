#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/zone.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define HOUR 3600

/* ---- TZif by hand */

struct bytes {
    unsigned char at[1024];
    size_t len;
};

static void put(struct bytes *b, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        b->at[b->len++] = (unsigned char)(width - i > 8 ? 0 : value >> 8 * (width - 1 - i));
}

static void put_text(struct bytes *b, const char *text)
{
    memcpy(b->at + b->len, text, strlen(text));
    b->len += strlen(text);
}

enum count { UT, STANDARD, LEAPS, TIMES, TYPES, CHARS, COUNTS };

static void put_header(struct bytes *b, char version, const uint32_t counts[COUNTS])
{
    put_text(b, "TZif");
    put(b, (unsigned char)version, 1);
    put(b, 0, 15);
    for (int i = 0; i < COUNTS; i++)
        put(b, counts[i], 4);
}

/* A clock that goes from +0:34 to +1:00 in 1900, to +2:00 at a million and back at two million. */
static const int64_t times[] = {-2200000000, 1000000, 2000000};
static const uint32_t counts[COUNTS] = {3, 3, 0, 3, 3, 12};

static void put_block(struct bytes *b, char version, size_t width)
{
    put_header(b, version, counts);
    for (size_t i = 0; i < ARRAY_SIZE(times); i++)
        put(b, width == 4 && times[i] < INT32_MIN ? (uint64_t)INT32_MIN : (uint64_t)times[i], width);
    put(b, 0x010201, 3);
    for (unsigned i = 0; i < 3; i++) {
        static const uint64_t offsets[] = {2040, 3600, 7200};
        put(b, offsets[i], 4);
        put(b, i == 2, 1);
        put(b, 4ULL * i, 1);
    }
    put_text(b, "LMT.AAT.BBT.");
    for (int i = 1; i <= 3; i++)
        b->at[b->len - 4 * (size_t)i + 3] = '\0';
    put(b, 0, 6);
}

static struct bytes version_1(void)
{
    struct bytes b = {.len = 0};
    put_block(&b, 0, 4);
    return b;
}

static struct bytes version_2(const char *footer)
{
    static const uint32_t none[COUNTS];
    struct bytes b = {.len = 0};
    put_header(&b, '2', none);
    put_block(&b, '2', 8);
    put_text(&b, "\n");
    put_text(&b, footer);
    put_text(&b, "\n");
    return b;
}

/* From a copy that ends where the bytes end, so that a read past them is seen. */
static int parse(const struct bytes *b, size_t len, struct zone **out, struct err *e)
{
    unsigned char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, b->at, len);
    int rc = zone_parse(copy, len, out, e);
    free(copy);
    return rc;
}

static struct zone *parsed(struct bytes b)
{
    struct zone *z = NULL;
    struct err e = {0};
    if (parse(&b, b.len, &z, &e) != 0)
        fail_msg("%s", e.text);
    return z;
}

static void refused(struct bytes b)
{
    struct zone *z = NULL;
    struct err e = {0};
    assert_int_equal(parse(&b, b.len, &z, &e), -ERR_INVALID);
    assert_true(strncmp(e.text, "not a valid TZif file: ", 23) == 0);
    assert_null(z);
}

/* A zone of nothing but a rule: no change in its table, and a type that the rule overrules. */
static struct bytes only_rule(const char *rule)
{
    static const uint32_t none[COUNTS], one[COUNTS] = {[TYPES] = 1, [CHARS] = 4};
    struct bytes b = {.len = 0};
    put_header(&b, '4', none);
    put_header(&b, '4', one);
    put(&b, 77, 4);
    put(&b, 0, 2);
    put_text(&b, "ABC");
    put(&b, 0, 1);
    put_text(&b, "\n");
    put_text(&b, rule);
    put_text(&b, "\n");
    return b;
}

static int64_t at(const char *text)
{
    int64_t ms;
    assert_int_equal(clock_parse(text, &ms), 0);
    return ms / 1000;
}

static void assert_next(const struct zone *z, int64_t after, int64_t want)
{
    int64_t next = 0;
    assert_true(zone_next_change(z, after, &next));
    assert_int_equal(next, want);
    assert_int_not_equal(zone_offset(z, next), zone_offset(z, next - 1));
}

/* ---- the table */

static void table_of_both_versions(void **state)
{
    (void)state;
    struct zone *both[] = {parsed(version_1()), parsed(version_2(""))};
    for (int v = 0; v < 2; v++) {
        const struct zone *z = both[v];
        int64_t first = v == 0 ? INT32_MIN : times[0], next = 77;
        assert_int_equal(zone_offset(z, INT64_MIN), 2040);
        assert_int_equal(zone_offset(z, first - 1), 2040);
        assert_int_equal(zone_offset(z, first), 3600);
        assert_int_equal(zone_offset(z, 0), 3600);
        assert_int_equal(zone_offset(z, 999999), 3600);
        assert_int_equal(zone_offset(z, 1000000), 7200);
        assert_int_equal(zone_offset(z, 1999999), 7200);
        assert_int_equal(zone_offset(z, 2000000), 3600);
        assert_int_equal(zone_offset(z, INT64_MAX), 3600);
        assert_next(z, INT64_MIN, first);
        assert_next(z, first - 1, first);
        assert_next(z, first, 1000000);
        assert_next(z, 1000000, 2000000);
        assert_false(zone_next_change(z, 2000000, &next));
        assert_false(zone_next_change(z, INT64_MAX, &next));
        assert_int_equal(next, 77);
        zone_close(both[v]);
    }
}

static void rule_behind_the_table(void **state)
{
    (void)state;
    struct zone *z = parsed(version_2("AAT-1BBT,M3.5.0,M10.5.0/3"));
    assert_int_equal(zone_offset(z, 1999999), 7200);
    assert_int_equal(zone_offset(z, 2000000), 3600); /* January 1970 */
    assert_next(z, 2000000, at("1970-03-29T01:00:00Z"));
    assert_next(z, at("2026-03-29T00:59:59Z"), at("2026-03-29T01:00:00Z"));
    assert_next(z, at("2026-03-29T01:00:00Z"), at("2026-10-25T01:00:00Z"));
    assert_next(z, at("2026-10-25T01:00:00Z"), at("2027-03-28T01:00:00Z"));
    zone_close(z);
    /* the rule already speaks of the moment of the last change */
    z = parsed(version_2("CCT-5"));
    int64_t next;
    assert_int_equal(zone_offset(z, 1999999), 7200);
    assert_int_equal(zone_offset(z, 2000000), 5 * HOUR);
    assert_false(zone_next_change(z, 2000000, &next));
    zone_close(z);
    /* a change to what is there already is none */
    z = parsed(version_2("BBT-2"));
    assert_int_equal(zone_offset(z, 2000000), 7200);
    assert_false(zone_next_change(z, 1000000, &next));
    zone_close(z);
}

static void cut_short_anywhere(void **state)
{
    (void)state;
    const struct bytes all[] = {version_1(), version_2("AAT-1BBT,M3.5.0,M10.5.0/3"), only_rule("UTC0")};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        for (size_t len = 0; len < all[i].len; len++) {
            struct zone *z = NULL;
            struct err e = {0};
            if (parse(&all[i], len, &z, &e) != -ERR_INVALID || z || !*e.text)
                fail_msg("%zu bytes of %zu were taken", len, all[i].len);
        }
}

/* Whatever a single byte becomes, nothing is read that is not there, and what is taken can be asked. */
static void any_byte_wrong(void **state)
{
    (void)state;
    static const unsigned char values[] = {0, 1, 3, 0x7f, 0x80, 0xff};
    const struct bytes good = version_2("AAT-1BBT,M3.5.0,M10.5.0/3");
    for (size_t i = 0; i < good.len * ARRAY_SIZE(values); i++) {
        struct bytes b = good;
        struct zone *z = NULL;
        struct err e = {0};
        int64_t next;
        b.at[i / ARRAY_SIZE(values)] = values[i % ARRAY_SIZE(values)];
        if (parse(&b, b.len, &z, &e) == 0) {
            assert_in_range(zone_offset(z, 1795240800) + ZONE_OFFSET_MAX, 0, 2 * ZONE_OFFSET_MAX);
            if (zone_next_change(z, 1795240800, &next))
                assert_true(next > 1795240800);
        }
        zone_close(z);
    }
}

static void wrong_tables(void **state)
{
    (void)state;
    enum { BLOCK = 44, FIRST = BLOCK + 20, TABLE = BLOCK + 44 }; /* of version 2 */
    static const struct {
        size_t at;
        uint64_t value;
        size_t width;
    } rows[] = {
        {0, 'X', 1}, /* no TZif */
        {4, '1', 1}, /* versions that there are not */
        {4, '5', 1},
        {4, 0xff, 1},
        {4, '3', 1},            /* two versions in one file */
        {20 + 4 * LEAPS, 1, 4}, /* the first block is cut off at the wrong place */
        {20 + 4 * TIMES, UINT32_MAX, 4},
        {BLOCK, 'X', 1},
        {FIRST + 4 * UT, 1, 4},
        {FIRST + 4 * STANDARD, 2, 4},
        {FIRST + 4 * LEAPS, 1, 4},
        {FIRST + 4 * TIMES, UINT32_MAX, 4},
        {FIRST + 4 * TIMES, 4, 4},
        {FIRST + 4 * TIMES, 2, 4},
        {FIRST + 4 * TYPES, 0, 4},
        {FIRST + 4 * TYPES, UINT32_MAX, 4},
        {FIRST + 4 * CHARS, 0, 4},
        {FIRST + 4 * CHARS, UINT32_MAX, 4},
        {TABLE, 1000000, 8},     /* the same moment twice */
        {TABLE + 16, 999999, 8}, /* back in time */
        {TABLE + 24, 3, 1},      /* no such type */
        {TABLE + 27, 93600, 4},  /* 26 hours */
        {TABLE + 27, (uint32_t)-93600, 4},
        {TABLE + 27, (uint32_t)INT32_MIN, 4},
        {TABLE + 31, 2, 1},  /* neither summer time nor not */
        {TABLE + 32, 12, 1}, /* a name beyond the names */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bytes b = version_2("AAT-1"), patch = {.len = 0};
        put(&patch, rows[i].value, rows[i].width);
        memcpy(b.at + rows[i].at, patch.at, patch.len);
        refused(b);
    }
    struct bytes none = {.len = 0}, leap = {.len = 0};
    static const uint32_t no_types[COUNTS], one_leap[COUNTS] = {[LEAPS] = 1, [TYPES] = 1, [CHARS] = 1};
    put_header(&none, 0, no_types);
    refused(none);
    put_header(&leap, 0, one_leap);
    put(&leap, 0, 6 + 1 + 8);
    refused(leap);
    leap.at[20 + 4 * LEAPS + 3] = 0;
    zone_close(parsed(leap));
    unsigned char *large = calloc(1, ZONE_FILE_MAX + 1);
    struct zone *z = NULL;
    struct err e;
    struct bytes good = version_1();
    assert_non_null(large);
    memcpy(large, good.at, good.len);
    assert_int_equal(zone_parse(large, ZONE_FILE_MAX + 1, &z, &e), -ERR_INVALID);
    assert_int_equal(zone_parse(large, ZONE_FILE_MAX, &z, &e), 0); /* what follows it is not ours */
    zone_close(z);
    free(large);
}

/* ---- rules */

static void wrong_rules(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "A",
        "AB1",
        "ABC",
        "ABC ",
        "ABC+",
        "ABC25",
        "ABC1:60",
        "ABC1:2:60",
        "ABC1:",
        "ABC1:2:",
        "ABC1:2:3:4",
        "ABC1.5",
        "ABC0001",
        "AB31",
        "<AB>1",
        "<ABC1",
        "<AB C>1",
        "<>1",
        ":Europe/Berlin",
        "ABC1D",
        "ABC1DEF", /* from when to when? */
        "ABC1DEF0",
        "ABC1DEF25,M3.5.0,M10.5.0",
        "ABC1DEF,",
        "ABC1DEF,M3.5.0",
        "ABC1DEF,M3.5.0,",
        "ABC1DEF,M3.5.0,M10.5.0,",
        "ABC1DEF,M3.5.0,M10.5.0 ",
        "ABC1DEF,M0.5.0,M10.5.0",
        "ABC1DEF,M13.5.0,M10.5.0",
        "ABC1DEF,M3.0.0,M10.5.0",
        "ABC1DEF,M3.6.0,M10.5.0",
        "ABC1DEF,M3.5.7,M10.5.0",
        "ABC1DEF,M3.5,M10.5.0",
        "ABC1DEF,M3.5.-1,M10.5.0",
        "ABC1DEF,J0,J365",
        "ABC1DEF,J1,J366",
        "ABC1DEF,-1,365",
        "ABC1DEF,0,366",
        "ABC1DEF,N1,J2",
        "ABC1DEF,J1/,J2",
        "ABC1DEF,J1/168,J2",
        "ABC1DEF,J1/-168,J2",
        "ABC1DEF,J1/1:60,J2",
        "ABC1DEF,J1/--1,J2",
        "ABC1DEF,J1\001,J2",
        "ABC1DEF,M3.5.0/"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000,M10.5.0",
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bytes b = only_rule(rows[i]);
        struct zone *z = NULL;
        struct err e;
        if (parse(&b, b.len, &z, &e) != -ERR_INVALID)
            fail_msg("\"%s\" was taken", rows[i]);
    }
    struct bytes b = only_rule("ABC1.");
    b.at[b.len - 2] = '\0'; /* a zero is no end */
    refused(b);
    b = only_rule("ABC1");
    b.at[b.len - 6] = ' '; /* the line before it */
    refused(b);
}

static void rules_in_their_years(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int32_t standard, summer;
        const char *start, *end; /* of the summer that begins in 2026 */
        const char *leap_start;  /* in 2028 */
    } rows[] = {
        {"AAT-1BBT,M3.5.0,M10.5.0/3", HOUR, 2 * HOUR, "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z",
         "2028-03-26T01:00:00Z"},
        {"<-05>5<-04>4,M3.2.0,M11.1.0", -5 * HOUR, -4 * HOUR, "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z",
         "2028-03-12T07:00:00Z"},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37800, 11 * HOUR, "2026-10-03T15:30:00Z",
         "2027-04-03T15:00:00Z", "2028-09-30T15:30:00Z"},
        {"AAT-1BBT0,M10.5.0,M3.5.0/1", HOUR, 0, "2026-10-25T01:00:00Z", "2027-03-28T01:00:00Z",
         "2028-10-29T01:00:00Z"},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -2 * HOUR, -HOUR, "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z",
         "2028-03-26T01:00:00Z"},
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", 2 * HOUR, 3 * HOUR, "2026-03-28T00:00:00Z", "2026-10-23T23:00:00Z",
         "2028-03-25T00:00:00Z"},
        /* J60 is the first of March, and so is 59 in years that have no February 29 */
        {"AAT0BBT,J60/0,J300/0", 0, HOUR, "2026-03-01T00:00:00Z", "2026-10-26T23:00:00Z",
         "2028-03-01T00:00:00Z"},
        {"AAT0BBT,59/0,299/0", 0, HOUR, "2026-03-01T00:00:00Z", "2026-10-26T23:00:00Z",
         "2028-02-29T00:00:00Z"},
        {"AAT0BBT,M2.5.0/0,M2.5.0/48", 0, HOUR, "2026-02-22T00:00:00Z", "2026-02-23T23:00:00Z",
         "2028-02-27T00:00:00Z"},
        /* a week before the year, and a week behind it */
        {"AAT0BBT,J1/-167,J365/167", 0, HOUR, "2025-12-25T01:00:00Z", "2027-01-07T22:00:00Z", NULL},
        {"AAT12:34:56BBT24:59:59,J100/0:00:01,J200/24", -45296, -89999, "2026-04-10T12:34:57Z",
         "2026-07-21T00:59:59Z", "2028-04-10T12:34:57Z"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct zone *z = parsed(only_rule(rows[i].rule));
        int64_t start = at(rows[i].start), end = at(rows[i].end);
        if (rows[i].leap_start) { /* else summers touch */
            assert_int_equal(zone_offset(z, start - 1), rows[i].standard);
            assert_int_equal(zone_offset(z, end), rows[i].standard);
            assert_next(z, start - 1, start);
            assert_next(z, start, end);
            assert_next(z, at(rows[i].leap_start) - 1, at(rows[i].leap_start));
            assert_int_equal(zone_offset(z, at(rows[i].leap_start)), rows[i].summer);
        }
        assert_int_equal(zone_offset(z, start), rows[i].summer);
        assert_int_equal(zone_offset(z, end - 1), rows[i].summer);
        zone_close(z);
    }
}

static void rules_without_a_change(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int32_t offset;
    } rows[] = {
        {"UTC0", 0},
        {"<+0545>-5:45", 20700},
        {"ABC-24:59:59", 89999},
        {"ABC+24:59:59", -89999},
        {"ABC3DEF4,0/0,J365/23", -4 * HOUR}, /* summer for ever, as RFC 9636 writes it */
        {"ABC-2<+01>-1,0/0,J365/23", HOUR},
        {"ABC1DEF1,M3.5.0,M10.5.0", -HOUR},
        {"ABC1DEF,J100,J100/3", -HOUR}, /* summers of no length */
    };
    static const int64_t moments[] = {
        INT64_MIN,  INT64_MIN + 1, -(INT64_C(1) << 53), -62135596801,       -1,       0, 1798761599,
        1798761600, 1798797600,    253402300800,        (INT64_C(1) << 53), INT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct zone *z = parsed(only_rule(rows[i].rule));
        for (size_t k = 0; k < ARRAY_SIZE(moments); k++) {
            int64_t next;
            if (zone_offset(z, moments[k]) != rows[i].offset || zone_next_change(z, moments[k], &next))
                fail_msg("%s at %lld", rows[i].rule, (long long)moments[k]);
        }
        zone_close(z);
    }
}

/* February has a fifth Sunday every 28 years, and around 2100 after 40. */
static void rare_changes_are_found(void **state)
{
    (void)state;
    struct zone *z = parsed(only_rule("ABC0DEF,M2.4.0/0,M2.5.0/1"));
    assert_next(z, at("2004-02-22T00:00:00Z"), at("2004-02-29T00:00:00Z"));
    assert_next(z, at("2004-02-29T00:00:00Z"), at("2032-02-22T00:00:00Z"));
    assert_next(z, at("2088-02-29T00:00:00Z"), at("2128-02-22T00:00:00Z"));
    zone_close(z);
}

/* ---- the machine's zones */

static const char *const names[] = {
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/St_Johns",
    "Asia/Tehran",
    "Antarctica/Troll",
    "Asia/Gaza",
    "America/Nuuk",
    "UTC",
    "Etc/GMT+5",
    "America/Argentina/ComodRivadavia",
};

/* "Europe/Berlin  Sun Mar 29 01:00:00 2026 UT = Sun Mar 29 03:00:00 2026 CEST isdst=1 gmtoff=7200" */
static bool zdump_line(char *line, int64_t *at_s, int32_t *offset)
{
    struct tm t = {0};
    char *moment = strchr(line, ' '), *gmtoff = strstr(line, "gmtoff=");
    if (!moment || !gmtoff)
        return false;
    moment += strspn(moment, " ");
    char *rest = strptime(moment, "%a %b %d %H:%M:%S %Y", &t);
    if (!rest || strncmp(rest, " UT =", 5) != 0)
        return false;
    *at_s = timegm(&t);
    *offset = (int32_t)strtol(gmtoff + 7, NULL, 10);
    return true;
}

/* Every offset that zdump names, and of its changes each and no other. */
static int compare_with_zdump(const char *name)
{
    struct zone *z;
    struct err e = {0};
    char command[128], line[256];
    int64_t at_s = 0, last_s = 0, next = at("1970-01-01T00:00:00Z") - 1;
    int32_t offset = 0, last = 0;
    int lines = 0;
    if (zone_load(name, &z, &e) != 0)
        fail_msg("%s: %s", name, e.text);
    snprintf(command, sizeof command, "zdump -v -c 1970,2060 %s", name);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        if (!zdump_line(line, &at_s, &offset))
            continue;
        if (zone_offset(z, at_s) != offset)
            fail_msg("%s: %d at %s", name, (int)zone_offset(z, at_s), line);
        if (lines++ && at_s == last_s + 1 && offset != last &&
            (!zone_next_change(z, next, &next) || next != at_s))
            fail_msg("%s: not the next change: %s", name, line);
        last_s = at_s;
        last = offset;
    }
    assert_int_equal(pclose(in), 0);
    if (zone_next_change(z, next, &next))
        assert_true(next >= at("2060-01-01T00:00:00Z"));
    zone_close(z);
    return lines;
}

static void agrees_with_zdump(void **state)
{
    (void)state;
    int lines = 0;
    if (system("command -v zdump >/dev/null") != 0) {
        print_message("SKIPPED: zdump is not there to compare with\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[128];
        struct stat st;
        snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", names[i]);
        if (stat(path, &st) == 0)
            lines += compare_with_zdump(names[i]);
        else
            print_message("SKIPPED: there is no %s to compare\n", path);
    }
    if (lines == 0)
        skip();
    print_message("%d lines of zdump\n", lines);
}

static void names_that_are_no_zones(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum err_code code;
    } rows[] = {
        {"", ERR_INVALID},
        {".", ERR_INVALID},
        {"/", ERR_INVALID},
        {"../x", ERR_INVALID},
        {"/etc/passwd", ERR_INVALID},
        {"Europe/../../../../etc/passwd", ERR_INVALID},
        {"Europe//Berlin", ERR_INVALID},
        {"Europe/", ERR_INVALID},
        {"Europe/Berlin/", ERR_INVALID},
        {"Europe/Berlin ", ERR_INVALID},
        {" Europe/Berlin", ERR_INVALID},
        {"Europe/Berlin\n", ERR_INVALID},
        {"europe/berlin", ERR_INVALID},
        {"Europe\\Berlin", ERR_INVALID},
        {"Europe/B\xc3\xa9rlin", ERR_INVALID},
        {"zone.tab", ERR_INVALID},
        {"tzdata.zi", ERR_INVALID},
        {"localtime", ERR_INVALID},
        {"posixrules", ERR_INVALID},
        {"right/Europe/Berlin", ERR_INVALID},
        {"posix/Europe/Berlin", ERR_INVALID},
        {"device", ERR_INVALID},
        {"CET-1CEST,M3.5.0,M10.5.0/3", ERR_INVALID},
        {"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ERR_INVALID}, /* 65 */
        {"Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ERR_NOT_FOUND},
        {"Mars/Olympus", ERR_NOT_FOUND},
        {"Europe/Berlin/Mitte", ERR_NOT_FOUND},
        {"Europe", ERR_NOT_FOUND},
        {"America/Argentina", ERR_NOT_FOUND},
    };
    struct stat st;
    bool installed = stat("/usr/share/zoneinfo", &st) == 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct zone *z = NULL;
        struct err e = {0};
        enum err_code want = installed || rows[i].code == ERR_INVALID ? rows[i].code : ERR_INTERNAL;
        int rc = zone_load(rows[i].name, &z, &e);
        if (rc != -(int)want || z || !*e.text)
            fail_msg("\"%s\": %d, %s", rows[i].name, rc, e.text);
        assert_null(zone_get(rows[i].name, &e));
    }
}

static void *get_many(void *unused)
{
    struct err e;
    static const struct zone *seen[ARRAY_SIZE(names)];
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            const struct zone *none = NULL, *z = zone_get(names[i], &e);
            if (z &&
                !__atomic_compare_exchange_n(&seen[i], &none, z, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                assert_ptr_equal(none, z);
        }
    return unused;
}

static void each_is_read_once(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_many, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    struct err e;
    assert_non_null(zone_get("UTC", &e));
    assert_ptr_equal(zone_get("UTC", &e), zone_get("UTC", &e));
    assert_int_equal(zone_offset(zone_get("UTC", &e), 1795240800), 0);
}

static void divisions_round_down(void **state)
{
    (void)state;
    for (int64_t value = -30; value <= 30; value++) {
        assert_int_equal(floor_div(value, 7) * 7 + floor_mod(value, 7), value);
        assert_in_range(floor_mod(value, 7), 0, 6);
    }
    assert_int_equal(floor_div(-1, 86400), -1);
    assert_int_equal(floor_mod(INT64_MIN, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_both_versions),
        cmocka_unit_test(rule_behind_the_table),
        cmocka_unit_test(cut_short_anywhere),
        cmocka_unit_test(any_byte_wrong),
        cmocka_unit_test(wrong_tables),
        cmocka_unit_test(wrong_rules),
        cmocka_unit_test(rules_in_their_years),
        cmocka_unit_test(rules_without_a_change),
        cmocka_unit_test(rare_changes_are_found),
        cmocka_unit_test(agrees_with_zdump),
        cmocka_unit_test(names_that_are_no_zones),
        cmocka_unit_test(each_is_read_once),
        cmocka_unit_test(divisions_round_down),
    };
    return cmocka_run_group_tests_name("zone", tests, NULL, NULL);
}
