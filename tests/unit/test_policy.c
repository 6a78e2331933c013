#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "rollout/campaign.h"

#include <stdlib.h>
#include <string.h>

static json_t *object(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void test_defaults(void **state)
{
    (void)state;
    struct policy p, parsed;
    struct err e;
    policy_defaults(&p);
    assert_int_equal(p.offer_timeout_ms, 86400000);
    assert_int_equal(p.finish_timeout_ms, 3600000);
    assert_int_equal(p.rollback_confirm_ms, 60000);
    assert_int_equal(p.max_attempts, 3);
    assert_false(p.allow_downgrade);
    assert_true(p.retry_on & 1u << REASON_DOWNLOAD);
    assert_false(p.retry_on & 1u << REASON_REJECTED);
    assert_int_equal(policy_parse(NULL, &parsed, &e), 0);
    assert_memory_equal(&p, &parsed, sizeof p);
}

static void test_values(void **state)
{
    (void)state;
    struct policy p;
    struct err e;
    json_t *o = object("{\"offer_timeout\":\"2h\",\"max_attempts\":7,\"allow_downgrade\":true,"
                       "\"retry_on\":[\"verify\",\"timed_out\"],\"retry_after\":\"0s\"}");
    assert_int_equal(policy_parse(o, &p, &e), 0);
    json_decref(o);
    assert_int_equal(p.offer_timeout_ms, 7200000);
    assert_int_equal(p.finish_timeout_ms, 3600000);
    assert_int_equal(p.max_attempts, 7);
    assert_true(p.allow_downgrade);
    assert_int_equal(p.retry_after_ms, 0);
    assert_int_equal(p.retry_on, 1u << REASON_VERIFY | 1u << REASON_TIMED_OUT);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } table[] = {
        {"{\"offer_timeout\":\"0s\"}", "policy.offer_timeout"},
        {"{\"offer_timeout\":\"366d\"}", "policy.offer_timeout"},
        {"{\"offer_timeout\":3600}", "policy.offer_timeout"},
        {"{\"max_attempts\":0}", "policy.max_attempts"},
        {"{\"max_attempts\":1001}", "policy.max_attempts"},
        {"{\"max_attempts\":1.5}", "policy.max_attempts"},
        {"{\"max_attempts\":\"3\"}", "policy.max_attempts"},
        {"{\"allow_downgrade\":1}", "policy.allow_downgrade"},
        {"{\"retry_on\":\"verify\"}", "policy.retry_on"},
        {"{\"retry_on\":[\"weather\"]}", "policy.retry_on"},
        {"{\"retry_on\":[\"already_installed\"]}", "policy.retry_on"},
        {"{\"retry_on\":[3]}", "policy.retry_on"},
        {"{\"max_atempts\":3}", "policy.max_atempts"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct policy p = {.max_attempts = 4711};
        struct err e = {0};
        json_t *o = object(table[i].text);
        assert_int_equal(policy_parse(o, &p, &e), -ERR_INVALID);
        assert_string_equal(e.field, table[i].field);
        assert_int_equal(p.max_attempts, 4711);
        json_decref(o);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct policy p, back;
    struct err e;
    policy_defaults(&p);
    p.offer_timeout_ms = 90000; /* 90s: no larger unit says it exactly */
    p.retry_after_ms = 7200000;
    p.retry_on = 1u << REASON_BOOT;
    json_t *o = policy_json(&p);
    assert_string_equal(json_string_value(json_object_get(o, "offer_timeout")), "90s");
    assert_string_equal(json_string_value(json_object_get(o, "retry_after")), "2h");
    assert_string_equal(json_string_value(json_object_get(o, "health_hold_off")), "0s");
    char *text = json_text(o);
    assert_int_equal(policy_load(text, &back, &e), 0);
    assert_memory_equal(&p, &back, sizeof p);
    free(text);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
