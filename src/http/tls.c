#include "http/tls.h"

#include "base/clock.h"
#include "base/file.h"
#include "client_cert.h"
#include "waiting.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <linux/sockios.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TICKET_KEY_LIFE_MS (24 * 3600 * 1000)
#define MAX_FRAGMENT_LENGTH                                                         \
    1 /* RFC 6066 4: the extension's number; its one byte is 1 to 4 for 512 to 4096 \
       */
#define MAX_FRAGMENT_LARGEST 4

struct credentials { /* counted: one for the process, one for each session that uses it */
    gnutls_certificate_credentials_t cert;
    bool demands; /* a certificate of clients */
    atomic_uint users;
};

struct tls {
    pthread_mutex_t lock;
    struct credentials *current;
    struct waiting *waiting; /* handshakes that wait for their client */
    gnutls_datum_t ticket_key;
    int64_t ticket_key_at_ms;
};

struct tls_session {
    struct credentials *credentials;
    gnutls_session_t session;
    struct tls *tls;
    struct waiter waiter;
    bool shaken;
    int fd;
    size_t record_bytes; /* asked for in the hello; 0 nothing, or done */
    bool gathering;
    uint64_t following;         /* at least so many bytes are still to be sent */
    struct client_cert *client; /* NULL: not verified yet */
};

static void credentials_release(struct credentials *c)
{
    if (c && atomic_fetch_sub(&c->users, 1) == 1) {
        gnutls_certificate_free_credentials(c->cert);
        free(c);
    }
}

static int load_pem(const char *path, char *pem, gnutls_datum_t *out, struct err *e)
{
    size_t len;
    int rc = file_read(path, pem, TLS_PEM_SIZE, &len, e);
    if (rc == 0)
        *out = (gnutls_datum_t){(unsigned char *)pem, (unsigned)len};
    return rc;
}

/* Reading tells which of the two files is missing; GnuTLS then checks that the key fits the certificate. */
static int load_pair(gnutls_certificate_credentials_t cert, const struct tls_pair *pair, char *pem,
                     struct err *e)
{
    gnutls_datum_t chain, key;
    int rc = load_pem(pair->cert_path, pem, &chain, e);
    if (rc == 0)
        rc = load_pem(pair->key_path, pem + TLS_PEM_SIZE, &key, e);
    if (rc)
        return rc;
    rc = gnutls_certificate_set_x509_key_mem(cert, &chain, &key, GNUTLS_X509_FMT_PEM);
    if (rc < 0)
        return err_set(e, ERR_INVALID, "the certificate %s and the key %s cannot be used: %s",
                       pair->cert_path, pair->key_path, gnutls_strerror(rc));
    return 0;
}

static int load_client_ca(struct credentials *c, const char *path, struct err *e)
{
    int rc = path ? gnutls_certificate_set_x509_trust_file(c->cert, path, GNUTLS_X509_FMT_PEM) : 0;
    if (path && rc <= 0)
        return err_set(e, ERR_INVALID, "the CA of devices %s cannot be used: %s", path,
                       rc < 0 ? gnutls_strerror(rc) : "it holds no certificate");
    c->demands = path;
    return 0;
}

static int credentials_load(const struct tls_pair pairs[], size_t n, const char *client_ca,
                            struct credentials **out, struct err *e)
{
    struct credentials *c = calloc(1, sizeof *c);
    char *pem = malloc(2 * TLS_PEM_SIZE);
    if (!c || !pem || gnutls_certificate_allocate_credentials(&c->cert) != 0) {
        free(c);
        free(pem);
        return err_set(e, ERR_INTERNAL, "no memory for a certificate");
    }
    atomic_init(&c->users, 1);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = load_pair(c->cert, &pairs[i], pem, e);
    explicit_bzero(pem, 2 * TLS_PEM_SIZE);
    free(pem);
    if (rc == 0)
        rc = load_client_ca(c, client_ca, e);
    if (rc)
        credentials_release(c);
    else
        *out = c;
    return rc;
}

