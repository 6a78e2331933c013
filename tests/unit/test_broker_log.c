/* A part of the room mqtt that its broker alone uses: its source is part of this program. */
#include "../../src/mqtt/broker_log.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Whether a broker that says this cannot read its own file. */
static bool found_by(const char *said)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], said, strlen(said)), (ssize_t)strlen(said));
    close(ends[1]);
    struct broker_log *log = broker_log_start(ends[0]);
    assert_non_null(log);
    return broker_log_join(log);
}

static void takes_the_brokers_own_words_for_its_file(void **state)
{
    (void)state;
    assert_true(found_by("Error: Couldn't open database.\n"));
    assert_true(found_by("Opening ipv4 listen socket.\n1700000000: Error: Couldn't open database.\nbye\n"));
    assert_false(found_by(""));
    assert_false(found_by("Error: Unable to open log file.\n"));
}

/* A device may call itself what it likes, and the broker repeats it. */
static void takes_no_clients_words_for_it(void **state)
{
    static const char *const names[] = {"Error: Couldn't open database", "1: Error: Couldn't open database."};
    char line[200];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(line, sizeof line, "Outgoing messages are being dropped for client %s.\n", names[i]);
        assert_false(found_by(line));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_brokers_own_words_for_its_file),
        cmocka_unit_test(takes_no_clients_words_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
