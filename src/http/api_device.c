#include "api.h"

#include "base/clock.h"
#include "http/route.h"
#include "store/old_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a device as the interface shows it */

static json_t *modules_json(const struct device_module modules[], size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *j = json_object();
        json_put_text(j, "module", modules[i].module);
        json_put_text(j, "version", modules[i].version);
        json_put_moment(j, "reported_at", modules[i].reported_at_ms);
        json_put_bool(j, "assumed", modules[i].assumed);
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *tags_json(const struct device_tag tags[], size_t n)
{
    json_t *j = json_object();
    for (size_t i = 0; i < n; i++)
        json_put_text(j, tags[i].key, tags[i].value);
    return j;
}

/* What the store knows, or presence when it heard the device since. */
static int64_t last_seen(const struct request *r, const struct device *d)
{
    int64_t heard_at_ms = presence_last_seen(r->env->rollout->presence, d->id);
    return heard_at_ms > d->last_seen_at_ms ? heard_at_ms : d->last_seen_at_ms;
}

static int device_json(const struct request *r, struct db *db, const struct device *d, json_t **out,
                       struct err *e)
{
    struct device_tag tags[TAGS_MAX];
    struct device_module modules[MODULES_MAX];
    struct old_secret old;
    size_t tag_count, module_count;
    int rc = device_tags_get(db, d->id, tags, &tag_count, e);
    if (rc == 0)
        rc = device_modules_get(db, d->id, modules, &module_count, e);
    if (rc == 0)
        rc = old_secret_of_device(db, d->id, r->now_ms, &old, e);
    if (rc)
        return rc;
    json_t *j = json_object();
    json_put_int(j, "id", d->id);
    json_put_text(j, "product", d->product);
    json_put_text(j, "name", d->name);
    json_put(j, "tags", tags_json(tags, tag_count));
    json_put(j, "modules", modules_json(modules, module_count));
    json_put_bool(j, "enabled", d->enabled);
    json_put_bool(j, "paused", d->paused);
    json_put_text(j, "pinned", *d->pinned ? d->pinned : NULL);
    json_put_int(j, "failures", d->failures);
    json_put_moment(j, "quarantined_until", d->quarantine_until_ms > r->now_ms ? d->quarantine_until_ms : 0);
    json_put_bool(j, "online", presence_there(r->env->rollout->presence, d->id, r->now_ms));
    json_put_moment(j, "last_seen_at", last_seen(r, d));
    json_put_moment(j, "registered_at", d->registered_at_ms);
    json_put_moment(j, "old_secret_until", old.until_ms);
    *out = j;
    return 0;
}

static int find(const struct request *r, struct db *db, struct device *out, struct err *e)
{
    return device_get(db, r->arg[0], r->arg[1], out, e);
}

/* ---- reading a body */

struct device_body {
    char product[PRODUCT_SIZE];
    char secret[SECRET_SIZE]; /* "" none given */
    bool has_tags;
    struct device_tag tags[TAGS_MAX];
    size_t tag_count;
};

/* product and name are read where a device is made, and refused elsewhere. A null leaves a member as it is,
 * but for pinned, which it lifts. */
static int read_body(const struct request *r, bool making, struct device *d, struct device_body *b,
                     struct err *e)
{
    const json_t *tags = NULL;
    bool has_secret = false;
    size_t skipped = making ? 0 : 2;
    const struct json_field fields[] = {
        {.key = "product",
         .kind = JSON_KIND_NAME,
         .out = b->product,
         .size = sizeof b->product,
         .required = true},
        {.key = "name", .kind = JSON_KIND_NAME, .out = d->name, .size = sizeof d->name, .required = true},
        {.key = "tags", .kind = JSON_KIND_OBJECT, .out = &tags, .present = &b->has_tags},
        {.key = "secret",
         .kind = JSON_KIND_EMPTY,
         .out = b->secret,
         .size = sizeof b->secret,
         .present = &has_secret},
        {.key = "enabled", .kind = JSON_KIND_BOOL, .out = &d->enabled},
        {.key = "paused", .kind = JSON_KIND_BOOL, .out = &d->paused},
        {.key = "pinned", .kind = JSON_KIND_TEXT, .out = d->pinned, .size = sizeof d->pinned},
    };
    int rc = api_read(r, fields + skipped, ARRAY_SIZE(fields) - skipped, e);
    if (rc == 0 && json_is_null(json_object_get(r->body, "pinned")))
        *d->pinned = '\0';
    if (rc == 0 && has_secret)
        rc = api_secret_check("secret", b->secret, e);
    if (rc == 0 && b->has_tags)
        rc = api_tags_read(tags, "tags", b->tags, &b->tag_count, e);
    return rc;
}

/* ---- routes */

static int insert(struct request *r, struct db *db, struct device *d, const struct device_body *b,
                  struct err *e)
{
    int rc = api_device_seal(r, d, b->secret, e);
    if (rc == 0)
        rc = device_insert(db, d, e);
    if (rc == 0 && b->has_tags)
        rc = device_tags_set(db, d->id, b->tags, b->tag_count, e);
    if (rc == 0)
        rc = timeline_add(db, d->id, r->now_ms, "registered", 0, 0, e, "by %s", r->caller.name);
    return rc;
}

int api_device_create(struct request *r, struct db *db, struct err *e)
{
    struct device d = {.enabled = true, .registered_at_ms = r->now_ms};
    struct device_body b = {0};
    struct product p;
    json_t *j;
    int rc = read_body(r, true, &d, &b, e);
    if (rc == 0)
        rc = api_product(db, b.product, &p, e);
    if (rc == 0)
        rc = api_name_check(&p, d.name, e);
    if (rc)
        return rc;
    d.product_id = p.id;
    str_copy(d.product, sizeof d.product, p.key);
    if (!*b.secret)
        api_secret_make(p.protocol, b.secret);
    rc = insert(r, db, &d, &b, e);
    if (rc == 0)
        rc = device_json(r, db, &d, &j, e);
    if (rc == 0) {
        json_put_text(j, "secret", b.secret);
        revision_etag(r, d.revision);
        reply_created(r, j, "/api/v1/devices/%s/%s", d.product, d.name);
        api_wake(r);
    }
    explicit_bzero(b.secret, sizeof b.secret);
    return rc;
}

/* ?tag=key=value or key:value, or key alone. What it points to stays in key. */
static void read_tag(const char *text, char key[TAG_KEY_SIZE + TAG_VALUE_SIZE], struct device_filter *f)
{
    if (!text)
        return;
    snprintf(key, TAG_KEY_SIZE + TAG_VALUE_SIZE, "%s", text);
    char *divider = strchr(key, '=');
    if (!divider)
        divider = strchr(key, ':');
    f->tag_key = key;
    if (divider) {
        *divider = '\0';
        f->tag_value = divider + 1;
    }
}

static int read_filter(const struct request *r, char tag[TAG_KEY_SIZE + TAG_VALUE_SIZE],
                       struct device_filter *f, struct err *e)
{
    static const char *const moments[] = {"seen_before", "seen_after"};
    int64_t *const out[] = {&f->seen_before_ms, &f->seen_after_ms};
    int rc = 0;
    f->product = request_query(r, "product");
    f->module = request_query(r, "module");
    f->version = request_query(r, "version");
    if (f->version && !f->module)
        f->module = "default";
    read_tag(request_query(r, "tag"), tag, f);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(moments); i++) {
        const char *text = request_query(r, moments[i]);
        if (text && clock_parse(text, out[i]) != 0)
            rc = err_field(e, ERR_INVALID, moments[i], "%s must be an RFC 3339 time", moments[i]);
    }
    return rc;
}

