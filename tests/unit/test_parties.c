#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/http/parties.h"
#include "base/nets.h"

#include <stdio.h>

#define ROOM 100

static struct in6_addr at(const char *text)
{
    struct in6_addr a;
    assert_true(address_parse(text, &a));
    return a;
}

static void test_so_many_of_one(void **state)
{
    struct in6_addr a = at("192.0.2.1"), b = at("192.0.2.2");
    struct parties *set = parties_open(ROOM, 3);
    struct party *held[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_false(parties_full(set, &a));
        held[i] = parties_enter(set, &a);
        assert_non_null(held[i]);
    }
    assert_true(parties_full(set, &a));
    assert_false(parties_full(set, &b));
    parties_leave(set, held[0]);
    assert_false(parties_full(set, &a));
    parties_leave(set, held[1]);
    parties_leave(set, held[2]);
    parties_leave(set, NULL);
    parties_close(set);
    parties_close(NULL);
}

static void test_a_household_is_one(void **state)
{
    struct in6_addr a = at("2001:db8::1"), beside = at("2001:db8::2"), other = at("2001:db8:0:1::1");
    struct parties *set = parties_open(ROOM, 1);
    (void)state;
    parties_enter(set, &a);
    assert_true(parties_full(set, &beside));
    assert_false(parties_full(set, &other));
    parties_close(set);
}

/* Places are given back, however often and in whatever order; beyond the room nobody is counted. */
static void test_room_is_used_again(void **state)
{
    struct parties *set = parties_open(ROOM, 1);
    struct party *held[ROOM];
    struct in6_addr a[ROOM + 1];
    char text[32];
    (void)state;
    for (int i = 0; i <= ROOM; i++) {
        snprintf(text, sizeof text, "10.0.0.%d", i);
        a[i] = at(text);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ROOM; i++)
            assert_non_null(held[i] = parties_enter(set, &a[i]));
        assert_null(parties_enter(set, &a[ROOM]));
        assert_false(parties_full(set, &a[ROOM]));
        for (int i = 0; i < ROOM; i++)
            assert_true(parties_full(set, &a[i]));
        for (int i = 0; i < ROOM; i++)
            parties_leave(set, held[i * 37 % ROOM]);
        for (int i = 0; i < ROOM; i++)
            assert_false(parties_full(set, &a[i]));
    }
    parties_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_of_one),
        cmocka_unit_test(test_a_household_is_one),
        cmocka_unit_test(test_room_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
