#include "http/request.h"

#include "base/str.h"
#include "http/range.h"
#include "http/route.h"
#include "http/url.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *request_query(const struct request *r, const char *name)
{
    return r->query ? query_get(r->query, name) : NULL;
}

const char *request_header(const struct request *r, const char *name)
{
    return r->connection ? MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name) : NULL;
}

int request_to_writer(struct request *r)
{
    r->to_writer = true;
    return 0;
}

static bool parse_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    uint64_t magnitude;
    if (!str_to_uint(text + negative, INT64_MAX, &magnitude))
        return false;
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

void request_end_sessions(struct request *r, const char *product, const char *device)
{
    struct reply *reply = &r->reply;
    reply->endings = reallocarray(reply->endings, reply->ending_count + 1, sizeof *reply->endings);
    if (!reply->endings)
        abort();
    struct ending *new = &reply->endings[reply->ending_count++];
    str_copy(new->product, sizeof new->product, product);
    str_copy(new->device, sizeof new->device, device);
}

int request_query_int(const struct request *r, const char *name, int64_t min, int64_t max, int64_t fallback,
                      int64_t *out, struct err *e)
{
    const char *text = request_query(r, name);
    int64_t value = fallback;
    if (text && (!parse_int(text, &value) || value < min || value > max))
        return err_field(e, ERR_INVALID, name, "%s must be a number from %" PRId64 " to %" PRId64, name, min,
                         max);
    *out = value;
    return 0;
}

int request_query_check(const struct request *r, struct err *e)
{
    static const char *const none[] = {NULL};
    const char *const *names = r->route->query ? r->route->query : none;
    for (size_t i = 0; r->query && i < r->query->n; i++) {
        const char *name = r->query->item[i].name;
        size_t k = 0;
        while (names[k] && strcmp(names[k], name) != 0)
            k++;
        if (!names[k])
            return err_field(e, ERR_INVALID, name, "unknown query parameter \"%.40s\"", name);
    }
    return 0;
}

int request_id(const struct request *r, int arg, int64_t *id, struct err *e)
{
    uint64_t value;
    if (!str_to_uint(r->arg[arg], INT64_MAX, &value) || value == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no id \"%.40s\"", r->arg[arg]);
    *id = (int64_t)value;
    return 0;
}

int page_read(const struct request *r, struct page *out, struct err *e)
{
    int rc = request_query_int(r, "limit", 1, PAGE_MAX, PAGE_DEFAULT, &out->limit, e);
    return rc ? rc : request_query_int(r, "after", 0, INT64_MAX, 0, &out->after, e);
}

/* Appends; once something did not fit, nothing does any more, and the text is left out. */
struct text {
    char *at;
    size_t size, len;
    bool fits;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at + t->len, t->size - t->len, format, args);
    va_end(args);
    t->fits = t->fits && n >= 0 && (size_t)n < t->size - t->len;
    t->len += t->fits ? (size_t)n : 0;
}

/* The same page again, from `next` on. */
static void write_link(struct request *r, int64_t next)
{
    struct text t = {.at = r->reply.link, .size = sizeof r->reply.link, .fits = true};
    char name[130], value[260];
    add(&t, "<%.*s?", (int)strcspn(r->target, "?"), r->target);
    for (size_t i = 0; r->query && i < r->query->n; i++) {
        if (strcmp(r->query->item[i].name, "after") == 0)
            continue;
        t.fits = t.fits && url_encode(r->query->item[i].name, name, sizeof name) &&
                 url_encode(r->query->item[i].value, value, sizeof value);
        if (t.fits)
            add(&t, "%s=%s&", name, value);
    }
    add(&t, "after=%" PRId64 ">; rel=\"next\"", next);
    if (!t.fits)
        r->reply.link[0] = '\0';
}

void page_reply(struct request *r, json_t *items, int64_t next)
{
    char text[24];
    json_t *page = json_object();
    snprintf(text, sizeof text, "%" PRId64, next);
    json_put(page, "items", items);
    json_put_text(page, "next", next ? text : NULL);
    if (next && r->target)
        write_link(r, next);
    reply_json(r, page);
}

void revision_etag(struct request *r, int64_t revision)
{
    snprintf(r->reply.etag, sizeof r->reply.etag, "\"%" PRId64 "\"", revision);
}

int revision_check(const struct request *r, int64_t revision, struct err *e)
{
    char etag[24];
    const char *header = request_header(r, "If-Match");
    snprintf(etag, sizeof etag, "\"%" PRId64 "\"", revision);
    if (header && !etag_listed(header, etag, false))
        return err_field(e, ERR_PRECONDITION, "If-Match", "it was changed meanwhile, its ETag is %s", etag);
    return 0;
}

void reply_created(struct request *r, json_t *json, const char *location_format, ...)
{
    va_list args;
    va_start(args, location_format);
    vsnprintf(r->reply.location, sizeof r->reply.location, location_format, args);
    va_end(args);
    r->reply.status = 201;
    r->reply.json = json;
}

void reply_json(struct request *r, json_t *json)
{
    r->reply.status = 200;
    r->reply.json = json;
}

void reply_nothing(struct request *r)
{
    r->reply.status = 204;
}
