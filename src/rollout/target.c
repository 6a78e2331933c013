#include "rollout/target.h"

#include "base/json.h"
#include "model/words.h"
#include "store/device.h"

#include <stdlib.h>
#include <string.h>

/* ---- the hash that picks devices */

int64_t device_hash(uint64_t salt, int64_t device_id)
{
    /* splitmix64: every bit of the input moves every bit of the output */
    uint64_t x = salt + (uint64_t)device_id * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (int64_t)(x % INT64_MAX);
}

int64_t hash_below(int64_t hundredths)
{
    return (int64_t)((__int128)INT64_MAX * hundredths / 10000);
}

/* ---- reading */

static int check_names(const json_t *list, struct err *e)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0)
        return err_field(e, ERR_INVALID, "devices", "target.devices must name at least one device");
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        if (!name || !str_is_name(name, DEVICE_SIZE))
            return err_field(e, ERR_INVALID, "devices", "target.devices[%zu] is not the name of a device", i);
    }
    return 0;
}

struct tag_terms {
    json_t *equal, *unequal, *present, *absent;
};

static int add_tag(struct tag_terms *terms, const char *key, json_t *value, struct err *e)
{
    char name[TAG_KEY_SIZE + 1];
    size_t len = strlen(key);
    bool differs = len > 1 && key[len - 1] == '!';
    if (!str_copy(name, sizeof name, key))
        len = 0; /* too long to be a name */
    else if (differs)
        name[len - 1] = '\0';
    if (!len || !str_is_name(name, TAG_KEY_SIZE))
        return err_field(e, ERR_INVALID, "tags", "\"%.64s\" cannot be the key of a tag", key);
    if (json_is_boolean(value) && !differs) {
        json_array_append_new(json_is_true(value) ? terms->present : terms->absent, json_string(name));
        return 0;
    }
    if (!json_is_string(value) || strlen(json_string_value(value)) >= TAG_VALUE_SIZE)
        return err_field(
            e, ERR_INVALID, "tags",
            "target.tags.%.64s must be a text, or without \"!\" true for any value, false for none", key);
    json_object_set(differs ? terms->unequal : terms->equal, name, value);
    return 0;
}

static char *text_unless_empty(const json_t *value)
{
    bool empty = json_is_array(value) ? json_array_size(value) == 0 : json_object_size(value) == 0;
    return empty ? NULL : json_text(value);
}

static void keep_tags(struct target *out, const struct tag_terms *terms)
{
    const char *key;
    json_t *value;
    out->equal = text_unless_empty(terms->equal);
    out->unequal = text_unless_empty(terms->unequal);
    out->present = text_unless_empty(terms->present);
    out->absent = text_unless_empty(terms->absent);
    json_object_foreach(terms->equal, key, value)
    {
        str_copy(out->lead_key, sizeof out->lead_key, key);
        str_copy(out->lead_value, sizeof out->lead_value, json_string_value(value));
    }
}

static int read_tags(const json_t *object, struct target *out, struct err *e)
{
    struct tag_terms terms = {json_object(), json_object(), json_array(), json_array()};
    const char *key;
    json_t *value;
    int rc = 0;
    json_object_foreach((json_t *)object, key, value)
    {
        if (rc == 0)
            rc = add_tag(&terms, key, value, e);
    }
    if (rc == 0)
        keep_tags(out, &terms);
    json_decref(terms.equal);
    json_decref(terms.unequal);
    json_decref(terms.present);
    json_decref(terms.absent);
    return rc;
}

static int read_states(const json_t *list, unsigned *out, struct err *e)
{
    size_t i;
    json_t *item;
    unsigned mask = 0;
    json_array_foreach(list, i, item)
    {
        int state = json_is_string(item) ? execution_state_parse(json_string_value(item)) : -1;
        if (state < 0)
            return err_field(e, ERR_INVALID, "states", "target.states[%zu] is no state of an execution", i);
        mask |= 1u << state;
    }
    if (!mask)
        return err_field(e, ERR_INVALID, "states", "target.states names no state");
    *out = mask;
    return 0;
}