static int list_json(const struct request *r, struct db *db, const struct device rows[], size_t n,
                     json_t **out, struct err *e)
{
    json_t *items = json_array();
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        json_t *j = NULL;
        rc = device_json(r, db, &rows[i], &j, e);
        if (rc == 0)
            json_array_append_new(items, j);
    }
    if (rc == 0)
        *out = items;
    else
        json_decref(items);
    return rc;
}

int api_device_list(struct request *r, struct db *db, struct err *e)
{
    char tag[TAG_KEY_SIZE + TAG_VALUE_SIZE];
    struct device_filter filter = {0};
    struct page page;
    json_t *items;
    size_t n = 0, cap;
    int rc = read_filter(r, tag, &filter, e);
    if (rc == 0)
        rc = page_read(r, &page, e);
    if (rc)
        return rc;
    cap = (size_t)page.limit;
    struct device *rows = api_rows(cap + 1, sizeof *rows);
    rc = device_list(db, &filter, page.after, rows, cap + 1, &n, e);
    if (rc == 0)
        rc = list_json(r, db, rows, n < cap ? n : cap, &items, e);
    if (rc == 0)
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    free(rows);
    return rc;
}

static int reply_device(struct request *r, struct db *db, const struct device *d, struct err *e)
{
    json_t *j;
    int rc = device_json(r, db, d, &j, e);
    if (rc)
        return rc;
    revision_etag(r, d->revision);
    reply_json(r, j);
    return 0;
}

