#include "protocol/cbor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* The bytes stand at the end of memory of their own, so that a sanitizer sees a read behind them. */
static int parse_hex(const char *hex, json_t **out, struct err *e)
{
    size_t len = strlen(hex) / 2;
    unsigned char *bytes = malloc(len ? len : 1);
    assert_true(hex_parse(hex, bytes, len));
    int rc = cbor_parse(bytes, len, out, e);
    free(bytes);
    return rc;
}

static const struct {
    const char *hex, *json;
} good[] = {
    {"a0", "{}"},
    {"bfff", "{}"},
    /* requests as they were seen: a library's, with its bitmap of four letters, and one with a true bitmap */
    {"a6616363726479616601616c191000616f036162444d513d3d616e02",
     "{\"c\":\"rdy\",\"f\":1,\"l\":4096,\"o\":3,\"b\":\"0x4d513d3d\",\"n\":2}"},
    {"a6616363726479616601616c191000616f0061624107616e03",
     "{\"c\":\"rdy\",\"f\":1,\"l\":4096,\"o\":0,\"b\":\"0x07\",\"n\":3}"},
    {"bf616363726479616601616c191000ff", "{\"c\":\"rdy\",\"f\":1,\"l\":4096}"},
    {"a16161"
     "17",
     "{\"a\":23}"},
    {"a16161"
     "1818",
     "{\"a\":24}"},
    {"a16161"
     "1a00010000",
     "{\"a\":65536}"},
    {"a16161"
     "1b7fffffffffffffff",
     "{\"a\":9223372036854775807}"},
    {"a16161"
     "20",
     "{\"a\":-1}"},
    {"a16161"
     "3903e7",
     "{\"a\":-1000}"},
    {"a16161"
     "3b7fffffffffffffff",
     "{\"a\":-9223372036854775808}"},
    {"a16161"
     "40",
     "{\"a\":\"0x\"}"},
    {"a16161"
     "60",
     "{\"a\":\"\"}"},
    {"a16161"
     "62c3bc",
     "{\"a\":\"\xc3\xbc\"}"},
    {"a16161"
     "80",
     "{\"a\":[]}"},
    {"a16161"
     "9f0102ff",
     "{\"a\":[1,2]}"},
    {"a16161"
     "a16162820182a0f6",
     "{\"a\":{\"b\":[1,[{},null]]}}"},
    {"a16161"
     "c11a00010000",
     "{\"a\":65536}"},
    {"a36161f46162f56163f7", "{\"a\":false,\"b\":true,\"c\":null}"},
    {"a16161"
     "f93e00",
     "{\"a\":1.5}"},
    {"a16161"
     "fb3ff8000000000000",
     "{\"a\":1.5}"},
    {"a16161"
     "f97e00",
     "{\"a\":null}"},
    {"a2616101616102", "{\"a\":2}"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        json_t *object;
        struct err e;
        if (parse_hex(good[i].hex, &object, &e) < 0)
            fail_msg("%s: %s", good[i].hex, e.text);
        char *text = json_text(object);
        assert_string_equal(text, good[i].json);
        free(text);
        json_decref(object);
    }
}

static const char *const bad[] = {
    "",
    "ff",
    "80",
    "01",
    "6161",
    "a1",     /* less than it claims */
    "a16161", /* a key without a value */
    "a1616100"
    "00", /* something behind it */
    "a0a0",
    "a201020304", /* keys that are no texts */
    "a1416100",
    "a1f600",
    "a1616101"
    "ff",
    "bf616101", /* no end */
    "bf6161ff", /* an end in place of a value */
    "a1ff00",
    "a16161ff",
    "a161617f6161ff", /* a text in pieces */
    "a161615f4161ff",
    "bf7f6161ff01ff",
    "a16161"
    "4c00", /* lengths that lie: */
    "a16161"
    "6261",
    "a16161"
    "5820aabb",
    "a16161"
    "590100aabb",
    "a16161"
    "5affffffffaabb",
    "a16161"
    "5bffffffffffffffffaabb",
    "a16161"
    "7bffffffffffffffff6161",
    "a16161"
    "7b7fffffffffffffff6161",
    "bbffffffffffffffff616101", /* counts that lie: */
    "bb0fffffffffffffff616101",
    "baffffffff616101",
    "b90002616101",
    "a16161"
    "9bffffffffffffffff01",
    "a16161"
    "9affffffff01",
    "a16161"
    "83"
    "01",
    "a16161"
    "1c", /* heads that mean nothing */
    "a16161"
    "1f",
    "a16161"
    "18", /* and cut ones */
    "a16161"
    "19aa",
    "a16161"
    "1aaabbcc",
    "a16161"
    "1baabbccddeeff00",
    "a16161"
    "fb3ff80000",
    "a16161"
    "c1",
    "a16161"
    "1b8000000000000000", /* beyond what a number may be */
    "a16161"
    "3b8000000000000000",
    "a16161"
    "62c328", /* no UTF-8 */
    "a16161"
    "61ff",
    "a16161"
    "626100", /* a zero in a text */
    "a1626100"
    "01",
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_t *object = NULL;
        struct err e;
        if (parse_hex(bad[i], &object, &e) == 0)
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(e.code, ERR_BAD_REQUEST);
    }
}