static int read(const json_t *object, struct target *out, char product[PRODUCT_SIZE], struct err *e)
{
    const json_t *devices = NULL, *tags = NULL, *states = NULL;
    const struct json_field fields[] = {
        {.key = "product", .kind = JSON_KIND_NAME, .out = product, .size = PRODUCT_SIZE},
        {.key = "devices", .kind = JSON_KIND_ARRAY, .out = &devices},
        {.key = "tags", .kind = JSON_KIND_OBJECT, .out = &tags},
        {.key = "version", .kind = JSON_KIND_TEXT, .out = out->version, .size = sizeof out->version},
        {.key = "percent", .kind = JSON_KIND_INT, .out = &out->percent, .min = 1, .max = 100},
        {.key = "dynamic", .kind = JSON_KIND_BOOL, .out = &out->dynamic},
        {.key = "campaign", .kind = JSON_KIND_INT, .out = &out->source_id, .min = 1, .max = INT64_MAX},
        {.key = "states", .kind = JSON_KIND_ARRAY, .out = &states},
    };
    int rc = object ? json_read(object, fields, ARRAY_SIZE(fields), true, e) : 0;
    if (rc == 0 && devices)
        rc = check_names(devices, e);
    if (rc == 0 && devices)
        out->devices = json_text(devices);
    if (rc == 0 && tags)
        rc = read_tags(tags, out, e);
    if (rc == 0 && states && !out->source_id)
        rc = err_field(e, ERR_INVALID, "states",
                       "target.states are those of target.campaign, which is missing");
    if (rc == 0 && states)
        rc = read_states(states, &out->source_states, e);
    return rc;
}

int target_parse(const struct json_t *object, struct target *out, char product[PRODUCT_SIZE], struct err *e)
{
    *out = (struct target){.percent = 100, .source_states = ~0u};
    return read(object, out, product, e) < 0 ? err_under(e, "target") : 0;
}

int target_load(const char *text, struct target *out, struct err *e)
{
    char product[PRODUCT_SIZE];
    json_t *object = NULL;
    *out = (struct target){.percent = 100, .source_states = ~0u};
    int rc = json_parse(text, strlen(text), &object, e);
    if (rc == 0)
        rc = read(object, out, product, e);
    json_decref(object);
    return rc < 0 ? err_set(e, ERR_INTERNAL, "a target in the store is damaged") : 0;
}

static char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;
    if (text && !made)
        abort();
    return made;
}

void target_copy(struct target *out, const struct target *t)
{
    *out = *t;
    out->devices = copy(t->devices);
    out->equal = copy(t->equal);
    out->unequal = copy(t->unequal);
    out->present = copy(t->present);
    out->absent = copy(t->absent);
}

void target_clear(struct target *t)
{
    free(t->devices);
    free(t->equal);
    free(t->unequal);
    free(t->present);
    free(t->absent);
    *t = (struct target){0};
}

/* ---- and back */

static void put_tags(json_t *tags, const char *text, const char *suffix)
{
    json_t *object = text ? json_loads(text, 0, NULL) : NULL, *value;
    const char *key;
    char name[TAG_KEY_SIZE + 1];
    json_object_foreach(object, key, value)
    {
        snprintf(name, sizeof name, "%s%s", key, suffix);
        json_object_set(tags, name, value);
    }
    json_decref(object);
}

static void put_keys(json_t *tags, const char *text, bool there)
{
    json_t *list = text ? json_loads(text, 0, NULL) : NULL, *key;
    size_t i;
    json_array_foreach(list, i, key)
    {
        json_put_bool(tags, json_string_value(key), there);
    }
    json_decref(list);
}

static json_t *states_json(unsigned mask)
{
    json_t *list = json_array();
    for (int state = 0; state < EXECUTION_STATES; state++)
        if (mask & 1u << state)
            json_array_append_new(list, json_string(execution_state_word((enum execution_state)state)));
    return list;
}

