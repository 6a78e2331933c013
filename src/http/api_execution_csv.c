/* A campaign's executions as CSV: all of them, read page by page while they are sent. */
#include "api.h"

#include "http/csv.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE_ROWS 256
#define LINE_SIZE \
    (CSV_TEXT_SIZE(DEVICE_SIZE) + CSV_TEXT_SIZE(DETAIL_SIZE) + 10 * CSV_PLAIN_SIZE + CSV_END_SIZE)

static const char head[] =
    "id,device,wave,state,reason,detail,percent,attempt,offered_at,started_at,finished_at,updated_at\r\n";

struct table {
    struct stream stream;
    struct store *store;
    int64_t campaign_id, after;
    struct execution_filter filter;
    struct execution_view rows[PAGE_ROWS];
    size_t n, at;
    bool begun, last; /* the head was sent; there is no further page */
    char line[LINE_SIZE];
};

static int read_page(struct table *t, struct db *db, struct err *e)
{
    int rc = execution_list(db, t->campaign_id, &t->filter, t->after, t->rows, PAGE_ROWS, &t->n, e);
    if (rc)
        return rc;
    t->at = 0;
    t->last = t->n < PAGE_ROWS;
    if (t->n)
        t->after = t->rows[t->n - 1].device_id;
    return 0;
}

static int turn_page(struct table *t, struct err *e)
{
    struct db *db;
    int rc = store_reader(t->store, &db, e);
    return rc ? rc : read_page(t, db, e);
}

static size_t write_line(const struct execution_view *x, char line[LINE_SIZE])
{
    struct csv out = {.at = line, .size = LINE_SIZE};
    csv_int(&out, x->id);
    csv_text(&out, x->device);
    if (x->wave == NO_WAVE)
        csv_text(&out, "");
    else
        csv_int(&out, x->wave);
    csv_text(&out, execution_state_word(x->state));
    csv_text(&out, x->reason);
    csv_text(&out, x->detail);
    csv_int(&out, x->percent);
    csv_int(&out, x->attempt);
    csv_moment(&out, x->offered_at_ms);
    csv_moment(&out, x->started_at_ms);
    csv_moment(&out, x->finished_at_ms);
    csv_moment(&out, x->updated_at_ms);
    csv_end(&out);
    return out.len;
}

static int next(struct stream *s, const char **piece, size_t *len, struct err *e)
{
    struct table *t = (struct table *)s;
    int rc = t->at == t->n && !t->last ? turn_page(t, e) : 0;
    if (rc)
        return rc;
    if (!t->begun) {
        t->begun = true;
        *piece = head;
        *len = sizeof head - 1;
        return 0;
    }
    *piece = t->line;
    *len = t->at < t->n ? write_line(&t->rows[t->at++], t->line) : 0;
    return 0;
}

static void table_free(struct stream *s)
{
    free(s);
}

int api_executions_csv(struct request *r, struct db *db, int64_t campaign_id,
                       const struct execution_filter *f, int64_t after, struct err *e)
{
    struct table *t = api_rows(1, sizeof *t);
    t->stream.next = next;
    t->stream.free = table_free;
    t->store = r->env->store;
    t->campaign_id = campaign_id;
    t->after = after;
    t->filter = *f;
    int rc = read_page(t, db, e); /* here what fails can still be told */
    if (rc) {
        free(t);
        return rc;
    }
    r->reply.stream = &t->stream;
    r->reply.type = "text/csv; charset=utf-8";
    snprintf(r->reply.attachment, sizeof r->reply.attachment, "campaign-%lld.csv", (long long)campaign_id);
    return 0;
}
