#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/http/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was read, or the error, as one text: rows as "line product/name secret {tag=value}", an error after a
 * !. */
static void read_all(enum import_kind kind, const char *given, char *out, size_t size)
{
    struct import_reader in;
    struct import_row row;
    struct err e;
    char *text = strdup(given);
    size_t len = 0;
    int rc = import_open(&in, kind, text, strlen(text), &e);
    while (rc >= 0 && (rc = import_next(&in, &row, &e)) > 0) {
        len += (size_t)snprintf(out + len, size - len, "%zu %s/%s %s", row.line, row.product, row.name,
                                row.secret);
        if (row.has_tags)
            len += (size_t)snprintf(out + len, size - len, "{");
        for (size_t i = 0; i < row.tag_count; i++)
            len += (size_t)snprintf(out + len, size - len, "%s=%s,", row.tags[i].key, row.tags[i].value);
        len += (size_t)snprintf(out + len, size - len, row.has_tags ? "};" : ";");
    }
    if (rc < 0)
        snprintf(out + len, size - len, "!%s", e.text);
    else
        out[len] = '\0';
    free(text);
}

struct text_row {
    const char *given, *expected;
};

static void check(enum import_kind kind, const struct text_row rows[], size_t n)
{
    char found[2048];
    for (size_t i = 0; i < n; i++) {
        read_all(kind, rows[i].given, found, sizeof found);
        if (strcmp(found, rows[i].expected) != 0)
            fail_msg("row %zu, %s\n found    %s\n expected %s", i, rows[i].given, found, rows[i].expected);
    }
}

static void test_csv(void **state)
{
    static const struct text_row rows[] = {
        {"product,name\n", ""},
        {"product,name", ""},
        {"product,name\na,b", "2 a/b ;"},
        {"product,name\na,b\n", "2 a/b ;"},
        {"product,name\r\na,b\r\nc,d\r\n", "2 a/b ;3 c/d ;"},
        {"\xef\xbb\xbfproduct,name\na,b\n", "2 a/b ;"},
        {"\n\nproduct,name\n\n\na,b\n\n", "6 a/b ;"},
        {"name,product\nb,a\n", "2 a/b ;"},
        {"product,name,secret\na,b,12345678\na,c,\n", "2 a/b 12345678;3 a/c ;"},
        {"product,name,tag.site,tag.rack\na,b,x,y\na,c,,y\na,d,,\n",
         "2 a/b {site=x,rack=y,};3 a/c {rack=y,};4 a/d {};"},
        {"product,name,tag.s\na,b,\"x, \"\"y\"\"\"\n", "2 a/b {s=x, \"y\",};"},
        {"product,name,tag.s\na,b,\"\"\n", "2 a/b {};"},
        {"product,name,tag.s\na,b,\"\"\"\"\n", "2 a/b {s=\",};"},
        {"product,name,tag.s\n\"a\",\"b\",\"c\"\na,d,e", "2 a/b {s=c,};3 a/d {s=e,};"},
        {"product,name,tag.s\na,b,\"x\"", "2 a/b {s=x,};"},
        {"\"product\",\"name\"\n\"a\",b\n", "2 a/b ;"},
        {"product,name,secret\na,b,\"with \"\"quotes\"\"\"\n", "2 a/b with \"quotes\";"},
    };
    (void)state;
    check(IMPORT_CSV, rows, ARRAY_SIZE(rows));
}

static void test_csv_that_is_refused(void **state)
{
    static const struct text_row rows[] = {
        {"", "!line 1: column product is missing"},
        {"product\na\n", "!line 1: column name is missing"},
        {"product,name,colour\na,b,c\n",
         "!line 1: unknown column \"colour\": product, name, secret and tag.KEY are known"},
        {"product,name,name\n", "!line 1: column \"name\" comes twice"},
        {"product,name,tag.\n", "!line 1: tag \"\" must be 1 to 64 of A-Z a-z 0-9 _ . : @ -"},
        {"product,name\na,b\na,b,c\n", "2 a/b ;!line 3: there are 3 fields, and 2 columns"},
        {"product,name\na\n", "!line 2: there are 1 fields, and 2 columns"},
        {"product,name\na,b\na,b/c\n", "2 a/b ;!line 3: name must be 1 to 128 of A-Z a-z 0-9 _ . : @ -"},
        {"product,name\n,b\n", "!line 2: product must be 1 to 64 of A-Z a-z 0-9 _ . : @ -"},
        {"product,name\na,\"b\n\n", "!line 2: a quoted field does not end"},
        {"product,name\na,\"b\"c\n",
         "!line 2: there is something between a closing quote and the next comma"},
        {"product,name\na,b\"c\"\n", "!line 2: there is a quote inside a field that is not quoted"},
        {"product,name,secret\na,b,1234567\n",
         "!line 2: secret must be 8 to 128 bytes of text without a colon"},
        {"product,name,secret\na,b,1234:5678\n",
         "!line 2: secret must be 8 to 128 bytes of text without a colon"},
        /* a line break in quotes counts, and is no text for a tag */
        {"product,name,tag.s\na,b,\"x\ny\"\n", "!line 2: tag s must be at most 128 bytes of text"},
        {"product,name,secret\na,b,\na,c,\"1234\n5678\"\n",
         "2 a/b ;!line 3: secret must be 8 to 128 bytes of text without a colon"},
    };
    (void)state;
    check(IMPORT_CSV, rows, ARRAY_SIZE(rows));
}