struct json_t *target_json(const struct target *t)
{
    json_t *object = json_object(), *tags = json_object();
    put_tags(tags, t->equal, "");
    put_tags(tags, t->unequal, "!");
    put_keys(tags, t->present, true);
    put_keys(tags, t->absent, false);
    if (t->devices)
        json_put(object, "devices", json_loads(t->devices, 0, NULL));
    if (json_object_size(tags) > 0)
        json_object_set(object, "tags", tags);
    if (*t->version)
        json_put_text(object, "version", t->version);
    if (t->percent != 100)
        json_put_int(object, "percent", t->percent);
    if (t->dynamic)
        json_put_bool(object, "dynamic", true);
    if (t->source_id)
        json_put_int(object, "campaign", t->source_id);
    if (t->source_id && t->source_states != ~0u)
        json_put(object, "states", states_json(t->source_states));
    json_decref(tags);
    return object;
}

/* ---- against the store */

static int check_devices(struct db *db, const struct seeker *s, struct err *e)
{
    if (!s->target->devices)
        return 0;
    struct stmt *q STMT_AUTO = db_stmt(db, Q_TARGET_UNKNOWN_DEVICE);
    bind_int(q, ":product_id", s->product_id);
    bind_text(q, ":devices", s->target->devices);
    int rc = stmt_step(q, e);
    if (rc > 0)
        return err_field(e, ERR_INVALID, "target.devices", "there is no device \"%.128s\" of this product",
                         col_ptr(q, 0));
    return rc;
}

static int check_values(struct db *db, const char *tags, struct err *e)
{
    if (!tags)
        return 0;
    struct stmt *q STMT_AUTO = db_stmt(db, Q_TARGET_UNKNOWN_VALUE);
    bind_text(q, ":tags", tags);
    int rc = stmt_step(q, e);
    if (rc > 0)
        return err_field(e, ERR_INVALID, "target.tags", "no device has the tag %.64s=%.128s", col_ptr(q, 0),
                         col_ptr(q, 1));
    return rc;
}

static int check_keys(struct db *db, const char *keys, struct err *e)
{
    if (!keys)
        return 0;
    struct stmt *q STMT_AUTO = db_stmt(db, Q_TARGET_UNKNOWN_KEY);
    bind_text(q, ":keys", keys);
    int rc = stmt_step(q, e);
    if (rc > 0)
        return err_field(e, ERR_INVALID, "target.tags", "no device has a tag %.64s", col_ptr(q, 0));
    return rc;
}

static int check_keys_of(struct db *db, const char *tags, struct err *e)
{
    json_t *object = tags ? json_loads(tags, 0, NULL) : NULL, *keys = json_array(), *value;
    const char *key;
    json_object_foreach(object, key, value)
    {
        json_array_append_new(keys, json_string(key));
    }
    char *text = text_unless_empty(keys);
    int rc = check_keys(db, text, e);
    free(text);
    json_decref(keys);
    json_decref(object);
    return rc;
}

static int check_source(struct db *db, const struct seeker *s, struct err *e)
{
    if (!s->target->source_id)
        return 0;
    struct stmt *q STMT_AUTO = db_stmt(db, Q_TARGET_UNKNOWN_CAMPAIGN);
    bind_int(q, ":id", s->target->source_id);
    bind_int(q, ":product_id", s->product_id);
    int rc = stmt_step(q, e);
    if (rc == 0)
        return err_field(e, ERR_INVALID, "target.campaign", "there is no campaign %lld of this product",
                         (long long)s->target->source_id);
    if (rc > 0 && col_int(q, 0))
        return err_field(e, ERR_CONFLICT, "target.campaign",
                         "campaign %lld ended long ago, and its devices are not kept any more",
                         (long long)s->target->source_id);
    return rc < 0 ? rc : 0;
}

