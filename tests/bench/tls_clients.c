/* tls_clients.c: many clients of one HTTPS server, for handshakes.py and slow.py.
 *
 *   tls_clients handshakes PORT TARGET CA FILE 1.2|1.3 full|resumed CONNECTIONS THREADS SECONDS
 *   tls_clients slow PORT TARGET CA FILE CONNECTIONS RATE RCVBUF SECONDS
 *
 * handshakes: so many connections at a time, each a handshake and a request for the first bytes of the file,
 * since the tickets of TLS 1.3 come with the answer; then the next. The first of each is full. Of those after
 * it all must resume the session of the one before, or none.
 *
 * slow: all of them open, TLS 1.3, and each reads the whole file at RATE bytes a second. It says "flowing"
 * when the file comes on all; a line on stdin begins what is measured, and another ends it, and the program,
 * which ends in error after SECONDS at the latest.
 *
 * Both print RESULT and JSON. Protocol, cipher, group, certificate and each byte of the file are checked, and
 * whatever is otherwise than expected ends the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENTS      256
#define PART        64 /* bytes of the file that a handshake is followed by */
#define ANSWER      2048
#define GRACE_S     30
#define THREADS_MAX 64
#define OPENING     64 /* handshakes at a time before all flow: a server's backlog is no subject here */
#define TICK_MS     10
#define TURNS       20   /* each slow client reads every 200 ms */
#define SLOW_MSS    1460 /* a device's link is no loopback, whose segments are larger than these buffers */

enum step { SHAKES, ASKS, FLOWS };

struct client {
    SSL *ssl;
    SSL_SESSION *session; /* to be resumed; NULL: none yet */
    enum step step;
    int fd;
    size_t len; /* of the answer */
    uint64_t opened;
    uint64_t got; /* slow: bytes of the file */
    uint64_t got_before;
    int64_t flows_at_us;
    char answer[ANSWER];
};

struct crew { /* a thread and its connections */
    SSL_CTX *tls;
    pthread_t thread;
    X509 *verified; /* of the server; NULL: none yet */
    struct client *client;
    size_t n, open;
    uint64_t handshakes, resumed;
    int epoll_fd;
};

static struct {
    struct sockaddr_in address;
    const char *cipher;
    const unsigned char *file;
    size_t size;
    char request[512];
    int request_len;
    int protocol;
    int receive_bytes; /* 0: as the kernel likes */
    bool slow, resumes;
    uint64_t rate;
    int64_t end_us;
} job;

static _Noreturn void die(const char *why)
{
    fprintf(stderr, "tls_clients: %s\n", why);
    ERR_print_errors_fp(stderr);
    _exit(1); /* the other threads are at work */
}

