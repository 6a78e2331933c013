#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/version_range.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define D VERSION_DOTTED
#define S VERSION_SEMVER
#define T VERSION_DATE
#define I VERSION_INTEGER

/* why NULL: a range; else what the refusal says. */
static const struct {
    enum version_scheme scheme;
    const char *text, *why;
} texts[] = {
    {D, "1", NULL},
    {D, ">=1.0.0 <1.2.0", NULL},
    {D, "=1 ==1 !=2 >0 >=1 <2 <=1", NULL},
    {D, "  >=  1.0   <2 ", NULL},
    {D, "1.0 || 1.2 || >=2", NULL},
    {D, "1.0||1.2", NULL},
    {D, "v1.2 || V1.3-rc1+b", NULL},
    {D, "", "a range of versions is empty"},
    {D, "   ", "a range of versions is empty"},
    {D, "||", "beside || stands no version"},
    {D, "1 ||", "beside || stands no version"},
    {D, " || 1", "beside || stands no version"},
    {D, "1 || || 2", "beside || stands no version"},
    {D, "1 || 2 || x", "x is no version of scheme dotted"},
    {D, "1 | 2", "| is no version of scheme dotted"},
    {D, "1 ||| 2", "| is no version of scheme dotted"},
    {D, "nightly", "nightly is no version of scheme dotted"},
    {D, ">=1.x", "1.x is no version of scheme dotted"},
    {D, "1.0<2.0", "1.0<2.0 is no version of scheme dotted"},
    {D, "1.0,2.0", "1.0,2.0 is no version of scheme dotted"},
    {D, "1.0 - 2.0", "- is no version of scheme dotted"},
    {D, "1\t2", "1?2 is no version of scheme dotted"},
    {D, "\xff", "? is no version of scheme dotted"},
    {D, "*", "* is no version of scheme dotted"},
    {D, ">=", "no version stands behind >="},
    {D, "1 <", "no version stands behind <"},
    {D, ">= || 1", "no version stands behind >="},
    {D, ">= <2", "<2 is no version of scheme dotted"},
    {D, "=>1", "=> is no operator of a range: those are = == != > >= < <="},
    {D, "===1", "=== is no operator"},
    {D, "!1", "! is no operator"},
    {D, "<>1", "<> is no operator"},
    {D, "~1.2", "~ is no operator"},
    {D, "^1.2", "^ is no operator"},
    {S, ">=1.0.0-alpha.1 <2.0.0", NULL},
    {S, ">=1.0", "1.0 is no version of scheme semver"},
    {S, "01.2.3", "01.2.3 is no version of scheme semver"},
    {T, ">=2026-11-21 <20270101.2", NULL},
    {T, ">2026-02-30", "2026-02-30 is no version of scheme date"},
    {I, ">7 || 3", NULL},
    {I, ">7.1", "7.1 is no version of scheme integer"},
    {I, "-1", "-1 is no version of scheme integer"},
};

static void what_is_a_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct err e = {0};
        int rc = version_range_check(texts[i].scheme, texts[i].text, &e);
        if (rc != (texts[i].why ? -ERR_INVALID : 0) || (rc && !strstr(e.text, texts[i].why)))
            fail_msg("\"%s\": %d %s", texts[i].text, rc, e.text);
    }
}

