#include "http/http.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/nets.h"
#include "exchange.h"
#include "http/tls.h"
#include "listener.h"
#include "model/board.h"
#include "parties.h"
#include "watchdog.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection's memory holds one request's head and little else: that is most of what an idle device costs.
 */
#define POOL_BYTES         (8 * 1024)
#define SOCKET_TIMEOUT_S   60u /* of TCP there is the watchdog */
#define SOCKET_CONNECTIONS 64
#define LOG_EVERY_MS       10000
/* Of what was sent nothing was acknowledged for so long: the kernel ends the connection, one that
 * libmicrohttpd has closed already too, whose last bytes would lie in memory else. */
#define UNHEARD_MS 120000

enum kind { KIND_TLS, KIND_CERT, KIND_PLAIN, KIND_SOCKET, KINDS };

struct listener {
    struct http *http;
    enum kind kind;
    struct tls *tls; /* NULL: none. With ticket keys of its own: no session goes on at another door */
    int fd;          /* until libmicrohttpd takes it */
    struct MHD_Daemon *daemon;
};

/* Of a connection, in libmicrohttpd's hands as its context. */
struct line {
    struct tls_session *tls; /* NULL: not over TLS */
    struct watched watched;  /* not of the Unix socket's */
    struct party *party;
    bool trusted; /* no limit of an address holds */
};

struct http {
    const struct http_env *env;
    char device_ca_path[FILE_PATH_SIZE];
    struct nets trusted_nets;
    struct parties *parties;
    struct watchdog *watchdog;
    struct exchanges exchanges;
    struct listener listeners[KINDS];
    char socket_path[FILE_PATH_SIZE];
    _Atomic int64_t logged_at_ms;
    _Atomic unsigned unlogged;
};

/* ---- libmicrohttpd's callbacks */

/* Most of what it says is of clients that went away: one line now and then is enough to see it. */
__attribute__((format(printf, 2, 0))) static void on_log(void *arg, const char *format, va_list args)
{
    struct http *h = arg;
    char text[300];
    int64_t now_ms = clock_mono_ms(), last_ms = atomic_load(&h->logged_at_ms);
    if ((last_ms && now_ms - last_ms < LOG_EVERY_MS) ||
        !atomic_compare_exchange_strong(&h->logged_at_ms, &last_ms, now_ms)) {
        atomic_fetch_add(&h->unlogged, 1);
        return;
    }
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    log_info("http: %s (%u more since the last line)", text, atomic_exchange(&h->unlogged, 0));
}

static void on_panic(void *arg, const char *file, unsigned line, const char *reason)
{
    (void)arg;
    log_error("libmicrohttpd is broken at %s:%u: %s", file, line, reason ? reason : "");
    abort();
}

static bool is_trusted(const struct http *h, const struct peer *peer)
{
    return peer_is_none(peer) || nets_hold(&h->trusted_nets, &peer->address);
}

/* Before there is a connection: who is refused costs a system call or two. */
static enum MHD_Result on_accept(void *arg, const struct sockaddr *address, socklen_t len)
{
    const struct listener *l = arg;
    struct http *h = l->http;
    struct peer peer = peer_of(address);
    (void)len;
    if (is_trusted(h, &peer) || !parties_full(h->parties, &peer.address))
        return MHD_YES;
    board_count(BOARD_CONNECTIONS_REFUSED, 1);
    return MHD_NO;
}

static void line_end(const struct listener *l, struct line *line)
{
    if (!line)
        return;
    if (l->kind != KIND_SOCKET)
        watchdog_remove(l->http->watchdog, &line->watched);
    parties_leave(l->http->parties, line->party);
    tls_session_end(line->tls);
    free(line);
}

static void line_watch(const struct listener *l, struct line *line, const struct peer *peer, int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){UNHEARD_MS}, sizeof(unsigned));
    watchdog_add(l->http->watchdog, &line->watched, fd);
    if (!line->trusted)
        line->party = parties_enter(l->http->parties, &peer->address);
}

static struct line *line_begin(const struct listener *l, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = info ? info->connect_fd : -1;
    info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct peer peer = peer_of(info ? info->client_addr : NULL);
    struct line *line = calloc(1, sizeof *line);
    if (!line) {
        shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    line->trusted = is_trusted(l->http, &peer);
    if (l->kind != KIND_SOCKET)
        line_watch(l, line, &peer, fd);
    if (l->tls)
        line->tls = tls_session_begin(l->tls, c, fd);
    return line;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    const struct listener *l = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = line_begin(l, c);
    } else {
        line_end(l, *context);
        *context = NULL;
    }
}

