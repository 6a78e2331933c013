#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/http/watchdog.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MS  10000
#define RATE     1000
#define BODY_MS  15000
#define REPLY_MS 60000
#define IDLE_MS  60000
#define MARK_MS  2000
#define DAY_MS   86400000

/* A connection over the loopback, which the watchdog's clock never sees by itself: its thread looks at the
 * real one, and the tests' phases begin a day later. */
struct line {
    struct watchdog *w;
    struct watched x;
    int server, client;
    int64_t t0;
};

static void connect_both(int *server, int *client)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*client, (struct sockaddr *)&a, sizeof a), 0);
    *server = accept(listener, NULL, NULL);
    assert_true(*server >= 0);
    close(listener);
}

static int begin(void **state)
{
    static struct line l;
    struct err e;
    memset(&l, 0, sizeof l);
    connect_both(&l.server, &l.client);
    assert_int_equal(watchdog_start(HEAD_MS, RATE, &l.w, &e), 0);
    watchdog_add(l.w, &l.x, l.server);
    l.t0 = clock_mono_ms() + DAY_MS;
    *state = &l;
    return 0;
}

static int end(void **state)
{
    struct line *l = *state;
    watchdog_remove(l->w, &l->x);
    close(l->server);
    close(l->client);
    watchdog_stop(l->w);
    return 0;
}

static void phase(struct line *l, enum watch_phase p, int64_t after_ms)
{
    watch_phase(&l->x, p, l->t0 + after_ms);
}

static bool is_cut(const struct line *l)
{
    struct pollfd p = {.fd = l->server};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

static bool cut_at(struct line *l, int64_t after_ms)
{
    watchdog_look(l->w, l->t0 + after_ms);
    return is_cut(l);
}

static void send_bytes(int from, int to, size_t n)
{
    static char bytes[64 * 1024];
    assert_true(n <= sizeof bytes);
    assert_int_equal(send(from, bytes, n, 0), n);
    if (to >= 0)
        assert_int_equal(recv(to, bytes, n, MSG_WAITALL), n);
}

static void test_a_head_has_its_time(void **state)
{
    struct line *l = *state;
    phase(l, WATCH_OPENING, 0);
    for (int s = 0; s < 10; s++) {
        send_bytes(l->client, l->server, 1);
        assert_false(cut_at(l, s * 1000));
    }
    assert_false(cut_at(l, HEAD_MS - 1));
    assert_true(cut_at(l, HEAD_MS));
}

static void test_a_head_in_time_is_fine(void **state)
{
    struct line *l = *state;
    phase(l, WATCH_OPENING, 0);
    assert_false(cut_at(l, HEAD_MS - 1));
    phase(l, WATCH_REPLY, HEAD_MS - 1);
    assert_false(cut_at(l, HEAD_MS + 1));
}

/* Its end is one that can still be answered: with TLS's goodbye. */
static void test_idle_may_be_silent_for_a_while(void **state)
{
    struct line *l = *state;
    struct pollfd p = {.fd = l->server, .events = POLLRDHUP};
    phase(l, WATCH_IDLE, 0);
    for (int s = 0; s < 60; s += 2)
        watchdog_look(l->w, l->t0 + s * 1000);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_false(cut_at(l, IDLE_MS));
    assert_int_equal(poll(&p, 1, 0), 1);
    send_bytes(l->server, l->client, 1);
}

static void test_the_next_head_has_its_time(void **state)
{
    struct line *l = *state;
    int64_t at = MARK_MS;
    phase(l, WATCH_IDLE, 0);
    assert_false(cut_at(l, at));
    send_bytes(l->client, l->server, 1);
    at += 2000;
    assert_false(cut_at(l, at));
    assert_false(cut_at(l, at + HEAD_MS - 1));
    assert_true(cut_at(l, at + HEAD_MS));
}

static void test_bodies_of_some_pace(void **state)
{
    struct line *l = *state;
    int64_t at = MARK_MS;
    phase(l, WATCH_BODY, 0);
    assert_false(cut_at(l, at));
    for (int i = 0; i < 3; i++) {
        send_bytes(l->client, l->server, RATE * BODY_MS / 1000);
        assert_false(cut_at(l, at += BODY_MS));
    }
    send_bytes(l->client, l->server, RATE * BODY_MS / 1000 - 1);
    assert_false(cut_at(l, at + BODY_MS - 1));
    assert_true(cut_at(l, at + BODY_MS));
}

/* What nobody has read is not the client's fault. */
static void test_a_body_that_waits_for_us(void **state)
{
    struct line *l = *state;
    phase(l, WATCH_BODY, 0);
    send_bytes(l->client, -1, 1);
    for (int64_t at = MARK_MS; at < 10 * BODY_MS; at += 500)
        assert_false(cut_at(l, at));
}

static void test_parked_is_never_cut(void **state)
{
    struct line *l = *state;
    phase(l, WATCH_PARKED, 0);
    for (int64_t at = 0; at < 3600 * 1000; at += 500)
        assert_false(cut_at(l, at));
}

/* Fills the sockets of both ends. */
static void fill(struct line *l)
{
    static char bytes[64 * 1024];
    while (send(l->server, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

static void test_a_reply_that_nobody_reads(void **state)
{
    struct line *l = *state;
    phase(l, WATCH_REPLY, 0);
    fill(l);
    assert_false(cut_at(l, MARK_MS));
    assert_false(cut_at(l, MARK_MS + REPLY_MS - 1));
    assert_true(cut_at(l, MARK_MS + REPLY_MS));
}

static void test_a_reply_with_nothing_to_send(void **state)
{
    struct line *l = *state;
    phase(l, WATCH_REPLY, 0);
    for (int64_t at = 0; at < 3600 * 1000; at += 500)
        assert_false(cut_at(l, at));
}

static void test_a_new_phase_begins_anew(void **state)
{
    struct line *l = *state;
    for (int64_t at = 0; at < 10 * BODY_MS; at += BODY_MS - 1) {
        phase(l, WATCH_BODY, at);
        for (int64_t t = at; t < at + BODY_MS - 1; t += 500)
            assert_false(cut_at(l, t));
    }
}

static void test_nobody_watches(void **state)
{
    (void)state;
    watch_phase(NULL, WATCH_BODY, 1);
    watchdog_stop(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_head_has_its_time),
        TEST(test_a_head_in_time_is_fine),
        TEST(test_idle_may_be_silent_for_a_while),
        TEST(test_the_next_head_has_its_time),
        TEST(test_bodies_of_some_pace),
        TEST(test_a_body_that_waits_for_us),
        TEST(test_parked_is_never_cut),
        TEST(test_a_reply_that_nobody_reads),
        TEST(test_a_reply_with_nothing_to_send),
        TEST(test_a_new_phase_begins_anew),
        cmocka_unit_test(test_nobody_watches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
