#include "api.h"

#include "http/route.h"

#include <stdlib.h>

/* ---- a campaign as the interface shows it */

static json_t *counts_json(const struct campaign_counts *counts)
{
    json_t *j = json_object();
    for (int state = 0; state < EXECUTION_STATES; state++)
        json_put_int(j, execution_state_word((enum execution_state)state), counts->n[state]);
    return j;
}

static int firmware_json(struct db *db, int64_t id, json_t **out, struct err *e)
{
    int64_t ids[CAMPAIGN_FIRMWARE_MAX];
    size_t n;
    int rc = campaign_firmware_ids(db, id, ids, &n, e);
    if (rc)
        return rc;
    *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(*out, json_integer(ids[i]));
    return 0;
}

static int target_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    char *text;
    int rc = campaign_target(db, c->id, &text, e);
    if (rc)
        return rc;
    json_t *target = json_loads(text, 0, NULL);
    free(text);
    if (!target)
        return err_set(e, ERR_INTERNAL, "the target of campaign %lld cannot be read", (long long)c->id);
    json_put_text(target, "product", c->product);
    *out = target;
    return 0;
}

static int ext_data_json(struct db *db, int64_t id, json_t **out, struct err *e)
{
    char *text;
    int rc = campaign_ext_data(db, id, &text, e);
    if (rc)
        return rc;
    *out = *text ? json_loads(text, 0, NULL) : json_null();
    free(text);
    return *out ? 0 : err_set(e, ERR_INTERNAL, "ext_data of campaign %lld cannot be read", (long long)id);
}

int api_campaign_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    struct campaign_counts counts;
    json_t *firmware = NULL, *target = NULL, *ext_data = NULL;
    int rc = campaign_counts(db, c->id, &counts, e);
    if (rc == 0)
        rc = firmware_json(db, c->id, &firmware, e);
    if (rc == 0)
        rc = target_json(db, c, &target, e);
    if (rc == 0)
        rc = ext_data_json(db, c->id, &ext_data, e);
    if (rc) {
        json_decref(firmware);
        json_decref(target);
        return rc;
    }
    json_t *j = json_object();
    json_put_int(j, "id", c->id);
    json_put_text(j, "name", c->name);
    json_put_text(j, "product", c->product);
    json_put(j, "firmware", firmware);
    json_put(j, "target", target);
    json_put(j, "policy", policy_json(&c->policy));
    json_put(j, "ext_data", ext_data);
    json_put_text(j, "state", campaign_state_word(c->state));
    json_put_text(j, "state_reason", c->state_reason);
    json_put(j, "counts", counts_json(&counts));
    json_put_int(j, "total", counts.total);
    json_put_int(j, "percent", counts.percent);
    json_put_int(j, "late_success", c->late_success);
    json_put_moment(j, "created_at", c->created_at_ms);
    json_put_moment(j, "started_at", c->started_at_ms);
    json_put_moment(j, "finished_at", c->finished_at_ms);
    json_put_int(j, "revision", c->revision);
    *out = j;
    return 0;
}

int api_campaign_reply(struct request *r, struct db *db, int64_t id, struct err *e)
{
    struct campaign c;
    json_t *j;
    int rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = api_campaign_json(db, &c, &j, e);
    if (rc)
        return rc;
    revision_etag(r, c.revision);
    reply_json(r, j);
    return 0;
}

/* ---- looking */

/* A state's word in the query; -1 without one. */
static int read_state(const struct request *r, int (*parse)(const char *word), int *out, struct err *e)
{
    const char *word = request_query(r, "state");
    *out = word ? parse(word) : -1;
    if (word && *out < 0)
        return err_field(e, ERR_INVALID, "state", "\"%.32s\" is not a state", word);
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
        rc = read_state(r, campaign_state_parse, &state, e);
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

int api_campaign_executions(struct request *r, struct db *db, struct err *e)
{
    struct campaign c;
    struct page page;
    int64_t id;
    size_t n = 0;
    int state, rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = page_read(r, &page, e);
    if (rc == 0)
        rc = read_state(r, execution_state_parse, &state, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct execution_view *rows = api_rows(cap + 1, sizeof *rows);
    rc = execution_list(db, id, state, page.after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, api_execution_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].device_id : 0);
    }
    free(rows);
    return rc;
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
