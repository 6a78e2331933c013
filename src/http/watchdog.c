#include "watchdog.h"

#include "base/clock.h"
#include "model/board.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define TICK_MS 500
/* Phases that are over before are never asked about: with them a busy connection costs nothing here. */
#define MARK_MS       2000
#define BODY_WINDOW_S 15
/* Radio links are gone for a while and come back. */
#define REPLY_WINDOW_S 60
#define IDLE_MS        60000
#define IDLE_LOOK_MS   2000
#define PHASE_BITS     3

struct watchdog {
    int64_t header_timeout_ms, min_rate;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct watched *first;
    bool stopping;
};

static uint64_t word_of(enum watch_phase phase, int64_t since_ms)
{
    return (uint64_t)since_ms << PHASE_BITS | phase;
}

void watch_phase(struct watched *x, enum watch_phase phase, int64_t now_ms)
{
    if (x)
        atomic_store_explicit(&x->now, word_of(phase, now_ms), memory_order_relaxed);
}

/* ---- what the kernel knows */

static bool ask(const struct watched *x, struct tcp_info *out)
{
    socklen_t len = sizeof *out;
    *out = (struct tcp_info){0};
    return getsockopt(x->fd, IPPROTO_TCP, TCP_INFO, out, &len) == 0;
}

static uint64_t bytes_in(const struct watched *x)
{
    struct tcp_info info;
    return ask(x, &info) ? info.tcpi_bytes_received : 0;
}

static uint64_t bytes_out(const struct watched *x)
{
    struct tcp_info info;
    return ask(x, &info) ? info.tcpi_bytes_acked : 0;
}

static bool holds_some(const struct watched *x, unsigned long queue)
{
    int n;
    return ioctl(x->fd, queue, &n) == 0 && n > 0;
}

/* ---- the phases. Each is called when its time to look has come, and says when the next is. */

enum verdict { STAYS, TOO_SLOW, LEFT };

static enum verdict look_opening(struct watchdog *w, struct watched *x, int64_t since_ms, int64_t now_ms)
{
    x->look_at_ms = since_ms + w->header_timeout_ms;
    return now_ms >= x->look_at_ms ? TOO_SLOW : STAYS;
}

static void set_mark(struct watched *x, uint64_t bytes, int64_t look_at_ms)
{
    x->bytes = bytes;
    x->mark = MARKED;
    x->look_at_ms = look_at_ms;
}

/* Over a window: so many bytes, or the other side is not to blame. */
static enum verdict look_rate(const struct watchdog *w, struct watched *x, uint64_t bytes, unsigned window_s,
                              bool excused, int64_t now_ms)
{
    bool slow = x->mark == MARKED && bytes - x->bytes < (uint64_t)w->min_rate * window_s && !excused;
    set_mark(x, bytes, now_ms + (int64_t)window_s * 1000);
    return slow ? TOO_SLOW : STAYS;
}

/* What lies unread in the socket waits for otad. */
static enum verdict look_body(struct watchdog *w, struct watched *x, int64_t since_ms, int64_t now_ms)
{
    (void)since_ms;
    return look_rate(w, x, bytes_in(x), BODY_WINDOW_S, holds_some(x, SIOCINQ), now_ms);
}

/* With nothing in the socket, the client waits for otad. */
static enum verdict look_reply(struct watchdog *w, struct watched *x, int64_t since_ms, int64_t now_ms)
{
    (void)since_ms;
    return look_rate(w, x, bytes_out(x), REPLY_WINDOW_S, !holds_some(x, SIOCOUTQ), now_ms);
}

static enum verdict look_parked(struct watchdog *w, struct watched *x, int64_t since_ms, int64_t now_ms)
{
    (void)w;
    (void)since_ms;
    x->look_at_ms = now_ms + MARK_MS;
    return STAYS;
}

static enum verdict look_idle(struct watchdog *w, struct watched *x, int64_t since_ms, int64_t now_ms)
{
    if (x->mark == HEARD)
        return TOO_SLOW;
    uint64_t bytes = bytes_in(x);
    bool heard = x->mark == MARKED && bytes != x->bytes;
    set_mark(x, bytes, now_ms + (heard ? w->header_timeout_ms : IDLE_LOOK_MS));
    if (heard)
        x->mark = HEARD;
    return !heard && now_ms - since_ms >= IDLE_MS ? LEFT : STAYS;
}