static void must(bool good, const char *why)
{
    if (!good)
        die(why);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- one connection */

/* Each ticket that comes; TLS 1.2's server need not send one when a session is resumed. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, mss = SLOW_MSS;
    must(fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "no socket");
    if (job.receive_bytes) {
        must(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &job.receive_bytes, sizeof job.receive_bytes) == 0 &&
                 setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss) == 0,
             "no small socket");
    }
    if (connect(fd, (const struct sockaddr *)&job.address, sizeof job.address) != 0 && errno != EINPROGRESS)
        die("cannot connect");
    return fd;
}

static void open_client(struct crew *crew, struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = open_socket();
    c->ssl = SSL_new(crew->tls);
    must(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_set_app_data(c->ssl, c) == 1 &&
             SSL_set1_host(c->ssl, "localhost") == 1 && SSL_set_tlsext_host_name(c->ssl, "localhost") == 1,
         "no session");
    if (job.resumes && c->session)
        must(SSL_set_session(c->ssl, c->session) == 1, "a session that cannot be set");
    c->step = SHAKES;
    c->len = 0;
    c->opened++;
    crew->open++;
    must(epoll_ctl(crew->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0, "no epoll");
}

/* The reset leaves no port behind that waits for a minute. */
static void close_client(struct crew *crew, struct client *c)
{
    struct linger at_once = {.l_onoff = 1};
    must(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "no linger");
    /* else OpenSSL takes the session for a broken one, not to be resumed */
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    close(c->fd);
    crew->open--;
}

/* True: it has to wait for its server. */
static bool waits(const struct client *c, int rc, const char *what)
{
    int why = SSL_get_error(c->ssl, rc);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        die(what);
    return true;
}

static void check_handshake(struct crew *crew, const struct client *c)
{
    bool resumed = SSL_session_reused(c->ssl);
    must(SSL_version(c->ssl) == job.protocol && strcmp(SSL_get_cipher_name(c->ssl), job.cipher) == 0,
         "another protocol or cipher");
    must(SSL_get_negotiated_group(c->ssl) == NID_X25519, "another group");
    must(SSL_get_verify_result(c->ssl) == X509_V_OK, "a certificate that does not verify");
    must(resumed == (job.resumes && c->opened > 1),
         resumed ? "a session resumed that should not be" : "a session not resumed");
    crew->handshakes++;
    crew->resumed += resumed;
}

static bool shake(struct crew *crew, struct client *c)
{
    int rc = SSL_connect(c->ssl);
    if (rc != 1)
        return !waits(c, rc, "a handshake failed");
    check_handshake(crew, c);
    must(SSL_write(c->ssl, job.request, job.request_len) == job.request_len, "cannot ask");
    c->step = ASKS;
    return true;
}

/* NULL: more of the head is to come. */
static const char *body_of(const struct client *c)
{
    const char *end = memmem(c->answer, c->len, "\r\n\r\n", 4);
    return end ? end + 4 : NULL;
}

static void check_head(struct client *c)
{
    char length[64];
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", job.slow ? job.size : PART);
    must(strncmp(c->answer, job.slow ? "HTTP/1.1 200 " : "HTTP/1.1 206 ", 13) == 0 &&
             strstr(c->answer, length),
         "an answer of another kind than asked for");
}

static void check_bytes(const char *bytes, uint64_t from, size_t n)
{
    must(from + n <= job.size && memcmp(bytes, job.file + from, n) == 0, "not the bytes of the file");
}

/* The head and what came with it; true when it is there, and of a short answer all. */
static bool answered(struct client *c)
{
    const char *body;
    int n = SSL_read(c->ssl, c->answer + c->len, (int)(ANSWER - 1 - c->len));
    if (n <= 0)
        return !waits(c, n, "an answer failed");
    c->len += (size_t)n;
    c->answer[c->len] = '\0';
    body = body_of(c);
    must(body || c->len < ANSWER - 1, "a long head");
    if (!body || (!job.slow && c->answer + c->len < body + PART))
        return true;
    check_head(c);
    c->got = (uint64_t)(c->answer + c->len - body);
    must(job.slow || c->got == PART, "more than was asked for");
    check_bytes(body, 0, (size_t)c->got);
    c->step = FLOWS;
    return true;
}

/* As far as it goes: readiness is told once. */
static void go_on(struct crew *crew, struct client *c)
{
    while (c->step != FLOWS && (c->step == SHAKES ? shake(crew, c) : answered(c)))
        ;
}

/* ---- what both modes need */

/* The chain is verified once: it would be half of what a client does, and no part of the handshake. All
 * certificates after it must be the same one. */
static int on_certificate(X509_STORE_CTX *chain, void *arg)
{
    struct crew *crew = arg;
    X509 *shown = X509_STORE_CTX_get0_cert(chain);
    if (crew->verified)
        return X509_cmp(crew->verified, shown) == 0;
    if (X509_verify_cert(chain) != 1 || !X509_up_ref(shown))
        return 0;
    crew->verified = shown;
    return 1;
}

/* P-256 is the certificate's: TLS 1.2 wants it named. */
static SSL_CTX *new_tls(struct crew *crew, const char *ca)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    must(tls && SSL_CTX_load_verify_locations(tls, ca, NULL) == 1 &&
             SSL_CTX_set_min_proto_version(tls, job.protocol) == 1 &&
             SSL_CTX_set_max_proto_version(tls, job.protocol) == 1 &&
             SSL_CTX_set1_groups_list(tls, "X25519:P-256") == 1 &&
             SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") == 1 &&
             SSL_CTX_set_cipher_list(tls, "ECDHE-ECDSA-AES128-GCM-SHA256") == 1,
         "no TLS");
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(tls, on_certificate, crew);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls, on_session);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

static void new_crew(struct crew *crew, size_t n, const char *ca)
{
    crew->tls = new_tls(crew, ca);
    crew->n = n;
    crew->client = calloc(n, sizeof *crew->client);
    crew->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    must(crew->client && crew->epoll_fd >= 0, "no memory");
}

