/* How a campaign's executions ended badly, those that are alike together. */
#include "api.h"

#include "http/route.h"

#include <stdlib.h>

#define FAILURES_MAX 1000

static json_t *group_json(const struct failure_group *g)
{
    json_t *j = json_object(), *example = json_object();
    json_put_text(j, "state", execution_state_word(g->state));
    json_put_text(j, "reason", g->reason);
    json_put_text(j, "from_version", *g->from_version ? g->from_version : NULL);
    json_put_text(j, "tag", *g->tag ? g->tag : NULL);
    json_put_int(j, "devices", g->devices);
    json_put_text(example, "device", g->example);
    json_put_text(example, "detail", g->detail);
    json_put(j, "example", example);
    return j;
}

/* *tag NULL: not asked for. */
static int read_tag(const struct request *r, const char **tag, struct err *e)
{
    *tag = request_query(r, "tag");
    return *tag ? api_tag_check(*tag, "", "tag", e) : 0;
}

int api_campaign_failures(struct request *r, struct db *db, struct err *e)
{
    struct campaign c;
    const char *tag;
    int64_t id;
    size_t n = 0;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = read_tag(r, &tag, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc)
        return rc;
    struct failure_group *rows = api_rows(FAILURES_MAX, sizeof *rows);
    rc = campaign_failures(db, id, tag, rows, FAILURES_MAX, &n, e);
    if (rc == 0) {
        json_t *j = json_object(), *items = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(items, group_json(&rows[i]));
        json_put(j, "items", items);
        reply_json(r, j);
    }
    free(rows);
    return rc;
}
