/* The store and the rollout are played by the test: what is under test is what becomes of a batch. */
#include "../../src/mqtt/inbox.h"

#include "../../src/mqtt/arrivals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/board.h"

static struct {
    const char *poison; /* the device whose events the store refuses */
    int refusal;        /* with which error */
    bool commit_fails;
    size_t stored, writes;
} world;

int rollout_event(struct rollout *r, struct db *w, const struct device_event *ev, int64_t now_ms,
                  struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e)
{
    (void)r;
    (void)w;
    assert_true(now_ms > 0);
    if (world.poison && (strcmp(world.poison, ev->device) == 0 || strcmp(world.poison, "*") == 0))
        return err_set(e, (enum err_code)world.refusal, "no %s", ev->device);
    world.stored++;
    *sends = ev->kind == EVENT_REQUEST;
    if (*sends)
        *out = (struct outgoing){
            .kind = OUTGOING_NOTHING, .protocol = "native", .product = "p", .reply.form = 1};
    if (*sends)
        str_copy(out->device, sizeof out->device, ev->device);
    return 0;
}

int store_write(struct store *s, int (*run)(struct db *w, void *arg, struct err *e), void *arg, struct err *e)
{
    (void)s;
    size_t before = world.stored;
    world.writes++;
    int rc = run(NULL, arg, e);
    if (rc == 0 && world.commit_fails)
        rc = err_set(e, ERR_INTERNAL, "disk I/O error");
    if (rc < 0)
        world.stored = before;
    return rc;
}

static void fill(struct inbox *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct device_event ev = {.kind = i % 2 ? EVENT_REQUEST : EVENT_INFORM, .execution_id = (int64_t)i};
        snprintf(ev.device, sizeof ev.device, "d%zu", i);
        inbox_add(in, &ev);
    }
}

static struct inbox *open_inbox(void)
{
    struct inbox *in = malloc(sizeof *in);
    memset(&world, 0, sizeof world);
    inbox_init(in, NULL, NULL);
    return in;
}

static void close_inbox(struct inbox *in)
{
    inbox_free(in);
    free(in);
}

/* Of the device d<number>. */
static int64_t number_of(const struct letter *l)
{
    assert_string_equal(l->product, "p");
    assert_string_equal(l->message.payload, "{\"id\":null}");
    return atoll(l->device + 1);
}

static void test_good_batch(void **state)
{
    (void)state;
    struct err e;
    struct inbox *in = open_inbox();
    assert_int_equal(inbox_commit(in, &e), 0);
    assert_int_equal(world.writes, 0);
    for (size_t n = 1; n < 300; n += 61) {
        world.stored = world.writes = 0;
        fill(in, n);
        assert_int_equal(inbox_commit(in, &e), 0);
        assert_int_equal(world.writes, 1);
        assert_int_equal(world.stored, n);
        assert_int_equal(in->letters.n, n / 2);
        for (size_t i = 0; i < in->letters.n; i++)
            assert_int_equal(number_of(&in->letters.at[i]), 2 * i + 1);
        letters_clear(&in->letters);
        assert_int_equal(in->n, 0);
    }
    close_inbox(in);
}

/* One event that the store does not take costs no other one, and does not come again. */
static void test_poison(void **state)
{
    (void)state;
    static const char *const poison[] = {"d0", "d1", "d49", "d50", "d98", "d99"};
    struct err e;
    struct inbox *in = open_inbox();
    for (size_t i = 0; i < ARRAY_SIZE(poison); i++) {
        world.poison = poison[i];
        world.refusal = ERR_INTERNAL;
        world.stored = 0;
        fill(in, 100);
        assert_int_equal(inbox_commit(in, &e), 0);
        assert_int_equal(world.stored, 99);
        bool asked = (poison[i][strlen(poison[i]) - 1] - '0') % 2;
        assert_int_equal(in->letters.n, asked ? 49 : 50);
        for (size_t k = 1; k < in->letters.n; k++)
            assert_true(number_of(&in->letters.at[k]) > number_of(&in->letters.at[k - 1]));
        letters_clear(&in->letters);
    }
    close_inbox(in);
}

static void test_store_trouble(void **state)
{
    (void)state;
    static const struct {
        const char *poison;
        int refusal;
        bool commit_fails;
        size_t n;
    } rows[] = {
        {"*", ERR_INTERNAL, false, 100},
        {"*", ERR_INTERNAL, false, 1},
        {"*", ERR_INTERNAL, false, 3},
        {"d7", ERR_NO_SPACE, false, 100},
        {"d7", ERR_BUSY, false, 100},
        {"d0", ERR_INTERNAL, false, 1},
        {NULL, 0, true, 100},
        {NULL, 0, true, 1},
    };
    struct err e;
    struct inbox *in = open_inbox();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        world.poison = rows[i].poison;
        world.refusal = rows[i].refusal;
        world.commit_fails = rows[i].commit_fails;
        world.writes = 0;
        fill(in, rows[i].n);
        assert_true(inbox_commit(in, &e) < 0);
        assert_int_equal(in->letters.n, 0);
        assert_int_equal(in->n, 0);
        assert_true(world.writes < 50); /* it gives up soon */
    }
    close_inbox(in);
}

