#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/mqtt/drops.h"
#include "model/board.h"

#include <string.h>

static bool take(struct drops *d, const char *text, int64_t now_ms)
{
    return drops_take(d, text, strlen(text), now_ms);
}

static void the_number_of_the_broker_is_shown(void **state)
{
    (void)state;
    struct drops d = {0};
    char text[100];
    drops_text(&d, text, sizeof text);
    assert_string_equal(text, "ok");
    assert_false(take(&d, "0", 1));
    assert_true(take(&d, "17", 1));
    assert_false(take(&d, "17", 2));
    assert_int_equal(board_value(BOARD_MQTT_DROPPED), 17);
    drops_text(&d, text, sizeof text);
    assert_non_null(strstr(text, " 17 "));
    assert_true(take(&d, "3", 3)); /* it has started again */
    assert_int_equal(board_value(BOARD_MQTT_DROPPED), 3);
}

static void what_is_no_number_changes_nothing(void **state)
{
    (void)state;
    struct drops d = {0};
    static const char *const rows[] = {
        "", " ", "-1", "x", "1.5", "9223372036854775808", "00000000000000000000000000001"};
    assert_true(take(&d, "5", 1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_false(take(&d, rows[i], 2));
    assert_int_equal(d.value, 5);
}

static void the_log_hears_of_it_once_a_minute(void **state)
{
    (void)state;
    struct drops d = {0};
    take(&d, "5", 1);
    assert_int_equal(d.said, 5);
    take(&d, "9", DROPS_SAID_MS);
    assert_int_equal(d.said, 5);
    take(&d, "9", DROPS_SAID_MS + 1);
    assert_int_equal(d.said, 9);
    take(&d, "2", 2 * DROPS_SAID_MS + 1);
    assert_int_equal(d.said, 2);
    take(&d, "0", 9 * DROPS_SAID_MS);
    assert_int_equal(d.said, 0);
}

static void a_foreign_broker_that_hangs_up_over_it_is_not_asked_again(void **state)
{
    (void)state;
    static const struct {
        bool foreign, asked, answered, unwanted;
    } rows[] = {{true, true, false, true},
                {true, true, true, false},
                {true, false, false, false},
                {false, true, false, false},
                {false, false, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct drops d = {.asked = rows[i].asked, .answered = rows[i].answered};
        drops_close(&d, rows[i].foreign);
        assert_int_equal(d.unwanted, rows[i].unwanted);
        assert_false(d.asked || d.answered);
        drops_close(&d, rows[i].foreign);
        assert_int_equal(d.unwanted, rows[i].unwanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_number_of_the_broker_is_shown),
        cmocka_unit_test(what_is_no_number_changes_nothing),
        cmocka_unit_test(the_log_hears_of_it_once_a_minute),
        cmocka_unit_test(a_foreign_broker_that_hangs_up_over_it_is_not_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
