#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/nets.h"
#include "base/throttle.h"

#include <stdio.h>

static struct in6_addr at(const char *text)
{
    struct in6_addr a;
    assert_true(address_parse(text, &a));
    return a;
}

/* How many failures are taken at now_ms before the next is refused; at most max. */
static int taken(struct throttle *t, const struct in6_addr *a, const char *name, int64_t now_ms, int max)
{
    int n = 0;
    while (n < max && !throttle_slows(t, a, name, now_ms)) {
        throttle_count(t, a, name, now_ms);
        n++;
    }
    return n;
}

static void test_a_name_of_an_address(void **state)
{
    struct in6_addr a = at("192.0.2.1"), b = at("192.0.2.2");
    struct throttle *t = throttle_open(20, 2000);
    (void)state;
    assert_int_equal(taken(t, &a, "p/d1", 5000, 100), 20);
    assert_true(throttle_slows(t, &a, "p/d1", 5000));
    assert_false(throttle_slows(t, &a, "p/d2", 5000));
    assert_false(throttle_slows(t, &b, "p/d1", 5000));
    /* one leaks each 3 s */
    assert_int_equal(taken(t, &a, "p/d1", 7999, 100), 0);
    assert_int_equal(taken(t, &a, "p/d1", 8000, 100), 1);
    assert_int_equal(taken(t, &a, "p/d1", 14000, 100), 2);
    assert_int_equal(taken(t, &a, "p/d1", 14000 + 60000, 100), 20);
    throttle_close(t);
}

static void test_all_names_of_an_address(void **state)
{
    struct in6_addr a = at("2001:db8::1"), beside = at("2001:db8::2"), other = at("2001:db8:0:1::1");
    struct throttle *t = throttle_open(20, 200);
    char name[16];
    int n = 0;
    (void)state;
    for (; n < 1000; n++) {
        snprintf(name, sizeof name, "p/d%d", n);
        if (throttle_slows(t, &a, name, 0))
            break;
        throttle_count(t, &a, name, 0);
    }
    assert_int_equal(n, 200);
    assert_true(throttle_slows(t, &beside, NULL, 0));
    assert_false(throttle_slows(t, &other, NULL, 0));
    assert_false(throttle_slows(t, &a, "p/new", 60000));
    throttle_close(t);
}

static void test_without_a_name_only_the_address_counts(void **state)
{
    struct in6_addr a = at("192.0.2.1");
    struct throttle *t = throttle_open(2, 5);
    (void)state;
    assert_int_equal(taken(t, &a, NULL, 0, 100), 5);
    throttle_close(t);
}

static void test_off(void **state)
{
    struct in6_addr a = at("192.0.2.1");
    struct throttle *t = throttle_open(0, 0), *by_name = throttle_open(3, 0),
                    *by_address = throttle_open(0, 3);
    (void)state;
    assert_int_equal(taken(t, &a, "n", 0, 5000), 5000);
    assert_int_equal(taken(by_name, &a, "n", 0, 100), 3);
    assert_int_equal(taken(by_name, &a, NULL, 0, 100), 100);
    assert_int_equal(taken(by_address, &a, "n", 0, 100), 3);
    assert_false(throttle_slows(NULL, &a, "n", 0));
    throttle_count(NULL, &a, "n", 0);
    throttle_close(t);
    throttle_close(by_name);
    throttle_close(by_address);
    throttle_close(NULL);
}

/* A guesser who fails once under each of very many names does not wash his full bucket away. */
static void test_the_most_eager_are_not_forgotten(void **state)
{
    struct in6_addr a = at("192.0.2.1");
    struct throttle *t = throttle_open(20, 0);
    char name[24];
    (void)state;
    assert_int_equal(taken(t, &a, "victim", 0, 100), 20);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "other%d", i);
        throttle_count(t, &a, name, 0);
    }
    assert_true(throttle_slows(t, &a, "victim", 0));
    throttle_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_of_an_address),
        cmocka_unit_test(test_all_names_of_an_address),
        cmocka_unit_test(test_without_a_name_only_the_address_counts),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_the_most_eager_are_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