static bool read_one(struct inbox *in, const char *topic, const char *body)
{
    struct device_event ev;
    const struct protocol *p = inbox_read(in, topic, body, body ? strlen(body) : 0, &ev);
    if (p)
        inbox_add(in, &ev);
    return p != NULL;
}

static void test_messages(void **state)
{
    (void)state;
    struct inbox *in = open_inbox();
    assert_true(read_one(in, "ota/p/d1/inform", "{\"version\":\"1\"}"));
    assert_false(read_one(in, "ota/p/d1/inform", "{"));
    assert_false(read_one(in, "ota/p/d1/offer", "{}"));
    assert_false(read_one(in, "x", "{}"));
    assert_true(read_one(in, "ota/p/d2/request", NULL));
    assert_int_equal(in->n, 2);
    assert_string_equal(in->events[0].device, "d1");
    assert_string_equal(in->events[1].device, "d2");
    assert_int_equal(in->events[1].kind, EVENT_REQUEST);
    inbox_clear(in);
    assert_int_equal(in->n, 0);
    close_inbox(in);
}

/* ---- arrivals */

static void hear(struct arrivals *a, struct inbox *in, const char *device, const char *event, int sessions,
                 int64_t now_ms)
{
    char text[200];
    snprintf(text, sizeof text, "{\"product\":\"p\",\"device\":\"%s\",\"sessions\":%d,\"event\":\"%s\"}",
             device, sessions, event);
    arrivals_take(a, in, text, strlen(text), now_ms);
}

static void expect_event(struct inbox *in, size_t i, enum event_kind kind, const char *device,
                         unsigned sessions)
{
    assert_true(i < in->n);
    assert_int_equal(in->events[i].kind, kind);
    assert_string_equal(in->events[i].product, "p");
    assert_string_equal(in->events[i].device, device);
    assert_int_equal(in->events[i].sessions, kind == EVENT_LOGIN ? sessions : in->events[i].sessions);
}

static void test_arrival_waits(void **state)
{
    (void)state;
    struct inbox *in = open_inbox();
    struct arrivals a = {0};
    assert_int_equal(arrivals_next_ms(&a), -1);
    hear(&a, in, "d1", "login", 2, 1000);
    expect_event(in, 0, EVENT_LOGIN, "d1", 2);
    assert_int_equal(arrivals_next_ms(&a), 1000 + ARRIVAL_DELAY_MS);
    arrivals_due(&a, in, 1000 + ARRIVAL_DELAY_MS - 1);
    assert_int_equal(in->n, 1);
    arrivals_due(&a, in, 1000 + ARRIVAL_DELAY_MS);
    expect_event(in, 1, EVENT_READY, "d1", 0);
    arrivals_due(&a, in, 9999999);
    assert_int_equal(in->n, 2);
    assert_int_equal(arrivals_next_ms(&a), -1);
    arrivals_free(&a);
    close_inbox(in);
}

/* Who asks by itself gets longer for it. */
static void test_arrival_of_who_asks(void **state)
{
    (void)state;
    char text[200];
    struct inbox *in = open_inbox();
    struct arrivals a = {0};
    for (int i = 1; i <= 3; i++) {
        char device[4];
        snprintf(device, sizeof device, "a%d", i);
        snprintf(text, sizeof text,
                 "{\"product\":\"p\",\"device\":\"%s\",\"sessions\":1,\"event\":\"login\","
                 "\"asks\":true}",
                 device);
        arrivals_take(&a, in, text, strlen(text), i);
    }
    hear(&a, in, "d1", "login", 1, 100);
    assert_int_equal(arrivals_next_ms(&a), 100 + ARRIVAL_DELAY_MS);
    arrivals_answered(&a, "", "a1"); /* a thing of AWS does not say its product */
    arrivals_answered(&a, "q", "a2");
    arrivals_answered(&a, "p", "a3");
    arrivals_due(&a, in, ARRIVAL_ASKS_MS);
    assert_int_equal(in->n, 5);
    expect_event(in, 4, EVENT_READY, "d1", 0);
    assert_int_equal(arrivals_next_ms(&a), 1 + ARRIVAL_ASKS_MS);
    arrivals_due(&a, in, 100000);
    assert_int_equal(in->n, 6);
    expect_event(in, 5, EVENT_READY, "a2", 0);
    assert_int_equal(arrivals_next_ms(&a), -1);
    arrivals_free(&a);
    close_inbox(in);
}