/* Each row: versions that are in the range, and versions that are not, each in words. */
static const struct {
    enum version_scheme scheme;
    const char *range, *in, *out;
} members[] = {
    {D, "1.2", "1.2 1.2.0 v1.2 1.2+b", "1.2.1 1.1 1.2-rc1"},
    {D, "=1.2", "1.2 1.2.0", "1.2.1 1.1"},
    {D, "==1.2", "1.2 1.2.0", "1.2.1 1.1"},
    {D, "!=1.2", "1.2.1 1.1 1.2-rc1", "1.2 1.2.0"},
    {D, ">1.2", "1.2.1 1.3-rc1 10", "1.2 1.2.0 1.2-rc1 1.1"},
    {D, ">=1.2", "1.2 1.2.0 1.10", "1.2-rc1 1.1.9"},
    {D, "<1.2", "1.1.9 1.2-rc1 0", "1.2 1.2.0 1.2.1"},
    {D, "<=1.2", "1.2 1.1 1.2-rc1", "1.2.0.1 1.3"},
    {D, ">= 1.0.0   <1.2.0", "1.0.0 1.1.9 1.2-rc1", "1.2.0 1.0-rc1 0.9 2"},
    {D, "v1.0 || >=2 <3 !=2.5", "1.0 V1 2 2.4.9 2.6", "1.1 2.5 2.5.0 3 0"},
    {D, ">=2 <1", "", "0 1 1.5 2 3"},
    {D, "1||2", "1 2", "0 1.5 3"},
    {D, ">=1", "1 2", "nightly 1.x 1.2-a_b"},
    {D, "!=1", "2", "nightly"},
    {D, "nightly", "", "nightly 1"},
    {D, ">=1 || nightly", "", "1 nightly"},
    {D, ">=1 ||", "", "1"},
    {D, ">100000000000000000000000", "100000000000000000000001", "99999999999999999999999"},
    {S, ">=1.0.0-alpha.1 <1.0.0", "1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-rc.1", "1.0.0-alpha 1.0.0 1.0"},
    {S, ">=1.0.0", "1.0.0 1.0.0+b v1.2.3 1.0.1-rc.1", "1.0.0-rc.1 1 1.1 2.0"},
    {S, "1.0", "", "1.0 1.0.0"},
    {T, ">=2026-11-21 <2027.01.01", "2026-11-21 20261121 2026.12.31.4", "2026-11-20.9 20270101 2026 nightly"},
    {T, ">20261121", "2026-11-21.1 2026-11-22", "2026-11-21 2026-11-21.0"},
    {I, ">=9 !=11 <=12", "9 10 012 v12", "8 11 13 9.5 -10"},
};

static const char *next_word(const char **list, char word[64])
{
    int taken = 0;
    if (sscanf(*list, " %63s%n", word, &taken) != 1)
        return NULL;
    *list += taken;
    return word;
}

static void what_is_in_a_range(void **state)
{
    char word[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        for (int in = 0; in < 2; in++)
            for (const char *list = in ? members[i].in : members[i].out; next_word(&list, word);)
                if (version_range_has(members[i].scheme, members[i].range, word) != in)
                    fail_msg("%s in \"%s\": expected %d", word, members[i].range, in);
}

static void nothing_required(void **state)
{
    (void)state;
    assert_true(version_range_has(D, "", "1.0"));
    assert_true(version_range_has(D, "", "nightly"));
    assert_true(version_range_has(D, "", ""));
    assert_false(version_range_has(D, ">=0", ""));
    assert_false(version_range_has(D, "<1", ""));
    assert_false(version_range_has(D, " ", "1"));
    assert_true(version_range_below(D, "", "1.0"));
    assert_false(version_range_below(D, "", "nightly"));
}

static const struct {
    enum version_scheme scheme;
    const char *range, *version;
    bool below;
} belows[] = {
    {D, ">=1.4.0", "1.5.0", true},
    {D, ">=1.5.0", "1.4.0", false},
    {D, ">=1.4.0", "1.4.0", false},
    {D, ">=1.4", "1.4.0", false},
    {D, ">=1.4.0", "1.4.0.1", true},
    {D, ">1.4.0", "1.4.0", false},
    {D, ">1.4.0", "1.5.0", true},
    {D, "1.4.0", "1.4.0", false},
    {D, "1.3.9", "1.4.0", true},
    {D, "==1.4.0", "1.4.0", false},
    {D, ">=1.4.0-rc1", "1.4.0", true},
    {D, ">=1.4.0", "1.4.0-rc1", false},
    {D, "<1.0", "2.0", true},
    {D, "<=9", "2.0", true},
    {D, "!=1.0", "2.0", true},
    {D, ">=1 <2", "9", true},
    {D, ">=2 <1", "9", false},
    {D, ">1 <1", "9", false},
    {D, ">=1 <1", "9", false},
    {D, ">=1 <=1", "9", true},
    {D, ">=1 <=1 !=1.0", "9", false},
    {D, "1 2", "9", false},
    {D, "1 1.0", "9", true},
    {D, "1 !=1", "9", false},
    {D, ">=1 >=3 <5", "3", false},
    {D, ">=1 >=3 <5", "4", true},
    {D, ">=2 <1 || 3", "9", true},
    {D, ">=2 <1 || 3", "3", false},
    {D, ">=5 || <1", "4", true},
    {D, ">=5 || 4", "4", false},
    {D, ">=1", "nightly", false},
    {D, ">=1", "", false},
    {D, "nightly", "2", false},
    {D, "0 || nightly", "2", false},
    {S, ">=1.0.0-rc.1", "1.0.0", true},
    {S, ">=1.0.0", "1.0.0+b", false},
    {S, ">=1.0", "2.0.0", false},
    {T, ">=2026-11-21", "20261121", false},
    {T, ">=2026-11-21", "2026.11.21.1", true},
    {I, ">=9", "10", true},
    {I, ">=10", "9", false},
};

static void what_is_below(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(belows); i++)
        if (version_range_below(belows[i].scheme, belows[i].range, belows[i].version) != belows[i].below)
            fail_msg("below %s in \"%s\": expected %d", belows[i].version, belows[i].range, belows[i].below);
}

