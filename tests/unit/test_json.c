#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EURO "\xe2\x82\xac"

static const struct {
    const char *text;
    size_t len; /* 0: up to the zero */
    bool valid;
} texts[] = {
    {"{}", 0, true},
    {" {\"a\": [1, 2.5, null, true, \"" EURO "\"]}\n", 0, true},
    {"{\"a\":9223372036854775807}", 0, true},
    {"{}xx", 2, true},
    {"", 0, false},
    {" ", 0, false},
    {"[]", 0, false},
    {"1", 0, false},
    {"\"a\"", 0, false},
    {"null", 0, false},
    {"{", 0, false},
    {"{}}", 0, false},
    {"{} {}", 0, false},
    {"{}\0", 3, false},
    {"{\"a\"}", 0, false},
    {"{\"a\":}", 0, false},
    {"{\"a\":1,}", 0, false},
    {"{'a':1}", 0, false},
    {"{a:1}", 0, false},
    {"{\"a\":1,\"a\":1}", 0, false},
    {"{\"a\":\"\\u0000\"}", 0, false},
    {"{\"a\\u0000\":1}", 0, false},
    {"{\"a\":\"\\ud800\"}", 0, false},
    {"{\"a\":\"\xff\"}", 0, false},
    {"{\"a\":\"\xed\xa0\x80\"}", 0, false},
    {"{\"a\":\"\n\"}", 0, false},
    {"\xef\xbb\xbf{}", 0, false},
    {"{\"a\":1e999}", 0, false},
    {"{\"a\":18446744073709551616}", 0, false},
    {"{\"a\":9223372036854775808}", 0, false},
    {"{\"a\":NaN}", 0, false},
    {"{\"a\":01}", 0, false},
    {"{\"a\":+1}", 0, false},
    {"{/**/}", 0, false},
};

static void texts_that_are_json_objects(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct err e = {0};
        json_t *out = NULL;
        size_t len = texts[i].len ? texts[i].len : strlen(texts[i].text);
        int rc = json_parse(texts[i].text, len, &out, &e);
        if (rc != (texts[i].valid ? 0 : -ERR_BAD_REQUEST) || (out != NULL) != texts[i].valid)
            fail_msg("%s: %d", texts[i].text, rc);
        if (!texts[i].valid)
            assert_true(str_is_text(e.text, sizeof e.text));
        json_decref(out);
    }
}

/* {"a":{"a":...}} and {"a":[[...]]}, depth levels in all */
static size_t nest(char *text, bool objects, int depth)
{
    size_t n = 0;
    for (int i = 0; i < depth; i++) {
        const char *open = objects || i == 0 ? "{\"a\":" : "[";
        memcpy(text + n, open, strlen(open));
        n += strlen(open);
    }
    text[n++] = '1';
    for (int i = depth; i-- > 0;)
        text[n++] = objects || i == 0 ? '}' : ']';
    return n;
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    for (int objects = 0; objects < 2; objects++)
        for (int depth = 1; depth <= JSON_MAX_DEPTH + 2; depth++) {
            char text[256];
            struct err e;
            json_t *out = NULL;
            size_t n = nest(text, objects, depth);
            assert_int_equal(json_parse(text, n, &out, &e), depth <= JSON_MAX_DEPTH ? 0 : -ERR_BAD_REQUEST);
            json_decref(out);
        }
    /* brackets in strings, and behind escapes, are no depth */
    static const char in_string[] =
        "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\\\"{{{{{{{{{{{{{{{{{{\\\\\",\"b\":[[[]]]}";
    struct err e;
    json_t *out;
    assert_int_equal(json_parse(in_string, sizeof in_string - 1, &out, &e), 0);
    json_decref(out);
    static char bomb[1 << 20];
    memset(bomb, '[', sizeof bomb);
    assert_int_equal(json_parse(bomb, sizeof bomb, &out, &e), -ERR_BAD_REQUEST);
}

struct record {
    char name[9];
    char text[9];
    char empty[9];
    int64_t n;
    bool flag;
    int64_t span;
    int64_t moment;
    json_t *array;
    json_t *object;
    const char *lines;
    bool n_present, lines_were_right;
};

