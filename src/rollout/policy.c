#include "rollout/policy.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define MANY   1000000 /* more than any fleet needs */

enum policy_kind {
    POLICY_SPAN,
    POLICY_INT,
    POLICY_BOOL,
    POLICY_MOMENT,
    POLICY_REASONS,
    POLICY_STOP,
    POLICY_ACTION,
    POLICY_CONFIRM,
    POLICY_WINDOW,
};

/* Every key of a policy: the table from which parser, JSON and docs/policy.md come. */
static const struct policy_row {
    const char *key;
    enum policy_kind kind;
    size_t offset;
    int64_t fallback, min, max;
    const char *help;
} rows[] = {
    {"start_at", POLICY_MOMENT, offsetof(struct policy, start_at_ms), 0, 0, 0,
     "not before this time, RFC 3339; its devices are those that there are then"},
    {"end_at", POLICY_MOMENT, offsetof(struct policy, end_at_ms), 0, 0, 0,
     "what has not begun by then is cancelled; what has ends as it would"},
    {"window", POLICY_WINDOW, offsetof(struct policy, window), 0, 0, 0,
     "offers only when the clock on the wall shows a time from `from` to `to`, on these days: "
     "`{\"days\":[\"mon\",\"tue\"],\"from\":\"22:00\",\"to\":\"05:00\",\"tz\":\"Asia/Shanghai\"}`; "
     "days may be left out; `\"tz\":\"device\"` takes each device's tag `tz`"},
    {"rate_per_minute", POLICY_INT, offsetof(struct policy, rate_per_minute), 0, 0, MANY,
     "offers in any minute at most, and in the long run one part in 61 fewer; 0 no limit"},
    {"max_in_flight", POLICY_INT, offsetof(struct policy, max_in_flight), 0, 0, MANY,
     "devices at work at a time; 0 no limit"},
    {"lease", POLICY_SPAN, offsetof(struct policy, lease_ms), 10 * MINUTE, 10 * SECOND, 30 * DAY,
     "a device at work that is silent for so long does not count in `max_in_flight` any more"},
    {"offer_timeout", POLICY_SPAN, offsetof(struct policy, offer_timeout_ms), DAY, SECOND, 365 * DAY,
     "from an offer to the first sign of life"},
    {"finish_timeout", POLICY_SPAN, offsetof(struct policy, finish_timeout_ms), HOUR, SECOND, 365 * DAY,
     "from the first sign of life to the report of the new version"},
    {"health_hold_off", POLICY_SPAN, offsetof(struct policy, health_hold_off_ms), 0, 0, 30 * DAY,
     "from the report of the new version to success, if the device was heard once more; 0s is at once"},
    {"rollback_confirm", POLICY_SPAN, offsetof(struct policy, rollback_confirm_ms), MINUTE, 0, DAY,
     "how long the old version, reported while installing, must hold to count as a rollback"},
    {"max_attempts", POLICY_INT, offsetof(struct policy, max_attempts), 3, 1, 1000,
     "attempts for each device and module; the full file after a delta that failed is one more"},
    {"retry_after", POLICY_SPAN, offsetof(struct policy, retry_after_ms), 10 * MINUTE, 0, 30 * DAY,
     "pause before the second attempt, doubled for each one after it"},
    {"retry_on", POLICY_REASONS, offsetof(struct policy, retry_on), 0, 0, 0,
     "the reasons after which another attempt is made"},
    {"stop", POLICY_STOP, offsetof(struct policy, stop), 0, 0, 0,
     "rules such as `{\"on\":[\"failed\",\"timed_out\"],\"pct\":5,\"min_finished\":20,\"then\":\"pause\"}`: "
     "when "
     "of at least so many finished devices so many per cent ended like this, the campaign is paused, or "
     "cancelled by `\"then\":\"cancel\"`"},
    {"wave_failed", POLICY_ACTION, offsetof(struct policy, wave_failed), STOP_PAUSE, 0, 0,
     "what becomes of the campaign when a wave cannot meet its success any more: `pause` or `cancel`"},
    {"quarantine_after", POLICY_INT, offsetof(struct policy, quarantine_after), 3, 0, 1000,
     "a device for which so many campaigns in a row end badly rests; 0 never"},
    {"quarantine_for", POLICY_SPAN, offsetof(struct policy, quarantine_for_ms), DAY, MINUTE, 365 * DAY,
     "how long it rests, unless an operator ends that"},
    {"allow_downgrade", POLICY_BOOL, offsetof(struct policy, allow_downgrade), 0, 0, 1,
     "offer also to devices whose version is above the campaign's"},
    {"replace", POLICY_BOOL, offsetof(struct policy, replace), 0, 0, 1,
     "end older campaigns' downloads for the same module; else what has begun ends first"},
    {"confirm", POLICY_CONFIRM, offsetof(struct policy, confirm), CONFIRM_NONE, 0, 0,
     "`operator`: it waits, paused, for `resume` before its first offer; `device`: a device gets its offer "
     "when it "
     "asks, never by a push"},
};

