/* exchange.h: a request from its first byte to the end of its reply, as libmicrohttpd's callbacks see it.
 *
 *   HEAD ──guard, route, caller, size──► BODY ──all read──► handler ─────────────────► REPLY
 *     │                                    │                   └─► PARKED ──resumed──►   ▲
 *     └── refused: at once, or when a short body is read ────────────────────────────────┘
 *
 * An exchange belongs to its connection's thread, but for the time it is parked (its connection suspended):
 * then it belongs to the upload thread, the keeper or the writer. Parked ones are counted: nothing may be
 * stopped before all are back. */
#ifndef OTAD_HTTP_EXCHANGE_H
#define OTAD_HTTP_EXCHANGE_H

#include "base/worker.h"
#include "http/guard.h"
#include "http/http.h"
#include "http/request.h"
#include "http/tls.h"
#include "http/upload.h"
#include "http/url.h"
#include "watchdog.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

struct exchanges { /* of one server */
    const struct http_env *env;
    struct worker *worker;
    struct uploads *uploads;
    struct throttle *throttle; /* of those who fail to log in */
    atomic_size_t active; /* whose head is complete; without the lock, which all threads would queue for */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* active, to 0 while draining; parked, to 0 */
    size_t parked;
    atomic_bool draining; /* replies close their connection */
    bool stopping;        /* nothing is parked any more */
};

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_PARKED, PHASE_REPLY };

struct exchange {
    struct request request;
    struct exchanges *set;
    struct tls_session *tls; /* NULL: not over TLS */
    struct watched *watched; /* NULL: nobody watches the connection */
    char *target;            /* NULL: longer than allowed */
    const char *target_at;   /* where libmicrohttpd had it */
    struct url url;
    struct framing framing;
    enum phase phase;
    bool close, now; /* refused: the connection ends; without reading the body */
    bool cut;        /* the refusal has been sent past libmicrohttpd */
    uint64_t wasted; /* bytes of the body read after the refusal */
    size_t raw_size;
    char allow[64];
    int rc;
    struct err err;
    struct job job;
    struct task task;
};

int exchanges_open(struct exchanges *set, const struct http_env *env, struct err *e);
/* Waits for what runs, at most until drain_ms have passed, then for what is parked, however long. */
void exchanges_drain(struct exchanges *set, int64_t drain_ms);
void exchanges_close(struct exchanges *set);

/* The three ends of libmicrohttpd. begin may return NULL. */
struct exchange *exchange_begin(struct exchanges *set, const char *target, struct MHD_Connection *c,
                                struct tls_session *tls);
/* Whoever may open the Unix socket is admin. */
void exchange_admit(struct exchange *x);
enum MHD_Result exchange_step(struct exchange *x, const char *method, const char *version, const char *data,
                              size_t *len);
void exchange_end(struct exchange *x);

/* http/dispatch.c: ERR_BUSY when so many wait already that this one is better sent away, before its body is
 * read: it changes nothing, and is charged nothing. Not those of the Unix socket, whose operator may be about
 * to end what makes the load. */
int exchange_check_load(struct exchange *x);
/* Runs the handler where it belongs. True: the reply is ready; false: the exchange is
 * parked. */
bool exchange_dispatch(struct exchange *x);
/* A parked exchange is back on its connection's thread. */
void exchange_returned(struct exchange *x);

/* http/reply.c */
enum MHD_Result reply_queue(struct exchange *x);
/* Sends the refusal over a connection whose body is still coming, where libmicrohttpd takes no response. */
void reply_cut(struct exchange *x);
void reply_clear(struct reply *reply);

/* http/text.c: a body that is text, and belongs to the response; NULL without memory. JSON is a line; the
 * caller frees it. */
char *text_line(const json_t *value);
char *text_problem(const struct err *e);
struct MHD_Response *text_response(char *text, const char *type);
struct MHD_Response *problem_response(const struct err *e);
/* Content-Disposition; name "": none. */
void response_attachment(struct MHD_Response *response, const char *name);

/* http/download.c: the answer with r->reply's file; owns its descriptor. NULL without memory. *length: of its
 * body, as it will be sent. */
struct MHD_Response *download_response(struct request *r, unsigned *status, uint64_t *length);

#endif