int target_check(struct db *db, const struct seeker *s, struct err *e)
{
    const struct target *t = s->target;
    int rc = check_devices(db, s, e);
    if (rc == 0)
        rc = check_values(db, t->equal, e);
    if (rc == 0)
        rc = check_keys_of(db, t->unequal, e);
    if (rc == 0)
        rc = check_keys(db, t->present, e);
    if (rc == 0)
        rc = check_keys(db, t->absent, e);
    if (rc == 0)
        rc = check_source(db, s, e);
    if (rc == 0 && *t->version && version_range_check(s->scheme, t->version, e) < 0)
        rc = err_field(e, ERR_INVALID, "target.version", "%s", strdupa(e->text));
    return rc;
}

static struct stmt *lead(struct db *db, const struct seeker *s)
{
    const struct target *t = s->target;
    struct stmt *q;
    if (t->devices) {
        q = db_stmt(db, Q_TARGET_LEAD_NAMES);
        bind_text(q, ":devices", t->devices);
        bind_int(q, ":product_id", s->product_id);
    } else if (t->source_id) {
        q = db_stmt(db, Q_TARGET_LEAD_CAMPAIGN);
        bind_int(q, ":source_id", t->source_id);
    } else if (*t->lead_key) {
        q = db_stmt(db, Q_TARGET_LEAD_TAG);
        bind_text(q, ":key", t->lead_key);
        bind_text(q, ":value", t->lead_value);
    } else {
        q = db_stmt(db, Q_TARGET_LEAD_PRODUCT);
        bind_int(q, ":product_id", s->product_id);
    }
    return q;
}

int target_next(struct db *db, const struct seeker *s, int64_t after_id, int64_t to_id, int64_t ids[],
                size_t cap, size_t *n, struct err *e)
{
    struct stmt *q STMT_AUTO = lead(db, s);
    bind_int(q, ":after_id", after_id);
    bind_int(q, ":to_id", to_id);
    bind_int(q, ":cap", (int64_t)cap);
    int rc = 0;
    for (*n = 0; *n < cap && (rc = stmt_step(q, e)) > 0; (*n)++)
        ids[*n] = col_int(q, 0);
    return rc < 0 ? rc : 0;
}

/* Whether the lead over the product's devices has asked all there is to ask of the store. */
static bool lead_is_all(const struct target *t)
{
    return !t->devices && !t->equal && !t->unequal && !t->present && !t->absent && !t->source_id;
}

int target_has(struct db *db, const struct seeker *s, int64_t device_id, const char *version,
               enum membership *out, struct err *e)
{
    const struct target *t = s->target;
    int rc = 1;
    if (!lead_is_all(t)) {
        struct stmt *q STMT_AUTO = db_stmt(db, Q_TARGET_HAS);
        bind_int(q, ":id", device_id);
        bind_int(q, ":product_id", s->product_id);
        bind_text(q, ":devices", t->devices);
        bind_text(q, ":equal", t->equal);
        bind_text(q, ":unequal", t->unequal);
        bind_text(q, ":present", t->present);
        bind_text(q, ":absent", t->absent);
        if (t->source_id)
            bind_int(q, ":source_id", t->source_id);
        bind_int(q, ":states", (int64_t)t->source_states);
        rc = stmt_step(q, e);
    }
    if (rc < 0)
        return rc;
    if (rc == 0)
        *out = NOT_TARGETED;
    else if (*t->version && !version_range_has(s->scheme, t->version, version))
        *out = NOT_IN_VERSION;
    else if (t->percent < 100 && device_hash(s->salt, device_id) >= hash_below(t->percent * 100))
        *out = NOT_IN_PERCENT;
    else
        *out = IS_MEMBER;
    return 0;
}

int device_has_tags(struct db *db, int64_t device_id, const char *tags, bool *has, struct err *e)
{
    struct stmt *q STMT_AUTO = db_stmt(db, Q_DEVICE_HAS_TAGS);
    bind_int(q, ":id", device_id);
    bind_text(q, ":tags", tags);
    int rc = stmt_step(q, e);
    if (rc > 0)
        *has = col_int(q, 0);
    return rc < 0 ? rc : 0;
}