#define RETRY_REASONS (1u << REASON_ALREADY_INSTALLED) /* the words before it may stand in retry_on */
#define RETRY_DEFAULT \
    ((RETRY_REASONS - 1) & ~(1u << REASON_REJECTED | 1u << REASON_INCOMPATIBLE | 1u << REASON_SPACE))
#define STOP_STATES                                                                  \
    (1u << EXECUTION_FAILED | 1u << EXECUTION_TIMED_OUT | 1u << EXECUTION_REJECTED | \
     1u << EXECUTION_ROLLED_BACK)

static const char *const actions[] = {[STOP_PAUSE] = "pause", [STOP_CANCEL] = "cancel"};
static const char *const confirms[] = {
    [CONFIRM_NONE] = "none", [CONFIRM_OPERATOR] = "operator", [CONFIRM_DEVICE] = "device"};

static int word_parse(const char *const words[], size_t n, const char *word)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    return -1;
}

/* ---- what is more than a number: in both directions */

static int parse_reasons(const json_t *list, void *out, struct err *e)
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
    *(unsigned *)out = mask;
    return 0;
}

static json_t *reasons_json(const void *member)
{
    json_t *list = json_array();
    for (int reason = 0; reason < REASON_ALREADY_INSTALLED; reason++)
        if (*(const unsigned *)member & 1u << reason)
            json_array_append_new(list, json_string(reason_word((enum reason)reason)));
    return list;
}

static int parse_stop_on(const json_t *list, unsigned *out, struct err *e)
{
    size_t i;
    json_t *item;
    *out = 0;
    json_array_foreach(list, i, item)
    {
        const char *word = json_string_value(item);
        int state = word ? execution_state_parse(word) : -1;
        if (state < 0 || !(1u << state & STOP_STATES))
            return err_field(e, ERR_INVALID, "stop.on",
                             "stop.on holds \"%.32s\": it takes failed, timed_out, rejected and rolled_back",
                             word ? word : "something that is not a string");
        *out |= 1u << state;
    }
    return *out ? 0 : err_field(e, ERR_INVALID, "stop.on", "stop.on names no way to end");
}

static int parse_action(const char *field, const char *word, enum stop_action *out, struct err *e)
{
    int action = word_parse(actions, ARRAY_SIZE(actions), word);
    if (action < 0)
        return err_field(e, ERR_INVALID, field, "%s must be pause or cancel", field);
    *out = (enum stop_action)action;
    return 0;
}

static int parse_rule(const json_t *object, struct stop_rule *out, struct err *e)
{
    const json_t *on = NULL;
    char then[16] = "pause";
    *out = (struct stop_rule){.min_finished = 1};
    const struct json_field fields[] = {
        {.key = "on", .kind = JSON_KIND_ARRAY, .out = &on, .required = true},
        {.key = "pct", .kind = JSON_KIND_INT, .out = &out->pct, .min = 1, .max = 100, .required = true},
        {.key = "min_finished",
         .kind = JSON_KIND_INT,
         .out = &out->min_finished,
         .min = 1,
         .max = 1000000000},
        {.key = "then", .kind = JSON_KIND_TEXT, .out = then, .size = sizeof then},
    };
    if (!json_is_object(object))
        return err_field(e, ERR_INVALID, "stop", "stop must be a list of objects");
    if (json_read(object, fields, ARRAY_SIZE(fields), true, e) < 0)
        return err_under(e, "stop");
    int rc = parse_stop_on(on, &out->on, e);
    return rc < 0 ? rc : parse_action("stop.then", then, &out->then, e);
}

