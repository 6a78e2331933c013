/* watchdog.h: ends connections whose client is too slow, or has left. libmicrohttpd's timeout knows only
 * whether a socket did something: a byte a second keeps a connection for ever, and a slow but steady reader,
 * whose socket takes nothing new for a minute because it holds megabytes, is cut. So that timeout is off, and
 * a thread looks at all connections twice a second and shuts down the socket of who is beyond the limit;
 * libmicrohttpd then finds it closed by the peer.
 *
 *   OPENING ──► BODY ──► REPLY ──► IDLE ──► BODY ...       BODY ──► PARKED ──► REPLY
 *
 *   OPENING  from accept to the first complete head, TLS handshake included: header_timeout
 *   BODY     less than min_rate came in over 15 s, though all that came was read
 *   PARKED   waits for otad: never
 *   REPLY    less than min_rate was acknowledged over a minute, though there was something to send
 *   IDLE     between requests, a minute with nothing coming in; from the first bytes of the next head on,
 *            header_timeout
 *
 * The thread of a connection says only in which phase it is: one store, no lock. Everything else is asked of
 * the kernel, which counts the bytes of each socket, TLS or not. */
#ifndef OTAD_HTTP_WATCHDOG_H
#define OTAD_HTTP_WATCHDOG_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct watchdog;

enum watch_phase { WATCH_OPENING, WATCH_BODY, WATCH_PARKED, WATCH_REPLY, WATCH_IDLE, WATCH_PHASES };

struct watched {          /* in the memory of its connection, from watchdog_add to watchdog_remove */
    _Atomic uint64_t now; /* phase, and since when */
    int fd;
    /* the watchdog's alone */
    uint64_t seen;
    int64_t look_at_ms;
    uint64_t bytes; /* that had come or gone at the mark */
    enum { UNMARKED, MARKED, HEARD, ENDED } mark;
    struct watched *prev, *next;
};

/* min_rate: bytes a second. */
int watchdog_start(int64_t header_timeout_ms, int64_t min_rate, struct watchdog **out, struct err *e);
/* After the last connection is removed. NULL is fine. */
void watchdog_stop(struct watchdog *w);

/* The TCP connection fd was accepted just now. */
void watchdog_add(struct watchdog *w, struct watched *x, int fd);
/* Before fd is closed: from then on its number may be another's. */
void watchdog_remove(struct watchdog *w, struct watched *x);

/* x NULL: a connection that nobody watches. now_ms: monotonic. */
void watch_phase(struct watched *x, enum watch_phase phase, int64_t now_ms);

/* What the thread does; for tests too. */
void watchdog_look(struct watchdog *w, int64_t now_ms);

#endif
