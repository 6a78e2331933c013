#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/version.h"

#include <string.h>

#define D VERSION_DOTTED
#define S VERSION_SEMVER
#define T VERSION_DATE
#define I VERSION_INTEGER

static const struct {
    enum version_scheme scheme;
    const char *text;
    bool valid;
} texts[] = {
    {D, "1", true},
    {D, "1.2.10", true},
    {D, "v1.2", true},
    {D, "V1.2", true},
    {D, "1.2.3.4-rc1", true},
    {D, "1.02.003", true},
    {D, "1.2-rc.01", true},
    {D, "1.2+dirty_tree", true},
    {D, "1.2-rc1+b", true},
    {D, "1.2-5-gabc-dirty", true},
    {D, "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1", true},
    {D, "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1", false},
    {D, "", false},
    {D, "v", false},
    {D, "vv1", false},
    {D, ".1", false},
    {D, "1.", false},
    {D, "1..2", false},
    {D, "1.2-", false},
    {D, "1.2-a..b", false},
    {D, "1.2-rc_1", false},
    {D, "1.2rc1", false},
    {D, "1.x", false},
    {D, "-1", false},
    {D, "+1", false},
    {D, " 1.2", false},
    {D, "1.2 ", false},
    {S, "1.2.3", true},
    {S, "v1.2.3", true},
    {S, "0.0.0", true},
    {S, "1.2.3-alpha.1", true},
    {S, "1.2.3-0a.x-y", true},
    {S, "1.2.3--", true},
    {S, "1.2.3+001", true},
    {S, "1.2.3-a+b.c-d", true},
    {S, "1.2", false},
    {S, "1.2.3.4", false},
    {S, "01.2.3", false},
    {S, "1.02.3", false},
    {S, "1.2.03", false},
    {S, "1.2.3-01", false},
    {S, "1.2.3-", false},
    {S, "1.2.3+", false},
    {S, "1.2.3+a..b", false},
    {S, "1.2.3+a+b", false},
    {S, "1.2.3-a.", false},
    {T, "2026-11-21", true},
    {T, "20261121", true},
    {T, "2026.11.21", true},
    {T, "2026.11.21.3", true},
    {T, "2026-11-21.0", true},
    {T, "20261121.12", true},
    {T, "v20261121", true},
    {T, "2024-02-29", true},
    {T, "2000-02-29", true},
    {T, "2026-02-29", false},
    {T, "2100-02-29", false},
    {T, "2026-04-30", true},
    {T, "2026-04-31", false},
    {T, "2026-12-31", true},
    {T, "2026-13-01", false},
    {T, "2026-00-01", false},
    {T, "2026-01-00", false},
    {T, "2026-1-1", false},
    {T, "2026-11.21", false},
    {T, "2026/11/21", false},
    {T, "2026", false},
    {T, "2026-", false},
    {T, "2026-11", false},
    {T, "2026-11-", false},
    {T, "2026-11-2", false},
    {T, "2026-11-211", false},
    {T, "2026-11-21.", false},
    {T, "2026-11-21.x", false},
    {T, "2026-11-21.1.2", false},
    {T, "2026-11-21-1", false},
    {T, "202611211", false},
    {T, "2026112", false},
    {T, "", false},
    {I, "0", true},
    {I, "42", true},
    {I, "v42", true},
    {I, "007", true},
    {I, "99999999999999999999999999", true},
    {I, "", false},
    {I, "-1", false},
    {I, "1.0", false},
    {I, "1a", false},
    {I, "0x1", false},
};

static void what_follows_a_scheme(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (version_valid(texts[i].scheme, texts[i].text) != texts[i].valid)
            fail_msg("%s \"%s\"", version_scheme_name(texts[i].scheme), texts[i].text);
}