static void *on_target(void *arg, const char *target, struct MHD_Connection *c)
{
    struct listener *l = arg;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct line *line = info ? info->socket_context : NULL;
    if (l->kind == KIND_CERT && !(line && line->tls))
        return NULL; /* nothing would be demanded of it */
    struct exchange *x = line ? exchange_begin(&l->http->exchanges, target, c, line->tls) : NULL;
    if (!x)
        return NULL;
    if (l->kind == KIND_SOCKET)
        exchange_admit(x);
    else
        x->watched = &line->watched;
    if (!line->trusted)
        x->request.throttle = l->http->exchanges.throttle;
    return x;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *len, void **context)
{
    (void)arg;
    (void)c;
    (void)url;
    return *context ? exchange_step(*context, method, version, data, len) : MHD_NO;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)c;
    (void)code;
    if (*context)
        exchange_end(*context);
    *context = NULL;
}

/* ---- starting */

static unsigned thread_count(const struct http_env *env, enum kind kind)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t wanted = env->settings->http_threads ? env->settings->http_threads : cores;
    return kind == KIND_SOCKET || wanted < 1 ? 1 : (unsigned)wanted;
}

static const char *priorities(const struct settings *s)
{
    return s->tls_profile == TLS_COMPATIBLE ? TLS_PRIORITIES_COMPATIBLE : TLS_PRIORITIES;
}

static int start_daemon(struct listener *l, const char *cert_pem, const char *key_pem, struct err *e)
{
    const struct http_env *env = l->http->env;
    unsigned threads = thread_count(env, l->kind);
    unsigned connections =
        l->kind == KIND_SOCKET ? SOCKET_CONNECTIONS : (unsigned)env->settings->max_connections;
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key_pem},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)priorities(env->settings)},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    if (!l->tls)
        tls[0].option = MHD_OPTION_END;
    /* not MHD_OPTION_STRICT_FOR_CLIENT: a missing Host would be answered twice; http/guard answers it once */
    l->daemon = MHD_start_daemon(
        l->tls ? flags | MHD_USE_TLS : flags, 0, on_accept, l, on_request, l, MHD_OPTION_EXTERNAL_LOGGER,
        on_log, l->http, MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, l->kind == KIND_SOCKET ? SOCKET_TIMEOUT_S : 0u,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_ARRAY, pool, MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    l->fd = -1;
    if (!l->daemon)
        return err_set(e, ERR_INTERNAL, "the HTTP server did not start");
    return 0;
}

static size_t certificates(const struct http_env *env, struct tls_pair out[2])
{
    out[0] = (struct tls_pair){env->cert_path, env->key_path};
    out[1] = (struct tls_pair){env->rsa_cert_path, env->rsa_key_path};
    return *env->rsa_cert_path ? 2 : 1;
}

static const char *client_ca(const struct listener *l)
{
    return l->kind == KIND_CERT ? l->http->device_ca_path : NULL;
}

/* libmicrohttpd insists on a pair of its own; sessions get theirs from http/tls. */
static int start_tls_on(struct listener *l, int64_t port, struct err *e)
{
    const struct http_env *env = l->http->env;
    struct tls_pair pairs[2];
    size_t len;
    char *pem = malloc(2 * TLS_PEM_SIZE);
    if (!pem)
        return err_set(e, ERR_INTERNAL, "no memory for a certificate");
    int rc = tls_open(pairs, certificates(env, pairs), client_ca(l), &l->tls, e);
    if (rc == 0)
        rc = file_read(env->cert_path, pem, TLS_PEM_SIZE, &len, e);
    if (rc == 0)
        rc = file_read(env->key_path, pem + TLS_PEM_SIZE, TLS_PEM_SIZE, &len, e);
    if (rc == 0)
        rc = listener_tcp(env->settings->https_listen, port, &l->fd, e);
    if (rc == 0)
        rc = start_daemon(l, pem, pem + TLS_PEM_SIZE, e);
    explicit_bzero(pem, 2 * TLS_PEM_SIZE);
    free(pem);
    return rc;
}

static int start_tls(struct listener *l, struct err *e)
{
    return start_tls_on(l, l->http->env->settings->https_port, e);
}

