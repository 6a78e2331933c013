#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/nets.h"

#include <string.h>

static struct in6_addr at(const char *text)
{
    struct in6_addr a;
    assert_true(address_parse(text, &a));
    return a;
}

static bool holds(const char *nets, const char *address)
{
    struct nets n;
    struct err e;
    struct in6_addr a = at(address);
    assert_int_equal(nets_parse(nets, &n, &e), 0);
    return nets_hold(&n, &a);
}

static void test_who_is_in(void **state)
{
    static const struct {
        const char *nets, *address;
        bool in;
    } rows[] = {
        {"", "10.0.0.1", false},
        {" , ", "::1", false},
        {"127.0.0.0/8, ::1", "127.0.0.1", true},
        {"127.0.0.0/8, ::1", "127.255.255.255", true},
        {"127.0.0.0/8, ::1", "128.0.0.0", false},
        {"127.0.0.0/8, ::1", "126.255.255.255", false},
        {"127.0.0.0/8, ::1", "::1", true},
        {"127.0.0.0/8,::1", "::2", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.2", false},
        {"10.1.2.2/31", "10.1.2.3", true},
        {"10.1.2.2/31", "10.1.2.4", false},
        {"10.1.2.0/23", "10.1.3.255", true},
        {"10.1.2.0/23", "10.1.1.255", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.9", true},
        {"::ffff:10.0.0.0/104", "10.9.9.9", true},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"fe80::/10 192.168.0.0/16", "192.168.7.7", true},
        {"fe80::/10", "febf::1%eth0", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (holds(rows[i].nets, rows[i].address) != rows[i].in)
            fail_msg("\"%s\" and %s", rows[i].nets, rows[i].address);
}

static void test_what_is_no_network(void **state)
{
    static const char *const rows[] = {
        "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8",     "10.0.0.1/8",   "::/129",
        "/8",          "localhost", "10.0.0.0/ 8", "fd00::1/64",  "fe80::1%eth0", "10.0.0.0;::1",
    };
    struct nets n = {.n = 7};
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (nets_parse(rows[i], &n, &e) != -ERR_INVALID)
            fail_msg("\"%s\" is taken", rows[i]);
    assert_int_equal(n.n, 7);
}

static void test_only_so_many(void **state)
{
    char text[(NETS_MAX + 1) * 4 + 1] = "";
    struct nets n;
    struct err e;
    (void)state;
    for (int i = 0; i < NETS_MAX; i++)
        strcat(text, "::1,");
    assert_int_equal(nets_parse(text, &n, &e), 0);
    assert_int_equal(n.n, NETS_MAX);
    strcat(text, "::2");
    assert_int_equal(nets_parse(text, &n, &e), -ERR_INVALID);
}

static bool one_party(const char *a, const char *b)
{
    struct in6_addr x = at(a), y = at(b);
    x = address_party(&x);
    y = address_party(&y);
    return memcmp(&x, &y, sizeof x) == 0;
}

static void test_a_household_is_one_party(void **state)
{
    (void)state;
    assert_true(one_party("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
    assert_false(one_party("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_true(one_party("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(one_party("192.0.2.1", "192.0.2.2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_in),
        cmocka_unit_test(test_what_is_no_network),
        cmocka_unit_test(test_only_so_many),
        cmocka_unit_test(test_a_household_is_one_party),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
