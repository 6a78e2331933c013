#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/device.h"
#include "store/product.h"
#include "store_fixture.h"

WRITES(insert, struct product, product_insert(w, a, e))
WRITES(update, struct product, product_update(w, a, e))
WRITES(delete, struct product, product_delete(w, a->id, e))
WRITES(insert_device, struct device, device_insert(w, a, e))
WRITES(delete_device, struct device, device_delete(w, a->id, 1, e))

static struct product sample(const char *key)
{
    struct product p = {
        .name = "Thermometer \xc3\xa9",
        .protocol = "native",
        .enrolment_open = true,
        .enrolment_secret = {0, 1, 2, 255, 254},
        .enrolment_secret_len = 5,
        .public = true,
        .enabled = false,
        .strict_version = true,
        .version_scheme = VERSION_DATE,
        .chip = "esp32c3",
        .max_image_bytes = 1310720,
        .success_by_report = true,
        .public_keys = "ed25519 00ff\n-----BEGIN",
        .created_at_ms = 1700000000123,
    };

    strcpy(p.key, key);
    return p;
}

static void assert_same(const struct product *a, const struct product *b)
{
    assert_int_equal(a->id, b->id);
    assert_string_equal(a->key, b->key);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->protocol, b->protocol);
    assert_int_equal(a->enrolment_open, b->enrolment_open);
    assert_int_equal(a->enrolment_secret_len, b->enrolment_secret_len);
    assert_memory_equal(a->enrolment_secret, b->enrolment_secret, sizeof a->enrolment_secret);
    assert_int_equal(a->public, b->public);
    assert_int_equal(a->enabled, b->enabled);
    assert_int_equal(a->strict_version, b->strict_version);
    assert_int_equal(a->version_scheme, b->version_scheme);
    assert_string_equal(a->chip, b->chip);
    assert_int_equal(a->max_image_bytes, b->max_image_bytes);
    assert_int_equal(a->success_by_report, b->success_by_report);
    assert_string_equal(a->public_keys, b->public_keys);
    assert_int_equal(a->created_at_ms, b->created_at_ms);
    assert_int_equal(a->revision, b->revision);
}

static void test_comes_back_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct product p = sample("007"), plain = {.key = "b", .name = "b", .protocol = "native"}, back;
    struct err e;

    assert_int_equal(insert(f, &p, &e), 0);
    assert_true(p.id > 0);
    assert_int_equal(p.revision, 1);
    assert_int_equal(product_get(f->db, "007", &back, &e), 0);
    assert_same(&p, &back);
    assert_int_equal(insert(f, &plain, &e), 0);
    assert_int_equal(product_get_id(f->db, plain.id, &back, &e), 0);
    assert_same(&plain, &back);
}

static void test_key_is_taken_once(void **state)
{
    struct fixture *f = *state;
    struct product p = sample("a");
    struct err e;

    assert_int_equal(insert(f, &p, &e), 0);
    assert_int_equal(insert(f, &p, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "key");
    assert_string_equal(e.text, "there is a product a already");
}

static void test_unknown_is_named(void **state)
{
    struct fixture *f = *state;
    struct product p;
    struct err e;

    assert_int_equal(product_get(f->db, "nobody", &p, &e), -ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "nobody"));
    p.id = 77;
    assert_int_equal(delete (f, &p, &e), -ERR_NOT_FOUND);
}

static void test_update_needs_the_stored_revision(void **state)
{
    struct fixture *f = *state;
    struct product p = sample("a"), stale, back;
    struct err e;

    assert_int_equal(insert(f, &p, &e), 0);
    stale = p;
    p.enabled = true;
    p.enrolment_secret_len = 0;
    memset(p.enrolment_secret, 0, sizeof p.enrolment_secret);
    strcpy(p.name, "new");
    strcpy(p.public_keys, "other");
    assert_int_equal(update(f, &p, &e), 0);
    assert_int_equal(p.revision, 2);
    assert_int_equal(product_get(f->db, "a", &back, &e), 0);
    assert_same(&p, &back);
    assert_int_equal(update(f, &stale, &e), -ERR_PRECONDITION);
    assert_int_equal(stale.revision, 1);
    assert_int_equal(product_get(f->db, "a", &back, &e), 0);
    assert_same(&p, &back);
}

static void test_pages(void **state)
{
    struct fixture *f = *state;
    struct product page[2];
    struct err e;
    size_t n = 99;

    for (char key[2] = "e"; key[0] >= 'a'; key[0]--) {
        struct product p = sample(key);
        assert_int_equal(insert(f, &p, &e), 0);
    }
    assert_int_equal(product_list(f->db, 0, page, 2, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(page[0].key, "e");
    assert_string_equal(page[1].key, "d");
    assert_int_equal(product_list(f->db, page[1].id, page, 2, &n, &e), 0);
    assert_string_equal(page[0].key, "c");
    assert_int_equal(product_list(f->db, page[1].id, page, 2, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(page[0].key, "a");
}

static void test_in_use_is_kept(void **state)
{
    struct fixture *f = *state;
    struct product p = sample("a");
    struct device d = {.name = "one"};
    struct err e;

    assert_int_equal(insert(f, &p, &e), 0);
    d.product_id = p.id;
    assert_int_equal(insert_device(f, &d, &e), 0);
    assert_int_equal(delete (f, &p, &e), -ERR_CONFLICT);
    assert_string_equal(e.text, "the product still has devices");
    assert_int_equal(delete_device(f, &d, &e), 0);
    assert_int_equal(delete (f, &p, &e), 0);
    assert_int_equal(product_get(f->db, "a", &p, &e), -ERR_NOT_FOUND);
}

static int64_t with_device(struct fixture *f, const char *key, const char *protocol, const char *name)
{
    struct product p = {.name = "p"};
    struct device d = {.registered_at_ms = 1};
    struct err e;

    strcpy(p.key, key);
    strcpy(p.protocol, protocol);
    strcpy(d.name, name);
    assert_int_equal(insert(f, &p, &e), 0);
    d.product_id = p.id;
    assert_int_equal(insert_device(f, &d, &e), 0);
    return p.id;
}

static void test_devices_that_become_things(void **state)
{
    struct fixture *f = *state;
    struct err e;
    int64_t things = with_device(f, "things", "aws", "a:b_c-9");
    int64_t same = with_device(f, "same", "native", "a:b_c-9"),
            other = with_device(f, "other", "native", "x");

    assert_int_equal(product_check_things(f->db, other, &e), 0);
    assert_int_equal(product_check_things(f->db, things, &e), 0);
    assert_int_equal(product_check_things(f->db, same, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "protocol");
    assert_non_null(strstr(e.text, "product things has a thing a:b_c-9"));
    assert_int_equal(product_check_things(f->db, with_device(f, "dot", "native", "a.b"), &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "device a.b"));
    assert_int_equal(product_check_things(f->db, with_device(f, "at", "native", "@"), &e), -ERR_CONFLICT);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_comes_back_as_it_went_in),
        IN_STORE(test_key_is_taken_once),
        IN_STORE(test_unknown_is_named),
        IN_STORE(test_update_needs_the_stored_revision),
        IN_STORE(test_pages),
        IN_STORE(test_in_use_is_kept),
        IN_STORE(test_devices_that_become_things),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
