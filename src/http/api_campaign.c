/* Campaigns: looking, and what those that change one answer. */
#include "api.h"

#include "http/route.h"

#include <stdlib.h>

/* The campaign as it is now, and its ETag. */
static int show(struct request *r, struct db *db, int64_t id, json_t **out, struct err *e)
{
    struct campaign c;
    int rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = api_campaign_whole(db, &c, out, e);
    if (rc == 0)
        revision_etag(r, c.revision);
    return rc;
}

int api_campaign_reply(struct request *r, struct db *db, int64_t id, struct err *e)
{
    json_t *j;
    int rc = show(r, db, id, &j, e);
    if (rc == 0)
        reply_json(r, j);
    return rc;
}

int api_campaign_made(struct request *r, struct db *w, int64_t id, struct err *e)
{
    json_t *j;
    int rc = show(r, w, id, &j, e);
    if (rc)
        return rc;
    reply_created(r, j, "/api/v1/campaigns/%lld", (long long)id);
    api_wake(r);
    return 0;
}

static int list_json(struct db *db, const struct campaign rows[], size_t n, json_t **out, struct err *e)
{
    json_t *items = json_array();
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        json_t *j = NULL;
        rc = api_campaign_json(db, &rows[i], &j, e);
        if (rc == 0)
            json_array_append_new(items, j);
    }
    if (rc == 0)
        *out = items;
    else
        json_decref(items);
    return rc;
}

int api_campaign_list(struct request *r, struct db *db, struct err *e)
{
    struct page page;
    json_t *items;
    size_t n = 0;
    int state, rc = page_read(r, &page, e);
    if (rc == 0)
        rc = api_state_read(r, campaign_state_parse, &state, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct campaign *rows = api_rows(cap + 1, sizeof *rows);
    rc = campaign_list(db, state, page.after, rows, cap + 1, &n, e);
    if (rc == 0)
        rc = list_json(db, rows, n < cap ? n : cap, &items, e);
    if (rc == 0)
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    free(rows);
    return rc;
}

int api_campaign_get(struct request *r, struct db *db, struct err *e)
{
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    return rc ? rc : api_campaign_reply(r, db, id, e);
}
