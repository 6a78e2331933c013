#include "api.h"

#include "http/route.h"
#include "store/firmware.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int campaign_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    struct campaign_counts counts;
    json_t *firmware = NULL, *target = NULL;
    int rc = campaign_counts(db, c->id, &counts, e);
    if (rc == 0)
        rc = firmware_json(db, c->id, &firmware, e);
    if (rc)
        return rc;
    rc = target_json(db, c, &target, e);
    if (rc) {
        json_decref(firmware);
        return rc;
    }
    json_t *j = json_object();
    json_put_int(j, "id", c->id);
    json_put_text(j, "name", c->name);
    json_put_text(j, "product", c->product);
    json_put(j, "firmware", firmware);
    json_put(j, "target", target);
    json_put(j, "policy", policy_json(&c->policy));
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

/* ---- POST: a body becomes a spec */

struct campaign_body {
    struct campaign_spec spec;
    char *devices, *tags; /* owned text of the target's */
};

static void body_clear(struct campaign_body *b)
{
    free(b->devices);
    free(b->tags);
}

static int read_firmware(const json_t *list, struct campaign_spec *spec, struct err *e)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0 || json_array_size(list) > CAMPAIGN_FIRMWARE_MAX)
        return err_field(e, ERR_INVALID, "firmware", "firmware must be a list of 1 to %d ids",
                         CAMPAIGN_FIRMWARE_MAX);
    json_array_foreach(list, i, item)
    {
        if (!json_is_integer(item) || json_integer_value(item) <= 0)
            return err_field(e, ERR_INVALID, "firmware", "firmware must be a list of ids");
        spec->firmware[i] = json_integer_value(item);
    }
    spec->firmware_count = i;
    return 0;
}

static int check_names(const json_t *list, struct err *e)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0)
        return err_field(e, ERR_INVALID, "target.devices", "target.devices must name at least one device");
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        if (!name || !str_is_name(name, DEVICE_SIZE))
            return err_field(e, ERR_INVALID, "target.devices",
                             "target.devices[%zu] is not the name of a device", i);
    }
    return 0;
}

static int read_target(const json_t *target, struct campaign_body *b, struct err *e)
{
    struct device_tag tags[TAGS_MAX];
    const json_t *devices = NULL, *tag_object = NULL;
    size_t tag_count;
    const struct json_field fields[] = {
        {.key = "product", .kind = JSON_KIND_NAME, .out = b->spec.product, .size = sizeof b->spec.product},
        {.key = "devices", .kind = JSON_KIND_ARRAY, .out = &devices},
        {.key = "tags", .kind = JSON_KIND_OBJECT, .out = &tag_object},
    };
    if (json_read(target, fields, ARRAY_SIZE(fields), true, e))
        return err_under(e, "target");
    int rc = devices ? check_names(devices, e) : 0;
    if (rc == 0 && tag_object)
        rc = api_tags_read(tag_object, "target.tags", tags, &tag_count, e);
    if (rc)
        return rc;
    if (devices)
        b->spec.devices_json = b->devices = json_text(devices);
    if (tag_object)
        b->spec.tags_json = b->tags = json_text(tag_object);
    return 0;
}

/* A campaign without a name is called after what it brings. */
static int default_name(struct db *db, struct campaign_spec *spec, struct err *e)
{
    struct firmware f;
    int rc = firmware_get(db, spec->firmware[0], &f, e);
    if (rc == -ERR_NOT_FOUND)
        return err_field(e, ERR_INVALID, "firmware", "there is no firmware %lld",
                         (long long)spec->firmware[0]);
    if (rc == 0)
        snprintf(spec->name, sizeof spec->name, "%.63s %.64s", f.product, f.version);
    return rc;
}

static int read_body(const struct request *r, struct campaign_body *b, struct err *e)
{
    const json_t *firmware = NULL, *target = NULL, *policy = NULL;
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_TEXT, .out = b->spec.name, .size = sizeof b->spec.name},
        {.key = "firmware", .kind = JSON_KIND_ARRAY, .out = &firmware, .required = true},
        {.key = "target", .kind = JSON_KIND_OBJECT, .out = &target},
        {.key = "policy", .kind = JSON_KIND_OBJECT, .out = &policy},
        {.key = "draft", .kind = JSON_KIND_BOOL, .out = &b->spec.draft},
    };
    int rc = api_read(r, fields, ARRAY_SIZE(fields), e);
    if (rc == 0)
        rc = read_firmware(firmware, &b->spec, e);
    if (rc == 0 && target)
        rc = read_target(target, b, e);
    return rc ? rc : policy_parse(policy, &b->spec.policy, e);
}

