/* the plugin is a program of its own, and not in the library that tests are linked with */
#include "../../src/broker_plugin/sessions.c"
#include "../../src/broker_plugin/sleepers.c"
#include "../../src/broker_plugin/subscriptions.c"
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

/* ---- subscriptions */

static void test_subscriptions(void **state)
{
    (void)state;
    struct subscriptions s = {0};
    assert_int_equal(subscriptions_granted(&s, "a/b"), -1);
    assert_true(subscriptions_add(&s, "a/b", 0));
    assert_true(subscriptions_add(&s, "a/+", 1));
    assert_true(subscriptions_add(&s, "x/#", 2));
    assert_int_equal(subscriptions_granted(&s, "a/b"), 1);
    assert_int_equal(subscriptions_granted(&s, "x/y/z"), 2);
    assert_int_equal(subscriptions_granted(&s, "a/b/c"), -1);
    assert_true(subscriptions_add(&s, "a/+", 0));
    assert_int_equal(subscriptions_granted(&s, "a/b"), 0);
    subscriptions_remove(&s, "a/+");
    assert_int_equal(subscriptions_granted(&s, "a/c"), -1);
    subscriptions_remove(&s, "a/+");
    assert_int_equal(s.n, 2);
    subscriptions_free(&s);
    assert_int_equal(subscriptions_granted(&s, "a/b"), -1);
}

static void test_subscriptions_are_so_many(void **state)
{
    (void)state;
    struct subscriptions s = {0};
    char filter[TOPIC_SIZE + 1];
    for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        snprintf(filter, sizeof filter, "t/%d", i);
        assert_true(subscriptions_add(&s, filter, 1));
    }
    assert_false(subscriptions_add(&s, "t/x", 1));
    assert_true(subscriptions_add(&s, "t/0", 0));
    assert_int_equal(subscriptions_granted(&s, "t/0"), 0);
    subscriptions_remove(&s, "t/1");
    assert_true(subscriptions_add(&s, "t/x", 1));
    subscriptions_free(&s);
    memset(filter, 'f', TOPIC_SIZE);
    filter[TOPIC_SIZE] = '\0';
    assert_true(subscriptions_add(&s, filter, 1));
    assert_int_equal(s.n, 0);
    assert_true(subscriptions_add(&s, filter + 1, 1));
    assert_int_equal(s.n, 1);
    subscriptions_free(&s);
}

/* ---- sleepers */

static void sleep_as(struct sleepers *s, const char *id, const char *who, const char *filter)
{
    struct subscriptions subs = {0};
    assert_true(subscriptions_add(&subs, filter, 1));
    sleepers_keep(s, id, who, &subs);
    assert_int_equal(subs.n, 0);
}

static void check_awake(struct sleepers *s, const char *id, const char *who, const char *want)
{
    struct subscriptions subs = {0};
    assert_int_equal(sleepers_wake(s, id, who, &subs), want != NULL);
    assert_int_equal(subs.n, want != NULL);
    if (want)
        assert_string_equal(subs.at[0].filter, want);
    subscriptions_free(&subs);
}

static void test_sleepers(void **state)
{
    (void)state;
    struct sleepers s = {0};
    check_awake(&s, "a", "p/d", NULL);
    sleep_as(&s, "a", "p/d", "one");
    sleep_as(&s, "a", "p/d", "two");
    sleep_as(&s, "b", "p/d", "three");
    sleep_as(&s, "c", "p/d", "four");
    check_awake(&s, "b", "p/d", "three");
    check_awake(&s, "b", "p/d", NULL);
    check_awake(&s, "a", "p/other", NULL); /* the id is another's now: what it had is gone */
    check_awake(&s, "a", "p/d", NULL);
    check_awake(&s, "c", "p/d", "four");
    assert_null(s.oldest);
    assert_null(s.newest);
    sleepers_free(&s);
}

