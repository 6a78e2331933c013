#include "transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECT_S 20L
#define SILENCE_S 30L
#define EVENTS    64

/* An easy handle and what its running transfer needs. */
struct slot {
    CURL *easy;
    struct download *download; /* NULL: free */
    struct curl_slist *headers;
    struct transfers *home;
    struct slot *next_free;
    uint64_t content_from; /* of Content-Range; UINT64_MAX none */
    bool judged;           /* the answer's status was looked at */
    char error[CURL_ERROR_SIZE];
};

struct transfers {
    struct transfer_settings settings;
    CURLM *multi;
    CURLSH *share;
    struct curl_slist *server; /* NULL: as the URL says */
    struct slot *slots, *free;
    struct download *first, *last;
    int epoll_fd;
    int64_t due_ms; /* -1 none */
    int64_t now_ms;
};

/* ---- what libcurl tells us */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct transfers *t = arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = fd};
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    /* libcurl closes and opens descriptors of the same number without saying so */
    if (!known || epoll_ctl(t->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0) {
        if (epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST)
            epoll_ctl(t->epoll_fd, EPOLL_CTL_MOD, fd, &event);
        curl_multi_assign(t->multi, fd, t);
    }
    return 0;
}

static int on_timer(CURLM *multi, long after_ms, void *arg)
{
    struct transfers *t = arg;
    (void)multi;
    t->due_ms = after_ms < 0 ? -1 : t->now_ms + after_ms;
    return 0;
}

static bool header_is(const char *line, size_t len, const char *name, const char **value, size_t *value_len)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0)
        return false;
    while (n < len && line[n] == ' ')
        n++;
    while (len > n && strchr("\r\n ", line[len - 1]))
        len--;
    *value = line + n;
    *value_len = len - n;
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct slot *s = arg;
    size_t len = size * n, value_len;
    const char *value;
    if (header_is(line, len, "ETag:", &value, &value_len) && value_len < sizeof s->download->etag) {
        memcpy(s->download->etag, value, value_len);
        s->download->etag[value_len] = '\0';
    } else if (header_is(line, len, "Content-Range:", &value, &value_len) && value_len > 6 &&
               strncasecmp(value, "bytes ", 6) == 0) {
        s->content_from = strtoull(value + 6, NULL, 10);
    }
    return len;
}

static void begin_again(struct download *d)
{
    if (d->hash)
        digester_end(d->hash, NULL);
    d->hash = digester_begin_of(d->digests);
    d->got = 0;
}

/* Before the first byte: where in the file does this answer begin? False when it cannot be used. */
static bool judge(struct slot *s)
{
    struct download *d = s->download;
    long status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    s->judged = true;
    if (d->got > 0 && status == 206 && s->content_from == d->got) {
        d->resumed = true;
        return true;
    }
    if (status != 200)
        return false;
    d->restarted = d->got > 0;
    begin_again(d);
    return true;
}

/* Less than len makes libcurl give the transfer up and close the connection. */
static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    struct slot *s = arg;
    struct download *d = s->download;
    size_t len = size * n;
    if (!s->judged && !judge(s))
        return 0;
    uint64_t end = d->cut_at > d->got ? d->cut_at : d->size;
    size_t room = end - d->got < len ? (size_t)(end - d->got) : len;
    digester_add(d->hash, bytes, room);
    d->got += room;
    s->home->settings.took(d->owner, room);
    return d->got == d->cut_at ? 0 : room;
}

/* ---- slots */

/* libcurl reads up to a hundred buffers before it looks at the rate: small ones, so that a burst is a quarter
 * of a second's bytes. */
static void limit_rate(CURL *easy, int64_t rate_bytes)
{
    int64_t buffer = rate_bytes / 400;
    if (rate_bytes == 0)
        return;
    buffer = buffer < 1024 ? 1024 : buffer > 16384 ? 16384 : buffer;
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)buffer);
    curl_easy_setopt(easy, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)rate_bytes);
}

