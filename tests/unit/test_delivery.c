#include "model/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int qos;
    bool only_subscribed;
    const char *who, *topic, *want;
} heads[] = {
    {1, false, "p/d", "ota/p/d/offer", "D1! p/d ota/p/d/offer\n"},
    {0, false, "/thing", "$aws/things/thing/jobs/notify", "D0! /thing $aws/things/thing/jobs/notify\n"},
    {1, true, "p/d", "t", "D1? p/d t\n"},
    {2, true, "p/d", "t", "D1? p/d t\n"}, /* there is no more than 1 */
};

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        struct delivery d = {.qos = heads[i].qos, .only_subscribed = heads[i].only_subscribed}, back;
        char head[DELIVERY_HEAD_SIZE];
        str_copy(d.who, sizeof d.who, heads[i].who);
        str_copy(d.topic, sizeof d.topic, heads[i].topic);
        size_t n = delivery_head(&d, head);
        assert_int_equal(n, strlen(heads[i].want));
        assert_memory_equal(head, heads[i].want, n);
        assert_true(delivery_parse(head, n, &back));
        assert_int_equal(back.qos, heads[i].qos ? 1 : 0);
        assert_int_equal(back.only_subscribed, heads[i].only_subscribed);
        assert_string_equal(back.who, heads[i].who);
        assert_string_equal(back.topic, heads[i].topic);
        assert_int_equal(back.len, 0);
    }
}

/* Names and topic as long as they may be: it still fits, and comes back whole. */
static void test_longest(void **state)
{
    (void)state;
    struct delivery d = {.qos = 1}, back;
    char head[DELIVERY_HEAD_SIZE];
    memset(d.who, 'w', sizeof d.who - 1);
    memset(d.topic, 't', sizeof d.topic - 1);
    size_t n = delivery_head(&d, head);
    assert_int_equal(n, 4 + sizeof d.who - 1 + 1 + sizeof d.topic - 1 + 1);
    assert_true(delivery_parse(head, n, &back));
    assert_string_equal(back.who, d.who);
    assert_string_equal(back.topic, d.topic);
}

static void test_bytes_stay_as_they_are(void **state)
{
    (void)state;
    static const char bytes[] = "D0! p/d a/b\n\0\n D1! x y\n";
    struct delivery d;
    assert_true(delivery_parse(bytes, sizeof bytes - 1, &d));
    assert_string_equal(d.topic, "a/b");
    assert_int_equal(d.len, sizeof bytes - 1 - 12);
    assert_ptr_equal(d.payload, bytes + 12);
}

#define X64        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_WHO   X64 X64 X64 "xx"
#define LONG_TOPIC X64 X64 X64 X64 X64 X64

static const char *const wrong[] = {
    "",
    "D",
    "D1",
    "D1!",
    "D1! ",
    "D1! p/d",
    "D1! p/d ",
    "D1! p/d t",
    "D1! \n",
    "D1!  t\n",
    "D1! p/d \n",
    "D1!p/d t\n",
    "D1x p/d t\n",
    "D2! p/d t\n",
    "D! p/d t\n",
    "d1! p/d t\n",
    " D1! p/d t\n",
    "{\"op\":\"presence\"}",
    "D1! " LONG_WHO " t\n",
    "D1! p/d " LONG_TOPIC "\n",
};

/* Each in memory of its very length, so that a look behind it is seen. */
static void test_wrong(void **state)
{
    (void)state;
    struct delivery d;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        size_t n = strlen(wrong[i]);
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, wrong[i], n);
        if (delivery_parse(copy, n, &d))
            fail_msg("%s", wrong[i]);
        free(copy);
    }
    assert_false(delivery_parse("D1! p\0d t\n", 10, &d));
    assert_false(delivery_parse("D1! p/d t\0\n", 11, &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_bytes_stay_as_they_are),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
