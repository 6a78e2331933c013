#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "http/csv.h"

#include <string.h>

static void quotes_what_needs_it(void **state)
{
    static const struct {
        const char *text, *cell;
    } rows[] = {
        {"", ""},
        {"plain text", "plain text"},
        {" blanks ", " blanks "},
        {"a,b", "\"a,b\""},
        {"say \"no\"", "\"say \"\"no\"\"\""},
        {"\"", "\"\"\"\""},
        {"two\nlines", "\"two\nlines\""},
        {"two\r\nlines", "\"two\r\nlines\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"a=1", "a=1"},
        {"it's", "it's"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[100];
        struct csv line = {.at = text, .size = sizeof text};
        csv_text(&line, rows[i].text);
        csv_end(&line);
        assert_int_equal(line.len, strlen(rows[i].cell) + CSV_END_SIZE);
        assert_memory_equal(text, rows[i].cell, strlen(rows[i].cell));
        assert_memory_equal(text + line.len - CSV_END_SIZE, "\r\n", CSV_END_SIZE);
    }
}

static void keeps_formulas_from_spreadsheets(void **state)
{
    static const struct {
        const char *text, *cell;
    } rows[] = {
        {"=1+1", "'=1+1"}, {"+49 30", "'+49 30"}, {"-1", "'-1"},         {"@SUM(A1)", "'@SUM(A1)"},
        {"\tx", "'\tx"},   {"\rx", "\"'\rx\""},   {"=a,b", "\"'=a,b\""}, {"=\"x\"", "\"'=\"\"x\"\"\""},
        {"'=1", "'=1"},    {"1-1", "1-1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[100];
        struct csv line = {.at = text, .size = sizeof text};
        csv_text(&line, rows[i].text);
        assert_int_equal(line.len, strlen(rows[i].cell));
        assert_memory_equal(text, rows[i].cell, line.len);
    }
}

static void writes_numbers_and_moments(void **state)
{
    static const char expected[] =
        "0,-1,9223372036854775807,,1970-01-01T00:00:00.001Z,-9223372036854775808,\r\n";
    char text[200];
    struct csv line = {.at = text, .size = sizeof text};
    (void)state;
    csv_int(&line, 0);
    csv_int(&line, -1);
    csv_int(&line, INT64_MAX);
    csv_moment(&line, 0);
    csv_moment(&line, 1);
    csv_int(&line, INT64_MIN);
    csv_text(&line, "");
    csv_end(&line);
    assert_int_equal(line.len, strlen(expected));
    assert_memory_equal(text, expected, line.len);
}

static void an_empty_cell_is_one(void **state)
{
    char text[10];
    struct csv line = {.at = text, .size = sizeof text};
    (void)state;
    csv_text(&line, "");
    csv_text(&line, "");
    csv_moment(&line, 0);
    csv_end(&line);
    assert_int_equal(line.len, 4);
    assert_memory_equal(text, ",,\r\n", 4);
}

/* No more than what the header promises: the assertion in csv.c is the judge. */
static void has_room_for_the_worst(void **state)
{
    char worst[20], text[CSV_PLAIN_SIZE + 2 * CSV_TEXT_SIZE(sizeof worst)];
    struct csv line = {.at = text, .size = CSV_PLAIN_SIZE};
    (void)state;
    csv_int(&line, INT64_MIN);
    memset(worst, '"', sizeof worst - 1);
    worst[sizeof worst - 1] = '\0';
    line.size = line.len + CSV_TEXT_SIZE(sizeof worst);
    csv_text(&line, worst);
    worst[0] = '=';
    line.size = line.len + CSV_TEXT_SIZE(sizeof worst);
    csv_text(&line, worst);
    line.at = text;
    line.len = 0;
    line.size = CSV_PLAIN_SIZE;
    csv_moment(&line, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_what_needs_it),       cmocka_unit_test(keeps_formulas_from_spreadsheets),
        cmocka_unit_test(writes_numbers_and_moments), cmocka_unit_test(an_empty_cell_is_one),
        cmocka_unit_test(has_room_for_the_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
