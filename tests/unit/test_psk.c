#include "protocol/psk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_DEVICE                                                                                          \
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd" \
    "dddddddddddddddddddddddddddddd"

static const struct {
    const char *identity, *product, *device; /* product NULL: refused */
} identities[] = {
    {"devicename|hmacsha256|a1TestPK001&dev01|2524608000000", "a1TestPK001", "dev01"},
    {"dev01|hmacsha256|a1TestPK001&dev01|2524608000000", "a1TestPK001", "dev01"},
    {"devicename|hmacsha256|p&d|", "p", "d"},
    {"devicename|hmacsha256|p&devicename|1", "p", "devicename"},
    {"d|hmacsha256|p&d|", "p", "d"},
    {"d|hmacsha256|p&d", NULL, NULL},
    {"d|hmacsha256|p&e|1", NULL, NULL},
    {"d|hmacsha256|p&dd|1", NULL, NULL},
    {"dd|hmacsha256|p&d|1", NULL, NULL},
    {"devicenam|hmacsha256|p&d|1", NULL, NULL},
    {"devicenames|hmacsha256|p&d|1", NULL, NULL},
    {"DEVICENAME|hmacsha256|p&d|1", NULL, NULL},
    {"|hmacsha256|p&d|1", NULL, NULL},
    {"devicename|hmacsha256|p&|1", NULL, NULL},
    {"devicename|hmacsha256|&d|1", NULL, NULL},
    {"devicename|hmacsha256|p", NULL, NULL},
    {"devicename|hmacsha256|p&d", NULL, NULL},
    {"devicename|hmacsha256|p&d+|1", NULL, NULL},
    {"devicename|hmacsha256|p&" LONG_DEVICE "|1", NULL, NULL},
    {"devicename|hmacsha256|" LONG_DEVICE "&d|1", NULL, NULL},
    {"d|hmacsha1|p&d|1", NULL, NULL},
    {"d|HMACSHA256|p&d|1", NULL, NULL},
    {"|hmacsha256|p&|1", NULL, NULL},
    {"d|hmacsha256|&d|1", NULL, NULL},
    {"d/x|hmacsha256|p&d/x|1", NULL, NULL},
    {"d|hmacsha256|p+&d|1", NULL, NULL},
    {LONG_DEVICE "|hmacsha256|p&" LONG_DEVICE "|1", NULL, NULL},
    {"d", NULL, NULL},
    {"", NULL, NULL},
    {"|", NULL, NULL},
};

static void test_claim(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(identities); i++) {
        struct login_claim claim = {"?", "?"};
        bool taken = psk_claim(identities[i].identity, &claim);
        assert_int_equal(taken, identities[i].product != NULL);
        assert_string_equal(claim.product, taken ? identities[i].product : "?");
        assert_string_equal(claim.device, taken ? identities[i].device : "?");
    }
}

static void test_key(void **state)
{
    (void)state;
    static const char identity[] = "devicename|hmacsha256|a1TestPK001&dev01|2524608000000";
    struct login_claim claim;
    char key[PSK_KEY_SIZE], long_one[400] = "d|hmacsha256|p&d|";
    assert_true(psk_claim(identity, &claim));
    assert_true(psk_key(identity, &claim, "0123456789abcdef0123456789abcdef", key));
    assert_string_equal(key, "3A7207B5CAEF727B64FE349CAA9273899049E90EF65FABC07DBCA4533947BEA1");
    assert_true(psk_key(identity, &claim, "another", key));
    assert_string_not_equal(key, "3A7207B5CAEF727B64FE349CAA9273899049E90EF65FABC07DBCA4533947BEA1");
    memset(long_one + strlen(long_one), '1', 350);
    assert_true(psk_claim(long_one, &claim));
    assert_false(psk_key(long_one, &claim, "secret", key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_claim), cmocka_unit_test(test_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