/* The rules and, behind them in the struct, how many. */
static int parse_stop(const json_t *list, void *out, struct err *e)
{
    struct policy *p = (struct policy *)((char *)out - offsetof(struct policy, stop));
    size_t n = json_array_size(list);
    if (n > STOP_RULES_MAX)
        return err_field(e, ERR_INVALID, "stop", "a campaign may have %d stop rules", STOP_RULES_MAX);
    for (size_t i = 0; i < n; i++)
        if (parse_rule(json_array_get(list, i), &p->stop[i], e) < 0)
            return -(int)e->code;
    p->stop_count = n;
    return 0;
}

static json_t *stop_json(const void *member)
{
    const struct policy *p = (const struct policy *)((const char *)member - offsetof(struct policy, stop));
    json_t *list = json_array();
    for (size_t i = 0; i < p->stop_count; i++) {
        json_t *rule = json_object(), *on = json_array();
        for (int state = 0; state < EXECUTION_STATES; state++)
            if (p->stop[i].on & 1u << state)
                json_array_append_new(on, json_string(execution_state_word((enum execution_state)state)));
        json_put(rule, "on", on);
        json_put_int(rule, "pct", p->stop[i].pct);
        json_put_int(rule, "min_finished", p->stop[i].min_finished);
        json_put_text(rule, "then", actions[p->stop[i].then]);
        json_array_append_new(list, rule);
    }
    return list;
}

static int parse_wave_failed(const json_t *word, void *out, struct err *e)
{
    return parse_action("wave_failed", json_string_value(word), out, e);
}

static json_t *action_json(const void *member)
{
    return json_string(actions[*(const enum stop_action *)member]);
}

static int parse_confirm(const json_t *word, void *out, struct err *e)
{
    int confirm = word_parse(confirms, ARRAY_SIZE(confirms), json_string_value(word));
    if (confirm < 0)
        return err_field(e, ERR_INVALID, "confirm", "confirm must be none, operator or device");
    *(enum confirm *)out = (enum confirm)confirm;
    return 0;
}

static json_t *confirm_json(const void *member)
{
    return json_string(confirms[*(const enum confirm *)member]);
}

static int parse_window(const json_t *object, void *out, struct err *e)
{
    return window_read(object, out, e);
}

static json_t *own_window_json(const void *member)
{
    const struct window *w = member;
    return w->given ? window_json(w) : json_null();
}

static json_t *moment_json(const void *member)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t at_ms = *(const int64_t *)member;
    clock_format(at_ms, text);
    return at_ms ? json_string(text) : json_null();
}

/* The largest unit that says it exactly. */
static json_t *span_json(const void *member)
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = {{DAY, 'd'}, {HOUR, 'h'}, {MINUTE, 'm'}, {SECOND, 's'}};
    int64_t ms = *(const int64_t *)member;
    char text[32];
    size_t i = 0;
    while (ms == 0 ? i < 3 : i < 3 && ms % units[i].ms)
        i++;
    snprintf(text, sizeof text, "%lld%c", (long long)(ms / units[i].ms), units[i].unit);
    return json_string(text);
}

static json_t *int_json(const void *member)
{
    return json_integer(*(const int64_t *)member);
}

static json_t *bool_json(const void *member)
{
    return json_boolean(*(const bool *)member);
}

/* parse NULL: json_read writes the member itself. */
static const struct {
    enum json_kind json;
    int (*parse)(const json_t *value, void *member, struct err *e);
    json_t *(*make)(const void *member);
} kinds[] = {
    [POLICY_SPAN] = {JSON_KIND_SPAN, NULL, span_json},
    [POLICY_INT] = {JSON_KIND_INT, NULL, int_json},
    [POLICY_BOOL] = {JSON_KIND_BOOL, NULL, bool_json},
    [POLICY_MOMENT] = {JSON_KIND_MOMENT, NULL, moment_json},
    [POLICY_REASONS] = {JSON_KIND_ARRAY, parse_reasons, reasons_json},
    [POLICY_STOP] = {JSON_KIND_ARRAY, parse_stop, stop_json},
    [POLICY_ACTION] = {JSON_KIND_ANY, parse_wave_failed, action_json},
    [POLICY_CONFIRM] = {JSON_KIND_ANY, parse_confirm, confirm_json},
    [POLICY_WINDOW] = {JSON_KIND_OBJECT, parse_window, own_window_json},
};

static void *member(struct policy *p, const struct policy_row *row)
{
    return (char *)p + row->offset;
}

/* ---- the whole */

