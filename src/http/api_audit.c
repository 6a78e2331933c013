/* GET /audit: what operators did, in pages newest first; or all of it, oldest first, as CSV or a JSON object
 * a line, read page by page while it is sent. */
#include "api.h"

#include "base/clock.h"
#include "http/csv.h"
#include "http/route.h"
#include "store/audit.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 32
#define LINE_SIZE /* but for before and after */                                                            \
    (CSV_TEXT_SIZE(AUDIT_WHO_SIZE) + CSV_TEXT_SIZE(AUDIT_ADDRESS_SIZE) + CSV_TEXT_SIZE(AUDIT_METHOD_SIZE) + \
     CSV_TEXT_SIZE(AUDIT_PATH_SIZE) + 4 * CSV_PLAIN_SIZE + CSV_END_SIZE)

static const char head[] = "id,at,token,who,address,method,path,status,before,after\r\n";

enum format { FORMAT_JSON, FORMAT_CSV, FORMAT_NDJSON };

static const struct {
    const char *word, *type, *file;
} formats[] = {
    [FORMAT_JSON] = {"json", NULL, NULL},
    [FORMAT_CSV] = {"csv", "text/csv; charset=utf-8", "audit.csv"},
    [FORMAT_NDJSON] = {"ndjson", "application/x-ndjson", "audit.ndjson"},
};

/* "" is null: it was not there, or there is nothing to be said. */
static json_t *state_json(const char *text)
{
    json_t *j = *text ? json_loads(text, 0, NULL) : NULL;
    return j ? j : json_null();
}

static json_t *line_json(const struct audit_line *line)
{
    json_t *j = json_object();
    json_put_int(j, "id", line->id);
    json_put_moment(j, "at", line->at_ms);
    json_put(j, "token", line->token_id ? json_integer(line->token_id) : json_null());
    json_put_text(j, "who", line->who);
    json_put_text(j, "address", *line->address ? line->address : NULL);
    json_put_text(j, "method", line->method);
    json_put_text(j, "path", line->path);
    json_put_int(j, "status", line->status);
    json_put(j, "before", state_json(line->before));
    json_put(j, "after", state_json(line->after));
    return j;
}

/* ---- a page */

static int list_page(struct request *r, struct db *db, const struct audit_filter *f, const struct page *page,
                     struct err *e)
{
    size_t cap = (size_t)page->limit, n = 0;
    struct audit_line *rows = api_rows(cap + 1, sizeof *rows);
    int rc = audit_list(db, f, page->after ? page->after : INT64_MAX, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, line_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
        audit_clear(rows, n);
    }
    free(rows);
    return rc;
}

/* ---- all of it */

struct export
{
    struct stream stream;
    struct store *store;
    enum format format;
    int64_t after;
    struct audit_filter filter; /* its texts are below: the request's are gone when this is read */
    char who[AUDIT_WHO_SIZE], path[AUDIT_PATH_SIZE];
    struct audit_line rows[PAGE_ROWS];
    size_t n, at;
    bool begun, last; /* the head was sent; there is no further page */
    char *line;
};

static int read_page(struct export *x, struct db *db, struct err *e)
{
    audit_clear(x->rows, x->n);
    x->n = x->at = 0;
    int rc = audit_list_on(db, &x->filter, x->after, x->rows, PAGE_ROWS, &x->n, e);
    if (rc)
        return rc;
    x->last = x->n < PAGE_ROWS;
    if (x->n)
        x->after = x->rows[x->n - 1].id;
    return 0;
}

static int turn_page(struct export *x, struct err *e)
{
    struct db *db;
    int rc = store_reader(x->store, &db, e);
    return rc ? rc : read_page(x, db, e);
}

static char *csv_line(const struct audit_line *line)
{
    size_t size =
        LINE_SIZE + CSV_TEXT_SIZE(strlen(line->before) + 1) + CSV_TEXT_SIZE(strlen(line->after) + 1);
    char *text = api_rows(1, size + 1);
    struct csv out = {.at = text, .size = size};
    csv_int(&out, line->id);
    csv_moment(&out, line->at_ms);
    csv_int(&out, line->token_id);
    csv_text(&out, line->who);
    csv_text(&out, line->address);
    csv_text(&out, line->method);
    csv_text(&out, line->path);
    csv_int(&out, line->status);
    csv_text(&out, line->before);
    csv_text(&out, line->after);
    csv_end(&out);
    return text;
}

