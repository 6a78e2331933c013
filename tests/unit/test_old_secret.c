#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/device.h"
#include "store/old_secret.h"
#include "store/product.h"
#include "store_fixture.h"

struct kept {
    int64_t id;
    struct old_secret old;
};

WRITES(insert_product, struct product, product_insert(w, a, e))
WRITES(update_product, struct product, product_update(w, a, e))
WRITES(insert, struct device, device_insert(w, a, e))
WRITES(update, struct device, device_update(w, a, e))
WRITES(delete, struct device, device_delete(w, a->id, 5, e))
WRITES(keep_device, struct kept, old_secret_keep_device(w, a->id, &a->old, e))
WRITES(keep_product, struct kept, old_secret_keep_product(w, a->id, &a->old, e))
WRITES(forget, int64_t, old_secrets_forget(w, *a, e))

static struct product product(struct fixture *f)
{
    struct product p = {.key = "p", .name = "p", .protocol = "native", .enrolment_secret_len = 40};
    struct err e;

    assert_int_equal(insert_product(f, &p, &e), 0);
    return p;
}

static struct device device(struct fixture *f, int64_t product_id, const char *name)
{
    struct device d = {.product_id = product_id, .secret_len = 40};
    struct err e;

    strcpy(d.name, name);
    assert_int_equal(insert(f, &d, &e), 0);
    return d;
}

static struct kept old_until(int64_t id, int64_t until_ms)
{
    return (struct kept){.id = id, .old = {.sealed = {1, 2, 3}, .len = 50, .until_ms = until_ms}};
}

typedef int find_fn(struct db *, int64_t, int64_t, struct old_secret *, struct err *);

static bool is_good(struct fixture *f, find_fn *find, int64_t id, int64_t now_ms)
{
    struct old_secret old;
    struct err e;

    assert_int_equal(find(f->db, id, now_ms, &old, &e), 0);
    assert_true(old.len == 0 || (old.len == 50 && old.sealed[2] == 3));
    return old.len > 0;
}

static void test_good_until_then(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f);
    struct device d = device(f, p.id, "d"), other = device(f, p.id, "other");
    struct kept of_device = old_until(d.id, 100), of_product = old_until(p.id, 100);
    struct err e;

    assert_int_equal(keep_device(f, &of_device, &e), 0);
    assert_int_equal(keep_product(f, &of_product, &e), 0);
    for (int64_t now = 99; now <= 100; now++) {
        assert_int_equal(is_good(f, old_secret_of_device, d.id, now), now < 100);
        assert_int_equal(is_good(f, old_secret_of_product, p.id, now), now < 100);
    }
    assert_false(is_good(f, old_secret_of_device, other.id, 99));
}

static void test_a_change_voids_it(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f);
    struct device d = device(f, p.id, "d");
    struct kept of_device = old_until(d.id, 100), of_product = old_until(p.id, 100);
    struct err e;

    assert_int_equal(keep_device(f, &of_device, &e), 0);
    assert_int_equal(keep_product(f, &of_product, &e), 0);
    d.paused = p.public = true;
    assert_int_equal(update(f, &d, &e), 0);
    assert_int_equal(update_product(f, &p, &e), 0);
    assert_true(is_good(f, old_secret_of_device, d.id, 99));
    assert_true(is_good(f, old_secret_of_product, p.id, 99));
    d.secret[0] = p.enrolment_secret[0] = 1;
    assert_int_equal(update(f, &d, &e), 0);
    assert_true(is_good(f, old_secret_of_product, p.id, 99));
    assert_int_equal(update_product(f, &p, &e), 0);
    assert_false(is_good(f, old_secret_of_device, d.id, 99));
    assert_false(is_good(f, old_secret_of_product, p.id, 99));
}

static void test_forgotten(void **state)
{
    struct fixture *f = *state;
    struct product p = product(f);
    struct device d = device(f, p.id, "d"), other = device(f, p.id, "other");
    struct kept kept[] = {old_until(d.id, 100), old_until(other.id, 101)}, of_product = old_until(p.id, 101);
    struct err e;

    for (size_t i = 0; i < 2; i++)
        assert_int_equal(keep_device(f, &kept[i], &e), 0);
    assert_int_equal(keep_product(f, &of_product, &e), 0);
    assert_int_equal(forget(f, &(int64_t){100}, &e), 0);
    assert_false(is_good(f, old_secret_of_device, d.id, 1));
    assert_true(is_good(f, old_secret_of_device, other.id, 1));
    assert_true(is_good(f, old_secret_of_product, p.id, 1));
    assert_int_equal(forget(f, &(int64_t){101}, &e), 0);
    assert_false(is_good(f, old_secret_of_device, other.id, 1));
    assert_false(is_good(f, old_secret_of_product, p.id, 1));
}

static void test_goes_with_its_device(void **state)
{
    struct fixture *f = *state;
    struct device d = device(f, product(f).id, "d");
    struct kept old = old_until(d.id, 100);
    struct err e;

    assert_int_equal(keep_device(f, &old, &e), 0);
    assert_int_equal(delete (f, &d, &e), 0);
    assert_false(is_good(f, old_secret_of_device, d.id, 99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_until_then, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_a_change_voids_it, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_forgotten, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(test_goes_with_its_device, fixture_enter, fixture_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
