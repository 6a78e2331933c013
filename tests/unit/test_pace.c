#include "../../src/broker_plugin/pace.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int allowed(struct pace *p, int64_t now_ms, int asks)
{
    int n = 0;
    for (int i = 0; i < asks; i++)
        n += pace_allows(p, now_ms);
    return n;
}

static void test_pace(void **state)
{
    (void)state;
    struct pace p = {0};
    int64_t now_ms = 1000000;
    assert_int_equal(allowed(&p, now_ms, 5000), PACE_BURST);
    assert_int_equal(allowed(&p, now_ms, 1), 0);
    assert_int_equal(allowed(&p, now_ms + 1, 5), PACE_PER_MS);
    assert_int_equal(allowed(&p, now_ms + 101, 5000), 100 * PACE_PER_MS); /* what was refused costs nothing */
    assert_int_equal(allowed(&p, now_ms + 1000000, 5000), PACE_BURST);
}

/* One ask a millisecond goes on for ever. */
static void test_steady(void **state)
{
    (void)state;
    struct pace p = {0};
    for (int64_t now_ms = 5; now_ms < 20000; now_ms++)
        assert_int_equal(allowed(&p, now_ms, PACE_PER_MS), PACE_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pace), cmocka_unit_test(test_steady)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
