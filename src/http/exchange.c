#include "exchange.h"

#include "audit.h"
#include "auth_cert.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/auth.h"
#include "http/route.h"
#include "model/board.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is read of a body that is refused: a client that is still sending sees a reset instead of the answer
 * when the connection is closed under it. Beyond this the answer is sent at once, and as much again is read.
 */
#define WASTE_MAX_BYTES (1024 * 1024)
#define FIRST_RAW_BYTES 1024

struct exchange *exchange_begin(struct exchanges *set, const char *target, struct MHD_Connection *c,
                                struct tls_session *tls)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->set = set;
    x->tls = tls;
    x->target = strnlen(target, URL_TARGET_MAX + 1) <= URL_TARGET_MAX ? strdup(target) : NULL;
    x->target_at = target;
    x->request.env = set->env;
    x->request.connection = c;
    x->request.reply.fd = -1;
    x->request.now_ms = clock_wall_ms();
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    x->request.caller.peer = peer_of(info ? info->client_addr : NULL);
    return x;
}

void exchange_admit(struct exchange *x)
{
    x->request.caller.role = ROLE_ADMIN;
    str_copy(x->request.caller.name, sizeof x->request.caller.name, "socket");
}

/* For the state and for who watches it. */
static void set_phase(struct exchange *x, enum phase phase)
{
    x->phase = phase;
    watch_phase(x->watched, phase == PHASE_BODY ? WATCH_BODY : WATCH_REPLY, clock_mono_ms());
}

/* From here on a stop waits for it; not for a head of which somebody holds back the rest. */
static void enter(struct exchange *x)
{
    set_phase(x, PHASE_BODY);
    atomic_fetch_add(&x->set->active, 1);
}

/* Whoever drains says so before he looks at the count: either he sees that the last one has left, or the last
 * one sees him. */
static void leave(struct exchanges *set)
{
    if (atomic_fetch_sub(&set->active, 1) != 1 || !atomic_load(&set->draining))
        return;
    pthread_mutex_lock(&set->lock);
    pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

void exchange_end(struct exchange *x)
{
    struct exchanges *set = x->set;
    bool entered = x->phase != PHASE_HEAD;
    if (entered)
        watch_phase(x->watched, WATCH_IDLE, clock_mono_ms());
    tls_session_release(x->tls);
    reply_clear(&x->request.reply);
    upload_free(x->request.upload);
    json_decref(x->request.body);
    json_decref(x->request.summary);
    free(x->request.raw);
    free(x->target);
    free(x);
    if (entered)
        leave(set);
}

struct header_list {
    struct guard_header item[GUARD_HEADERS_MAX];
    size_t n;
};

static enum MHD_Result collect(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                               const char *value, size_t value_len)
{
    struct header_list *list = arg;
    (void)kind;
    if (list->n < GUARD_HEADERS_MAX)
        list->item[list->n] = (struct guard_header){name, value ? value : "", name_len, value_len};
    list->n++;
    return MHD_YES;
}

/* The version stands right behind the target and its zero; a zero inside the target puts something between
 * them that nobody would see. */
static bool target_is_whole(const struct exchange *x, const char *version)
{
    return version == x->target_at + strlen(x->target) + 1;
}

static int check_head(struct exchange *x, const char *method, const char *version)
{
    struct request *r = &x->request;
    struct header_list list;
    list.n = 0;
    MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, collect, &list);
    struct guard_request head = {method, version, list.item, list.n};
    int rc = guard_check(&head, &x->framing, &x->err);
    if (rc == -ERR_METHOD)
        str_copy(x->allow, sizeof x->allow, GUARD_METHODS);
    if (rc == 0 && !x->target)
        rc = err_set(&x->err, ERR_URI_TOO_LONG, "the URL is longer than %d bytes", URL_TARGET_MAX);
    if (rc == 0 && !target_is_whole(x, version))
        rc = err_set(&x->err, ERR_BAD_REQUEST, "the URL holds a character that must be escaped");
    if (rc == 0)
        rc = url_parse(x->target, &x->url, &x->err);
    x->close = x->now = rc != 0;
    return rc;
}

static int check_size(struct exchange *x)
{
    const struct framing *f = &x->framing;
    const struct route *route = x->request.route;
    if (route->flags & ROUTE_UPLOAD)
        return f->has_length || f->chunked
                   ? 0
                   : err_set(&x->err, ERR_LENGTH_REQUIRED, "the file's length is missing");
    if (route->body_max_bytes == 0 && (f->length > 0 || f->chunked))
        return err_set(&x->err, ERR_TOO_LARGE, "this takes no body");
    if (f->length > route->body_max_bytes)
        return err_set(&x->err, ERR_TOO_LARGE, "the body may be %zu bytes long here", route->body_max_bytes);
    return 0;
}

static int read_dry(struct request *r, struct err *e)
{
    int64_t dry = 0;
    int rc = r->route->flags & ROUTE_DRY ? request_query_int(r, "dry_run", 0, 1, 0, &dry, e) : 0;
    r->dry = dry;
    return rc;
}

/* Where a certificate is demanded nothing is said to who has none, whatever else is shown. */
static int check_who(struct exchange *x, struct db *db)
{
    struct request *r = &x->request;
    const char *header = request_header(r, "Authorization");
    const struct client_cert *shown;
    if (!tls_session_demands(x->tls))
        return auth_check(r, header, db, &x->err);
    int rc = tls_session_client(x->tls, r->now_ms, &shown, &x->err);
    x->close = x->close || rc;
    return rc ? rc : auth_cert_check(r, shown, header, db, &x->err);
}

