/* POST /campaigns: a body becomes a spec, and the spec a campaign. */
#include "api.h"

#include "http/route.h"
#include "protocol/aliyun.h"
#include "store/firmware.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int read_ext_data(const json_t *object, struct campaign_spec *spec, struct err *e)
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
    spec->ext_data = json_text(object);
    if (strlen(spec->ext_data) > CAMPAIGN_EXT_MAX)
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

/* Both may be absent. Waves are parts of what the target leaves. */
static int read_aim(const json_t *target, const json_t *waves, struct campaign_spec *spec, struct err *e)
{
    int rc = target_parse(target, &spec->target, spec->product, e);
    if (rc == 0)
        rc = waves_parse(waves, spec->target.percent, &spec->waves, e);
    if (rc == 0 && waves)
        spec->waves_text = json_text(waves);
    return rc;
}

static int read_body(const struct request *r, struct campaign_spec *spec, struct err *e)
{
    const json_t *firmware = NULL, *target = NULL, *waves = NULL, *policy = NULL, *ext_data = NULL;
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_TEXT, .out = spec->name, .size = sizeof spec->name},
        {.key = "firmware", .kind = JSON_KIND_ARRAY, .out = &firmware, .required = true},
        {.key = "target", .kind = JSON_KIND_OBJECT, .out = &target},
        {.key = "waves", .kind = JSON_KIND_ARRAY, .out = &waves},
        {.key = "policy", .kind = JSON_KIND_OBJECT, .out = &policy},
        {.key = "ext_data", .kind = JSON_KIND_OBJECT, .out = &ext_data},
        {.key = "draft", .kind = JSON_KIND_BOOL, .out = &spec->draft},
    };
    int rc = api_read(r, fields, ARRAY_SIZE(fields), e);
    if (rc == 0)
        rc = read_firmware(firmware, spec, e);
    if (rc == 0)
        rc = read_aim(target, waves, spec, e);
    if (rc == 0 && ext_data)
        rc = read_ext_data(ext_data, spec, e);
    return rc ? rc : policy_parse(policy, &spec->policy, e);
}

/* The caller clears the spec, also after an error. */
static int read_spec(const struct request *r, struct db *db, struct campaign_spec *spec, struct err *e)
{
    int rc = read_body(r, spec, e);
    return rc == 0 && !*spec->name ? default_name(db, spec, e) : rc;
}

static int create(struct request *r, struct db *w, const struct campaign_spec *spec, struct err *e)
{
    int64_t id = 0;
    int rc = campaign_create(w, spec, r->now_ms, &id, e);
    return rc ? rc : api_campaign_made(r, w, id, e);
}

int api_campaign_create(struct request *r, struct db *db, struct err *e)
{
    struct campaign_spec spec = {0};
    int rc = read_spec(r, db, &spec, e);
    if (rc == 0)
        rc = r->dry ? api_plan(r, db, &spec, e) : create(r, db, &spec, e);
    campaign_spec_clear(&spec);
    return rc;
}