static void ticket_key_drop(gnutls_datum_t *key)
{
    if (key->data) {
        explicit_bzero(key->data, key->size);
        gnutls_free(key->data);
        key->data = NULL;
    }
}

/* A ticket of yesterday's key costs its client one full handshake. */
static void ticket_key_renew(struct tls *t)
{
    int64_t now_ms = clock_mono_ms();
    gnutls_datum_t key;
    if (t->ticket_key.data && now_ms - t->ticket_key_at_ms < TICKET_KEY_LIFE_MS)
        return;
    if (gnutls_session_ticket_key_generate(&key) != 0)
        return;
    ticket_key_drop(&t->ticket_key);
    t->ticket_key = key;
    t->ticket_key_at_ms = now_ms;
}

int tls_open(const struct tls_pair pairs[], size_t n, const char *client_ca, struct tls **out, struct err *e)
{
    struct credentials *c;
    int rc = credentials_load(pairs, n, client_ca, &c, e);
    if (rc)
        return rc;
    struct tls *t = calloc(1, sizeof *t);
    if (!t) {
        credentials_release(c);
        return err_set(e, ERR_INTERNAL, "no memory for TLS");
    }
    t->current = c;
    pthread_mutex_init(&t->lock, NULL);
    ticket_key_renew(t);
    rc = waiting_start(&t->waiting, e);
    if (rc)
        tls_close(t);
    else
        *out = t;
    return rc;
}

void tls_close(struct tls *t)
{
    if (!t)
        return;
    waiting_close(t->waiting);
    credentials_release(t->current);
    ticket_key_drop(&t->ticket_key);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int tls_reload(struct tls *t, const struct tls_pair pairs[], size_t n, const char *client_ca, struct err *e)
{
    struct credentials *new, *old;
    int rc = credentials_load(pairs, n, client_ca, &new, e);
    if (rc)
        return rc;
    pthread_mutex_lock(&t->lock);
    old = t->current;
    t->current = new;
    pthread_mutex_unlock(&t->lock);
    credentials_release(old);
    return 0;
}

static int on_hello_extension(void *arg, unsigned number, const unsigned char *data, unsigned size)
{
    struct tls_session *s = arg;
    if (number == MAX_FRAGMENT_LENGTH && size == 1 && data[0] >= 1 && data[0] <= MAX_FRAGMENT_LARGEST)
        s->record_bytes = (size_t)256 << data[0];
    return 0;
}

/* There is one hook a session, so it looks at every message. GnuTLS 3.7 agrees to a client's record size
 * under TLS 1.2 and then ignores it: the size is kept for tls_session_request, since here it cannot be set. A
 * client with Nagle's algorithm on waits 40 ms with its request for our acknowledgement of its Finished,
 * unless that is sent at once. */
static int on_handshake(gnutls_session_t session, unsigned type, unsigned post, unsigned incoming,
                        const gnutls_datum_t *msg)
{
    struct tls_session *s = gnutls_session_get_ptr(session);
    (void)post;
    if (!s || !incoming)
        return 0;
    if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO)
        gnutls_ext_raw_parse(s, on_hello_extension, msg, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
    else if (type == GNUTLS_HANDSHAKE_FINISHED) {
        s->shaken = true;
        setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    }
    return 0;
}

/* GnuTLS hands over one record at a time. While more is sure to follow, the kernel may keep it: then TCP
 * sends full segments instead of one for each record, and the client is woken once for four. */
static ssize_t on_push(gnutls_transport_ptr_t to, const giovec_t *parts, int n)
{
    struct tls_session *s = to;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n};
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += parts[i].iov_len;
    ssize_t sent = sendmsg(s->fd, &message, MSG_NOSIGNAL | (s->following > bytes ? MSG_MORE : 0));
    if (sent > 0)
        s->following -= s->following < (uint64_t)sent ? s->following : (uint64_t)sent;
    return sent;
}

