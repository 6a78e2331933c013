#include "protocol/liberal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* NULL: refused. What is read is shown as jansson writes it. */
static const struct {
    const char *text, *want;
} texts[] = {
    {"{}", "{}"},
    {"", "{}"},
    {" \r\n", "{}"},
    {"{\"a\":1}", "{\"a\":1}"},
    {"{\"a\":1}\r\n", "{\"a\":1}"},
    {"{\"a\":1,}", "{\"a\":1}"},
    {"{\"a\":{\"b\":2,},\"c\":[1,2 , ],}", "{\"a\":{\"b\":2},\"c\":[1,2]}"},
    {"{\"id\":\"1\",\"fileInfo\":{\"streamId\":7,\"fileId\":1,},\"size\":2}",
     "{\"id\":\"1\",\"fileInfo\":{\"streamId\":7,\"fileId\":1},\"size\":2}"},
    {"{\"a\":\",}\",\"b\":\"\\\",]\"}", "{\"a\":\",}\",\"b\":\"\\\",]\"}"},
    {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
    {"{\"a\":1,,}", NULL},
    {"{,}", "{}"},
    {"[1]", NULL},
    {"{\"a\":1", NULL},
    {"{\"a\":1}}", NULL},
    {"{\"a\":\"\\", NULL},
    {"\"", NULL},
    {"{\"a\":\"\xff\"}", NULL},
    {"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
     "\"a\":{\"a\":{"
     "}}}}}}}}}}}}}}}}}",
     NULL},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        json_t *object = NULL;
        struct err e;
        size_t len = strlen(texts[i].text);
        char *exact = malloc(len + 1); /* nothing behind it that could be read by mistake */
        memcpy(exact, texts[i].text, len);
        int rc = liberal_parse(exact, len, &object, &e);
        free(exact);
        if (!texts[i].want) {
            assert_true(rc < 0);
            continue;
        }
        assert_int_equal(rc, 0);
        char *text = json_text(object);
        assert_string_equal(text, texts[i].want);
        free(text);
        json_decref(object);
    }
}

/* Zeros behind the text, as from a buffer that was sent whole. */
static void test_zeros_behind(void **state)
{
    (void)state;
    static const char body[] = "{\"a\":1}\0\0";
    json_t *object;
    struct err e;
    assert_int_equal(liberal_parse(body, sizeof body, &object, &e), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "a")), 1);
    json_decref(object);
}

#define NO INT64_MIN

static const struct {
    const char *json;
    int64_t min, max, want; /* NO: refused */
} ints[] = {
    {"5", 0, 10, 5},
    {"\"5\"", 0, 10, 5},
    {"-4", -4, 100, -4},
    {"\"-4\"", -4, 100, -4},
    {"\"-5\"", -4, 100, NO},
    {"-5", -4, 100, NO},
    {"100", -4, 100, 100},
    {"101", -4, 100, NO},
    {"\"101\"", -4, 100, NO},
    {"7.9", 0, 10, 7},
    {"\"7.9\"", 0, 10, 7},
    {"10.5", 0, 10, NO},
    {"-0.5", 0, 10, NO},
    {"1e300", 0, INT64_MAX, NO},
    {"\"\"", 0, 10, NO},
    {"\"-\"", -10, 10, NO},
    {"\".5\"", 0, 10, NO},
    {"\"5x\"", 0, 10, NO},
    {"\" 5\"", 0, 10, NO},
    {"\"9223372036854775807\"", 0, INT64_MAX, INT64_MAX},
    {"\"9223372036854775808\"", 0, INT64_MAX, NO},
    {"\"99999999999999999999999999\"", 0, INT64_MAX, NO},
    {"true", 0, 10, NO},
    {"null", 0, 10, NO},
    {"{}", 0, 10, NO},
};

static void test_int(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ints); i++) {
        json_t *v = json_loads(ints[i].json, JSON_DECODE_ANY, NULL);
        int64_t n = NO;
        assert_int_equal(liberal_int(v, ints[i].min, ints[i].max, &n), ints[i].want != NO);
        assert_true(n == ints[i].want);
        json_decref(v);
    }
    assert_false(liberal_int(NULL, 0, 1, &(int64_t){0}));
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } rows[] = {{"\"abc\"", "abc"}, {"123", "123"}, {"-1", "-1"},   {"\"12345\"", NULL},
                {"12345", NULL},    {"1.5", NULL},  {"null", NULL}, {"[]", NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[5] = "";
        json_t *v = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
        assert_int_equal(liberal_text(v, out, sizeof out), rows[i].want != NULL);
        if (rows[i].want)
            assert_string_equal(out, rows[i].want);
        json_decref(v);
    }
}

static void test_detail(void **state)
{
    (void)state;
    char out[DETAIL_SIZE], text[400];
    liberal_detail(out, NULL);
    assert_string_equal(out, "");
    liberal_detail(out, "a\tb\x7f"
                        "c");
    assert_string_equal(out, "a b c");
    memset(text, 'x', sizeof text);
    memcpy(text + DETAIL_SIZE - 2, "\xc3\xa9", 3); /* the character does not fit whole */
    liberal_detail(out, text);
    assert_int_equal(strlen(out), DETAIL_SIZE - 2);
}

static void test_member(void **state)
{
    (void)state;
    json_t *o = json_loads("{\"a\":null,\"b\":0}", 0, NULL);
    assert_null(liberal_member(o, "a"));
    assert_null(liberal_member(o, "c"));
    assert_non_null(liberal_member(o, "b"));
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_zeros_behind), cmocka_unit_test(test_int),
        cmocka_unit_test(test_text),  cmocka_unit_test(test_detail),       cmocka_unit_test(test_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
