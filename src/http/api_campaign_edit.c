/* Campaigns: making, editing, acting. */
#include "api.h"

#include "http/route.h"
#include "protocol/aliyun.h"
#include "store/firmware.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- POST: a body becomes a spec */

struct campaign_body {
    struct campaign_spec spec;
    char *devices, *tags; /* owned text of the target's */
    char *ext_data;       /* owned */
};

static void body_clear(struct campaign_body *b)
{
    free(b->devices);
    free(b->tags);
    free(b->ext_data);
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

/* Link SDK finds the members of a push by where their names first stand in quotes: a key or a value that is
 * such a name would be read in its place. */
static int check_ext_data(const char *key, const char *value, struct err *e)
{
    if (!str_is_text(key, VERSION_SIZE) || strpbrk(key, "\"\\"))
        return err_field(e, ERR_INVALID, "ext_data",
                         "a key of ext_data must be 1 to %d bytes of text without quotes", VERSION_SIZE - 1);
    if (!value)
        return err_field(e, ERR_INVALID, "ext_data", "ext_data.%s must be a text", key);
    const char *taken = aliyun_is_member(key) ? key : aliyun_is_member(value) ? value : NULL;
    if (taken)
        return err_field(e, ERR_INVALID, "ext_data",
                         "\"%s\" in ext_data is a word of the push itself, which devices would take it for",
                         taken);
    return 0;
}

static int read_ext_data(const json_t *object, struct campaign_body *b, struct err *e)
{
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        if ((rc = check_ext_data(key, json_string_value(value), e)) < 0)
            return rc;
    }
    if (json_object_size(object) == 0)
        return 0;
    b->spec.ext_data = b->ext_data = json_text(object);
    if (strlen(b->ext_data) > CAMPAIGN_EXT_MAX)
        return err_field(e, ERR_INVALID, "ext_data", "ext_data may be %d bytes long", CAMPAIGN_EXT_MAX);
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
    const json_t *firmware = NULL, *target = NULL, *policy = NULL, *ext_data = NULL;
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_TEXT, .out = b->spec.name, .size = sizeof b->spec.name},
        {.key = "firmware", .kind = JSON_KIND_ARRAY, .out = &firmware, .required = true},
        {.key = "target", .kind = JSON_KIND_OBJECT, .out = &target},
        {.key = "policy", .kind = JSON_KIND_OBJECT, .out = &policy},
        {.key = "ext_data", .kind = JSON_KIND_OBJECT, .out = &ext_data},
        {.key = "draft", .kind = JSON_KIND_BOOL, .out = &b->spec.draft},
    };
    int rc = api_read(r, fields, ARRAY_SIZE(fields), e);
    if (rc == 0)
        rc = read_firmware(firmware, &b->spec, e);
    if (rc == 0 && target)
        rc = read_target(target, b, e);
    if (rc == 0 && ext_data)
        rc = read_ext_data(ext_data, b, e);
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
        rc = campaign_create(db, &b.spec, r->now_ms, &id, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = api_campaign_json(db, &c, &j, e);
    body_clear(&b);
    if (rc)
        return rc;
    revision_etag(r, c.revision);
    reply_created(r, j, "/api/v1/campaigns/%lld", (long long)id);
    api_wake(r);
    return 0;
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
    return api_campaign_reply(r, db, id, e);
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
    return api_campaign_reply(r, db, id, e);
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
    bool force = false;
    int64_t asked = 0;
    int rc = request_query_int(r, "force", 0, 1, 0, &asked, e);
    if (rc == 0)
        rc = read_force(r, &force, e);
    return rc ? rc : act(r, db, force || asked ? CAMPAIGN_CANCEL_FORCE : CAMPAIGN_CANCEL, e);
}
