#include "exchange.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/str.h"
#include "fuse.h"
#include "http/route.h"
#include "stream.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAILURES_A_SECOND 10
#define RETRY_AFTER_MIN_S 5
#define RETRY_AFTER_MAX_S 15

void reply_clear(struct reply *reply)
{
    json_decref(reply->json);
    free(reply->text);
    free(reply->endings);
    stream_free(reply->stream);
    if (reply->fd >= 0)
        close(reply->fd);
    *reply = (struct reply){.fd = -1};
}

static void add_unless_empty(struct MHD_Response *response, const char *name, const char *value)
{
    if (value[0])
        MHD_add_response_header(response, name, value);
}

/* A different one for each, so that those who were sent away together do not come back together. */
static void add_retry_after(struct MHD_Response *response)
{
    unsigned char random;
    char text[8];
    random_bytes(&random, sizeof random);
    snprintf(text, sizeof text, "%d",
             RETRY_AFTER_MIN_S + random % (RETRY_AFTER_MAX_S - RETRY_AFTER_MIN_S + 1));
    MHD_add_response_header(response, "Retry-After", text);
}

/* *status comes as the error's own. */
static struct MHD_Response *error_response(struct exchange *x, unsigned *status)
{
    const struct route *route = x->request.route;
    bool fuse = route && (route->flags & ROUTE_FUSE);
    struct MHD_Response *response =
        fuse ? fuse_problem(&x->err, (route->flags & ROUTE_TERSE) != 0, status) : problem_response(&x->err);
    if (!response)
        return NULL;
    if (x->err.code == ERR_METHOD)
        add_unless_empty(response, "Allow", x->allow);
    if (x->err.code == ERR_UNAUTHORIZED && !fuse)
        MHD_add_response_header(response, "WWW-Authenticate",
                                route && (route->flags & (ROUTE_DEVICE | ROUTE_FILE))
                                    ? "Basic realm=\"otad\", charset=\"UTF-8\""
                                    : "Bearer realm=\"otad\"");
    if (x->err.code == ERR_BUSY || x->err.code == ERR_TOO_MANY)
        add_retry_after(response);
    return response;
}

static struct MHD_Response *body_response(struct reply *reply, uint64_t *length)
{
    struct MHD_Response *response;
    *length = 0;
    if (reply->json) {
        char *text = text_line(reply->json);
        *length = strlen(text);
        response = text_response(text, "application/json");
    } else if (reply->text) {
        *length = strlen(reply->text);
        response = text_response(reply->text, reply->type ? reply->type : "text/plain; charset=utf-8");
        reply->text = NULL;
    } else if (reply->stream) {
        *length = STREAM_LENGTH;
        response = stream_response(reply->stream, reply->type);
        reply->stream = NULL;
    } else {
        response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    }
    if (!response)
        return NULL;
    add_unless_empty(response, "Location", reply->location);
    add_unless_empty(response, "ETag", reply->etag);
    add_unless_empty(response, "Link", reply->link);
    add_unless_empty(response, "x-version", reply->version);
    response_attachment(response, reply->attachment);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    return response;
}

/* A browser that is led to one of these takes it for nothing but data. Devices' answers do without: their
 * clients count every byte of a head. */
static void add_guards(struct MHD_Response *response, const struct route *route)
{
    if (route && (route->flags & (ROUTE_DEVICE | ROUTE_FILE)))
        return;
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; frame-ancestors 'none'");
}

/* A client can ask for what fails as often as it likes, and a disk that is full fails for all: beyond so many
 * lines a second they are counted. */
static bool may_log(void)
{
    static _Atomic int64_t second;
    static atomic_uint in_second;
    int64_t now = clock_mono_ms() / 1000;
    if (atomic_exchange(&second, now) != now) {
        unsigned before = atomic_exchange(&in_second, 0);
        if (before > FAILURES_A_SECOND)
            log_error("%u more requests have failed", before - FAILURES_A_SECOND);
    }
    return atomic_fetch_add(&in_second, 1) < FAILURES_A_SECOND;
}

/* Errors are logged here and nowhere below, and only those that are not the client's, nor over when it comes
 * again. The path, not the target: a query may hold a signature. */
static void log_failure(const struct exchange *x, unsigned status)
{
    if (status >= 500 && x->err.code != ERR_BUSY && x->request.route && may_log())
        log_error("%s %s: %s", x->request.route->method, x->request.path, x->err.text);
}

static bool is_bare(const struct exchange *x, unsigned status)
{
    return x->request.head || status == 204 || status == 304;
}

/* A short answer leaves in one piece, as a head alone does by itself; of a long one TLS learns what follows,
 * if anybody knows. */
static void lead(const struct exchange *x, unsigned status, uint64_t length)
{
    if (is_bare(x, status))
        return;
    if (length <= TLS_GATHER_MAX_BYTES)
        tls_session_gather(x->tls);
    else if (length != STREAM_LENGTH)
        tls_session_follow(x->tls, length);
}

enum MHD_Result reply_queue(struct exchange *x)
{
    struct reply *reply = &x->request.reply;
    unsigned status = reply->status ? (unsigned)reply->status : 200;
    uint64_t length = 0; /* of an error too little to count */
    struct MHD_Response *response;
    if (x->rc) {
        status = (unsigned)err_status(x->err.code);
        log_failure(x, status);
        response = error_response(x, &status);
    } else if (reply->fd >= 0) {
        response = download_response(&x->request, &status, &length);
    } else {
        response = body_response(reply, &length);
    }
    if (!response)
        return MHD_NO;
    add_guards(response, x->request.route);
    if (x->close || x->set->draining)
        MHD_add_response_header(response, "Connection", "close");
    lead(x, status, length);
    enum MHD_Result queued = MHD_queue_response(x->request.connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

/* What does not leave at once is lost with the connection. */
static void send_now(struct MHD_Connection *c, const char *text, size_t len)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info && info->tls_session) {
        gnutls_record_send(info->tls_session, text, len);
        return;
    }
    info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        (void)!send(info->connect_fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void reply_cut(struct exchange *x)
{
    char text[1024];
    char *body = text_problem(&x->err);
    int status = err_status(x->err.code);
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s",
                       status, MHD_get_reason_phrase_for((unsigned)status), strlen(body), body);
    if (len > 0 && (size_t)len < sizeof text)
        send_now(x->request.connection, text, (size_t)len);
    free(body);
}