static void test_sleepers_are_so_many(void **state)
{
    (void)state;
    struct sleepers s = {0};
    char id[32];
    for (int i = 0; i < SLEEPERS_MAX + 2; i++) {
        key_of(i, id);
        sleep_as(&s, id, "p/d", "x");
    }
    assert_int_equal(s.by_client_id.used, SLEEPERS_MAX);
    for (int i = 0; i < 3; i++) {
        key_of(i, id);
        check_awake(&s, id, "p/d", i < 2 ? NULL : "x");
    }
    sleepers_free(&s);
    assert_int_equal(s.by_client_id.used, 0);
}

/* ---- sessions */

static char connection[8]; /* addresses only */
static const struct protocol words = {.name = "words"},
                             things = {.name = "things", .login = {.certificate = true}};

static struct session *begin_as(struct sessions *s, size_t client, const char *id, const char *device,
                                const struct protocol *protocol, bool clean)
{
    struct arrival a = {&connection[client], id, protocol, {"p", ""}, clean};
    str_copy(a.names.device, sizeof a.names.device, device);
    return sessions_begin(s, &a);
}

static struct session *begin(struct sessions *s, size_t client, const char *id, const char *device)
{
    return begin_as(s, client, id, device, &words, true);
}

static void end(struct sessions *s, size_t client, const char *id, bool keep)
{
    struct session *old = sessions_find(s, &connection[client], id);
    assert_non_null(old);
    sessions_end(s, old, keep);
}

static unsigned sessions_of(const struct sessions *s, const char *who)
{
    const struct visitor *v = sessions_visitor(s, who);
    unsigned n = 0;
    for (const struct session *at = v ? v->first : NULL; at; at = at->next)
        n++;
    assert_int_equal(n, v ? v->sessions : 0);
    return n;
}

static void test_counts(void **state)
{
    (void)state;
    struct sessions s = {0};
    assert_non_null(begin(&s, 0, "a", "d1"));
    assert_non_null(begin(&s, 1, "b", "d1"));
    assert_non_null(begin(&s, 2, "c", "d2"));
    assert_non_null(begin(&s, 3, "d", "d1"));
    assert_int_equal(sessions_of(&s, "p/d1"), 3);
    assert_int_equal(sessions_of(&s, "p/d2"), 1);
    assert_null(sessions_find(&s, &connection[3], "a"));
    assert_null(sessions_find(&s, &connection[0], "b"));
    end(&s, 1, "b", false);
    assert_int_equal(sessions_of(&s, "p/d1"), 2);
    assert_null(sessions_find(&s, &connection[1], "b"));
    end(&s, 0, "a", false);
    end(&s, 3, "d", false);
    assert_null(sessions_visitor(&s, "p/d1"));
    end(&s, 2, "c", false);
    assert_int_equal(s.by_client_id.used + s.by_who.used, 0);
    sessions_free(&s);
}

static void test_takeover(void **state)
{
    (void)state;
    struct sessions s = {0};
    begin(&s, 0, "a", "d1")->ready = true;
    assert_null(begin(&s, 1, "a", "d2"));
    assert_null(sessions_visitor(&s, "p/d2"));
    assert_true(sessions_find(&s, &connection[0], "a")->ready);
    assert_non_null(begin(&s, 1, "a", "d1"));
    assert_int_equal(sessions_of(&s, "p/d1"), 1);
    assert_null(sessions_find(&s, &connection[0], "a")); /* the old connection's end comes late */
    assert_false(sessions_find(&s, &connection[1], "a")->ready);
    end(&s, 1, "a", false);
    assert_non_null(begin(&s, 2, "a", "d2"));
    sessions_free(&s);
}

static bool is_squatted(const struct sessions *s, const char *id, const char *device)
{
    struct arrival a = {.client_id = id, .protocol = &words, .names = {.product = "p"}};
    str_copy(a.names.device, sizeof a.names.device, device);
    const struct session *found = sessions_squatter(s, &a);
    assert_true(!found || strcmp(found->client_id, id) == 0);
    return found != NULL;
}