static void free_crew(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++)
        SSL_SESSION_free(crew->client[i].session);
    free(crew->client);
    close(crew->epoll_fd);
    X509_free(crew->verified);
    SSL_CTX_free(crew->tls);
}

static void map_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= PART, "no file");
    job.size = (size_t)st.st_size;
    void *at = mmap(NULL, job.size, PROT_READ, MAP_SHARED, fd, 0);
    must(at != MAP_FAILED, "no memory for the file");
    job.file = at;
    close(fd);
}

static void prepare(char **argv, const char *range, bool tls13)
{
    job.address = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)atoi(argv[0])),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    job.request_len = snprintf(job.request, sizeof job.request,
                               "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", argv[1], range);
    job.protocol = tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    job.cipher = tls13 ? "TLS_AES_128_GCM_SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256";
    map_file(argv[3]);
}

/* ---- handshakes */

static void *shake_hands(void *arg)
{
    struct crew *crew = arg;
    struct epoll_event events[EVENTS];
    for (size_t i = 0; i < crew->n; i++)
        open_client(crew, &crew->client[i]);
    while (crew->open > 0) {
        int n = epoll_wait(crew->epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            go_on(crew, c);
            if (c->step != FLOWS)
                continue;
            close_client(crew, c);
            if (now_us() < job.end_us)
                open_client(crew, c);
        }
    }
    return NULL;
}

/* argv: PORT TARGET CA FILE PROTOCOL KIND CONNECTIONS THREADS SECONDS */
static void run_handshakes(char **argv)
{
    struct crew crew[THREADS_MAX] = {0};
    size_t connections = (size_t)atoi(argv[6]), threads = (size_t)atoi(argv[7]);
    int64_t seconds = atoi(argv[8]), from_us = now_us();
    uint64_t handshakes = 0, resumed = 0;
    must(threads >= 1 && threads <= THREADS_MAX && connections >= threads && seconds > 0, "bad arguments");
    prepare(argv, "Range: bytes=0-63\r\n", strcmp(argv[4], "1.3") == 0);
    job.resumes = strcmp(argv[5], "resumed") == 0;
    alarm((unsigned)seconds + GRACE_S);
    for (size_t i = 0; i < threads; i++)
        new_crew(&crew[i], connections / threads, argv[2]);
    from_us = now_us();
    job.end_us = from_us + seconds * 1000000;
    for (size_t i = 0; i < threads; i++)
        must(pthread_create(&crew[i].thread, NULL, shake_hands, &crew[i]) == 0, "no thread");
    for (size_t i = 0; i < threads; i++) {
        pthread_join(crew[i].thread, NULL);
        handshakes += crew[i].handshakes;
        resumed += crew[i].resumed;
    }
    printf("RESULT {\"handshakes\": %llu, \"resumed\": %llu, \"us\": %lld}\n", (unsigned long long)handshakes,
           (unsigned long long)resumed, (long long)(now_us() - from_us));
    for (size_t i = 0; i < threads; i++)
        free_crew(&crew[i]);
}

/* ---- slow downloads */

static void tell(const char *text)
{
    puts(text);
    fflush(stdout);
}

/* What is due by now, if it is there. A link that had nothing to carry is no faster later: a server that is
 * late by more than a second has not sent that. */
static void read_slowly(struct client *c, int64_t at_us)
{
    char bytes[16384];
    int64_t rate = (int64_t)job.rate, due = rate * (at_us - c->flows_at_us) / 1000000 - (int64_t)c->got;
    if (due > rate) {
        c->flows_at_us += (due - rate) * 1000000 / rate;
        due = rate;
    }
    while (due > 0) {
        int n = SSL_read(c->ssl, bytes, due < (int64_t)sizeof bytes ? (int)due : (int)sizeof bytes);
        if (n <= 0) {
            waits(c, n, "a download failed");
            return;
        }
        check_bytes(bytes, c->got, (size_t)n);
        c->got += (uint64_t)n;
        due -= n;
    }
}

/* From here on its turns alone make it read. */
static void flow(const struct crew *crew, struct client *c)
{
    c->flows_at_us = now_us() - (int64_t)(c->got * 1000000 / job.rate);
    must(epoll_ctl(crew->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL) == 0, "no epoll");
}

