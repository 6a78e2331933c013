/* waiting.h: connections that are suspended until their socket has something. libmicrohttpd 0.9.75 takes a
 * handshake that cannot go on for one that can, and asks GnuTLS again without end: one client that says half
 * a hello keeps a core busy. So http/tls has such a connection wait here.
 *
 * A thread of its own resumes. A connection that waits is not closed by libmicrohttpd, so its waiter lives as
 * long as it waits. */
#ifndef OTAD_HTTP_WAITING_H
#define OTAD_HTTP_WAITING_H

#include "base/err.h"

#include <stdbool.h>

struct MHD_Connection;
struct waiting;

struct waiter { /* part of whoever waits */
    struct MHD_Connection *connection;
    int fd;
    bool known; /* to epoll: it has waited before */
    bool waits; /* with the next two: waiting's */
    struct waiter *prev, *next;
};

int waiting_start(struct waiting **out, struct err *e);
/* All are resumed, and nobody waits any more: before libmicrohttpd is stopped. NULL is fine, and twice too.
 */
void waiting_stop(struct waiting *set);
void waiting_close(struct waiting *set); /* NULL is fine */

/* On the connection's thread, from within a callback of its. */
void waiting_add(struct waiting *set, struct waiter *w);

#endif
