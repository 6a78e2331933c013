#include "rollout/campaign.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum policy_kind { POLICY_SPAN, POLICY_INT, POLICY_BOOL };

#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Every key of a policy but retry_on: the table from which parser, JSON and docs/policy.md come. */
static const struct policy_row {
    const char *key;
    enum policy_kind kind;
    size_t offset;
    int64_t fallback, min, max;
    const char *help;
} rows[] = {
    {"offer_timeout", POLICY_SPAN, offsetof(struct policy, offer_timeout_ms), DAY, SECOND, 365 * DAY,
     "from an offer to the first sign of life"},
    {"finish_timeout", POLICY_SPAN, offsetof(struct policy, finish_timeout_ms), HOUR, SECOND, 365 * DAY,
     "from the first sign of life to the report of the new version"},
    {"health_hold_off", POLICY_SPAN, offsetof(struct policy, health_hold_off_ms), 0, 0, 30 * DAY,
     "from the report of the new version to success; 0s is at once"},
    {"rollback_confirm", POLICY_SPAN, offsetof(struct policy, rollback_confirm_ms), MINUTE, 0, DAY,
     "how long the old version, reported while installing, must hold to count as a rollback"},
    {"max_attempts", POLICY_INT, offsetof(struct policy, max_attempts), 3, 1, 1000,
     "attempts for each device and module"},
    {"retry_after", POLICY_SPAN, offsetof(struct policy, retry_after_ms), 10 * MINUTE, 0, 30 * DAY,
     "pause before the second attempt, doubled for each one after it"},
    {"allow_downgrade", POLICY_BOOL, offsetof(struct policy, allow_downgrade), 0, 0, 1,
     "offer also to devices whose version is above the campaign's"},
};

#define RETRY_REASONS (1u << REASON_ALREADY_INSTALLED) /* the words before it may stand in retry_on */
#define RETRY_DEFAULT \
    ((RETRY_REASONS - 1) & ~(1u << REASON_REJECTED | 1u << REASON_INCOMPATIBLE | 1u << REASON_SPACE))

static void *member(struct policy *p, const struct policy_row *row)
{
    return (char *)p + row->offset;
}

void policy_defaults(struct policy *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].kind == POLICY_BOOL)
            *(bool *)member(out, &rows[i]) = rows[i].fallback;
        else
            *(int64_t *)member(out, &rows[i]) = rows[i].fallback;
    }
    out->retry_on = RETRY_DEFAULT;
}

static int parse_retry_on(const json_t *list, unsigned *out, struct err *e)
{
    unsigned mask = 0;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *word = json_string_value(item);
        int reason = word ? reason_parse(word) : -1;
        if (reason < 0 || !(1u << reason & (RETRY_REASONS - 1)))
            return err_field(e, ERR_INVALID, "retry_on", "retry_on holds \"%.32s\", which is no reason",
                             word ? word : "something that is not a string");
        mask |= 1u << reason;
    }
    *out = mask;
    return 0;
}

static int parse(const json_t *object, struct policy *out, struct err *e)
{
    struct policy p;
    struct json_field fields[ARRAY_SIZE(rows) + 1];
    const json_t *retry_on = NULL;
    policy_defaults(&p);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static const enum json_kind kinds[] = {JSON_KIND_SPAN, JSON_KIND_INT, JSON_KIND_BOOL};
        fields[i] = (struct json_field){.key = rows[i].key,
                                        .kind = kinds[rows[i].kind],
                                        .out = member(&p, &rows[i]),
                                        .min = rows[i].min,
                                        .max = rows[i].max};
    }
    fields[ARRAY_SIZE(rows)] =
        (struct json_field){.key = "retry_on", .kind = JSON_KIND_ARRAY, .out = &retry_on};
    if (object && json_read(object, fields, ARRAY_SIZE(fields), true, e) < 0)
        return -(int)e->code;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t *span = member(&p, &rows[i]);
        if (rows[i].kind == POLICY_SPAN && (*span < rows[i].min || *span > rows[i].max))
            return err_field(e, ERR_INVALID, rows[i].key, "%s must be from %llds to %lldd", rows[i].key,
                             (long long)(rows[i].min / SECOND), (long long)(rows[i].max / DAY));
    }
    if (retry_on && parse_retry_on(retry_on, &p.retry_on, e) < 0)
        return -(int)e->code;
    *out = p;
    return 0;
}

int policy_parse(const struct json_t *object, struct policy *out, struct err *e)
{
    return parse(object, out, e) < 0 ? err_under(e, "policy") : 0;
}

int policy_load(const char *text, struct policy *out, struct err *e)
{
    json_t *object = NULL;
    int rc = json_parse(text, strlen(text), &object, e);
    if (rc == 0)
        rc = policy_parse(object, out, e);
    json_decref(object);
    return rc < 0 ? err_set(e, ERR_INTERNAL, "a policy in the store is damaged") : 0;
}

/* The largest unit that says it exactly. */
static json_t *span_json(int64_t ms)
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = {{DAY, 'd'}, {HOUR, 'h'}, {MINUTE, 'm'}, {SECOND, 's'}};
    char text[32];
    size_t i = 0;
    while (ms == 0 ? i < 3 : i < 3 && ms % units[i].ms)
        i++;
    snprintf(text, sizeof text, "%lld%c", (long long)(ms / units[i].ms), units[i].unit);
    return json_string(text);
}

struct json_t *policy_json(const struct policy *p)
{
    json_t *object = json_object(), *retry_on = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const void *value = (const char *)p + rows[i].offset;
        if (rows[i].kind == POLICY_SPAN)
            json_put(object, rows[i].key, span_json(*(const int64_t *)value));
        else if (rows[i].kind == POLICY_INT)
            json_put_int(object, rows[i].key, *(const int64_t *)value);
        else
            json_put_bool(object, rows[i].key, *(const bool *)value);
    }
    for (int reason = 0; reason < REASON_ALREADY_INSTALLED; reason++)
        if (p->retry_on & 1u << reason)
            json_array_append_new(retry_on, json_string(reason_word((enum reason)reason)));
    json_put(object, "retry_on", retry_on);
    return object;
}

void policy_print(FILE *out)
{
    struct policy p;
    policy_defaults(&p);
    json_t *defaults = policy_json(&p);
    fputs("| key | default | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *value = json_dumps(json_object_get(defaults, rows[i].key), JSON_COMPACT | JSON_ENCODE_ANY);
        fprintf(out, "| `%s` | `%s` | %s |\n", rows[i].key, value, rows[i].help);
        free(value);
    }
    char *value = json_dumps(json_object_get(defaults, "retry_on"), JSON_COMPACT);
    fprintf(out, "| `retry_on` | `%s` | the reasons after which another attempt is made |\n", value);
    free(value);
    json_decref(defaults);
}
