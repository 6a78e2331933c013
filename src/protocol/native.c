#include "protocol/native.h"

#include <stdio.h>
#include <string.h>

json_t *native_offer_json(const struct offer *o)
{
    char id[24];
    json_t *body = json_object();
    if (!o) {
        json_put_text(body, "id", NULL);
        return body;
    }
    snprintf(id, sizeof id, "%lld", (long long)o->id);
    json_put_text(body, "id", id);
    json_put_text(body, "version", o->version);
    json_put_text(body, "module", o->module);
    json_put_int(body, "size", (int64_t)o->size);
    json_put_text(body, "sha256", o->digests.sha256);
    json_put_text(body, "md5", o->digests.md5);
    json_put_text(body, "signature", o->signature);
    json_put_text(body, "url", o->url);
    json_put_text(body, "delta_from", *o->delta_from ? o->delta_from : NULL);
    json_put_moment(body, "expires_at", o->expires_at_ms);
    return body;
}

static int native_offer(const struct outgoing *what, struct message *out, struct err *e)
{
    struct message m = {.qos = 1};
    int n = snprintf(m.topic, sizeof m.topic, "ota/%s/%s/offer", what->product, what->device);
    if (n < 0 || (size_t)n >= sizeof m.topic)
        return err_set(e, ERR_INTERNAL, "the topic of %s/%s is too long", what->product, what->device);
    json_t *body = native_offer_json(what->nothing ? NULL : &what->offer);
    m.payload = json_text(body);
    m.len = strlen(m.payload);
    json_decref(body);
    *out = m;
    return 0;
}

/* A whole number, or a string of digits; fractions are cut off. False for anything else and for what is not
 * in 0 .. max. */
static bool liberal_uint(const json_t *v, int64_t max, int64_t *out)
{
    uint64_t n;
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= max) {
        *out = json_integer_value(v);
        return true;
    }
    if (json_is_real(v) && json_real_value(v) >= 0 && json_real_value(v) <= (double)max) {
        *out = (int64_t)json_real_value(v);
        return true;
    }
    if (!json_is_string(v) || !str_to_uint(json_string_value(v), (uint64_t)max, &n))
        return false;
    *out = (int64_t)n;
    return true;
}

static const json_t *member(const json_t *body, const char *key)
{
    const json_t *v = json_object_get(body, key);
    return json_is_null(v) ? NULL : v;
}

