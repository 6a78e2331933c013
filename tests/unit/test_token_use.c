#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/token.h"
#include "store/token_use.h"
#include "store_fixture.h"

struct flush {
    struct token_uses *uses;
    size_t cap;
    bool more;
};

struct new_token {
    struct token t;
    unsigned char hash[SHA256_BYTES];
};

WRITES(flush, struct flush, token_uses_flush(a->uses, w, a->cap, &a->more, e))
WRITES(insert, struct new_token, token_insert(w, &a->t, a->hash, e))

static void test_refused_once_a_minute(void **state)
{
    struct token_uses *uses = token_uses_open();

    (void)state;
    assert_true(token_use_refused(uses, 7, 1000000));
    assert_false(token_use_refused(uses, 7, 1059999));
    assert_true(token_use_refused(uses, 8, 1059999));
    assert_true(token_use_refused(uses, 7, 1060000));
    assert_false(token_use_refused(uses, 7, 1060001));
    assert_true(token_use_refused(uses, 7, 5000)); /* the clock was set back */
    token_uses_close(uses);
}

static void test_uses_of_many(void **state)
{
    struct token_uses *uses = token_uses_open();

    (void)state;
    for (int64_t i = 0; i < 1000; i++)
        token_use(uses, i * 7919 % 1000, 5000 + i * 7919 % 1000);
    for (int64_t id = 0; id < 1000; id++)
        assert_int_equal(token_used_at(uses, id), 5000 + id);
    token_use(uses, 5, 4000);
    assert_int_equal(token_used_at(uses, 5), 5005);
    assert_int_equal(token_used_at(uses, 1000), 0);
    token_uses_close(uses);
}

static int64_t stored(struct fixture *f, int64_t id)
{
    struct token t;
    struct err e;

    assert_int_equal(token_get(f->db, id, &t, &e), 0);
    return t.last_used_at_ms;
}

static void test_uses_are_written_once(void **state)
{
    struct fixture *f = *state;
    struct new_token tokens[3] = {0};
    struct flush args = {.uses = token_uses_open(), .cap = 2};
    struct err e;

    for (size_t i = 0; i < 3; i++) {
        tokens[i].t.role = ROLE_VIEWER;
        tokens[i].hash[0] = (unsigned char)i;
        assert_int_equal(insert(f, &tokens[i], &e), 0);
        token_use(args.uses, tokens[i].t.id, 100 + (int64_t)i);
    }
    token_use(args.uses, 999, 100); /* deleted meanwhile */
    assert_int_equal(flush(f, &args, &e), 0);
    assert_true(args.more);
    assert_int_equal(stored(f, tokens[2].t.id), 0);
    assert_int_equal(flush(f, &args, &e), 0);
    assert_true(args.more);
    assert_int_equal(flush(f, &args, &e), 0);
    assert_false(args.more);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(stored(f, tokens[i].t.id), 100 + i);
    token_uses_close(args.uses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_once_a_minute),
        cmocka_unit_test(test_uses_of_many),
        cmocka_unit_test_setup_teardown(test_uses_are_written_once, fixture_enter, fixture_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