static int start_cert(struct listener *l, struct err *e)
{
    struct http *h = l->http;
    if (h->env->settings->https_cert_port == 0)
        return 0;
    int rc = file_path(h->device_ca_path, h->env->cert_dir, "device-ca.pem", e);
    return rc ? rc : start_tls_on(l, h->env->settings->https_cert_port, e);
}

static int start_plain(struct listener *l, struct err *e)
{
    const struct settings *s = l->http->env->settings;
    if (s->http_port == 0)
        return 0;
    int rc = listener_tcp(s->https_listen, s->http_port, &l->fd, e);
    return rc ? rc : start_daemon(l, NULL, NULL, e);
}

static int start_socket(struct listener *l, struct err *e)
{
    int rc = file_path(l->http->socket_path, l->http->env->settings->data_dir, "otad.sock", e);
    if (rc == 0)
        rc = listener_unix(l->http->socket_path, &l->fd, e);
    return rc ? rc : start_daemon(l, NULL, NULL, e);
}

static void stop_daemons(struct http *h)
{
    for (size_t i = 0; i < KINDS; i++) {
        struct listener *l = &h->listeners[i];
        if (l->daemon)
            MHD_stop_daemon(l->daemon);
        if (l->fd >= 0)
            close(l->fd);
    }
}

static void free_all(struct http *h)
{
    for (size_t i = 0; i < KINDS; i++)
        tls_stop_waiting(h->listeners[i].tls);
    stop_daemons(h);
    watchdog_stop(h->watchdog);
    parties_close(h->parties);
    exchanges_close(&h->exchanges);
    for (size_t i = 0; i < KINDS; i++)
        tls_close(h->listeners[i].tls);
    free(h);
}

/* Each listener on TCP may have max_connections. */
static int start_limits(struct http *h, struct err *e)
{
    const struct settings *s = h->env->settings;
    int64_t each = s->max_connections_per_address;
    h->parties = parties_open((size_t)s->max_connections * 3, (size_t)(each ? each : s->max_connections / 2));
    if (!h->parties)
        return err_set(e, ERR_INTERNAL, "no memory for the limits of addresses");
    int rc = nets_parse(s->trusted_nets, &h->trusted_nets, e);
    return rc ? rc : watchdog_start(s->header_timeout_ms, s->min_rate, &h->watchdog, e);
}

int http_start(const struct http_env *env, struct http **out, struct err *e)
{
    static int (*const start[KINDS])(struct listener *, struct err *) = {[KIND_TLS] = start_tls,
                                                                         [KIND_CERT] = start_cert,
                                                                         [KIND_PLAIN] = start_plain,
                                                                         [KIND_SOCKET] = start_socket};
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(e, ERR_INTERNAL, "no memory for the HTTP server");
    h->env = env;
    MHD_set_panic_func(on_panic, NULL);
    int rc = exchanges_open(&h->exchanges, env, e);
    if (rc == 0)
        rc = start_limits(h, e);
    for (size_t i = 0; i < KINDS; i++)
        h->listeners[i] = (struct listener){.http = h, .kind = (enum kind)i, .fd = -1};
    for (size_t i = 0; i < KINDS && rc == 0; i++)
        rc = start[i](&h->listeners[i], e);
    if (rc)
        free_all(h);
    else
        *out = h;
    return rc;
}

int http_reload_certificate(struct http *h, struct err *e)
{
    struct tls_pair pairs[2];
    size_t n = certificates(h->env, pairs);
    int rc = 0;
    for (size_t i = 0; i < KINDS && rc == 0; i++) {
        struct listener *l = &h->listeners[i];
        rc = l->tls ? tls_reload(l->tls, pairs, n, client_ca(l), e) : 0;
    }
    return rc;
}

/* Nobody is taken in any more. The descriptor is closed after the daemon has ended: its threads may still
 * name it to their epoll. */
static void stop_listening(struct listener *l)
{
    if (!l->daemon)
        return;
    l->fd = MHD_quiesce_daemon(l->daemon);
    if (l->fd < 0 || shutdown(l->fd, SHUT_RDWR) != 0)
        log_warn("a listening socket could not be closed before its connections");
}

void http_stop(struct http *h, int64_t drain_ms)
{
    if (!h)
        return;
    unlink(h->socket_path);
    for (size_t i = 0; i < KINDS; i++)
        stop_listening(&h->listeners[i]);
    exchanges_drain(&h->exchanges, drain_ms);
    free_all(h);
}
