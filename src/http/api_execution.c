/* Executions: a campaign device by device. */
#include "api.h"

#include "http/route.h"

#include <stdlib.h>
#include <string.h>

/* ?wave= is a number, or "none" for what was over when it was made. */
static int read_wave(const struct request *r, struct execution_filter *f, struct err *e)
{
    const char *word = request_query(r, "wave");
    int64_t wave = NO_WAVE;
    int rc = 0;
    if (word && strcmp(word, "none") != 0)
        rc = request_query_int(r, "wave", 0, WAVES_MAX - 1, 0, &wave, e);
    f->by_wave = word != NULL;
    f->wave = (int)wave;
    return rc;
}

static int read_filter(const struct request *r, struct execution_filter *f, struct err *e)
{
    int rc = api_state_read(r, execution_state_parse, &f->state, e);
    return rc ? rc : read_wave(r, f, e);
}

static int read_format(const struct request *r, bool *csv, struct err *e)
{
    const char *word = request_query(r, "format");
    *csv = word && strcmp(word, "csv") == 0;
    if (word && !*csv && strcmp(word, "json") != 0)
        return err_field(e, ERR_INVALID, "format", "format must be json or csv");
    return 0;
}

static int list_page(struct request *r, struct db *db, int64_t campaign_id, const struct execution_filter *f,
                     const struct page *page, struct err *e)
{
    size_t cap = (size_t)page->limit, n = 0;
    struct execution_view *rows = api_rows(cap + 1, sizeof *rows);
    int rc = execution_list(db, campaign_id, f, page->after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, api_execution_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].device_id : 0);
    }
    free(rows);
    return rc;
}

int api_campaign_executions(struct request *r, struct db *db, struct err *e)
{
    struct execution_filter filter;
    struct campaign c;
    struct page page;
    int64_t id;
    bool csv;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = page_read(r, &page, e);
    if (rc == 0)
        rc = read_filter(r, &filter, e);
    if (rc == 0)
        rc = read_format(r, &csv, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc)
        return rc;
    return csv ? api_executions_csv(r, db, id, &filter, page.after, e)
               : list_page(r, db, id, &filter, &page, e);
}

int api_execution_get(struct request *r, struct db *db, struct err *e)
{
    struct execution_view x;
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = execution_view_get(db, id, &x, e);
    if (rc == 0)
        reply_json(r, api_execution_json(&x));
    return rc;
}
