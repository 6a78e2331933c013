#include "../../src/mqtt/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void add(struct outbox *o, int64_t first, size_t n, bool open, size_t want_dropped)
{
    struct letter *letters = calloc(n, sizeof *letters);
    size_t dropped = 99999;
    for (size_t i = 0; i < n; i++) {
        letters[i].message.payload = malloc(1);
        letters[i].message.len = (size_t)(first + (int64_t)i);
    }
    assert_int_equal(outbox_add(o, letters, n, &dropped), open);
    assert_int_equal(dropped, want_dropped);
    free(letters);
}

static void test_closed(void **state)
{
    (void)state;
    struct outbox o;
    struct letter out;
    outbox_init(&o);
    assert_int_equal(outbox_room(&o), 0);
    add(&o, 1, 3, false, 3);
    assert_false(outbox_take(&o, &out));
    outbox_open(&o);
    assert_int_equal(outbox_room(&o), OUTBOX_ROOM);
    add(&o, 1, 3, true, 0);
    assert_int_equal(outbox_room(&o), OUTBOX_ROOM - 3);
    outbox_close(&o);
    assert_int_equal(outbox_waiting(&o), 0);
    assert_int_equal(outbox_room(&o), 0);
    outbox_open(&o);
    assert_false(outbox_take(&o, &out));
    outbox_free(&o);
}

/* Sent in order, however often the ring has grown and wrapped meanwhile. */
static void test_order(void **state)
{
    (void)state;
    struct outbox o;
    struct letter out;
    int64_t next = 0, taken = 0;
    outbox_init(&o);
    outbox_open(&o);
    for (size_t round = 1; round < 200; round++) {
        add(&o, next, round, true, 0);
        next += (int64_t)round;
        for (size_t i = 0; i < round - 1; i++) {
            assert_true(outbox_take(&o, &out));
            assert_int_equal(out.message.len, taken);
            message_clear(&out.message);
            taken++;
            outbox_sent(&o, -1);
        }
    }
    assert_int_equal(outbox_waiting(&o), next - taken);
    while (outbox_take(&o, &out)) {
        assert_int_equal(out.message.len, taken);
        message_clear(&out.message);
        taken++;
    }
    assert_int_equal(taken, next);
    outbox_free(&o);
}

static void test_window(void **state)
{
    (void)state;
    struct outbox o;
    struct letter out;
    outbox_init(&o);
    outbox_open(&o);
    add(&o, 0, OUTBOX_WINDOW + 5, true, 0);
    for (size_t i = 0; i < OUTBOX_WINDOW; i++) {
        assert_true(outbox_take(&o, &out));
        message_clear(&out.message);
    }
    assert_false(outbox_take(&o, &out));
    assert_int_equal(outbox_room(&o), OUTBOX_ROOM - OUTBOX_WINDOW - 5);
    outbox_sent(&o, -1);
    assert_true(outbox_take(&o, &out));
    assert_int_equal(out.message.len, OUTBOX_WINDOW);
    message_clear(&out.message);
    assert_false(outbox_take(&o, &out));
    outbox_sent(&o, -2 * OUTBOX_WINDOW); /* more than there are: never below nothing */
    assert_int_equal(outbox_waiting(&o), 4);
    outbox_sent(&o, 7);
    assert_int_equal(outbox_waiting(&o), 11);
    outbox_free(&o);
}

/* Who was told that there is no room learns of it once, when there is plenty. */
static void test_room_again(void **state)
{
    (void)state;
    struct outbox o;
    struct letter out;
    outbox_init(&o);
    assert_int_equal(outbox_room(&o), 0);
    assert_false(outbox_is_roomy(&o)); /* the broker is away */
    outbox_open(&o);
    assert_true(outbox_is_roomy(&o));
    assert_false(outbox_is_roomy(&o));
    add(&o, 0, OUTBOX_ROOM - OUTBOX_LEAST, true, 0);
    assert_int_equal(outbox_room(&o), OUTBOX_LEAST);
    assert_false(outbox_is_roomy(&o));
    add(&o, 0, 1, true, 0);
    assert_int_equal(outbox_room(&o), 0); /* a little less is none */
    for (size_t left = OUTBOX_ROOM - OUTBOX_LEAST + 1; left > OUTBOX_ROOM / 2; left--) {
        assert_false(outbox_is_roomy(&o));
        assert_true(outbox_take(&o, &out));
        message_clear(&out.message);
        outbox_sent(&o, -1);
    }
    assert_true(outbox_is_roomy(&o));
    assert_false(outbox_is_roomy(&o));
    assert_int_equal(outbox_room(&o), OUTBOX_ROOM / 2);
    outbox_free(&o);
}

static void test_limit(void **state)
{
    (void)state;
    struct outbox o;
    outbox_init(&o);
    outbox_open(&o);
    add(&o, 0, OUTBOX_MAX - 1, true, 0);
    add(&o, 0, 3, true, 2);
    assert_int_equal(outbox_room(&o), 0);
    assert_int_equal(outbox_waiting(&o), OUTBOX_MAX);
    outbox_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed),     cmocka_unit_test(test_order), cmocka_unit_test(test_window),
        cmocka_unit_test(test_room_again), cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
