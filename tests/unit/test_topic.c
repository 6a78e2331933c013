#include "protocol/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

static const struct {
    const char *filter, *name;
    bool matches;
} matches[] = {
    {"ota/p/d/offer", "ota/p/d/offer", true},
    {"ota/p/d/offer", "ota/p/d/offers", false},
    {"ota/p/d/offer", "ota/p/d/offe", false},
    {"ota/p/d/offer", "ota/p/d", false},
    {"ota/p/d/offer", "ota/p/d/offer/x", false},
    {"ota/p/d/offer", "ota/p/d/offer/", false},
    {"ota/+/+/inform", "ota/p/d/inform", true},
    {"ota/+/+/inform", "ota//d/inform", true},
    {"ota/+/+/inform", "ota/p/inform", false},
    {"ota/+/+/inform", "ota/p/d/e/inform", false},
    {"ota/+/+/inform", "/ota/p/d/inform", false},
    {"/ota/device/progress/+/+", "/ota/device/progress/pk/dn", true},
    {"ota/device/progress/+/+", "/ota/device/progress/pk/dn", false},
    {"#", "a", true},
    {"#", "a/b", true},
    {"#", "$aws/x", false},
    {"+/x", "$aws/x", false},
    {"$aws/#", "$aws/x/y", true},
    {"$aws/+", "$aws/x", true},
    {"a/#", "a", true},
    {"a/#", "ab", false},
    {"a/#", "a/", true},
    {"a/+", "a/", true},
    {"a/+", "a", false},
    {"+", "a", true},
    {"+", "a/b", false},
    {"+", "", true},
    {"a/b/#", "a", false},
    {"a+", "ab", false},
};

static void test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof matches / sizeof *matches; i++)
        if (topic_matches(matches[i].filter, matches[i].name) != matches[i].matches)
            fail_msg("%s on %s", matches[i].filter, matches[i].name);
}

static const struct {
    const char *name;
    size_t level;
    const char *want; /* NULL: there is none, or it does not fit four bytes and the end */
} levels[] = {
    {"a/bc/d", 0, "a"},    {"a/bc/d", 1, "bc"}, {"a/bc/d", 2, "d"},      {"a/bc/d", 3, NULL},
    {"/x", 0, ""},         {"/x", 1, "x"},      {"x/", 1, ""},           {"x/", 2, NULL},
    {"", 0, ""},           {"", 1, NULL},       {"a/bcde/f", 1, "bcde"}, {"a/bcdef/g", 1, NULL},
    {"a/bcdef/g", 2, "g"},
};

static void test_levels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char out[5] = "????";
        assert_int_equal(topic_level(levels[i].name, levels[i].level, out, sizeof out),
                         levels[i].want != NULL);
        if (levels[i].want)
            assert_string_equal(out, levels[i].want);
    }
    assert_int_equal(topic_levels(""), 1);
    assert_int_equal(topic_levels("a/b"), 2);
    assert_int_equal(topic_levels("/a/b/"), 4);
}

/* ---- what a device may use: product "pk", device "dn" */

static const char *const mqtt_like[] = {"ota/%p/%d/inform", "/sys/%p/%d/#", "/ota/device/+/%p/%d", NULL};
static const char *const thing_like[] = {"$aws/things/%d/jobs/+/get", "%d%d/x", "%p", NULL};

static const struct {
    const char *const *patterns;
    const char *name;
    bool want;
} rules[] = {
    {mqtt_like, "ota/pk/dn/inform", true},
    {mqtt_like, "ota/pk/dn/infor", false},
    {mqtt_like, "ota/pk/dn/inform/", false},
    {mqtt_like, "ota/pk/dn", false},
    {mqtt_like, "ota/pk/dn2/inform", false},
    {mqtt_like, "ota/pk2/dn/inform", false},
    {mqtt_like, "ota/%p/%d/inform", false},
    {mqtt_like, "ota/+/dn/inform", false},
    {mqtt_like, "ota/pk/+/inform", false},
    {mqtt_like, "ota/#", false},
    {mqtt_like, "#", false},
    {mqtt_like, "", false},
    {mqtt_like, "/sys/pk/dn/thing", true},
    {mqtt_like, "/sys/pk/dn/thing/file/download", true},
    {mqtt_like, "/sys/pk/dn/#", true},
    {mqtt_like, "/sys/pk/dn/+/x", true},
    {mqtt_like, "/sys/pk/dn", false},
    {mqtt_like, "/sys/pk/#", false},
    {mqtt_like, "sys/pk/dn/thing", false},
    {mqtt_like, "/ota/device/upgrade/pk/dn", true},
    {mqtt_like, "/ota/device/+/pk/dn", true},
    {mqtt_like, "/ota/device/#/pk/dn", false},
    {mqtt_like, "/ota/device/#", false},
    {mqtt_like, "/ota/device/upgrade/pk/dn/x", false},
    {thing_like, "$aws/things/dn/jobs/$next/get", true},
    {thing_like, "$aws/things/dn/jobs/+/get", true},
    {thing_like, "$aws/things/pk/jobs/1/get", false},
    {thing_like, "%d%d/x", true}, /* only a whole level stands for a name */
    {thing_like, "dndn/x", false},
    {thing_like, "pk", true},
    {thing_like, "dn", false},
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (topic_fits(rules[i].patterns, rules[i].name, "pk", "dn") != rules[i].want)
            fail_msg("%s: not %d", rules[i].name, rules[i].want);
}

static void test_brings(void **state)
{
    (void)state;
    static const char *const offers[] = {"/ota/device/upgrade/%p/%d", "$aws/things/%d/notify", NULL};
    static const struct {
        const char *filter;
        bool want;
    } rows[] = {
        {"/ota/device/upgrade/pk/dn", true},
        {"/ota/device/+/pk/dn", true},
        {"/ota/#", true},
        {"#", true},
        {"/ota/device/request/pk/dn", false},
        {"+/#", true},
        {"$aws/things/dn/notify", true},
        {"$aws/things/dn/#", true},
        {"$aws/things/dn/other", false},
        {"/ota/device/upgrade/pk/dn2", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (topic_brings(rows[i].filter, offers, "pk", "dn") != rows[i].want)
            fail_msg("%s: not %d", rows[i].filter, rows[i].want);
    /* a name that does not fit the longest topic brings nothing, and breaks nothing */
    char name[TOPIC_SIZE + 1];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(topic_brings("#", (const char *const[]){"%d/%d", NULL}, "p", name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matches), cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_rules), cmocka_unit_test(test_brings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