/* Copies as much as fits, whole characters only, control characters as blanks. text is UTF-8. */
static void copy_detail(char out[DETAIL_SIZE], const char *text)
{
    size_t n = strlen(text);
    if (n >= DETAIL_SIZE)
        for (n = DETAIL_SIZE - 1; ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    out[n] = '\0';
}

/* The device's error as one of ours; a word that is not is kept as the detail, unless there is one. */
static int read_error(const json_t *error, const char *detail, struct device_event *ev, struct err *e)
{
    const char *word = json_string_value(error);
    if (!word || !*word)
        return err_field(e, ERR_INVALID, "error", "error must be a word");
    int reason = reason_parse(word);
    bool known = reason >= 0 && reason <= REASON_SERVER;
    ev->kind = EVENT_ERROR;
    ev->reason = known ? (enum reason)reason : REASON_UNKNOWN;
    copy_detail(ev->detail, *detail || known ? detail : word);
    return 0;
}

static const struct {
    const char *word;
    enum event_kind kind;
    enum execution_state state;
    enum reason reason;
} states[] = {
    {"downloading", EVENT_PROGRESS, EXECUTION_DOWNLOADING, REASON_NONE},
    {"downloaded", EVENT_PROGRESS, EXECUTION_DOWNLOADED, REASON_NONE},
    {"installing", EVENT_PROGRESS, EXECUTION_INSTALLING, REASON_NONE},
    {"succeeded", EVENT_PROGRESS, EXECUTION_SUCCEEDED, REASON_NONE},
    {"rejected", EVENT_ERROR, EXECUTION_REJECTED, REASON_REJECTED},
    {"failed", EVENT_ERROR, EXECUTION_FAILED, REASON_UNKNOWN},
};

static int read_state(const json_t *state, const char *detail, struct device_event *ev, struct err *e)
{
    const char *word = json_string_value(state);
    for (size_t i = 0; word && i < ARRAY_SIZE(states); i++)
        if (strcmp(states[i].word, word) == 0) {
            ev->kind = states[i].kind;
            ev->state = states[i].state;
            ev->reason = states[i].reason;
            copy_detail(ev->detail, detail);
            return 0;
        }
    return err_field(e, ERR_INVALID, "state",
                     "state must be downloading, downloaded, installing, succeeded or rejected");
}

int native_report_parse(const json_t *body, struct device_event *ev, struct err *e)
{
    const json_t *id = member(body, "id"), *percent = member(body, "percent");
    const json_t *state = member(body, "state"), *error = member(body, "error"),
                 *words = member(body, "detail");
    const char *detail = json_is_string(words) ? json_string_value(words) : "";
    struct device_event report = *ev;
    int64_t n = -1;
    report.kind = EVENT_PROGRESS;
    report.execution_id = 0;
    report.state = EXECUTION_DOWNLOADING;
    report.reason = REASON_NONE;
    report.detail[0] = '\0';
    if (id && !liberal_uint(id, INT64_MAX, &report.execution_id))
        return err_field(e, ERR_INVALID, "id", "id must be the id of the offer");
    if (percent && !liberal_uint(percent, 100, &n))
        return err_field(e, ERR_INVALID, "percent", "percent must be a number from 0 to 100");
    if (!percent && !state && !error)
        return err_field(e, ERR_INVALID, "percent", "percent, state or error is missing");
    report.percent = (int)n;
    int rc = 0;
    if (error)
        rc = read_error(error, detail, &report, e);
    else if (state)
        rc = read_state(state, detail, &report, e);
    if (rc == 0)
        *ev = report;
    return rc;
}

static int read_inform(const json_t *body, struct device_event *ev, struct err *e)
{
    struct json_field fields[] = {
        {"version", JSON_KIND_TEXT, .out = ev->version, .size = sizeof ev->version, .required = true},
        {"module", JSON_KIND_EMPTY, .out = ev->module, .size = sizeof ev->module},
    };
    ev->kind = EVENT_INFORM;
    int rc = json_read(body, fields, ARRAY_SIZE(fields), false, e);
    if (rc == 0 && !*ev->module)
        str_copy(ev->module, sizeof ev->module, "default");
    return rc;
}

static int read_request(const json_t *body, struct device_event *ev, struct err *e)
{
    (void)body;
    (void)e;
    ev->kind = EVENT_REQUEST;
    return 0;
}

static const struct {
    const char *word;
    int (*read)(const json_t *body, struct device_event *ev, struct err *e);
} kinds[] = {{"inform", read_inform}, {"progress", native_report_parse}, {"request", read_request}};

static int native_parse(const char *topic, const void *payload, size_t len, struct device_event *ev,
                        struct err *e)
{
    struct device_event found = {.percent = -1, .reason = REASON_NONE};
    char word[16];
    size_t kind = 0;
    if (topic_levels(topic) != 4 || !topic_level(topic, 1, found.product, sizeof found.product) ||
        !topic_level(topic, 2, found.device, sizeof found.device) ||
        !topic_level(topic, 3, word, sizeof word))
        return err_set(e, ERR_INVALID, "no topic of a device");
    while (kind < ARRAY_SIZE(kinds) && strcmp(kinds[kind].word, word) != 0)
        kind++;
    if (kind == ARRAY_SIZE(kinds))
        return err_set(e, ERR_INVALID, "devices do not publish on %s", word);
    if (!str_is_name(found.product, sizeof found.product) || !str_is_name(found.device, sizeof found.device))
        return err_set(e, ERR_INVALID, "the topic's names are none that a device can have");
    if (len > MESSAGE_MAX)
        return err_set(e, ERR_INVALID, "a message of %zu bytes, at most %d are taken", len, MESSAGE_MAX);
    json_t *body = NULL;
    int rc = json_parse(len ? payload : "{}", len ? len : 2, &body, e);
    if (rc < 0)
        return rc;
    rc = kinds[kind].read(body, &found, e);
    json_decref(body);
    if (rc == 0)
        *ev = found;
    return rc;
}

static const char *const native_filters[] = {"ota/+/+/inform", "ota/+/+/progress", "ota/+/+/request", NULL};

const struct protocol native_protocol = {
    .name = "native", .filters = native_filters, .parse = native_parse, .offer = native_offer};