static void test_ndjson(void **state)
{
    static const struct text_row rows[] = {
        {"", ""},
        {"{\"product\":\"a\",\"name\":\"b\"}", "1 a/b ;"},
        {"\n{\"product\":\"a\",\"name\":\"b\"}\r\n\n{\"name\":\"c\",\"product\":\"a\",\"secret\":"
         "\"12345678\"}\n",
         "2 a/b ;4 a/c 12345678;"},
        {"{\"product\":\"a\",\"name\":\"b\",\"tags\":{}}", "1 a/b {};"},
        {"{\"product\":\"a\",\"name\":\"b\",\"secret\":\"\",\"tags\":{\"s\":\"x\",\"r\":\"\"}}",
         "1 a/b {s=x,r=,};"},
        {"{\"product\":\"a\",\"name\":\"b\"}\n{\"product\":\"a\"}", "1 a/b ;!line 2: name is missing"},
        {"{\"product\":\"a\",\"name\":\"b\"}\n[]", "1 a/b ;!line 2: a JSON object is expected"},
        {"{\"product\":\"a\",\"name\":\"b\",\"colour\":1}", "!line 1: unknown field \"colour\""},
        {"{\"product\":\"a\",\"name\":\"b\",\"tags\":{\"s\":7}}",
         "!line 1: tag s must be at most 128 bytes of text"},
        {"{\"product\":\"a\",\"name\":\"b\",\"secret\":\"short\"}",
         "!line 1: secret must be 8 to 128 bytes of text without a colon"},
    };
    (void)state;
    check(IMPORT_NDJSON, rows, ARRAY_SIZE(rows));
}

static void test_kinds(void **state)
{
    static const struct {
        const char *type, *text;
        enum import_kind kind;
    } rows[] = {
        {"text/csv", "{", IMPORT_CSV},
        {"Text/CSV; charset=utf-8", "{", IMPORT_CSV},
        {"application/x-ndjson", "product", IMPORT_NDJSON},
        {"application/json", "product", IMPORT_NDJSON},
        {"application/x-www-form-urlencoded", "product,name", IMPORT_CSV},
        {"application/x-www-form-urlencoded", " \r\n\t{", IMPORT_NDJSON},
        {NULL, "{}", IMPORT_NDJSON},
        {NULL, "", IMPORT_CSV},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(import_kind_of(rows[i].type, rows[i].text), rows[i].kind);
}

static void test_zero_byte(void **state)
{
    struct import_reader in;
    struct err e;
    char text[] = "product,name\0\na,b\n";
    (void)state;
    assert_int_equal(import_open(&in, IMPORT_CSV, text, sizeof text - 1, &e), -ERR_BAD_REQUEST);
}

static void test_as_many_tags_as_a_device_has(void **state)
{
    char text[4096] = "product,name,secret", line[2048] = "\na,b,";
    char found[2048];
    (void)state;
    for (int i = 0; i < TAGS_MAX; i++) {
        snprintf(text + strlen(text), 16, ",tag.k%d", i);
        strcat(line, ",v");
    }
    strcat(text, line);
    read_all(IMPORT_CSV, text, found, sizeof found);
    assert_non_null(strstr(found, "k31=v,}"));
    memcpy(strchr(text, '\n'), ",x\n", 3);
    read_all(IMPORT_CSV, text, found, sizeof found);
    assert_string_equal(found, "!line 1: there are more than 35 fields");
}

static void test_row_limit(void **state)
{
    static const char row[] = "p,n\n";
    size_t head = strlen("product,name\n"), len = head + (IMPORT_ROWS_MAX + 1) * (sizeof row - 1);
    char *text = malloc(len + 1);
    struct import_reader in;
    struct import_row out;
    struct err e;
    size_t n = 0;
    int rc;
    (void)state;
    assert_non_null(text);
    strcpy(text, "product,name\n");
    for (size_t i = 0; i <= IMPORT_ROWS_MAX; i++)
        memcpy(text + head + i * (sizeof row - 1), row, sizeof row);
    assert_int_equal(import_open(&in, IMPORT_CSV, text, len, &e), 0);
    while ((rc = import_next(&in, &out, &e)) > 0)
        n++;
    assert_int_equal(rc, -ERR_INVALID);
    assert_int_equal(n, IMPORT_ROWS_MAX);
    assert_string_equal(e.text, "line 100002: there are more than 100000 rows");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),       cmocka_unit_test(test_csv_that_is_refused),
        cmocka_unit_test(test_ndjson),    cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_zero_byte), cmocka_unit_test(test_as_many_tags_as_a_device_has),
        cmocka_unit_test(test_row_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