/* Every message cut short anywhere is refused. */
static void test_cut_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        for (size_t len = 0; len < strlen(good[i].hex) / 2; len++) {
            char hex[128];
            json_t *object = NULL;
            struct err e;
            memcpy(hex, good[i].hex, 2 * len);
            hex[2 * len] = '\0';
            assert_true(parse_hex(hex, &object, &e) < 0);
        }
}

static int nested(int levels, const char *step, const char *end)
{
    char hex[20 * 1024] = "a16161";
    json_t *object = NULL;
    struct err e;
    for (int i = 0; i < levels; i++)
        strcat(hex, step);
    strcat(hex, end);
    int rc = parse_hex(hex, &object, &e);
    json_decref(object);
    return rc;
}

static void test_depth(void **state)
{
    (void)state;
    static const char *const steps[] = {"81", "a16161", "c1", "9f"};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        assert_true(nested(3000, steps[i], "01") < 0);
    assert_int_equal(nested(JSON_MAX_DEPTH - 2, "81", "01"), 0);
    assert_true(nested(JSON_MAX_DEPTH - 1, "81", "01") < 0);
}

static void expect_made(const char *text, const char *key, const void *bytes, size_t len, const char *hex)
{
    struct err e;
    json_t *object, *again;
    size_t n = 0;
    char written[1024];
    assert_int_equal(json_parse(text, strlen(text), &object, &e), 0);
    char *made = cbor_make(object, key, bytes, len, &n);
    assert_true(2 * n < sizeof written);
    hex_format(made, n, written);
    assert_string_equal(written, hex);
    assert_int_equal(cbor_parse(made, n, &again, &e), 0);
    free(made);
    json_decref(object);
    json_decref(again);
}

static void test_made(void **state)
{
    (void)state;
    expect_made("{}", NULL, NULL, 0, "a0");
    expect_made("{}", "p", "", 0, "a1617040");
    expect_made("{\"f\":1,\"i\":3,\"l\":4}", "p", "\xde\xad\xbe\xef", 4,
                "a4616601616903616c04617044deadbeef");
    expect_made("{\"c\":\"rdy\",\"s\":1,\"d\":\"x\",\"r\":[{\"f\":0,\"z\":131072}]}", NULL, NULL, 0,
                "a461636372647961730161646178617281a2616600617a1a00020000");
    expect_made("{\"a\":-1,\"b\":255,\"c\":256,\"d\":4294967296,\"e\":true,\"f\":null}", NULL, NULL, 0,
                "a6616120616218ff6163190100"
                "61641b0000000100000000"
                "6165f56166f6");
}

static void test_made_large(void **state)
{
    (void)state;
    enum { SIZE = 131072 };
    unsigned char *bytes = malloc(SIZE);
    struct err e;
    json_t *object = json_object(), *again;
    size_t n;
    memset(bytes, 0xa5, SIZE);
    char *made = cbor_make(object, "p", bytes, SIZE, &n);
    assert_int_equal(n, SIZE + 1 + 2 + 5);
    assert_memory_equal(made, "\xa1\x61p\x5a\x00\x02\x00\x00", 8);
    assert_memory_equal(made + 8, bytes, SIZE);
    assert_int_equal(cbor_parse(made, n, &again, &e), 0);
    assert_int_equal(json_string_length(json_object_get(again, "p")), 2 * SIZE + 2);
    free(made);
    free(bytes);
    json_decref(object);
    json_decref(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),  cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_depth), cmocka_unit_test(test_made), cmocka_unit_test(test_made_large),
    };
    return cmocka_run_group_tests_name("cbor", tests, NULL, NULL);
}