static void very_long_text(void **state)
{
    static char text[200000];
    struct err e;
    (void)state;
    memset(text, '1', RANGE_SIZE - 1);
    assert_int_equal(version_range_check(I, text, &e), 0);
    assert_true(version_range_has(I, text, text));
    assert_false(version_range_has(I, text, "1"));
    assert_true(version_range_below(I, ">1", text));
    text[RANGE_SIZE - 1] = '1';
    assert_int_equal(version_range_check(I, text, &e), -ERR_INVALID);
    assert_string_equal(e.text, "a range of versions has at most 128 bytes");
    assert_false(version_range_has(I, text, text));
    memset(text, '1', sizeof text - 1);
    assert_int_equal(version_range_check(I, text, &e), -ERR_INVALID);
    assert_true(version_range_has(I, ">1", text));
    assert_false(version_range_has(I, text, text));
    assert_false(version_range_below(I, text, text));
    for (size_t i = 0; i < RANGE_SIZE - 1; i++)
        text[i] = "1 "[i % 2];
    text[RANGE_SIZE - 1] = '\0';
    assert_int_equal(version_range_check(I, text, &e), 0);
    assert_true(version_range_has(I, text, "1"));
    memset(text, '=', RANGE_SIZE - 1);
    assert_int_equal(version_range_check(I, text, &e), -ERR_INVALID);
    memset(text, '|', RANGE_SIZE - 1);
    assert_int_equal(version_range_check(I, text, &e), -ERR_INVALID);
}

/* ---- ranges made at random, beside their meaning as it was made */

enum { ALTERNATIVES = 2, COMPARATORS = 4 };

struct made {
    size_t alternatives, comparators[ALTERNATIVES];
    struct {
        size_t op;
        const char *version;
    } c[ALTERNATIVES][COMPARATORS];
    char text[RANGE_SIZE];
};

static const char *const signs[] = {"", "=", "==", "!=", ">", ">=", "<", "<="};

static size_t pick(size_t n)
{
    return (size_t)rand() % n;
}

static bool suits(size_t op, int order)
{
    switch (op) {
    case 3:
        return order != 0;
    case 4:
        return order > 0;
    case 5:
        return order >= 0;
    case 6:
        return order < 0;
    case 7:
        return order <= 0;
    default:
        return order == 0;
    }
}

