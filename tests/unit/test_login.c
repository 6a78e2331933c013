#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "store/device.h"
#include "store/login.h"
#include "store/product.h"
#include "store_fixture.h"

WRITES(insert_product, struct product, product_insert(w, a, e))
WRITES(insert_device, struct device, device_insert(w, a, e))

static struct product thermo(struct fixture *f)
{
    struct product p = {.key = "thermo",
                        .name = "p",
                        .protocol = "aliyun",
                        .enabled = true,
                        .enrolment_open = true,
                        .enrolment_secret = {0, 255, 7},
                        .enrolment_secret_len = 3};
    struct err e;

    assert_int_equal(insert_product(f, &p, &e), 0);
    return p;
}

static void test_both_are_told(void **state)
{
    struct fixture *f = *state;
    struct product p = thermo(f);
    struct device d = {.product_id = p.id,
                       .name = "d1",
                       .enabled = true,
                       .secret = {9, 0, 8, 0},
                       .secret_len = 4,
                       .registered_at_ms = 1};
    struct login_row row;
    struct err e;

    assert_int_equal(insert_device(f, &d, &e), 0);
    assert_int_equal(login_get(f->db, "thermo", "d1", &row, &e), 0);
    assert_int_equal(row.product_id, p.id);
    assert_int_equal(row.device_id, d.id);
    assert_string_equal(row.protocol, "aliyun");
    assert_true(row.product_enabled);
    assert_true(row.enrolment_open);
    assert_true(row.device_enabled);
    assert_int_equal(row.enrolment.len, 3);
    assert_memory_equal(row.enrolment.sealed, p.enrolment_secret, 3);
    assert_int_equal(row.device.len, 4);
    assert_memory_equal(row.device.sealed, d.secret, 4);
}

/* The row that is read into held another's before: nothing of it may stay. */
static void test_what_is_not_there_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct product bare = {.key = "bare", .name = "p", .protocol = "native"};
    struct device off = {.name = "off", .registered_at_ms = 1};
    struct login_row row;
    struct err e;

    thermo(f);
    assert_int_equal(insert_product(f, &bare, &e), 0);
    off.product_id = bare.id;
    assert_int_equal(insert_device(f, &off, &e), 0);

    memset(&row, 0xff, sizeof row);
    assert_int_equal(login_get(f->db, "bare", "off", &row, &e), 0);
    assert_int_equal(row.device_id, off.id);
    assert_false(row.product_enabled);
    assert_false(row.enrolment_open);
    assert_false(row.device_enabled);
    assert_int_equal(row.enrolment.len, 0);
    assert_int_equal(row.device.len, 0);

    memset(&row, 0xff, sizeof row);
    assert_int_equal(login_get(f->db, "thermo", "off", &row, &e), 0); /* another product's device */
    assert_int_equal(row.device_id, 0);
    assert_false(row.device_enabled);
    assert_int_equal(row.device.len, 0);
    assert_int_equal(row.enrolment.len, 3);
}

static void test_unknown_product_is_named(void **state)
{
    struct fixture *f = *state;
    struct login_row row;
    struct err e;

    thermo(f);
    assert_int_equal(login_get(f->db, "Thermo", "d1", &row, &e), -ERR_NOT_FOUND);
    assert_string_equal(e.field, "product");
    assert_non_null(strstr(e.text, "there is no product \"Thermo\""));
}

static void by_hand(struct fixture *f, const char *sql)
{
    char path[96];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/otad.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A secret that does not fit is an error, never one cut short. */
static void test_secret_of_another_form(void **state)
{
    struct fixture *f = *state;
    struct product p = thermo(f);
    struct device d = {
        .product_id = p.id, .name = "d1", .secret = {1}, .secret_len = 1, .registered_at_ms = 1};
    struct login_row row;
    struct err e;

    assert_int_equal(insert_device(f, &d, &e), 0);
    by_hand(f, "UPDATE device SET secret = zeroblob(157)"); /* SEALED_SIZE: the longest that there is */
    assert_int_equal(login_get(f->db, "thermo", "d1", &row, &e), 0);
    assert_int_equal(row.device.len, SEALED_SIZE);
    by_hand(f, "UPDATE device SET secret = zeroblob(158)");
    assert_int_equal(login_get(f->db, "thermo", "d1", &row, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "thermo/d1"));
    by_hand(f, "UPDATE device SET secret = NULL");
    by_hand(f, "UPDATE product SET enrolment_secret = zeroblob(158)");
    assert_int_equal(login_get(f->db, "thermo", "d1", &row, &e), -ERR_INTERNAL);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_both_are_told),
        IN_STORE(test_what_is_not_there_is_nothing),
        IN_STORE(test_unknown_product_is_named),
        IN_STORE(test_secret_of_another_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