static void set_up_easy(struct slot *s)
{
    const struct transfer_settings *settings = &s->home->settings;
    CURL *easy = s->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, s);
    curl_easy_setopt(easy, CURLOPT_SHARE, s->home->share);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "otad-sim/" OTAD_VERSION);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    limit_rate(easy, settings->rate_bytes);
    if (settings->ca)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, s->home->server);
}

static struct slot *slot_take(struct transfers *t)
{
    struct slot *s = t->free;
    if (!s)
        return NULL;
    if (!s->easy) {
        s->easy = curl_easy_init();
        if (!s->easy)
            return NULL;
        set_up_easy(s);
    }
    t->free = s->next_free;
    return s;
}

static void slot_release(struct slot *s)
{
    curl_multi_remove_handle(s->home->multi, s->easy);
    curl_slist_free_all(s->headers);
    s->headers = NULL;
    s->download->slot = NULL;
    s->download = NULL;
    s->next_free = s->home->free;
    s->home->free = s;
}

static void slot_start(struct slot *s, struct download *d)
{
    char text[80];
    s->download = d;
    s->judged = false;
    s->content_from = UINT64_MAX;
    s->error[0] = '\0';
    d->slot = s;
    d->resumed = d->restarted = false;
    d->retry_after_ms = 0;
    curl_easy_setopt(s->easy, CURLOPT_URL, d->url);
    curl_easy_setopt(s->easy, CURLOPT_RANGE, NULL);
    if (d->got > 0) {
        snprintf(text, sizeof text, "%llu-", (unsigned long long)d->got);
        curl_easy_setopt(s->easy, CURLOPT_RANGE, text);
        snprintf(text, sizeof text, "If-Range: %s", d->etag);
        if (d->etag[0])
            s->headers = curl_slist_append(NULL, text);
    }
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers);
    curl_multi_add_handle(s->home->multi, s->easy);
}

/* ---- the queue */

void transfers_add(struct transfers *t, struct download *d)
{
    d->next = NULL;
    d->queued = true;
    if (t->first)
        t->last->next = d;
    else
        t->first = d;
    t->last = d;
}

static void unqueue(struct transfers *t, struct download *d)
{
    struct download **at = &t->first, *before = NULL;
    while (*at != d) {
        before = *at;
        at = &before->next;
    }
    *at = d->next;
    if (t->last == d)
        t->last = before;
    d->next = NULL;
    d->queued = false;
}

void transfers_drop(struct transfers *t, struct download *d)
{
    if (d->slot)
        slot_release(d->slot);
    else if (d->queued)
        unqueue(t, d);
    if (d->hash)
        digester_end(d->hash, NULL);
    d->hash = NULL;
}

static void start_due(struct transfers *t)
{
    struct slot *s;
    while (t->first && (s = slot_take(t))) {
        struct download *d = t->first;
        unqueue(t, d);
        slot_start(s, d);
    }
}

/* ---- ends */

static bool worth_again(CURLcode code, long status)
{
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return status >= 500 || status == 429 || status == 408;
    return code != CURLE_UNSUPPORTED_PROTOCOL && code != CURLE_URL_MALFORMAT && code != CURLE_WRITE_ERROR;
}

static enum transfer_end judge_end(const struct slot *s, CURLcode code, const char **why)
{
    const struct download *d = s->download;
    long status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    *why = NULL;
    if (d->cut_at && d->got == d->cut_at)
        return TRANSFER_CUT;
    if (d->got == d->size && (code == CURLE_OK || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR))
        return TRANSFER_DONE;
    if (code == CURLE_OK)
        *why = "the file ended too early";
    else if (code == CURLE_WRITE_ERROR)
        *why = s->judged && d->got == d->size ? "more bytes than offered" : "an answer that fits no request";
    else
        *why = s->error[0] ? s->error : curl_easy_strerror(code);
    return code == CURLE_OK || worth_again(code, status) ? TRANSFER_BROKEN : TRANSFER_REFUSED;
}