void policy_defaults(struct policy *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].kind == POLICY_BOOL)
            *(bool *)member(out, &rows[i]) = rows[i].fallback;
        else if (!kinds[rows[i].kind].parse)
            *(int64_t *)member(out, &rows[i]) = rows[i].fallback;
    }
    out->retry_on = RETRY_DEFAULT;
    out->wave_failed = STOP_PAUSE;
    out->confirm = CONFIRM_NONE;
}

static int check_range(const struct policy_row *row, struct policy *p, struct err *e)
{
    int64_t span = row->kind == POLICY_SPAN ? *(int64_t *)member(p, row) : row->min;
    if (row->kind != POLICY_SPAN || (span >= row->min && span <= row->max))
        return 0;
    return err_field(e, ERR_INVALID, row->key, "%s must be from %llds to %lldd", row->key,
                     (long long)(row->min / SECOND), (long long)(row->max / DAY));
}

static int parse(const json_t *object, struct policy *out, struct err *e)
{
    struct policy p;
    struct json_field fields[ARRAY_SIZE(rows)];
    const json_t *value[ARRAY_SIZE(rows)] = {0};
    policy_defaults(&p);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        fields[i] =
            (struct json_field){.key = rows[i].key,
                                .kind = kinds[rows[i].kind].json,
                                .out = kinds[rows[i].kind].parse ? (void *)&value[i] : member(&p, &rows[i]),
                                .min = rows[i].min,
                                .max = rows[i].max};
    int rc = object ? json_read(object, fields, ARRAY_SIZE(fields), true, e) : 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows) && rc == 0; i++) {
        rc = check_range(&rows[i], &p, e);
        if (rc == 0 && value[i])
            rc = kinds[rows[i].kind].parse(value[i], member(&p, &rows[i]), e);
    }
    if (rc == 0 && p.end_at_ms && p.end_at_ms <= p.start_at_ms)
        rc = err_field(e, ERR_INVALID, "end_at", "end_at must be after start_at");
    if (rc == 0)
        *out = p;
    return rc;
}

int policy_parse(const struct json_t *object, struct policy *out, struct err *e)
{
    struct policy p;
    int rc = parse(object, &p, e);
    if (rc == 0 && p.window.given)
        rc = window_check(&p.window, e);
    if (rc < 0)
        return err_under(e, "policy");
    *out = p;
    return 0;
}

int policy_check_times(const struct policy *p, int64_t now_ms, struct err *e)
{
    if (p->start_at_ms && p->start_at_ms <= now_ms)
        return err_field(e, ERR_INVALID, "policy.start_at", "policy.start_at is in the past");
    if (p->end_at_ms && p->end_at_ms <= now_ms)
        return err_field(e, ERR_INVALID, "policy.end_at", "policy.end_at is in the past");
    return 0;
}

/* A thread looks at the same few policies over and over, and reading one as JSON costs more than all else
 * that is done with an execution. */
struct read_before {
    char text[POLICY_TEXT_SIZE];
    struct policy policy;
};

int policy_load(const char *text, struct policy *out, struct err *e)
{
    static _Thread_local struct read_before recent[4];
    static _Thread_local unsigned oldest;
    json_t *object = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(recent); i++)
        if (*recent[i].text && strcmp(recent[i].text, text) == 0) {
            *out = recent[i].policy;
            return 0;
        }
    int rc = json_parse(text, strlen(text), &object, e);
    if (rc == 0)
        rc = parse(object, out, e); /* its zone may be gone since: that shuts a window, no more */
    json_decref(object);
    if (rc < 0)
        return err_set(e, ERR_INTERNAL, "a policy in the store is damaged: %s", strdupa(e->text));
    if (strlen(text) < POLICY_TEXT_SIZE) {
        struct read_before *r = &recent[oldest++ % ARRAY_SIZE(recent)];
        str_copy(r->text, sizeof r->text, text);
        r->policy = *out;
    }
    return 0;
}

struct json_t *policy_json(const struct policy *p)
{
    json_t *object = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        json_put(object, rows[i].key, kinds[rows[i].kind].make((const char *)p + rows[i].offset));
    return object;
}

void policy_print(FILE *out)
{
    struct policy p;
    policy_defaults(&p);
    fputs("| key | default | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_t *fallback = kinds[rows[i].kind].make((const char *)&p + rows[i].offset);
        char *value = json_dumps(fallback, JSON_COMPACT | JSON_ENCODE_ANY);
        fprintf(out, "| `%s` | `%s` | %s |\n", rows[i].key, value, rows[i].help);
        free(value);
        json_decref(fallback);
    }
}