/* libmicrohttpd's own would do, but that a handshake that cannot go on must wait (waiting.h). */
static ssize_t on_pull(gnutls_transport_ptr_t from, void *buf, size_t size)
{
    struct tls_session *s = from;
    ssize_t n = recv(s->fd, buf, size, 0);
    int why = errno;
    if (n < 0 && why == EAGAIN && !s->shaken)
        waiting_add(s->tls->waiting, &s->waiter);
    errno = why;
    return n;
}

static int on_pull_timeout(gnutls_transport_ptr_t from, unsigned ms)
{
    struct tls_session *s = from;
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    return poll(&p, 1, ms > INT_MAX ? -1 : (int)ms);
}

void tls_stop_waiting(struct tls *t)
{
    if (t)
        waiting_stop(t->waiting);
}

struct tls_session *tls_session_begin(struct tls *t, struct MHD_Connection *connection, int fd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    struct tls_session *s = info ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->session = info->tls_session;
    s->fd = fd;
    s->tls = t;
    s->waiter = (struct waiter){.connection = connection, .fd = fd};
    pthread_mutex_lock(&t->lock);
    s->credentials = t->current;
    atomic_fetch_add(&s->credentials->users, 1);
    ticket_key_renew(t);
    if (t->ticket_key.data)
        gnutls_session_ticket_enable_server(s->session, &t->ticket_key);
    pthread_mutex_unlock(&t->lock);
    gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials->cert);
    if (s->credentials->demands)
        gnutls_certificate_server_set_request(s->session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_ptr(s->session, s);
    gnutls_transport_set_ptr(s->session, s);
    gnutls_transport_set_pull_function(s->session, on_pull);
    gnutls_transport_set_pull_timeout_function(s->session, on_pull_timeout);
    gnutls_transport_set_vec_push_function(s->session, on_push);
    gnutls_handshake_set_hook_function(s->session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_POST, on_handshake);
    return s;
}

void tls_session_end(struct tls_session *s)
{
    if (!s)
        return;
    credentials_release(s->credentials);
    free(s->client);
    free(s);
}

bool tls_session_demands(const struct tls_session *s)
{
    return s && s->credentials->demands;
}

int tls_session_client(struct tls_session *s, int64_t now_ms, const struct client_cert **out, struct err *e)
{
    if (!s->client) {
        struct client_cert shown;
        int rc = client_cert_verify(s->session, &shown, e);
        if (rc)
            return rc;
        s->client = malloc(sizeof shown);
        if (!s->client)
            return err_set(e, ERR_INTERNAL, "no memory for a client certificate");
        *s->client = shown;
    }
    if (now_ms >= s->client->ends_at_ms)
        return err_set(e, ERR_UNAUTHORIZED, "the client certificate has expired");
    *out = s->client;
    return 0;
}

void tls_session_request(struct tls_session *s)
{
    if (s && s->record_bytes) {
        gnutls_record_set_max_size(s->session, s->record_bytes);
        s->record_bytes = 0;
    }
}

/* Nothing waits in the socket: then its buffer, however small, takes what gather allows. */
void tls_session_gather(struct tls_session *s)
{
    int waiting;
    if (!s || s->gathering || ioctl(s->fd, SIOCOUTQ, &waiting) != 0 || waiting != 0)
        return;
    gnutls_record_cork(s->session);
    s->gathering = true;
}

/* libmicrohttpd believes it has sent all, and may have left the socket corked: TCP_NODELAY pushes out what
 * waits there, else it would wait 200 ms. Should the socket not take everything, the connection ends rather
 * than stall: nobody would come back for the rest. */
void tls_session_release(struct tls_session *s)
{
    if (!s || !s->gathering)
        return;
    s->gathering = false;
    if (gnutls_record_uncork(s->session, 0) < 0)
        shutdown(s->fd, SHUT_RDWR);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

void tls_session_follow(struct tls_session *s, uint64_t bytes)
{
    if (s)
        s->following = bytes;
}