int api_device_get(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    int rc = find(r, db, &d, e);
    return rc ? rc : reply_device(r, db, &d, e);
}

int api_device_patch(struct request *r, struct db *db, struct err *e)
{
    struct device d = {0};
    struct device_body b = {0};
    int rc = find(r, db, &d, e);
    if (rc == 0)
        rc = revision_check(r, d.revision, e);
    if (rc == 0)
        rc = read_body(r, false, &d, &b, e);
    if (rc == 0 && *b.secret)
        rc = api_device_seal(r, &d, b.secret, e);
    bool ends = !d.enabled || *b.secret;
    explicit_bzero(b.secret, sizeof b.secret);
    if (rc == 0)
        rc = device_update(db, &d, e);
    if (rc == 0 && b.has_tags)
        rc = device_tags_set(db, d.id, b.tags, b.tag_count, e);
    if (rc == 0)
        rc = timeline_add(db, d.id, r->now_ms, "edited", 0, 0, e, "by %s", r->caller.name);
    if (rc == 0)
        rc = rollout_device_changed(r->env->rollout, db, d.id, e);
    if (rc)
        return rc;
    if (ends)
        request_end_sessions(r, d.product, d.name);
    api_wake(r);
    return reply_device(r, db, &d, e);
}

int api_device_delete(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    int rc = find(r, db, &d, e);
    if (rc == 0)
        rc = revision_check(r, d.revision, e);
    if (rc == 0)
        rc = execution_remove_device(db, d.id, r->now_ms, e);
    if (rc == 0)
        rc = device_delete(db, d.id, r->now_ms, e);
    if (rc)
        return rc;
    presence_forget(r->env->rollout->presence, d.id);
    request_end_sessions(r, d.product, d.name);
    reply_nothing(r);
    api_wake(r);
    return 0;
}

/* ---- what happened to it */

static json_t *line_json(const struct timeline_line *line)
{
    json_t *j = json_object();
    json_put_int(j, "id", line->id);
    json_put_moment(j, "at", line->at_ms);
    json_put_text(j, "kind", line->kind);
    json_put(j, "campaign", line->campaign_id ? json_integer(line->campaign_id) : json_null());
    json_put(j, "execution", line->execution_id ? json_integer(line->execution_id) : json_null());
    json_put_text(j, "text", line->text);
    return j;
}

/* The device and the page that both lists below begin with. */
static int find_page(const struct request *r, struct db *db, struct device *d, struct page *page,
                     struct err *e)
{
    int rc = page_read(r, page, e);
    return rc ? rc : find(r, db, d, e);
}

int api_device_timeline(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    struct page page;
    size_t n = 0;
    int rc = find_page(r, db, &d, &page, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct timeline_line *rows = api_rows(cap + 1, sizeof *rows);
    rc = timeline_list(db, d.id, page.after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, line_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    }
    free(rows);
    return rc;
}

int api_device_executions(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    struct page page;
    size_t n = 0;
    int rc = find_page(r, db, &d, &page, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct execution_view *rows = api_rows(cap + 1, sizeof *rows);
    rc = execution_list_device(db, d.id, page.after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, api_execution_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    }
    free(rows);
    return rc;
}
