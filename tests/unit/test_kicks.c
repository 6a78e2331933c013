/* the mqtt room's own */
#include "../../src/mqtt/kicks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void check_next(struct kicks *k, const char *product, const char *device)
{
    struct kick out;
    assert_int_equal(kicks_next(k, &out), product != NULL);
    if (product) {
        assert_string_equal(out.product, product);
        assert_string_equal(out.device, device);
    }
}

static void test_in_order_and_once(void **state)
{
    (void)state;
    struct kicks k;
    kicks_init(&k);
    check_next(&k, NULL, NULL);
    kicks_acknowledged(&k, 0);
    kicks_add(&k, "p", "d1");
    kicks_add(&k, "p", "");
    check_next(&k, "p", "d1");
    kicks_sent(&k, 7);
    check_next(&k, "p", "");
    kicks_sent(&k, 8);
    check_next(&k, NULL, NULL);
    kicks_acknowledged(&k, 7); /* not the last */
    assert_int_equal(k.n, 2);
    kicks_acknowledged(&k, 8);
    assert_int_equal(k.n, 0);
    kicks_undo(&k);
    check_next(&k, NULL, NULL);
    kicks_free(&k);
}

static void test_what_comes_meanwhile_stays(void **state)
{
    (void)state;
    struct kicks k;
    kicks_init(&k);
    kicks_add(&k, "p", "d1");
    check_next(&k, "p", "d1");
    kicks_sent(&k, 7);
    kicks_add(&k, "p", "d2");
    kicks_acknowledged(&k, 7);
    check_next(&k, "p", "d2");
    kicks_sent(&k, 8);
    check_next(&k, NULL, NULL);
    kicks_free(&k);
}

static void test_a_lost_connection(void **state)
{
    (void)state;
    struct kicks k;
    kicks_init(&k);
    for (int i = 0; i < 40; i++)
        kicks_add(&k, "p", i < 39 ? "d" : "last");
    for (int i = 0; i < 20; i++)
        check_next(&k, "p", "d");
    kicks_sent(&k, 20);
    kicks_undo(&k);
    kicks_acknowledged(&k, 20); /* of the connection before */
    for (int i = 0; i < 39; i++)
        check_next(&k, "p", "d");
    check_next(&k, "p", "last");
    check_next(&k, NULL, NULL);
    kicks_free(&k);
}

static void test_too_many_are_everybody(void **state)
{
    (void)state;
    struct kicks k;
    kicks_init(&k);
    for (int i = 0; i < KICKS_MAX; i++)
        kicks_add(&k, "p", "d");
    check_next(&k, "p", "d");
    kicks_add(&k, "p", "d");
    kicks_sent(&k, 1);
    kicks_acknowledged(&k, 1); /* of what is no more */
    assert_int_equal(k.n, 1);
    check_next(&k, "", "");
    check_next(&k, NULL, NULL);
    kicks_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order_and_once),
        cmocka_unit_test(test_what_comes_meanwhile_stays),
        cmocka_unit_test(test_a_lost_connection),
        cmocka_unit_test(test_too_many_are_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