static void test_squatters(void **state)
{
    (void)state;
    struct sessions s = {0};
    begin(&s, 0, "d1", "d2");
    begin(&s, 1, "d3", "d3");
    assert_true(is_squatted(&s, "d1", "d1"));
    assert_false(is_squatted(&s, "d1", "d2")); /* its own session */
    assert_false(is_squatted(&s, "d1", "d4")); /* no more its own than the holder's */
    assert_false(
        is_squatted(&s, "d3", "d3")); /* be it of another product: by the name it is as much its own */
    assert_false(is_squatted(&s, "d5", "d5"));
    sessions_free(&s);
}

static void test_takeover_keeps_subscriptions(void **state)
{
    (void)state;
    struct sessions s = {0};
    assert_true(subscriptions_add(&begin(&s, 0, "a", "d1")->subs, "x", 1));
    assert_int_equal(subscriptions_granted(&begin_as(&s, 1, "a", "d1", &words, false)->subs, "x"), 1);
    assert_int_equal(subscriptions_granted(&begin(&s, 2, "a", "d1")->subs, "x"), -1);
    sessions_free(&s);
}

static void test_returns(void **state)
{
    (void)state;
    struct sessions s = {0};
    struct session *one = begin_as(&s, 0, "a", "d1", &words, false);
    assert_true(one->unsure); /* the broker may know it from before our time */
    assert_true(subscriptions_add(&one->subs, "x", 1));
    one->unsure = false;
    end(&s, 0, "a", true);
    one = begin_as(&s, 1, "a", "d1", &words, false);
    assert_false(one->unsure);
    assert_int_equal(subscriptions_granted(&one->subs, "x"), 1);
    end(&s, 1, "a", true);
    one = begin(&s, 2, "a", "d1");
    assert_false(one->unsure);
    assert_int_equal(subscriptions_granted(&one->subs, "x"), -1);
    end(&s, 2, "a", false);
    one = begin_as(&s, 3, "a", "d1", &words, false);
    assert_int_equal(subscriptions_granted(&one->subs, "x"), -1);
    assert_true(one->unsure);
    end(&s, 3, "a", true); /* unsure as it was: it will be again */
    assert_true(begin_as(&s, 4, "a", "d1", &words, false)->unsure);
    sessions_free(&s);
}

static void test_things(void **state)
{
    (void)state;
    struct sessions s = {0};
    begin(&s, 0, "a", "d1");
    assert_null(sessions_visitor(&s, "/d1"));
    begin_as(&s, 1, "b", "t1", &things, true);
    begin_as(&s, 2, "c", "t1", &things, true);
    assert_int_equal(sessions_of(&s, "/t1"), 2);
    assert_ptr_equal(sessions_visitor(&s, "/t1"), sessions_visitor(&s, "p/t1"));
    end(&s, 1, "b", false);
    assert_int_equal(sessions_of(&s, "/t1"), 1);
    end(&s, 2, "c", false);
    assert_null(sessions_visitor(&s, "/t1"));
    assert_int_equal(s.by_who.used, 1);
    begin_as(&s, 3, "d", "t2", &things, true);
    sessions_free(&s);
}

static void test_long_ids(void **state)
{
    (void)state;
    struct sessions s = {0};
    char id[CLIENT_ID_SIZE + 1];
    memset(id, 'i', sizeof id);
    id[CLIENT_ID_SIZE] = '\0';
    assert_null(begin(&s, 0, id, "d1"));
    assert_int_equal(s.by_client_id.used + s.by_who.used, 0);
    id[CLIENT_ID_SIZE - 1] = '\0';
    assert_non_null(begin(&s, 0, id, "d1"));
    end(&s, 0, id, false);
    sessions_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_replaces),
        cmocka_unit_test(test_table_closes_holes),
        cmocka_unit_test(test_subscriptions),
        cmocka_unit_test(test_subscriptions_are_so_many),
        cmocka_unit_test(test_sleepers),
        cmocka_unit_test(test_sleepers_are_so_many),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_takeover),
        cmocka_unit_test(test_squatters),
        cmocka_unit_test(test_takeover_keeps_subscriptions),
        cmocka_unit_test(test_returns),
        cmocka_unit_test(test_things),
        cmocka_unit_test(test_long_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
