#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "http/url.h"

#include <string.h>

static void decodes_the_path_once(void **state)
{
    static const struct {
        const char *target, *path;
    } rows[] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a%20b", "/a b"},
        {"/a+b", "/a+b"},
        {"/%61%7E%7e", "/a~~"},
        {"/%252e%252e%252f", "/%2e%2e%2f"},
        {"/a?b", "/a"},
        {"/a%3Fb", "/a?b"},
        {"/\xc3\xa4%C3%A4", "/\xc3\xa4\xc3\xa4"},
        {"/../x", "/../x"},
        {"http://host/a", "/a"},
        {"HTTPS://host:8443/a?b", "/a"},
        {"http://host/", "/"},
        {"http://h//a", "//a"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct url url;
        struct err e;
        assert_int_equal(url_parse(rows[i].target, &url, &e), 0);
        assert_string_equal(url.path, rows[i].path);
    }
}

static void refuses_what_it_cannot_mean(void **state)
{
    static const struct {
        const char *target;
        enum err_code code;
    } rows[] = {
        {"", ERR_BAD_REQUEST},
        {"*", ERR_BAD_REQUEST},
        {"http://host", ERR_BAD_REQUEST},
        {"http://host?a", ERR_BAD_REQUEST},
        {"http:///a", ERR_BAD_REQUEST},
        {"http:/host/a", ERR_BAD_REQUEST},
        {"ftp://host/a", ERR_BAD_REQUEST},
        {"http://host/a b", ERR_BAD_REQUEST},
        {"/a b", ERR_BAD_REQUEST},
        {"/a#b", ERR_BAD_REQUEST},
        {"/a\x01", ERR_BAD_REQUEST},
        {"/a\x7f", ERR_BAD_REQUEST},
        {"/%", ERR_BAD_REQUEST},
        {"/%4", ERR_BAD_REQUEST},
        {"/%4g", ERR_BAD_REQUEST},
        {"/%g4", ERR_BAD_REQUEST},
        {"/%00", ERR_BAD_REQUEST},
        {"/%0d%0aSet-Cookie:a", ERR_BAD_REQUEST},
        {"/%1f", ERR_BAD_REQUEST},
        {"/%7f", ERR_BAD_REQUEST},
        {"/a%2fb", ERR_NOT_FOUND},
        {"/a%2Fb", ERR_NOT_FOUND},
        {"/a?b=%zz", ERR_BAD_REQUEST},
        {"/a?b=%00", ERR_BAD_REQUEST},
        {"/a?b=1&b=2", ERR_BAD_REQUEST},
        {"/a?b&%62", ERR_BAD_REQUEST},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct url url;
        struct err e;
        assert_int_equal(url_parse(rows[i].target, &url, &e), -(int)rows[i].code);
    }
}

static void reads_the_query(void **state)
{
    struct url url;
    struct err e;
    (void)state;
    assert_int_equal(url_parse("/a?b=1&c=x+y%2Bz&&d&e=&f=p/d:%2F&g==", &url, &e), 0);
    assert_int_equal(url.query.n, 6);
    assert_string_equal(query_get(&url.query, "b"), "1");
    assert_string_equal(query_get(&url.query, "c"), "x y+z");
    assert_string_equal(query_get(&url.query, "d"), "");
    assert_string_equal(query_get(&url.query, "e"), "");
    assert_string_equal(query_get(&url.query, "f"), "p/d:/");
    assert_string_equal(query_get(&url.query, "g"), "=");
    assert_null(query_get(&url.query, "h"));
    assert_null(query_get(&url.query, ""));
}

static void counts_parameters(void **state)
{
    struct url url;
    struct err e;
    (void)state;
    assert_int_equal(url_parse("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p", &url, &e), 0);
    assert_int_equal(url.query.n, QUERY_MAX);
    assert_int_equal(url_parse("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", &url, &e), -ERR_BAD_REQUEST);
}

static void knows_its_length(void **state)
{
    char target[URL_TARGET_MAX + 2];
    struct url url;
    struct err e;
    (void)state;
    memset(target, 'a', sizeof target);
    target[0] = '/';
    target[URL_TARGET_MAX + 1] = '\0';
    assert_int_equal(url_parse(target, &url, &e), -ERR_URI_TOO_LONG);
    target[URL_TARGET_MAX] = '\0';
    assert_int_equal(url_parse(target, &url, &e), 0);
    assert_string_equal(url.path, target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_the_path_once), cmocka_unit_test(refuses_what_it_cannot_mean),
        cmocka_unit_test(reads_the_query),       cmocka_unit_test(counts_parameters),
        cmocka_unit_test(knows_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