static void test_arrival_is_overtaken(void **state)
{
    (void)state;
    struct inbox *in = open_inbox();
    struct arrivals a = {0};
    hear(&a, in, "d1", "login", 1, 0);
    hear(&a, in, "d2", "login", 1, 1);
    hear(&a, in, "d3", "login", 2, 2);
    hear(&a, in, "d1", "ready", 1, 3);
    hear(&a, in, "d2", "logout", 0, 4);
    hear(&a, in, "d3", "logout", 1, 5);
    hear(&a, in, "d4", "login", 1, 6);
    arrivals_answered(&a, "p", "d4");
    arrivals_answered(&a, "p", "d5");
    arrivals_answered(&a, "q", "d3");
    assert_int_equal(in->n, 7);
    expect_event(in, 3, EVENT_READY, "d1", 0);
    expect_event(in, 4, EVENT_LOGIN, "d2", 0);
    expect_event(in, 5, EVENT_LOGIN, "d3", 1);
    arrivals_due(&a, in, 100000);
    assert_int_equal(in->n, 8); /* only d3 is still waited for */
    expect_event(in, 7, EVENT_READY, "d3", 0);
    arrivals_free(&a);
    close_inbox(in);
}

/* What is due, in batches that are never larger than they may be. */
static size_t take_due(struct arrivals *a, struct inbox *in, int64_t now_ms, char last[16])
{
    size_t n = 0;
    for (arrivals_due(a, in, now_ms); in->n > 0; arrivals_due(a, in, now_ms)) {
        assert_in_range(in->n, 1, ARRIVAL_BATCH_MAX);
        snprintf(last, 16, "%.15s", in->events[in->n - 1].device);
        n += in->n;
        inbox_clear(in);
    }
    return n;
}

static void test_many_arrivals(void **state)
{
    (void)state;
    struct inbox *in = open_inbox();
    struct arrivals a = {0};
    size_t readies = 0;
    for (int i = 0; i < ARRIVALS_MAX + 5; i++) {
        char device[16];
        snprintf(device, sizeof device, "d%d", i);
        hear(&a, in, device, "login", 1, i / 1000);
    }
    assert_int_equal(in->n, ARRIVALS_MAX + 5 + 5); /* the last five are not kept waiting */
    inbox_clear(in);
    char last[16];
    readies = take_due(&a, in, ARRIVAL_DELAY_MS + 9, last);
    assert_int_equal(readies, 10000);
    assert_string_equal(last, "d9999");
    hear(&a, in, "again", "login", 1, 5000); /* the ring wraps */
    inbox_clear(in);
    assert_int_equal(take_due(&a, in, 10000, last), ARRIVALS_MAX - 10000 + 1);
    assert_string_equal(last, "again");
    arrivals_clear(&a);
    assert_int_equal(arrivals_next_ms(&a), -1);
    arrivals_free(&a);
    close_inbox(in);
}

static void test_arrival_nonsense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"product\":\"p\",\"device\":\"d\",\"sessions\":1}",
        "{\"product\":\"p\",\"device\":\"d\",\"event\":\"login\"}",
        "{\"product\":\"p\",\"device\":\"d/e\",\"sessions\":1,\"event\":\"login\"}",
        "{\"product\":\"p\",\"device\":\"d\",\"sessions\":-1,\"event\":\"login\"}",
        "{\"product\":\"p\",\"device\":\"d\",\"sessions\":1,\"event\":\"loginlogin\"}"};
    struct inbox *in = open_inbox();
    struct arrivals a = {0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        arrivals_take(&a, in, bad[i], strlen(bad[i]), 0);
    assert_int_equal(in->n, 0);
    assert_int_equal(arrivals_next_ms(&a), -1);
    arrivals_free(&a);
    close_inbox(in);
}

/* What a broker brings back of our own is nobody's word, and no mistake either. */
static void test_an_echo(void **state)
{
    (void)state;
    struct inbox *in = open_inbox();
    struct device_event ev = {0};
    int64_t bad = board_value(BOARD_MQTT_BAD);
    assert_null(inbox_read(in, "$aws/things/d1/jobs/notify", "{}", 2, &ev));
    assert_int_equal(board_value(BOARD_MQTT_BAD), bad);
    assert_int_equal(in->letters.n, 0);
    assert_non_null(inbox_read(in, "$aws/things/d1/jobs/get", "{}", 2, &ev));
    assert_true(ev.over_session);
    device_event_clear(&ev);
    assert_null(inbox_read(in, "$aws/things/d1/jobs/get", "{", 1, &ev));
    assert_int_equal(board_value(BOARD_MQTT_BAD), bad + 1);
    assert_int_equal(in->letters.n, 1); /* refused in the protocol's own words */
    assert_string_equal(in->letters.at[0].device, "d1");
    close_inbox(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_batch),       cmocka_unit_test(test_poison),
        cmocka_unit_test(test_store_trouble),    cmocka_unit_test(test_messages),
        cmocka_unit_test(test_arrival_waits),    cmocka_unit_test(test_arrival_is_overtaken),
        cmocka_unit_test(test_many_arrivals),    cmocka_unit_test(test_arrival_of_who_asks),
        cmocka_unit_test(test_arrival_nonsense), cmocka_unit_test(test_an_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