static const struct {
    enum version_scheme scheme;
    const char *a, *b;
    int order;
} pairs[] = {
    {D, "1.2.9", "1.2.10", -1},
    {D, "1.2", "1.2.0", 0},
    {D, "1.2", "1.2.0.1", -1},
    {D, "1.2", "v1.2.0", 0},
    {D, "1.02", "1.2", 0},
    {D, "1.010", "1.9", 1},
    {D, "1.00", "1", 0},
    {D, "2", "1.99.99", 1},
    {D, "1.2-rc1", "1.2", -1},
    {D, "1.2-rc1", "1.2.0", -1},
    {D, "1.2.0-rc1", "1.1.9", 1},
    {D, "1.2-rc1", "1.2-rc2", -1},
    {D, "1.2-rc.2", "1.2-rc.10", -1},
    {D, "1.2-rc.02", "1.2-rc.2", 0},
    {D, "1.2+a", "1.2+b", 0},
    {D, "1.2-rc1+b", "1.2-rc1", 0},
    {D, "18446744073709551616", "18446744073709551615", 1},
    {D, "1.18446744073709551616", "1.0", 1},
    {D, "100000000000000000000000", "99999999999999999999999", 1},
    /* semver 2.0.0 clause 11, its own chain */
    {S, "1.0.0-alpha", "1.0.0-alpha.1", -1},
    {S, "1.0.0-alpha.1", "1.0.0-alpha.beta", -1},
    {S, "1.0.0-alpha.beta", "1.0.0-beta", -1},
    {S, "1.0.0-beta", "1.0.0-beta.2", -1},
    {S, "1.0.0-beta.2", "1.0.0-beta.11", -1},
    {S, "1.0.0-beta.11", "1.0.0-rc.1", -1},
    {S, "1.0.0-rc.1", "1.0.0", -1},
    {S, "1.0.0", "2.0.0", -1},
    {S, "2.0.0", "2.1.0", -1},
    {S, "2.1.0", "2.1.1", -1},
    {S, "1.0.0-9", "1.0.0-a", -1},
    {S, "1.0.0-A", "1.0.0-a", -1},
    {S, "1.0.0-a", "1.0.0-ab", -1},
    {S, "1.0.0-1-", "1.0.0-2", 1}, /* "1-" is a word, and words come after numbers */
    {S, "1.0.0+a", "1.0.0+b", 0},
    {S, "v1.0.0", "1.0.0", 0},
    {T, "2026-11-21", "20261121", 0},
    {T, "2026-11-21", "2026.11.21.0", 0},
    {T, "2026-11-21", "2026-11-22", -1},
    {T, "2026-11-30", "2026-12-01", -1},
    {T, "2026-12-31", "2027-01-01", -1},
    {T, "2026-11-21", "2026-11-21.1", -1},
    {T, "2026-11-21.9", "2026-11-21.10", -1},
    {T, "0999-11-21", "2026-11-21", -1},
    {I, "9", "10", -1},
    {I, "010", "10", 0},
    {I, "0", "00", 0},
    {I, "0", "1", -1},
    {I, "99999999999999999999", "100000000000000000000", -1},
};

static int sign_of(int n)
{
    return (n > 0) - (n < 0);
}

static void which_is_newer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        int there = 99, back = 99;
        if (!version_compare(pairs[i].scheme, pairs[i].a, pairs[i].b, &there) ||
            !version_compare(pairs[i].scheme, pairs[i].b, pairs[i].a, &back) ||
            sign_of(there) != pairs[i].order || sign_of(back) != -pairs[i].order)
            fail_msg("%s %s %s: %d %d", version_scheme_name(pairs[i].scheme), pairs[i].a, pairs[i].b, there,
                     back);
    }
}

static void what_follows_no_scheme_is_only_equal_to_itself(void **state)
{
    (void)state;
    int order = 99;
    assert_true(version_compare(D, "nightly", "nightly", &order));
    assert_int_equal(order, 0);
    order = 99;
    assert_false(version_compare(D, "nightly", "1.0", &order));
    assert_false(version_compare(D, "1.0", "nightly", &order));
    assert_false(version_compare(D, "nightly", "Nightly", &order));
    assert_false(version_compare(S, "1.0", "1.0.0", &order));
    assert_int_equal(order, 99);
}

static void schemes_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"dotted", "semver", "date", "integer"};
    assert_int_equal(ARRAY_SIZE(names), VERSION_SCHEMES);
    for (int i = 0; i < VERSION_SCHEMES; i++) {
        assert_string_equal(version_scheme_name((enum version_scheme)i), names[i]);
        assert_int_equal(version_scheme_parse(names[i]), i);
    }
    static const char *const wrong[] = {"", "dot", "Dotted", "dotted ", "integers"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(version_scheme_parse(wrong[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_a_scheme),
        cmocka_unit_test(which_is_newer),
        cmocka_unit_test(what_follows_no_scheme_is_only_equal_to_itself),
        cmocka_unit_test(schemes_by_name),
    };
    return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