int api_campaign_create(struct request *r, struct db *db, struct err *e)
{
    struct campaign_body b = {0};
    struct campaign c;
    json_t *j = NULL;
    int64_t id = 0;
    int rc = read_body(r, &b, e);
    if (rc == 0 && !*b.spec.name)
        rc = default_name(db, &b.spec, e);
    if (rc == 0)
        rc = campaign_create(r->env->rollout, db, &b.spec, r->now_ms, &id, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = campaign_json(db, &c, &j, e);
    body_clear(&b);
    if (rc)
        return rc;
    revision_etag(r, c.revision);
    reply_created(r, j, "/api/v1/campaigns/%lld", (long long)id);
    api_wake(r);
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
        rc = campaign_json(db, &rows[i], &j, e);
        if (rc == 0)
            json_array_append_new(items, j);
    }
    if (rc == 0)
        *out = items;
    else
        json_decref(items);
    return rc;
}

static const char *const list_names[] = {"limit", "after", "state", NULL};

int api_campaign_list(struct request *r, struct db *db, struct err *e)
{
    struct page page;
    json_t *items;
    size_t n = 0;
    int state, rc = request_query_only(r, list_names, e);
    if (rc == 0)
        rc = page_read(r, &page, e);
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

static int reply_campaign(struct request *r, struct db *db, int64_t id, struct err *e)
{
    struct campaign c;
    json_t *j;
    int rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = campaign_json(db, &c, &j, e);
    if (rc)
        return rc;
    revision_etag(r, c.revision);
    reply_json(r, j);
    return 0;
}

int api_campaign_get(struct request *r, struct db *db, struct err *e)
{
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    return rc ? rc : reply_campaign(r, db, id, e);
}

int api_campaign_executions(struct request *r, struct db *db, struct err *e)
{
    struct campaign c;
    struct page page;
    int64_t id;
    size_t n = 0;
    int state, rc = request_query_only(r, list_names, e);
    if (rc == 0)
        rc = request_id(r, 0, &id, e);
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

/* ---- editing and acting */

/* The keys given change, the others stay: they are laid over the policy as it is. */
static int change_policy(const json_t *given, struct campaign *c, struct err *e)
{
    if (c->state != CAMPAIGN_DRAFT && c->state != CAMPAIGN_PAUSED)
        return err_field(e, ERR_CONFLICT, "policy",
                         "campaign %lld is %s: the policy of a draft or paused campaign can be changed",
                         (long long)c->id, campaign_state_word(c->state));
    json_t *whole = policy_json(&c->policy);
    json_object_update(whole, (json_t *)given);
    int rc = policy_parse(whole, &c->policy, e);
    json_decref(whole);
    return rc;
}

int api_campaign_patch(struct request *r, struct db *db, struct err *e)
{
    struct campaign c;
    const json_t *policy = NULL;
    int64_t id;
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_TEXT, .out = c.name, .size = sizeof c.name},
        {.key = "policy", .kind = JSON_KIND_OBJECT, .out = &policy},
    };
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = revision_check(r, c.revision, e);
    if (rc == 0)
        rc = api_read(r, fields, ARRAY_SIZE(fields), e);
    if (rc == 0 && policy)
        rc = change_policy(policy, &c, e);
    if (rc == 0)
        rc = campaign_update(db, &c, e);
    if (rc)
        return rc;
    api_wake(r);
    return reply_campaign(r, db, id, e);
}

/* A body is optional here; what is in it must be known. */
static int read_force(const struct request *r, bool *force, struct err *e)
{
    const struct json_field fields[] = {{.key = "force", .kind = JSON_KIND_BOOL, .out = force}};
    return r->body ? json_read(r->body, fields, force ? 1 : 0, true, e) : 0;
}

static int act(struct request *r, struct db *db, enum campaign_action action, struct err *e)
{
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = campaign_act(r->env->rollout, db, id, action, r->caller.name, r->now_ms, e);
    if (rc)
        return rc;
    api_wake(r);
    return reply_campaign(r, db, id, e);
}

static int act_plainly(struct request *r, struct db *db, enum campaign_action action, struct err *e)
{
    int rc = read_force(r, NULL, e);
    return rc ? rc : act(r, db, action, e);
}

int api_campaign_start(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_START, e);
}

int api_campaign_pause(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_PAUSE, e);
}

int api_campaign_resume(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_RESUME, e);
}

/* {"force": true} or ?force=1 ends what is active too. */
int api_campaign_cancel(struct request *r, struct db *db, struct err *e)
{
    static const char *const names[] = {"force", NULL};
    bool force = false;
    int64_t asked = 0;
    int rc = request_query_only(r, names, e);
    if (rc == 0)
        rc = request_query_int(r, "force", 0, 1, 0, &asked, e);
    if (rc == 0)
        rc = read_force(r, &force, e);
    return rc ? rc : act(r, db, force || asked ? CAMPAIGN_CANCEL_FORCE : CAMPAIGN_CANCEL, e);
}
