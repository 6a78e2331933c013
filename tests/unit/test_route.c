#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "http/route.h"
#include "http/url.h"

#include <stdio.h>
#include <string.h>

static const struct route table[] = {
    {.method = "GET", .path = "/health"},           {.method = "POST", .path = "/things"},
    {.method = "GET", .path = "/things"},           {.method = "POST", .path = "/things:import"},
    {.method = "GET", .path = "/things/{key}"},     {.method = "PATCH", .path = "/things/{key}"},
    {.method = "DELETE", .path = "/things/{key}"},  {.method = "POST", .path = "/things/{key}/start"},
    {.method = "GET", .path = "/deep/{a}/{b}/{c}"},
};

static void finds(void **state)
{
    static const struct {
        const char *method, *path;
        int row;
        const char *arg[PATH_ARGS_MAX];
    } rows[] = {
        {"GET", "/health", 0, {0}},
        {"HEAD", "/health", 0, {0}},
        {"POST", "/things", 1, {0}},
        {"GET", "/things", 2, {0}},
        {"POST", "/things:import", 3, {0}},
        {"GET", "/things/x", 4, {"x"}},
        {"HEAD", "/things/x", 4, {"x"}},
        {"PATCH", "/things/..", 5, {".."}},
        {"DELETE", "/things/a b{}", 6, {"a b{}"}},
        {"POST", "/things/start/start", 7, {"start"}},
        {"GET", "/deep/1/22/333", 8, {"1", "22", "333"}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct route *found = NULL;
        char arg[PATH_ARGS_MAX][257], allow[64];
        struct err e;
        assert_int_equal(
            route_match(table, ARRAY_SIZE(table), rows[i].method, rows[i].path, &found, arg, allow, &e), 0);
        assert_ptr_equal(found, &table[rows[i].row]);
        for (size_t k = 0; k < PATH_ARGS_MAX && rows[i].arg[k]; k++)
            assert_string_equal(arg[k], rows[i].arg[k]);
    }
}

static void finds_not(void **state)
{
    static const struct {
        const char *method, *path;
        enum err_code code;
        const char *allow;
    } rows[] = {
        {"GET", "/", ERR_NOT_FOUND, ""},
        {"GET", "/healt", ERR_NOT_FOUND, ""},
        {"GET", "/healthy", ERR_NOT_FOUND, ""},
        {"GET", "/health/", ERR_NOT_FOUND, ""},
        {"GET", "//health", ERR_NOT_FOUND, ""},
        {"GET", "/Health", ERR_NOT_FOUND, ""},
        {"GET", "/things/", ERR_NOT_FOUND, ""},
        {"GET", "/things//start", ERR_NOT_FOUND, ""},
        {"GET", "/things/x/", ERR_NOT_FOUND, ""},
        {"GET", "/things/x/y", ERR_NOT_FOUND, ""},
        {"GET", "/deep/1/2", ERR_NOT_FOUND, ""},
        {"GET", "/deep/1/2/3/4", ERR_NOT_FOUND, ""},
        {"POST", "/health", ERR_METHOD, "GET, HEAD"},
        {"HEAD", "/things:import", ERR_METHOD, "POST"},
        {"PUT", "/things", ERR_METHOD, "POST, GET, HEAD"},
        {"PUT", "/things/x", ERR_METHOD, "GET, HEAD, PATCH, DELETE"},
        {"get", "/health", ERR_METHOD, "GET, HEAD"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct route *found = NULL;
        char arg[PATH_ARGS_MAX][257], allow[64];
        struct err e;
        assert_int_equal(
            route_match(table, ARRAY_SIZE(table), rows[i].method, rows[i].path, &found, arg, allow, &e),
            -(int)rows[i].code);
        assert_null(found);
        assert_string_equal(allow, rows[i].allow);
    }
}

static void bounds_a_segment(void **state)
{
    char path[400] = "/things/", arg[PATH_ARGS_MAX][257], allow[64];
    const struct route *found;
    struct err e;
    (void)state;
    memset(path + 8, 'a', 257);
    assert_int_equal(route_match(table, ARRAY_SIZE(table), "GET", path, &found, arg, allow, &e),
                     -ERR_NOT_FOUND);
    path[8 + 256] = '\0';
    assert_int_equal(route_match(table, ARRAY_SIZE(table), "GET", path, &found, arg, allow, &e), 0);
    assert_int_equal(strlen(arg[0]), 256);
}

/* Of the real table: what a rehearsal or a filter asks for must not be done without it. */
static void knows_its_query(void **state)
{
    static const struct {
        const char *method, *path, *query, *unknown;
    } rows[] = {
        {"POST", "/api/v1/campaigns", "", NULL},
        {"POST", "/api/v1/campaigns", "dry_run=1", NULL},
        {"POST", "/api/v1/campaigns", "dry-run=1", "dry-run"},
        {"POST", "/api/v1/campaigns/1/start", "dry_run=1", "dry_run"},
        {"POST", "/api/v1/campaigns/1/cancel", "force=1", NULL},
        {"POST", "/api/v1/campaigns/1/pause", "force=1", "force"},
        {"DELETE", "/api/v1/products/x", "force=1", "force"},
        {"GET", "/api/v1/products/x", "a=", "a"},
        {"GET", "/api/v1/devices", "limit=1&after=2&product=p&tag=a&module=m&version=v&seen_after=t", NULL},
        {"GET", "/api/v1/devices", "limit=1&seen=t&product=p", "seen"},
        {"PUT", "/api/v1/firmware", "product=p&version=1&sha256=0", "sha256"},
        {"PUT", "/api/v1/firmware", "product=p&version=1&module=m&filename=f&delta_from=0&requires=1", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct request r = {0};
        struct url url;
        char target[200], allow[64];
        struct err e;
        snprintf(target, sizeof target, "%s?%s", rows[i].path, rows[i].query);
        assert_int_equal(url_parse(target, &url, &e), 0);
        assert_int_equal(route_find(rows[i].method, url.path, &r.route, r.arg, allow, &e), 0);
        r.query = &url.query;
        assert_int_equal(request_query_check(&r, &e), rows[i].unknown ? -ERR_INVALID : 0);
        if (rows[i].unknown)
            assert_string_equal(e.field, rows[i].unknown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(finds_not),
        cmocka_unit_test(bounds_a_segment),
        cmocka_unit_test(knows_its_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
