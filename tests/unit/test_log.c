#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What one log_line writes to stderr, its time cut off; "" for nothing. */
static void line_of(enum log_level level, const char *text, char *out, size_t size)
{
    int both[2], before = dup(STDERR_FILENO);
    char line[4096];
    assert_int_equal(pipe2(both, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(both[1], STDERR_FILENO);
    log_line(level, "%s", text);
    dup2(before, STDERR_FILENO);
    close(before);
    close(both[1]);
    ssize_t n = read(both[0], line, sizeof line - 1);
    close(both[0]);
    assert_true(n >= 0);
    line[n] = '\0';
    if (n == 0) {
        assert_true(str_copy(out, size, ""));
        return;
    }
    int64_t at_ms;
    assert_int_equal(line[CLOCK_TEXT_SIZE - 1], ' ');
    line[CLOCK_TEXT_SIZE - 1] = '\0';
    assert_int_equal(clock_parse(line, &at_ms), 0);
    assert_true(str_copy(out, size, line + CLOCK_TEXT_SIZE));
}

static void lines_by_level(void **state)
{
    (void)state;
    static const char *const want[] = {"error hello\n", "warn  hello\n", "info  hello\n", "debug hello\n"};
    for (int threshold = LOG_LEVEL_ERROR; threshold <= LOG_LEVEL_DEBUG; threshold++) {
        log_level_set((enum log_level)threshold);
        for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
            char out[4096];
            line_of((enum log_level)level, "hello", out, sizeof out);
            assert_string_equal(out, level <= threshold ? want[level] : "");
        }
    }
}

static void nothing_forges_a_line_or_steers_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"plain \\ text", "info  plain \\ text\n"},
        {"a\nb\r\tc", "info  a\\x0ab\\x0d\\x09c\n"},
        {"\x1b[2J\x7f", "info  \\x1b[2J\\x7f\n"},
        {"\xc2\x9b[2J", "info  \\xc2\\x9b[2J\n"},
        {"\x9b[2J", "info  \\x9b[2J\n"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "info  \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n"},
        {"\xe2\x82", "info  \\xe2\\x82\n"},
    };
    log_level_set(LOG_LEVEL_INFO);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[4096];
        line_of(LOG_LEVEL_INFO, rows[i].text, out, sizeof out);
        assert_string_equal(out, rows[i].want);
    }
}

static void long_text_stays_one_line(void **state)
{
    (void)state;
    static const char fill[] = {'x', '\x01', '\xe2'};
    log_level_set(LOG_LEVEL_INFO);
    for (size_t i = 0; i < ARRAY_SIZE(fill); i++) {
        char text[5000], out[4096];
        memset(text, fill[i], sizeof text - 1);
        text[sizeof text - 1] = '\0';
        line_of(LOG_LEVEL_INFO, text, out, sizeof out);
        size_t n = strlen(out);
        assert_true(n > 1000 && n < 2048);
        assert_ptr_equal(strchr(out, '\n'), out + n - 1);
    }
}

static void levels_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        int want;
    } rows[] = {
        {"error", LOG_LEVEL_ERROR},
        {"warn", LOG_LEVEL_WARN},
        {"info", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},
        {"", -1},
        {"Info", -1},
        {"warning", -1},
        {"inf", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(log_level_parse(rows[i].word), rows[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_by_level),
        cmocka_unit_test(nothing_forges_a_line_or_steers_a_terminal),
        cmocka_unit_test(long_text_stays_one_line),
        cmocka_unit_test(levels_by_name),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
