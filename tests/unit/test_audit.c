#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/audit.h"
#include "store_fixture.h"

WRITES(add, struct audit_line, audit_add(w, a, e))

static void put(struct fixture *f, int64_t at_ms, const char *who, const char *path)
{
    struct audit_line line = {.at_ms = at_ms, .method = "PATCH", .status = 200, .after = (char[]){"{}"}};
    struct err e;

    str_copy(line.who, sizeof line.who, who);
    str_copy(line.path, sizeof line.path, path);
    assert_int_equal(add(f, &line, &e), 0);
}

/* The ids that are found, as digits. */
static void found(struct fixture *f, const struct audit_filter *filter, int64_t from, bool on,
                  const char *ids)
{
    struct audit_line lines[8];
    char text[16] = "";
    struct err e;
    size_t n = 0;
    int rc = on ? audit_list_on(f->db, filter, from, lines, 8, &n, &e)
                : audit_list(f->db, filter, from, lines, 8, &n, &e);

    assert_int_equal(rc, 0);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('0' + lines[i].id);
    audit_clear(lines, n);
    assert_string_equal(text, ids);
}

static void test_lists(void **state)
{
    struct fixture *f = *state;

    put(f, 10, "ann", "/api/v1/campaigns/7");
    put(f, 20, "bob", "/api/v1/campaigns/7/pause");
    put(f, 30, "ann", "/api/v1/campaigns/70");
    put(f, 25, "ann", "/api/v1/products/p"); /* the clock was set back */
    found(f, &(struct audit_filter){0}, INT64_MAX, false, "4321");
    found(f, &(struct audit_filter){0}, 3, false, "21");
    found(f, &(struct audit_filter){0}, 0, true, "1234");
    found(f, &(struct audit_filter){0}, 2, true, "34");
    found(f, &(struct audit_filter){.who = "ann"}, INT64_MAX, false, "431");
    found(f, &(struct audit_filter){.path = "/api/v1/campaigns/7"}, INT64_MAX, false, "21");
    found(f, &(struct audit_filter){.path = "/api/v1/campaigns"}, 0, true, "123");
    found(f, &(struct audit_filter){.since_ms = 20, .until_ms = 30}, 0, true, "24");
    found(f, &(struct audit_filter){.since_ms = 31}, 0, true, "");
}

static void test_a_line_comes_back(void **state)
{
    struct fixture *f = *state;
    struct audit_line line = {.at_ms = 5,
                              .token_id = 9,
                              .who = "ann",
                              .address = "fd00::7",
                              .method = "DELETE",
                              .path = "/x",
                              .status = 204,
                              .before = (char[]){"{\"a\":1}"}};
    struct audit_line back;
    struct err e;
    size_t n = 0;

    assert_int_equal(add(f, &line, &e), 0);
    assert_int_equal(audit_list(f->db, &(struct audit_filter){0}, INT64_MAX, &back, 1, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(back.at_ms, 5);
    assert_int_equal(back.token_id, 9);
    assert_int_equal(back.status, 204);
    assert_string_equal(back.who, "ann");
    assert_string_equal(back.address, "fd00::7");
    assert_string_equal(back.method, "DELETE");
    assert_string_equal(back.path, "/x");
    assert_string_equal(back.before, "{\"a\":1}");
    assert_string_equal(back.after, "");
    audit_clear(&back, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lists, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_a_line_comes_back, fixture_enter, fixture_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