static void make(struct made *m, const char *const pool[], size_t n)
{
    static const char *const blanks[] = {"", " ", "  "};
    size_t at = 0;
    m->alternatives = 1 + pick(ALTERNATIVES);
    for (size_t a = 0; a < m->alternatives; a++) {
        at += (size_t)snprintf(m->text + at, sizeof m->text - at, "%s", a ? "||" : blanks[pick(3)]);
        m->comparators[a] = 1 + pick(COMPARATORS);
        for (size_t k = 0; k < m->comparators[a]; k++) {
            m->c[a][k].op = pick(ARRAY_SIZE(signs));
            m->c[a][k].version = pool[pick(n)];
            at += (size_t)snprintf(m->text + at, sizeof m->text - at, "%s%s%s%s", k ? " " : blanks[pick(2)],
                                   signs[m->c[a][k].op], *signs[m->c[a][k].op] ? blanks[pick(2)] : "",
                                   m->c[a][k].version);
        }
    }
    assert_true(at < sizeof m->text);
}

static bool means(const struct made *m, enum version_scheme scheme, const char *version)
{
    for (size_t a = 0; a < m->alternatives; a++) {
        bool all = true;
        for (size_t k = 0; k < m->comparators[a]; k++) {
            int order;
            assert_true(version_compare(scheme, version, m->c[a][k].version, &order));
            all = all && suits(m->c[a][k].op, order);
        }
        if (all)
            return true;
    }
    return false;
}

static void has_is_what_comparing_says(void **state)
{
    static const char *const pools[VERSION_SCHEMES][8] = {
        [D] = {"1", "v1.0", "1.2", "1.2-a", "1.2-1", "0.9", "1.10", "2"},
        [S] = {"1.0.0", "v1.0.0", "1.0.0-a", "1.0.0-2", "1.0.0-10", "1.0.1", "0.9.9", "1.0.0+b"},
        [T] = {"20261121", "20261121.1", "20261121.2", "20261122", "20270101", "v20251231", "2026.11.21",
               "20261130"},
        [I] = {"0", "1", "01", "2", "v2", "9", "10", "11"},
    };
    struct made m;
    struct err e;
    (void)state;
    srand(1);
    for (int round = 0; round < 40000; round++) {
        enum version_scheme scheme = (enum version_scheme)(round % VERSION_SCHEMES);
        const char *const *pool = pools[scheme];
        make(&m, pool, ARRAY_SIZE(pools[0]));
        assert_int_equal(version_range_check(scheme, m.text, &e), 0);
        for (size_t i = 0; i < ARRAY_SIZE(pools[0]); i++)
            if (version_range_has(scheme, m.text, pool[i]) != means(&m, scheme, pool[i]))
                fail_msg("%s in \"%s\": expected %d", pool[i], m.text, means(&m, scheme, pool[i]));
    }
}

/* Bounds and the version are even, so that a version stands between any two of them, and one below the least.
 */
static void below_is_what_searching_finds(void **state)
{
    static const char *const even[] = {"2", "4", "6", "8"};
    static const char *const all[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};
    struct made m;
    (void)state;
    srand(2);
    for (int round = 0; round < 40000; round++) {
        make(&m, even, ARRAY_SIZE(even));
        bool found = false;
        for (size_t i = 0; i + 1 < ARRAY_SIZE(all); i++) {
            found = found || means(&m, I, all[i]);
            if (i % 2 == 0 && version_range_below(I, m.text, all[i + 1]) != found)
                fail_msg("below %s in \"%s\": expected %d", all[i + 1], m.text, found);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_range),
        cmocka_unit_test(what_is_in_a_range),
        cmocka_unit_test(nothing_required),
        cmocka_unit_test(what_is_below),
        cmocka_unit_test(very_long_text),
        cmocka_unit_test(has_is_what_comparing_says),
        cmocka_unit_test(below_is_what_searching_finds),
    };
    return cmocka_run_group_tests_name("version_range", tests, NULL, NULL);
}