static void finish(struct transfers *t, struct slot *s, CURLcode code)
{
    struct download *d = s->download;
    const char *reason;
    char why[CURL_ERROR_SIZE];
    curl_off_t after_s = 0;
    enum transfer_end end = judge_end(s, code, &reason);
    if (reason)
        snprintf(why, sizeof why, "%s", reason);
    curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &after_s);
    d->retry_after_ms = after_s > 0 && after_s < 3600 ? (int64_t)after_s * 1000 : 0;
    if (end == TRANSFER_CUT)
        d->cut_at = 0;
    slot_release(s);
    t->settings.ended(d->owner, end, reason ? why : NULL);
}

static void finish_all(struct transfers *t)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(t->multi, &left))) {
        struct slot *s = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE &&
            !curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&s))
            finish(t, s, code);
    }
}

/* ---- the owner's loop */

int transfers_fd(const struct transfers *t)
{
    return t->epoll_fd;
}

int transfers_wait_ms(const struct transfers *t, int64_t now_ms, int limit_ms)
{
    if (t->first && t->free)
        return 0;
    if (t->due_ms < 0 || t->due_ms - now_ms > limit_ms)
        return limit_ms;
    return t->due_ms <= now_ms ? 0 : (int)(t->due_ms - now_ms);
}

void transfers_run(struct transfers *t, int64_t now_ms)
{
    struct epoll_event events[EVENTS];
    int running;
    t->now_ms = now_ms;
    int n = epoll_wait(t->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < n; i++) {
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(t->multi, events[i].data.fd, what, &running);
    }
    if (t->due_ms >= 0 && t->due_ms <= now_ms) {
        t->due_ms = -1;
        curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_all(t);
    start_due(t);
}

/* ---- making and ending */

static bool set_server(struct transfers *t)
{
    char text[320];
    if (!t->settings.server)
        return true;
    snprintf(text, sizeof text, "::%s", t->settings.server);
    t->server = curl_slist_append(NULL, text);
    return t->server;
}

static bool set_up_multi(struct transfers *t)
{
    long cap = (long)t->settings.max_downloads;
    t->multi = curl_multi_init();
    t->share = curl_share_init();
    if (!t->multi || !t->share)
        return false;
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_MAX_HOST_CONNECTIONS, cap);
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, cap);
    return curl_share_setopt(t->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
}

int transfers_open(const struct transfer_settings *settings, struct transfers **out, struct err *e)
{
    struct transfers *t = calloc(1, sizeof *t);
    if (!t)
        return err_errno(e, "cannot prepare downloads");
    t->settings = *settings;
    t->due_ms = -1;
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    t->slots = calloc(settings->max_downloads, sizeof *t->slots);
    if (t->epoll_fd < 0 || !t->slots || !set_server(t) || !set_up_multi(t)) {
        transfers_close(t);
        return err_errno(e, "cannot prepare downloads");
    }
    for (size_t i = 0; i < settings->max_downloads; i++) {
        t->slots[i].home = t;
        t->slots[i].next_free = t->free;
        t->free = &t->slots[i];
    }
    *out = t;
    return 0;
}

void transfers_close(struct transfers *t)
{
    if (!t)
        return;
    for (size_t i = 0; t->slots && i < t->settings.max_downloads; i++) {
        if (t->slots[i].download)
            slot_release(&t->slots[i]);
        if (t->slots[i].easy)
            curl_easy_cleanup(t->slots[i].easy);
    }
    if (t->multi)
        curl_multi_cleanup(t->multi);
    if (t->share)
        curl_share_cleanup(t->share);
    curl_slist_free_all(t->server);
    if (t->epoll_fd >= 0)
        close(t->epoll_fd);
    free(t->slots);
    free(t);
}