static char *json_line(const struct audit_line *line)
{
    json_auto_t *j = line_json(line);
    char *text = json_text(j);
    size_t len = strlen(text);
    text = realloc(text, len + 2);
    if (!text)
        abort();
    memcpy(text + len, "\n", 2);
    return text;
}

static int next(struct stream *s, const char **piece, size_t *len, struct err *e)
{
    struct export *x = (struct export *)s;
    int rc = x->at == x->n && !x->last ? turn_page(x, e) : 0;
    if (rc)
        return rc;
    bool first = !x->begun && x->format == FORMAT_CSV;
    x->begun = true;
    free(x->line);
    x->line = NULL;
    if (!first && x->at < x->n) {
        const struct audit_line *line = &x->rows[x->at++];
        x->line = x->format == FORMAT_CSV ? csv_line(line) : json_line(line);
    }
    *piece = first ? head : x->line ? x->line : "";
    *len = strlen(*piece);
    return 0;
}

static void export_free(struct stream *s)
{
    struct export *x = (struct export *)s;
    audit_clear(x->rows, x->n);
    free(x->line);
    free(x);
}

static struct export *export_new(const struct request *r, enum format format, const struct audit_filter *f,
                                 int64_t after)
{
    struct export *x = api_rows(1, sizeof *x);
    x->stream.next = next;
    x->stream.free = export_free;
    x->store = r->env->store;
    x->format = format;
    x->after = after;
    x->filter = *f;
    if (f->who && str_copy(x->who, sizeof x->who, f->who))
        x->filter.who = x->who;
    if (f->path && str_copy(x->path, sizeof x->path, f->path))
        x->filter.path = x->path;
    return x;
}

static int reply_export(struct request *r, struct db *db, enum format format, const struct audit_filter *f,
                        int64_t after, struct err *e)
{
    struct export *x = export_new(r, format, f, after);
    int rc = read_page(x, db, e); /* here what fails can still be told */
    if (rc) {
        export_free(&x->stream);
        return rc;
    }
    r->reply.stream = &x->stream;
    r->reply.type = formats[format].type;
    str_copy(r->reply.attachment, sizeof r->reply.attachment, formats[format].file);
    return 0;
}

/* ---- the route */

static int read_text(const struct request *r, const char *name, size_t size, const char **out, struct err *e)
{
    *out = request_query(r, name);
    if (*out && strlen(*out) >= size)
        return err_field(e, ERR_INVALID, name, "%s may be %zu bytes long", name, size - 1);
    return 0;
}

static int read_moment(const struct request *r, const char *name, int64_t *out, struct err *e)
{
    const char *text = request_query(r, name);
    if (text && clock_parse(text, out) != 0)
        return err_field(e, ERR_INVALID, name, "%s must be an RFC 3339 time", name);
    return 0;
}

static int read_filter(const struct request *r, struct audit_filter *f, struct err *e)
{
    int rc = read_text(r, "who", AUDIT_WHO_SIZE, &f->who, e);
    if (rc == 0)
        rc = read_text(r, "path", AUDIT_PATH_SIZE, &f->path, e);
    if (rc == 0)
        rc = read_moment(r, "since", &f->since_ms, e);
    return rc ? rc : read_moment(r, "until", &f->until_ms, e);
}

static int read_format(const struct request *r, enum format *out, struct err *e)
{
    const char *word = request_query(r, "format");
    *out = FORMAT_JSON;
    if (!word)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (strcmp(formats[i].word, word) == 0) {
            *out = (enum format)i;
            return 0;
        }
    return err_field(e, ERR_INVALID, "format", "format must be json, csv or ndjson");
}

int api_audit(struct request *r, struct db *db, struct err *e)
{
    struct audit_filter filter = {0};
    struct page page;
    enum format format;
    int rc = page_read(r, &page, e);
    if (rc == 0)
        rc = read_filter(r, &filter, e);
    if (rc == 0)
        rc = read_format(r, &format, e);
    if (rc)
        return rc;
    return format == FORMAT_JSON ? list_page(r, db, &filter, &page, e)
                                 : reply_export(r, db, format, &filter, page.after, e);
}
