#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum err_code code;
    int status;
    const char *word;
} codes[] = {{ERR_NONE, 200, "ok"},
#define X(name, status, word) {name, status, word},
             ERR_TABLE(X)
#undef X
};

static void every_code_has_a_status_and_a_word_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_SIZE(codes), ERR_CODES);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_int_equal(codes[i].code, i);
        assert_int_equal(err_status(codes[i].code), codes[i].status);
        assert_string_equal(err_word(codes[i].code), codes[i].word);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(err_word(codes[i].code), err_word(codes[k].code));
    }
    assert_int_equal(err_status(ERR_INVALID), 422);
    assert_string_equal(err_word(ERR_NO_SPACE), "insufficient_storage");
}

static void setting_and_wrapping(void **state)
{
    (void)state;
    struct err e;
    memset(&e, 'x', sizeof e);
    assert_int_equal(err_set(&e, ERR_CONFLICT, "version %s is not newer than %s", "1.0", "1.1"),
                     -ERR_CONFLICT);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_string_equal(e.field, "");
    assert_string_equal(e.text, "version 1.0 is not newer than 1.1");
    assert_int_equal(err_field(&e, ERR_INVALID, "name", "name must be %d", 7), -ERR_INVALID);
    assert_string_equal(e.field, "name");
    assert_int_equal(err_wrap(&e, "product %s", "p"), -ERR_INVALID);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.field, "name");
    assert_string_equal(e.text, "product p: name must be 7");
    assert_int_equal(err_set(&e, ERR_INTERNAL, "other"), -ERR_INTERNAL);
    assert_string_equal(e.field, "");
    assert_string_equal(e.text, "other");
}

static void failed_system_calls(void **state)
{
    (void)state;
    static const struct {
        int number;
        int want;
    } rows[] = {
        {ENOSPC, -ERR_NO_SPACE}, {EDQUOT, -ERR_NO_SPACE}, {EACCES, -ERR_INTERNAL}, {ENOENT, -ERR_INTERNAL}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err e;
        char want[200];
        snprintf(want, sizeof want, "cannot open /x: %s", strerror(rows[i].number));
        errno = rows[i].number;
        assert_int_equal(err_errno(&e, "cannot open %s", "/x"), rows[i].want);
        assert_string_equal(e.text, want);
    }
}

static void hostile_text_is_cleaned(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a\r\nb\x7f", "a??b?"},
        {"\xc3\xa4 and \xc3", "\xc3\xa4 and ?"},
        {"\xc2\x9b[2J", "??[2J"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err e;
        err_field(&e, ERR_INVALID, rows[i].text, "%s", rows[i].text);
        assert_string_equal(e.text, rows[i].want);
        assert_string_equal(e.field, rows[i].want);
    }
}

/* Text that is cut within a character is still UTF-8, wherever the cut falls. */
static void what_does_not_fit_is_cut(void **state)
{
    (void)state;
    for (size_t before = 0; before < 4; before++) {
        struct err e;
        char text[600] = "";
        memset(text, '.', before);
        for (size_t i = before; i + 4 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        err_field(&e, ERR_INVALID, text, "%s", text);
        assert_int_equal(strlen(e.text), sizeof e.text - 1);
        assert_int_equal(strlen(e.field), sizeof e.field - 1);
        assert_true(str_is_text(e.text, sizeof e.text));
        assert_true(str_is_text(e.field, sizeof e.field));
        assert_memory_equal(e.text, text, sizeof e.text - 4);
        err_wrap(&e, "%s", text);
        assert_true(str_is_text(e.text, sizeof e.text));
        assert_non_null(strstr(e.text, ": "));
        err_under(&e, text);
        assert_true(str_is_text(e.field, sizeof e.field));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_status_and_a_word_of_its_own),
        cmocka_unit_test(setting_and_wrapping),
        cmocka_unit_test(failed_system_calls),
        cmocka_unit_test(hostile_text_is_cleaned),
        cmocka_unit_test(what_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