static int read_record(const char *text, bool strict, struct record *r, struct err *e)
{
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_NAME, .out = r->name, .size = sizeof r->name, .required = true},
        {.key = "text", .kind = JSON_KIND_TEXT, .out = r->text, .size = sizeof r->text},
        {.key = "empty", .kind = JSON_KIND_EMPTY, .out = r->empty, .size = sizeof r->empty},
        {.key = "n", .kind = JSON_KIND_INT, .out = &r->n, .min = -5, .max = 100, .present = &r->n_present},
        {.key = "flag", .kind = JSON_KIND_BOOL, .out = &r->flag},
        {.key = "span", .kind = JSON_KIND_SPAN, .out = &r->span},
        {.key = "moment", .kind = JSON_KIND_MOMENT, .out = &r->moment},
        {.key = "array", .kind = JSON_KIND_ARRAY, .out = &r->array},
        {.key = "object", .kind = JSON_KIND_OBJECT, .out = &r->object},
        {.key = "lines", .kind = JSON_KIND_LINES, .out = &r->lines},
    };
    json_auto_t *object = NULL;
    int rc = json_parse(text, strlen(text), &object, e);
    if (rc != 0)
        fail_msg("%s: %s", text, e->text);
    rc = json_read(object, fields, ARRAY_SIZE(fields), strict, e);
    r->lines_were_right =
        r->lines && strcmp(r->lines, "a\n\tb\r\n") == 0; /* borrowed of object, which goes */
    r->array = json_incref(r->array);
    r->object = json_incref(r->object);
    return rc;
}

static void a_whole_record(void **state)
{
    (void)state;
    static const char text[] =
        "{\"name\":\"abcdefgh\",\"text\":\"a b " EURO "\",\"empty\":\"\",\"n\":-5,\"flag\":true,"
        "\"span\":\"10m\",\"moment\":\"1970-01-01T00:00:00.007Z\",\"array\":[1],"
        "\"object\":{\"k\":2},\"lines\":\"a\\n\\tb\\r\\n\"}";
    struct record r = {.empty = "old"};
    struct err e;
    assert_int_equal(read_record(text, true, &r, &e), 0);
    assert_string_equal(r.name, "abcdefgh");
    assert_string_equal(r.text, "a b " EURO);
    assert_string_equal(r.empty, "");
    assert_int_equal(r.n, -5);
    assert_true(r.n_present);
    assert_true(r.flag);
    assert_int_equal(r.span, 600000);
    assert_int_equal(r.moment, 7);
    assert_true(r.lines_were_right);
    assert_int_equal(json_array_size(r.array), 1);
    assert_int_equal(json_integer_value(json_object_get(r.object, "k")), 2);
    json_decref(r.array);
    json_decref(r.object);
}

static void what_is_not_there_stays(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{\"name\":\"a\"}", "{\"name\":\"a\",\"text\":null,\"empty\":null,\"n\":null,\"flag\":null,"
                            "\"span\":null,\"moment\":null,\"array\":null,\"object\":null,\"lines\":null}"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct record r = {
            .text = "old", .empty = "old", .n = 7, .flag = true, .span = 8, .moment = 9, .n_present = true};
        struct err e;
        assert_int_equal(read_record(rows[i], true, &r, &e), 0);
        assert_string_equal(r.name, "a");
        assert_string_equal(r.text, "old");
        assert_string_equal(r.empty, "old");
        assert_int_equal(r.n, 7);
        assert_false(r.n_present);
        assert_true(r.flag);
        assert_int_equal(r.span, 8);
        assert_int_equal(r.moment, 9);
        assert_null(r.array);
        assert_null(r.object);
        assert_null(r.lines);
    }
}

static const struct {
    const char *rest, *field; /* of {"name":"a",<rest>}; NULL is fine */
} records[] = {
    {"\"text\":\"12345678\"", NULL},
    {"\"text\":\"123456789\"", "text"},
    {"\"text\":\"\"", "text"},
    {"\"text\":\"a\\nb\"", "text"},
    {"\"text\":\"a\\u007f\"", "text"},
    {"\"text\":\"\\u009b[2J\"", "text"},
    {"\"text\":7", "text"},
    {"\"text\":[\"a\"]", "text"},
    {"\"empty\":\"\"", NULL},
    {"\"empty\":\"12345678\"", NULL},
    {"\"empty\":\"123456789\"", "empty"},
    {"\"empty\":\"\\n\"", "empty"},
    {"\"empty\":false", "empty"},
    {"\"n\":-5", NULL},
    {"\"n\":-6", "n"},
    {"\"n\":100", NULL},
    {"\"n\":101", "n"},
    {"\"n\":1.0", "n"},
    {"\"n\":\"1\"", "n"},
    {"\"n\":true", "n"},
    {"\"flag\":false", NULL},
    {"\"flag\":0", "flag"},
    {"\"flag\":\"true\"", "flag"},
    {"\"span\":\"0s\"", NULL},
    {"\"span\":\"10\"", "span"},
    {"\"span\":10", "span"},
    {"\"moment\":\"2026-12-01T02:00:00+01:00\"", NULL},
    {"\"moment\":\"2026-02-29T00:00:00Z\"", "moment"},
    {"\"moment\":0", "moment"},
    {"\"array\":[]", NULL},
    {"\"array\":{}", "array"},
    {"\"array\":\"[]\"", "array"},
    {"\"object\":{}", NULL},
    {"\"object\":[]", "object"},
    {"\"lines\":\"\"", NULL},
    {"\"lines\":7", "lines"},
    {"\"lines\":[\"a\"]", "lines"},
    {"\"unknown\":1", "unknown"},
    {"\"Text\":\"a\"", "Text"},
    {"\"\":1", ""},
};