/* How many of them have had something of the file. */
static size_t turn(struct crew *crew, size_t number)
{
    size_t flowing = 0;
    for (size_t i = 0; i < crew->open; i++) {
        struct client *c = &crew->client[i];
        if (c->step == FLOWS && i % TURNS == number % TURNS)
            read_slowly(c, now_us());
        flowing += c->step == FLOWS && c->got > 0;
    }
    return flowing;
}

static int by_bytes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void tell_result(const struct crew *crew, int64_t us)
{
    uint64_t *bytes = calloc(crew->n, sizeof *bytes);
    must(bytes, "no memory");
    for (size_t i = 0; i < crew->n; i++)
        bytes[i] = crew->client[i].got - crew->client[i].got_before;
    qsort(bytes, crew->n, sizeof *bytes, by_bytes);
    printf("RESULT {\"slowest\": %llu, \"median\": %llu, \"fastest\": %llu, \"us\": %lld}\n",
           (unsigned long long)bytes[0], (unsigned long long)bytes[crew->n / 2],
           (unsigned long long)bytes[crew->n - 1], (long long)us);
    free(bytes);
}

/* The first line begins, the second ends it: true. */
static bool told(struct crew *crew, int64_t *from_us)
{
    char line[16];
    must(read(STDIN_FILENO, line, sizeof line) > 0, "nobody listens any more");
    if (*from_us) {
        tell_result(crew, now_us() - *from_us);
        return true;
    }
    for (size_t i = 0; i < crew->n; i++)
        crew->client[i].got_before = crew->client[i].got;
    *from_us = now_us();
    tell("begun");
    return false;
}

/* Until the next turn; true when it was told to end. */
static bool look(struct crew *crew, int64_t until_us, int64_t *from_us, size_t *opening)
{
    struct epoll_event events[EVENTS];
    int64_t left_ms = (until_us - now_us()) / 1000;
    int n = epoll_wait(crew->epoll_fd, events, EVENTS, left_ms > 0 ? (int)left_ms : 0);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (!c && told(crew, from_us))
            return true;
        if (!c)
            continue;
        go_on(crew, c);
        if (c->step == FLOWS) {
            flow(crew, c);
            --*opening;
        }
    }
    return false;
}

static void read_all(struct crew *crew)
{
    int64_t from_us = 0, next_us = now_us();
    size_t opening = 0, number = 0;
    for (bool said = false, ends = false; !ends;) {
        for (; crew->open < crew->n && opening < OPENING; opening++)
            open_client(crew, &crew->client[crew->open]);
        ends = look(crew, next_us, &from_us, &opening);
        if (now_us() < next_us)
            continue;
        next_us += TICK_MS * 1000;
        if (turn(crew, number++) == crew->n && !said) {
            tell("flowing");
            said = true;
        }
    }
}

/* argv: PORT TARGET CA FILE CONNECTIONS RATE RCVBUF SECONDS */
static void run_slow(char **argv)
{
    struct crew crew = {0};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    prepare(argv, "", true);
    job.slow = true;
    job.rate = strtoull(argv[5], NULL, 10);
    job.receive_bytes = atoi(argv[6]);
    must(job.rate > 0 && job.receive_bytes > 0 && atoi(argv[4]) > 0 && atoi(argv[7]) > 0, "bad arguments");
    alarm((unsigned)atoi(argv[7]));
    new_crew(&crew, (size_t)atoi(argv[4]), argv[2]);
    must(epoll_ctl(crew.epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0, "no epoll");
    read_all(&crew);
    while (crew.open > 0)
        close_client(&crew, &crew.client[crew.open - 1]);
    free_crew(&crew);
}

int main(int argc, char **argv)
{
    if (argc == 11 && strcmp(argv[1], "handshakes") == 0)
        run_handshakes(argv + 2);
    else if (argc == 10 && strcmp(argv[1], "slow") == 0)
        run_slow(argv + 2);
    else {
        fprintf(stderr, "usage: tls_clients handshakes PORT TARGET CA FILE 1.2|1.3 full|resumed CONNECTIONS "
                        "THREADS SECONDS | slow PORT TARGET CA FILE CONNECTIONS RATE RCVBUF SECONDS\n");
        return 2;
    }
    return 0;
}
