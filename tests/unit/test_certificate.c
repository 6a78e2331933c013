#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/certificate.h"
#include "store_fixture.h"

struct revocation {
    const char *serial;
    int64_t device_id, now_ms;
    bool changed;
};

WRITES(insert, struct certificate_row, certificate_insert(w, a, e))
WRITES(end_it, struct revocation, certificate_revoke(w, a->serial, a->device_id, a->now_ms, &a->changed, e))
WRITES(forget, int64_t, certificate_forget(w, *a, e))

static void add(struct fixture *f, const char *serial, int64_t device_id, int64_t ends_at_ms)
{
    struct certificate_row row = {.device_id = device_id, .issued_at_ms = 1000, .ends_at_ms = ends_at_ms};
    struct err e;
    strcpy(row.serial, serial);
    assert_int_equal(insert(f, &row, &e), 0);
}

static void end(struct fixture *f, const char *serial, int64_t device_id, int64_t now_ms, bool changes)
{
    struct revocation r = {serial, device_id, now_ms, !changes};
    struct err e;
    assert_int_equal(end_it(f, &r, &e), 0);
    assert_int_equal(r.changed, changes);
}

static void whose_it_is(void **state)
{
    struct fixture *f = *state;
    struct err e;
    add(f, "ab01", 7, 5000);
    assert_int_equal(certificate_check(f->db, "ab01", 7, &e), 0);
    assert_int_equal(certificate_check(f->db, "ab01", 8, &e), -ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.text, "another device"));
    /* before there were rows */
    assert_int_equal(certificate_check(f->db, "ab02", 8, &e), 0);
}

static void the_end_of_one(void **state)
{
    struct fixture *f = *state;
    struct certificate_row row;
    struct err e;
    add(f, "ab01", 7, 5000);
    add(f, "ab02", 7, 5000);
    end(f, "ab01", 7, 2000, true);
    end(f, "ab01", 7, 3000, false);
    assert_int_equal(certificate_get(f->db, "ab01", &row, &e), 0);
    assert_int_equal(row.revoked_at_ms, 2000);
    assert_int_equal(row.issued_at_ms, 1000);
    assert_int_equal(row.ends_at_ms, 5000);
    assert_int_equal(certificate_check(f->db, "ab01", 7, &e), -ERR_UNAUTHORIZED);
    assert_non_null(strstr(e.text, "revoked"));
    assert_int_equal(certificate_check(f->db, "ab02", 7, &e), 0);
}

static void the_end_of_one_that_was_made_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct certificate_row row;
    struct err e;
    end(f, "ff", 7, 2000, true);
    end(f, "ff", 7, 3000, false);
    assert_int_equal(certificate_check(f->db, "ff", 7, &e), -ERR_UNAUTHORIZED);
    assert_int_equal(certificate_get(f->db, "ff", &row, &e), 0);
    assert_int_equal(row.device_id, 7);
    assert_int_equal(row.issued_at_ms, 0);
    assert_int_equal(row.ends_at_ms, 0);
    assert_int_equal(row.revoked_at_ms, 2000);
}

static void not_another_devices(void **state)
{
    struct fixture *f = *state;
    struct revocation r = {"ab01", 8, 2000, false};
    struct err e;
    add(f, "ab01", 7, 5000);
    assert_int_equal(end_it(f, &r, &e), -ERR_NOT_FOUND);
    assert_int_equal(certificate_check(f->db, "ab01", 7, &e), 0);
}

static void the_newest_first(void **state)
{
    struct fixture *f = *state;
    struct certificate_row rows[2];
    struct err e;
    size_t n;
    add(f, "03", 7, 5000);
    add(f, "01", 7, 5000);
    add(f, "04", 8, 5000);
    add(f, "02", 7, 5000);
    assert_int_equal(certificate_list(f->db, 7, 0, rows, 2, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].serial, "02");
    assert_string_equal(rows[1].serial, "01");
    assert_int_equal(certificate_list(f->db, 7, rows[1].id, rows, 2, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].serial, "03");
    assert_int_equal(certificate_list(f->db, 9, 0, rows, 2, &n, &e), 0);
    assert_int_equal(n, 0);
}

static void forgets_what_its_own_date_refuses(void **state)
{
    struct fixture *f = *state;
    struct certificate_row row;
    struct err e;
    int64_t before_ms = 5000;
    add(f, "01", 7, 4999);
    add(f, "02", 7, 5000);
    end(f, "03", 7, 1, true);
    add(f, "04", 7, 4999);
    end(f, "04", 7, 1, true);
    assert_int_equal(forget(f, &before_ms, &e), 0);
    assert_int_equal(certificate_get(f->db, "01", &row, &e), -ERR_NOT_FOUND);
    assert_int_equal(certificate_get(f->db, "02", &row, &e), 0);
    assert_int_equal(certificate_check(f->db, "03", 7, &e), -ERR_UNAUTHORIZED);
    assert_int_equal(certificate_check(f->db, "04", 7, &e), -ERR_UNAUTHORIZED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whose_it_is, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(the_end_of_one, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(the_end_of_one_that_was_made_elsewhere, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(not_another_devices, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(the_newest_first, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(forgets_what_its_own_date_refuses, fixture_enter, fixture_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