static void a_wrong_field_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        char text[200];
        struct record r = {0};
        struct err e = {0};
        snprintf(text, sizeof text, "{\"name\":\"a\",%s}", records[i].rest);
        int rc = read_record(text, true, &r, &e);
        if (rc != (records[i].field ? -ERR_INVALID : 0))
            fail_msg("%s: %d", text, rc);
        if (records[i].field)
            assert_string_equal(e.field, records[i].field);
        json_decref(r.array);
        json_decref(r.object);
    }
}

static void names_and_missing_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"{\"name\":\"a.b:c@d-\"}", 0},
        {"{\"name\":\"123456789\"}", -ERR_INVALID},
        {"{\"name\":\"\"}", -ERR_INVALID},
        {"{\"name\":\"..\"}", -ERR_INVALID},
        {"{\"name\":\"a/b\"}", -ERR_INVALID},
        {"{\"name\":\"a+\"}", -ERR_INVALID},
        {"{\"name\":\"" EURO "\"}", -ERR_INVALID},
        {"{\"name\":7}", -ERR_INVALID},
        {"{\"name\":null}", -ERR_INVALID},
        {"{}", -ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct record r = {.name = "old"};
        struct err e = {0};
        assert_int_equal(read_record(rows[i].text, true, &r, &e), rows[i].want);
        if (rows[i].want != 0) {
            assert_string_equal(e.field, "name");
            assert_string_equal(r.name, "old");
        }
    }
}

static void devices_may_say_more(void **state)
{
    (void)state;
    struct record r = {0};
    struct err e;
    assert_int_equal(read_record("{\"vendor\":{\"x\":1},\"name\":\"a\",\"rssi\":-70,\"n\":3}", false, &r, &e),
                     0);
    assert_int_equal(r.n, 3);
    assert_int_equal(read_record("{\"name\":\"a\",\"n\":101}", false, &r, &e), -ERR_INVALID);
}

static void a_long_unknown_field_gives_a_clean_error(void **state)
{
    (void)state;
    char text[400] = "{\"name\":\"a\",\"";
    struct record r = {0};
    struct err e;
    for (int i = 0; i < 60; i++)
        memcpy(text + strlen(text), EURO, sizeof EURO);
    memcpy(text + strlen(text), "\":1}", 5);
    assert_int_equal(read_record(text, true, &r, &e), -ERR_INVALID);
    assert_true(str_is_text(e.text, sizeof e.text));
    assert_true(str_is_text(e.field, sizeof e.field));
}

static void what_is_put_comes_out(void **state)
{
    (void)state;
    json_auto_t *object = json_object();
    json_put_text(object, "text", "a/b \"" EURO "\"");
    json_put_text(object, "none", NULL);
    json_put_text(object, "bytes", "ok \xff\xe2\x82\n" EURO);
    json_put_int(object, "least", INT64_MIN);
    json_put_int(object, "most", INT64_MAX);
    json_put_bool(object, "yes", true);
    json_put_bool(object, "no", false);
    json_put_moment(object, "at", 1796090400007);
    json_put_moment(object, "never", 0);
    json_put(object, "list", json_array());
    char *text = json_text(object);
    assert_string_equal(
        text, "{\"text\":\"a/b \\\"" EURO "\\\"\",\"none\":null,\"bytes\":\"ok ????" EURO "\","
              "\"least\":-9223372036854775808,\"most\":9223372036854775807,\"yes\":true,\"no\":false,"
              "\"at\":\"2026-12-01T02:00:00.007Z\",\"never\":null,\"list\":[]}");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_json_objects),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(a_whole_record),
        cmocka_unit_test(what_is_not_there_stays),
        cmocka_unit_test(a_wrong_field_is_named),
        cmocka_unit_test(names_and_missing_fields),
        cmocka_unit_test(devices_may_say_more),
        cmocka_unit_test(a_long_unknown_field_gives_a_clean_error),
        cmocka_unit_test(what_is_put_comes_out),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
