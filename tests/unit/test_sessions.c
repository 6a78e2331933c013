/* the plugin is a program of its own, and not in the library that tests are linked with */
#include "../../src/broker_plugin/sessions.c"
#include "../../src/broker_plugin/table.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- table */

static void key_of(int i, char key[32])
{
    snprintf(key, 32, "key-%d", i * 7919);
}

static void test_table(void **state)
{
    (void)state;
    enum { N = 5000 };
    static int values[N];
    struct table t = {0};
    char key[32];
    assert_null(table_get(&t, "key"));
    assert_null(table_remove(&t, "key"));
    for (int i = 0; i < N; i++) {
        key_of(i, key);
        assert_true(table_put(&t, key, &values[i]));
    }
    assert_int_equal(t.used, N);
    for (int i = 0; i < N; i += 3) {
        key_of(i, key);
        assert_ptr_equal(table_remove(&t, key), &values[i]);
        assert_null(table_remove(&t, key));
    }
    for (int i = 0; i < N; i++) {
        key_of(i, key);
        assert_ptr_equal(table_get(&t, key), i % 3 ? &values[i] : NULL);
    }
    size_t seen = 0;
    for (size_t at = 0; table_next(&t, &at);)
        seen++;
    assert_int_equal(seen, t.used);
    assert_int_equal(seen, N - (N + 2) / 3);
    table_free(&t);
}

static void test_table_replaces(void **state)
{
    (void)state;
    int one, two;
    struct table t = {0};
    assert_true(table_put(&t, "", &one));
    assert_true(table_put(&t, "", &two));
    assert_int_equal(t.used, 1);
    assert_ptr_equal(table_get(&t, ""), &two);
    table_free(&t);
}

/* Keys that all want the same slot of the smallest table, some of them around its end. */
static void test_table_closes_holes(void **state)
{
    (void)state;
    char keys[40][32];
    size_t n = 0;
    struct table t = {0};
    for (int i = 0; n < 40; i++) {
        key_of(i, keys[n]);
        size_t home = str_hash(keys[n], strlen(keys[n])) & 63;
        if (home >= 60 || home <= 1)
            n++;
    }
    for (size_t i = 0; i < n; i++)
        assert_true(table_put(&t, keys[i], keys[i]));
    assert_int_equal(t.cap, 64);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(table_remove(&t, keys[i]), keys[i]);
        for (size_t k = i + 1; k < n; k++)
            assert_ptr_equal(table_get(&t, keys[k]), keys[k]);
    }
    assert_int_equal(t.used, 0);
    table_free(&t);
}

/* ---- sessions */

static char connection[8]; /* addresses only */

static void check_end(struct sessions *s, size_t client, const char *id, const char *want_who,
                      unsigned want_left)
{
    char who[WHO_SIZE];
    unsigned left = 99;
    assert_int_equal(sessions_end(s, &connection[client], id, who, &left), want_who != NULL);
    if (want_who) {
        assert_string_equal(who, want_who);
        assert_int_equal(left, want_left);
    }
}

static void test_counts(void **state)
{
    (void)state;
    struct sessions s = {0};
    assert_int_equal(sessions_begin(&s, &connection[0], "a", "p/d1")->visitor->sessions, 1);
    assert_int_equal(sessions_begin(&s, &connection[1], "b", "p/d1")->visitor->sessions, 2);
    assert_int_equal(sessions_begin(&s, &connection[2], "c", "p/d2")->visitor->sessions, 1);
    check_end(&s, 3, "a", NULL, 0);
    check_end(&s, 0, "b", NULL, 0);
    check_end(&s, 0, "a", "p/d1", 1);
    check_end(&s, 0, "a", NULL, 0);
    check_end(&s, 1, "b", "p/d1", 0);
    assert_null(table_get(&s.by_who, "p/d1"));
    check_end(&s, 2, "c", "p/d2", 0);
    assert_int_equal(s.by_client_id.used + s.by_who.used, 0);
    sessions_free(&s);
}

static void test_takeover(void **state)
{
    (void)state;
    struct sessions s = {0};
    assert_non_null(sessions_begin(&s, &connection[0], "a", "p/d1"));
    sessions_find(&s, &connection[0], "a")->ready = true;
    assert_null(sessions_begin(&s, &connection[1], "a", "p/d2"));
    assert_null(table_get(&s.by_who, "p/d2"));
    assert_true(sessions_find(&s, &connection[0], "a")->ready);
    assert_int_equal(sessions_begin(&s, &connection[1], "a", "p/d1")->visitor->sessions, 1);
    assert_null(sessions_find(&s, &connection[0], "a"));
    assert_false(sessions_find(&s, &connection[1], "a")->ready);
    check_end(&s, 0, "a", NULL, 0); /* the old connection's end comes late */
    check_end(&s, 1, "a", "p/d1", 0);
    assert_non_null(sessions_begin(&s, &connection[2], "a", "p/d2"));
    sessions_free(&s);
}

static void test_long_ids(void **state)
{
    (void)state;
    struct sessions s = {0};
    char id[CLIENT_ID_SIZE + 1];
    memset(id, 'i', sizeof id);
    id[CLIENT_ID_SIZE] = '\0';
    assert_null(sessions_begin(&s, &connection[0], id, "p/d1"));
    assert_int_equal(s.by_client_id.used + s.by_who.used, 0);
    id[CLIENT_ID_SIZE - 1] = '\0';
    assert_non_null(sessions_begin(&s, &connection[0], id, "p/d1"));
    check_end(&s, 0, id, "p/d1", 0);
    sessions_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_replaces),
        cmocka_unit_test(test_table_closes_holes),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_long_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
