/* the plugin is a program of its own, and not in the library that tests are linked with */
#include "../../src/broker_plugin/rules.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT_64 "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_."

static const struct {
    const char *username, *product, *device; /* product NULL: refused */
} names[] = {
    {"p/d", "p", "d"},
    {"thermo/aa:bb-01@x_.", "thermo", "aa:bb-01@x_."},
    {TEXT_64 "/" TEXT_64 TEXT_64, TEXT_64, TEXT_64 TEXT_64},
    {TEXT_64 "x/d", NULL, NULL},
    {"p/" TEXT_64 TEXT_64 "x", NULL, NULL},
    {"", NULL, NULL},
    {"/", NULL, NULL},
    {"p/", NULL, NULL},
    {"/d", NULL, NULL},
    {"p", NULL, NULL},
    {"p/d/e", NULL, NULL},
    {"p//d", NULL, NULL},
    {"p/+", NULL, NULL},
    {"#/d", NULL, NULL},
    {"p/..", NULL, NULL},
    {"./d", NULL, NULL},
    {"p/d\n", NULL, NULL},
    {"p/\xc3\xa9", NULL, NULL},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char product[PRODUCT_SIZE], device[DEVICE_SIZE];
        if (rules_split(names[i].username, product, device) != (names[i].product != NULL))
            fail_msg("%s", names[i].username);
        if (names[i].product) {
            assert_string_equal(product, names[i].product);
            assert_string_equal(device, names[i].device);
        }
    }
}

static const struct {
    const char *topic;
    bool publish, hear, subscribe, is_offer;
} topics[] = {
    {"ota/p/d1/inform", true, false, true, false},
    {"ota/p/d1/progress", true, false, true, false},
    {"ota/p/d1/request", true, false, true, false},
    {"ota/p/d1/offer", false, true, true, true},
    {"ota/p/d1/+", false, false, true, true},
    {"ota/p/d1/#", false, false, true, true},
    {"ota/p/d1/offer/#", false, false, true, true},
    {"ota/p/d1/+/#", false, false, true, true},
    {"ota/p/d1/informs", false, false, true, false},
    {"ota/p/d1/inform/x", false, false, true, false},
    {"ota/p/d1/offer/x", false, false, true, false},
    {"ota/p/d1/", false, false, true, false},
    {"ota/p/d1", false, false, false, false},
    {"ota/p/d10/inform", false, false, false, false},
    {"ota/p/d/inform", false, false, false, false},
    {"ota/p/d2/inform", false, false, false, false},
    {"ota/p/d2/offer", false, false, false, false},
    {"ota/q/d1/offer", false, false, false, false},
    {"ota/p/+/offer", false, false, false, false},
    {"ota/+/d1/offer", false, false, false, false},
    {"ota/p/#", false, false, false, false},
    {"#", false, false, false, false},
    {"+/p/d1/offer", false, false, false, false},
    {"$share/g/ota/p/d1/offer", false, false, false, false},
    {"/ota/p/d1/offer", false, false, false, false},
    {"OTA/p/d1/offer", false, false, false, false},
    {"$otad/v1/presence", false, false, false, false},
    {"$CONTROL/otad/v1", false, false, false, false},
    {"", false, false, false, false},
};

static void test_topics(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
        if (rules_may_publish("p/d1", topics[i].topic, false, 10) != topics[i].publish ||
            rules_may_hear("p/d1", topics[i].topic) != topics[i].hear ||
            rules_may_subscribe("p/d1", topics[i].topic) != topics[i].subscribe ||
            rules_is_offer("p/d1", topics[i].topic) != topics[i].is_offer)
            fail_msg("%s", topics[i].topic);
}

static void test_limits(void **state)
{
    (void)state;
    assert_true(rules_may_publish("p/d1", "ota/p/d1/inform", false, 0));
    assert_true(rules_may_publish("p/d1", "ota/p/d1/inform", false, PAYLOAD_MAX));
    assert_false(rules_may_publish("p/d1", "ota/p/d1/inform", false, PAYLOAD_MAX + 1));
    assert_false(rules_may_publish("p/d1", "ota/p/d1/inform", true, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
