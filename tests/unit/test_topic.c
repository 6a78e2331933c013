#include "protocol/topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matches), cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