/* What a device adds to a URL is not looked at; an operator who asks for what is not there, a rehearsal say,
 * must not get the real thing. */
static int check_caller(struct exchange *x)
{
    struct request *r = &x->request;
    struct db *db;
    int rc = store_reader(x->set->env->store, &db, &x->err);
    if (rc == 0)
        rc = check_who(x, db);
    if (rc == -ERR_FORBIDDEN)
        audit_refused(r);
    if (rc == 0 && !(r->route->flags & (ROUTE_DEVICE | ROUTE_FILE)))
        rc = request_query_check(r, &x->err);
    if (rc == 0)
        rc = read_dry(r, &x->err);
    if (rc == 0)
        rc = check_size(x);
    if (rc == 0 && (r->route->flags & (ROUTE_WRITES | ROUTE_SLOW)))
        rc = exchange_check_load(x);
    if (rc == 0 && (r->route->flags & ROUTE_UPLOAD))
        rc = upload_begin(x->set->uploads, r, db, x->framing.length, &r->upload, &x->err);
    return rc;
}

static int read_head(struct exchange *x, const char *method, const char *version)
{
    struct request *r = &x->request;
    int rc = check_head(x, method, version);
    if (rc)
        return rc;
    r->target = x->target;
    r->path = x->url.path;
    r->query = &x->url.query;
    rc = route_find(method, r->path, &r->route, r->arg, x->allow, &x->err);
    if (rc == 0)
        rc = auth_check_query(r, &x->err);
    return rc ? rc : check_caller(x);
}

static int grow_raw(struct exchange *x, size_t need)
{
    struct request *r = &x->request;
    size_t size = x->raw_size ? x->raw_size : FIRST_RAW_BYTES;
    if (x->framing.has_length && size <= x->framing.length)
        size = (size_t)x->framing.length + 1;
    while (size < need)
        size *= 2;
    char *raw = size == x->raw_size ? r->raw : realloc(r->raw, size);
    if (!raw)
        return err_set(&x->err, ERR_INTERNAL, "no memory for the body");
    r->raw = raw;
    x->raw_size = size;
    return 0;
}

static int read_body(struct exchange *x, const char *data, size_t len)
{
    struct request *r = &x->request;
    if (r->upload)
        return upload_write(r->upload, data, len, &x->err);
    if (len > r->route->body_max_bytes - r->raw_len)
        return err_set(&x->err, ERR_TOO_LARGE, "the body may be %zu bytes long here",
                       r->route->body_max_bytes);
    int rc = grow_raw(x, r->raw_len + len + 1);
    if (rc)
        return rc;
    memcpy(r->raw + r->raw_len, data, len);
    r->raw_len += len;
    r->raw[r->raw_len] = '\0';
    return 0;
}

/* A piece of a body that nobody wants. False: the connection ends. */
static bool waste(struct exchange *x, size_t len)
{
    x->close = true;
    x->wasted += len;
    if (x->wasted > WASTE_MAX_BYTES && !x->cut) {
        reply_cut(x);
        x->cut = true;
    }
    return x->wasted <= 2 * WASTE_MAX_BYTES;
}

static enum MHD_Result step_body(struct exchange *x, const char *data, size_t len)
{
    if (x->rc == 0) {
        x->rc = read_body(x, data, len);
        if (x->rc == 0)
            return MHD_YES;
        upload_free(x->request.upload);
        x->request.upload = NULL;
    }
    return waste(x, len) ? MHD_YES : MHD_NO;
}

/* JSON, nothing, or curl's default: no cookies exist here, so a form on a foreign page can do nothing. */
static bool type_is_json(const char *type)
{
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded"};
    size_t len = type ? strcspn(type, "; \t") : 0;
    bool fits = !type;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        fits = fits || (len == strlen(types[i]) && strncasecmp(type, types[i], len) == 0);
    return fits;
}

static int parse_body(struct exchange *x)
{
    struct request *r = &x->request;
    if (r->raw_len == 0 || (r->route->flags & (ROUTE_RAW | ROUTE_UPLOAD)))
        return 0;
    if (!type_is_json(request_header(r, "Content-Type")))
        return err_field(&x->err, ERR_MEDIA_TYPE, "Content-Type", "the body must be application/json");
    return json_parse(r->raw, r->raw_len, &r->body, &x->err);
}

static enum MHD_Result step_head(struct exchange *x, const char *method, const char *version)
{
    board_count(BOARD_REQUESTS, 1);
    tls_session_request(x->tls);
    enter(x);
    x->request.head = strcmp(method, "HEAD") == 0;
    x->rc = read_head(x, method, version);
    x->now = x->now || (x->rc && (x->framing.expects_continue || x->framing.length > WASTE_MAX_BYTES));
    if (!x->now)
        return MHD_YES;
    x->close = true;
    set_phase(x, PHASE_REPLY);
    return reply_queue(x);
}

enum MHD_Result exchange_step(struct exchange *x, const char *method, const char *version, const char *data,
                              size_t *len)
{
    if (x->phase == PHASE_HEAD)
        return step_head(x, method, version);
    if (*len > 0) {
        size_t n = *len;
        *len = 0;
        return step_body(x, data, n);
    }
    if (x->cut)
        return MHD_NO;
    if (x->phase == PHASE_PARKED)
        exchange_returned(x);
    if (x->phase == PHASE_BODY) {
        x->rc = x->rc ? x->rc : parse_body(x);
        if (x->rc == 0 && !exchange_dispatch(x))
            return MHD_YES;
    }
    set_phase(x, PHASE_REPLY);
    return reply_queue(x);
}
