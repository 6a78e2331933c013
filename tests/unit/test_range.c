#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/range.h"

#include <stdio.h>
#include <string.h>

#define NINE "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16"

struct range_row {
    const char *header;
    uint64_t size;
    bool bare;
    enum range_verdict verdict;
    size_t n;
    struct range parts[RANGES_MAX];
};

static const struct range_row range_rows[] = {
    {NULL, 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"", 1000, false, RANGE_WHOLE, 0, {{0}}},
    /* one range */
    {"bytes=0-0", 1000, false, RANGE_PARTS, 1, {{0, 1}}},
    {"bytes=0-499", 1000, false, RANGE_PARTS, 1, {{0, 500}}},
    {"bytes=500-999", 1000, false, RANGE_PARTS, 1, {{500, 1000}}},
    {"bytes=50-99", 1000, false, RANGE_PARTS, 1, {{50, 100}}},
    {"bytes=0-", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=1-", 1000, false, RANGE_PARTS, 1, {{1, 1000}}},
    {"bytes=999-", 1000, false, RANGE_PARTS, 1, {{999, 1000}}},
    {"bytes=999-999", 1000, false, RANGE_PARTS, 1, {{999, 1000}}},
    {"bytes=0-0", 1, false, RANGE_PARTS, 1, {{0, 1}}},
    {"bytes=007-0010", 1000, false, RANGE_PARTS, 1, {{7, 11}}},
    /* the end past the file, by one and by more */
    {"bytes=0-1000", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=999-1000", 1000, false, RANGE_PARTS, 1, {{999, 1000}}},
    {"bytes=10-1048576", 1000, false, RANGE_PARTS, 1, {{10, 1000}}},
    /* suffixes */
    {"bytes=-1", 1000, false, RANGE_PARTS, 1, {{999, 1000}}},
    {"bytes=-999", 1000, false, RANGE_PARTS, 1, {{1, 1000}}},
    {"bytes=-1000", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=-1001", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=-0", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    /* the start past the file */
    {"bytes=1000-", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=1000-1000", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=99999-", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    /* numbers around 2^64 */
    {"bytes=0-18446744073709551615", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=0-18446744073709551616", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=1-99999999999999999999999999", 1000, false, RANGE_PARTS, 1, {{1, 1000}}},
    {"bytes=18446744073709551615-", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=18446744073709551616-", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=18446744073709551626-18446744073709551627", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=-18446744073709551617", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    {"bytes=18446744073709551614-", UINT64_MAX, false, RANGE_PARTS, 1, {{UINT64_MAX - 1, UINT64_MAX}}},
    {"bytes=0-18446744073709551615", UINT64_MAX, false, RANGE_PARTS, 1, {{0, UINT64_MAX}}},
    /* an empty file */
    {"bytes=0-0", 0, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=0-", 0, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"bytes=-1", 0, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    /* invalid: as if there were no Range */
    {"bytes=5-2", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=18446744073709551616-5", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0-1,5-2", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=,", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=-", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=5", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=--5", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=-5-", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0-1-2", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=+0-1", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0x0-1", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0 - 1", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0-1 2-3", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0-1;2-3", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=abc", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0-\r\n", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes =0-1", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"bytes0-1", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"items=0-1", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"garbage", 1000, true, RANGE_WHOLE, 0, {{0}}},
    /* the unit's case, blanks and empty elements */
    {"BYTES=0-1", 1000, false, RANGE_PARTS, 1, {{0, 2}}},
    {" Bytes=0-1 ", 1000, false, RANGE_PARTS, 1, {{0, 2}}},
    {"bytes= 0-1 ,\t7-8", 1000, false, RANGE_PARTS, 2, {{0, 2}, {7, 9}}},
    {"bytes=,0-1,,7-8,", 1000, false, RANGE_PARTS, 2, {{0, 2}, {7, 9}}},
    /* without a unit */
    {"0-99", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {"0-99", 1000, true, RANGE_PARTS, 1, {{0, 100}}},
    {"100-", 1000, true, RANGE_PARTS, 1, {{100, 1000}}},
    {"1000-1099", 1000, true, RANGE_UNSATISFIABLE, 0, {{0}}},
    {"0-99x", 1000, true, RANGE_WHOLE, 0, {{0}}},
    {"-5", 1000, true, RANGE_WHOLE, 0, {{0}}},
    {"bytes=0-99", 1000, true, RANGE_PARTS, 1, {{0, 100}}},
    /* several: in the order asked for, those without bytes left out */
    {"bytes=0-0,2-2", 1000, false, RANGE_PARTS, 2, {{0, 1}, {2, 3}}},
    {"bytes=500-599,0-99", 1000, false, RANGE_PARTS, 2, {{500, 600}, {0, 100}}},
    {"bytes=0-0,-1", 1000, false, RANGE_PARTS, 2, {{0, 1}, {999, 1000}}},
    {"bytes=2000-,0-0", 1000, false, RANGE_PARTS, 1, {{0, 1}}},
    {"bytes=0-0,-0", 1000, false, RANGE_PARTS, 1, {{0, 1}}},
    {"bytes=1000-,2000-", 1000, false, RANGE_UNSATISFIABLE, 0, {{0}}},
    /* merged: touching, overlapping, the same twice, inside, bridging two, bridging out of order */
    {"bytes=0-0,1-1", 1000, false, RANGE_PARTS, 1, {{0, 2}}},
    {"bytes=1-1,0-0", 1000, false, RANGE_PARTS, 1, {{0, 2}}},
    {"bytes=0-99,50-149", 1000, false, RANGE_PARTS, 1, {{0, 150}}},
    {"bytes=5-9,5-9", 1000, false, RANGE_PARTS, 1, {{5, 10}}},
    {"bytes=0-99,10-19", 1000, false, RANGE_PARTS, 1, {{0, 100}}},
    {"bytes=10-19,0-99", 1000, false, RANGE_PARTS, 1, {{0, 100}}},
    {"bytes=0-9,20-29,10-19", 1000, false, RANGE_PARTS, 1, {{0, 30}}},
    {"bytes=50-59,900-,20-29,25-55", 1000, false, RANGE_PARTS, 2, {{20, 60}, {900, 1000}}},
    {"bytes=900-,50-59,20-29,30-49", 1000, false, RANGE_PARTS, 2, {{900, 1000}, {20, 60}}},
    {"bytes=0-,-1", 1000, false, RANGE_PARTS, 1, {{0, 1000}}},
    /* the most parts, and one more */
    {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14",
     1000,
     false,
     RANGE_PARTS,
     8,
     {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 15}}},
    {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,15-15",
     1000,
     false,
     RANGE_PARTS,
     8,
     {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 16}}},
    {NINE, 1000, false, RANGE_WHOLE, 0, {{0}}},
    {NINE ",1-15", 1000, false, RANGE_WHOLE, 0, {{0}}},
    {NINE, 15, false, RANGE_PARTS, 8, {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 15}}},
    {"bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9", 1000, false, RANGE_PARTS, 1, {{0, 10}}},
};

static void ranges_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(range_rows); i++) {
        const struct range_row *row = &range_rows[i];
        struct range parts[RANGES_MAX];
        size_t n = 99;
        enum range_verdict verdict = range_parse(row->header, row->size, row->bare, parts, &n);
        bool same = verdict == row->verdict && n == row->n;
        for (size_t k = 0; same && k < n; k++)
            same = parts[k].first == row->parts[k].first && parts[k].end == row->parts[k].end;
        if (!same)
            fail_msg("row %zu \"%s\": verdict %d, %zu parts, the first %llu to %llu", i,
                     row->header ? row->header : "(none)", verdict, n,
                     n ? (unsigned long long)parts[0].first : 0, n ? (unsigned long long)parts[0].end : 0);
    }
}

static void long_header_is_the_whole_file(void **state)
{
    (void)state;
    static char header[64 * 1024];
    size_t len = (size_t)snprintf(header, sizeof header, "bytes=");
    for (int i = 0; i < 4000; i++)
        len += (size_t)snprintf(header + len, sizeof header - len, "%d-%d,", 2 * i, 2 * i);
    struct range parts[RANGES_MAX];
    size_t n;
    assert_int_equal(range_parse(header, 100000, false, parts, &n), RANGE_WHOLE);
    assert_int_equal(n, 0);
}

/* Every pair of two ranges over a file of 7 bytes, against a plain map of the bytes asked for. */
static void pairs_cover_exactly_what_was_asked(void **state)
{
    (void)state;
    for (int code = 0; code < 8 * 8 * 8 * 8; code++) {
        int a = code & 7, b = code >> 3 & 7, c = code >> 6 & 7, d = code >> 9;
        char header[64];
        bool wanted[7] = {false}, given[7] = {false};
        if (a > b || c > d)
            continue;
        snprintf(header, sizeof header, "bytes=%d-%d,%d-%d", a, b, c, d);
        for (int i = 0; i < 7; i++)
            wanted[i] = (i >= a && i <= b) || (i >= c && i <= d);
        struct range parts[RANGES_MAX];
        size_t n;
        enum range_verdict verdict = range_parse(header, 7, false, parts, &n);
        assert_int_equal(verdict, a == 7 && c == 7 ? RANGE_UNSATISFIABLE : RANGE_PARTS);
        for (size_t k = 0; k < n; k++)
            for (uint64_t i = parts[k].first; i < parts[k].end; i++) {
                assert_true(i < 7);
                assert_false(given[i]);
                given[i] = true;
            }
        assert_memory_equal(wanted, given, sizeof wanted);
    }
}

static void etag_is_half_the_hash(void **state)
{
    (void)state;
    unsigned char sha256[32];
    char etag[ETAG_SIZE], other[ETAG_SIZE];
    for (size_t i = 0; i < sizeof sha256; i++)
        sha256[i] = (unsigned char)(0xf8 + i);
    etag_format(sha256, etag);
    assert_string_equal(etag, "\"-Pn6-_z9_v8AAQIDBAUGBw\"");
    sha256[16]++;
    etag_format(sha256, other);
    assert_string_equal(etag, other);
    sha256[15]++;
    etag_format(sha256, other);
    assert_string_not_equal(etag, other);
}

#define TAG "\"abcdefghij-klmnop_qrst\""

static void tags_are_listed(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool strong, weak;
    } rows[] = {
        {TAG, true, true},
        {"*", true, true},
        {" * ", true, true},
        {" " TAG "\t", true, true},
        {"W/" TAG, false, true},
        {"w/" TAG, false, false},
        {"W/ " TAG, false, false},
        {"\"x\", " TAG, true, true},
        {"\"x\"," TAG ",\"y\"", true, true},
        {"\"x\" , W/" TAG, false, true},
        {", ," TAG ",", true, true},
        {"W/" TAG ", " TAG, true, true},
        {"\"a,b\", " TAG, true, true},
        {"\"\", " TAG, true, true},
        {"", false, false},
        {",", false, false},
        {"\"\"", false, false},
        {"\"abcdefghij-klmnop_qrs\"", false, false},
        {"\"abcdefghij-klmnop_qrstu\"", false, false},
        {"\"Abcdefghij-klmnop_qrst\"", false, false},
        {"abcdefghij-klmnop_qrst", false, false},
        {"\"abcdefghij-klmnop_qrst", false, false},
        {"x, " TAG, false, false},
        {"\"x\" " TAG, false, false},
        {"*, " TAG, false, false},
        {"\"*\"", false, false},
        {TAG "x", false, false},
        {"\"a b\", " TAG, false, false},
        {"\"a\x7f\", " TAG, false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (etag_listed(rows[i].header, TAG, false) != rows[i].strong ||
            etag_listed(rows[i].header, TAG, true) != rows[i].weak)
            fail_msg("row %zu: %s", i, rows[i].header);
}

#define BEFORE "Sat, 21 Nov 2026 05:59:59 GMT"
#define SAME   "Sat, 21 Nov 2026 06:00:00 GMT"
#define AFTER  "Sat, 21 Nov 2026 06:00:01 GMT"
#define OTHER  "\"another\""

enum { OK = PRECONDITION_NONE, NOT_MODIFIED = PRECONDITION_NOT_MODIFIED, FAILED = PRECONDITION_FAILED };

static void preconditions_follow_rfc_9110(void **state)
{
    (void)state;
    static const struct {
        struct conditions c;
        int verdict;
        bool use_range;
    } rows[] = {
        {{0}, OK, true},
        /* step 1 */
        {{.if_match = TAG}, OK, true},
        {{.if_match = "*"}, OK, true},
        {{.if_match = OTHER}, FAILED, true},
        {{.if_match = "W/" TAG}, FAILED, true},
        {{.if_match = ""}, FAILED, true},
        /* step 2, only without If-Match */
        {{.if_unmodified_since = BEFORE}, FAILED, true},
        {{.if_unmodified_since = SAME}, OK, true},
        {{.if_unmodified_since = AFTER}, OK, true},
        {{.if_unmodified_since = "yesterday"}, OK, true},
        {{.if_match = TAG, .if_unmodified_since = BEFORE}, OK, true},
        {{.if_match = OTHER, .if_unmodified_since = AFTER}, FAILED, true},
        /* step 3 */
        {{.if_none_match = TAG}, NOT_MODIFIED, true},
        {{.if_none_match = "W/" TAG}, NOT_MODIFIED, true},
        {{.if_none_match = "*"}, NOT_MODIFIED, true},
        {{.if_none_match = OTHER ", " TAG}, NOT_MODIFIED, true},
        {{.if_none_match = OTHER}, OK, true},
        {{.if_none_match = ""}, OK, true},
        /* steps 1 and 2 go before 3 */
        {{.if_match = OTHER, .if_none_match = TAG}, FAILED, true},
        {{.if_match = TAG, .if_none_match = TAG}, NOT_MODIFIED, true},
        {{.if_unmodified_since = BEFORE, .if_none_match = TAG}, FAILED, true},
        {{.if_unmodified_since = SAME, .if_none_match = TAG}, NOT_MODIFIED, true},
        /* step 4, only without If-None-Match */
        {{.if_modified_since = BEFORE}, OK, true},
        {{.if_modified_since = SAME}, NOT_MODIFIED, true},
        {{.if_modified_since = AFTER}, NOT_MODIFIED, true},
        {{.if_modified_since = "never"}, OK, true},
        {{.if_none_match = OTHER, .if_modified_since = AFTER}, OK, true},
        {{.if_none_match = TAG, .if_modified_since = BEFORE}, NOT_MODIFIED, true},
        {{.if_match = TAG, .if_modified_since = AFTER}, NOT_MODIFIED, true},
        {{.if_unmodified_since = SAME, .if_modified_since = SAME}, NOT_MODIFIED, true},
        /* step 5 */
        {{.if_range = TAG}, OK, true},
        {{.if_range = " " TAG " "}, OK, true},
        {{.if_range = OTHER}, OK, false},
        {{.if_range = "W/" TAG}, OK, false},
        {{.if_range = "*"}, OK, false},
        {{.if_range = TAG ", " OTHER}, OK, false},
        {{.if_range = ""}, OK, false},
        {{.if_range = "garbage"}, OK, false},
        {{.if_range = BEFORE}, OK, false},
        {{.if_range = SAME}, OK, true},
        {{.if_range = AFTER}, OK, false},
        {{.if_match = TAG, .if_range = OTHER}, OK, false},
        {{.if_none_match = OTHER, .if_range = TAG}, OK, true},
    };
    int64_t modified_at_ms;
    assert_int_equal(clock_http_parse(SAME, &modified_at_ms), 0);
    static const int64_t after_ms[] = {0, 1, 999}; /* the part of a second that no date shows */
    for (size_t k = 0; k < ARRAY_SIZE(after_ms); k++)
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            bool use_range = !rows[i].use_range;
            int verdict = (int)conditions_judge(&rows[i].c, TAG, modified_at_ms + after_ms[k], &use_range);
            if (verdict != rows[i].verdict || use_range != rows[i].use_range)
                fail_msg("row %zu, %lld ms: verdict %d, use_range %d", i, (long long)after_ms[k], verdict,
                         use_range);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_follow_the_table),
        cmocka_unit_test(long_header_is_the_whole_file),
        cmocka_unit_test(pairs_cover_exactly_what_was_asked),
        cmocka_unit_test(etag_is_half_the_hash),
        cmocka_unit_test(tags_are_listed),
        cmocka_unit_test(preconditions_follow_rfc_9110),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