static const struct {
    enum verdict (*look)(struct watchdog *w, struct watched *x, int64_t since_ms, int64_t now_ms);
    int64_t first_ms;
} phases[WATCH_PHASES] = {
    [WATCH_OPENING] = {look_opening, 0},     [WATCH_BODY] = {look_body, MARK_MS},
    [WATCH_PARKED] = {look_parked, MARK_MS}, [WATCH_REPLY] = {look_reply, MARK_MS},
    [WATCH_IDLE] = {look_idle, MARK_MS},
};

static enum verdict judge(struct watchdog *w, struct watched *x, int64_t now_ms)
{
    uint64_t now = atomic_load_explicit(&x->now, memory_order_relaxed);
    unsigned phase = now & ((1u << PHASE_BITS) - 1);
    int64_t since_ms = (int64_t)(now >> PHASE_BITS);
    if (now != x->seen) {
        x->seen = now;
        x->mark = UNMARKED;
        x->look_at_ms = since_ms + phases[phase].first_ms;
    }
    return now_ms >= x->look_at_ms ? phases[phase].look(w, x, since_ms, now_ms) : STAYS;
}

/* Whoever left gets TLS's goodbye, which libmicrohttpd says when it reads the end. Counted first: who is cut
 * may look at once. */
static void end(struct watched *x, enum verdict why)
{
    x->mark = ENDED;
    if (why == TOO_SLOW)
        board_count(BOARD_CONNECTIONS_CUT, 1);
    shutdown(x->fd, why == LEFT ? SHUT_RD : SHUT_RDWR);
}

/* Under the lock the descriptor is still its own: it is closed after its removal. */
void watchdog_look(struct watchdog *w, int64_t now_ms)
{
    pthread_mutex_lock(&w->lock);
    for (struct watched *x = w->first; x; x = x->next) {
        enum verdict verdict = x->mark == ENDED ? STAYS : judge(w, x, now_ms);
        if (verdict != STAYS)
            end(x, verdict);
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- the list */

void watchdog_add(struct watchdog *w, struct watched *x, int fd)
{
    *x = (struct watched){.fd = fd};
    watch_phase(x, WATCH_OPENING, clock_mono_ms());
    pthread_mutex_lock(&w->lock);
    x->next = w->first;
    if (w->first)
        w->first->prev = x;
    w->first = x;
    pthread_mutex_unlock(&w->lock);
}

void watchdog_remove(struct watchdog *w, struct watched *x)
{
    pthread_mutex_lock(&w->lock);
    if (x->prev)
        x->prev->next = x->next;
    else
        w->first = x->next;
    if (x->next)
        x->next->prev = x->prev;
    pthread_mutex_unlock(&w->lock);
}

/* ---- the thread */

/* False: it ends. */
static bool wait_a_tick(struct watchdog *w)
{
    int64_t at_ms = clock_mono_ms() + TICK_MS;
    struct timespec until = clock_mono_until(at_ms);
    pthread_mutex_lock(&w->lock);
    while (!w->stopping && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0)
        ;
    bool goes_on = !w->stopping;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static void *run(void *arg)
{
    struct watchdog *w = arg;
    while (wait_a_tick(w))
        watchdog_look(w, clock_mono_ms());
    return NULL;
}

int watchdog_start(int64_t header_timeout_ms, int64_t min_rate, struct watchdog **out, struct err *e)
{
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_INTERNAL, "no memory for the watchdog");
    w->header_timeout_ms = header_timeout_ms;
    w->min_rate = min_rate;
    pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->wake);
    w->running = pthread_create(&w->thread, NULL, run, w) == 0;
    if (!w->running) {
        watchdog_stop(w);
        return err_set(e, ERR_INTERNAL, "cannot start the watchdog");
    }
    *out = w;
    return 0;
}

void watchdog_stop(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->running)
        pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
