#include "protocol/native.h"

#include "protocol/liberal.h"

#include <string.h>

json_t *native_offer_json(const struct offer *o)
{
    json_t *body = json_object();
    if (!o) {
        json_put_text(body, "id", NULL);
        return body;
    }
    const struct offer_file *f = &o->file;
    json_put_digits(body, "id", o->id);
    json_put_text(body, "version", f->version);
    json_put_text(body, "module", f->module);
    json_put_int(body, "size", (int64_t)f->size);
    json_put_text(body, "sha256", f->digests.sha256);
    json_put_text(body, "md5", f->digests.md5);
    json_put_text(body, "signature", f->signature);
    json_put_text(body, "url", f->url);
    json_put_text(body, "delta_from", *f->delta_from ? f->delta_from : NULL);
    json_put_moment(body, "expires_at", o->expires_at_ms);
    return body;
}

/* That nothing is due is said to those who ask. */
static int native_render(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n,
                         struct err *e)
{
    struct message m = {.qos = 1};
    bool due = what->kind == OUTGOING_OFFER;
    *n = 0;
    if (!due && (what->kind != OUTGOING_NOTHING || !what->reply.form))
        return 0;
    int rc = message_address("ota/%p/%d/offer", what->product, what->device, &m, e);
    if (rc < 0)
        return rc;
    message_json(&m, native_offer_json(due ? &what->offer : NULL));
    out[(*n)++] = m;
    return 0;
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
    liberal_detail(ev->detail, *detail || known ? detail : word);
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
            liberal_detail(ev->detail, detail);
            return 0;
        }
    return err_field(e, ERR_INVALID, "state",
                     "state must be downloading, downloaded, installing, succeeded or rejected");
}

int native_report_parse(const json_t *body, struct device_event *ev, struct err *e)
{
    const json_t *id = liberal_member(body, "id"), *percent = liberal_member(body, "percent");
    const json_t *state = liberal_member(body, "state"), *error = liberal_member(body, "error"),
                 *words = liberal_member(body, "detail");
    const char *detail = json_is_string(words) ? json_string_value(words) : "";
    struct device_event report = *ev;
    int64_t n = -1;
    report.kind = EVENT_PROGRESS;
    report.execution_id = 0;
    report.state = EXECUTION_DOWNLOADING;
    report.reason = REASON_NONE;
    report.detail[0] = '\0';
    if (id && !liberal_int(id, 0, INT64_MAX, &report.execution_id))
        return err_field(e, ERR_INVALID, "id", "id must be the id of the offer");
    if (percent && !liberal_int(percent, 0, 100, &n))
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
    ev->reply.form = 1;
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

/* ---- logging in: user name product/device, password the secret as it is */

static bool native_claim(const struct login *login, struct login_claim *out)
{
    const char *slash = login->username ? strchr(login->username, '/') : NULL;
    size_t n = slash ? (size_t)(slash - login->username) : 0;
    if (n == 0 || n >= sizeof out->product)
        return false;
    memcpy(out->product, login->username, n);
    out->product[n] = '\0';
    return str_is_name(out->product, sizeof out->product) && str_is_name(slash + 1, sizeof out->device) &&
           str_copy(out->device, sizeof out->device, slash + 1);
}

static bool native_proven(const struct login *login, const struct login_claim *claim, const char *secret,
                          int64_t now_s)
{
    (void)claim;
    (void)now_s;
    return login->password && same_secret(secret, strlen(secret), login->password, strlen(login->password));
}

/* ---- the row */

static const char *const native_filters[] = {"ota/+/+/inform", "ota/+/+/progress", "ota/+/+/request", NULL};
static const char *const native_reports[] = {"ota/%p/%d/inform", "ota/%p/%d/progress", "ota/%p/%d/request",
                                             NULL};
static const char *const native_offers[] = {"ota/%p/%d/offer", NULL};
static const char *const native_own[] = {"ota/%p/%d/#", NULL};

const struct protocol native_protocol = {
    .name = "native",
    .filters = native_filters,
    .login = {.claim = native_claim, .proven = native_proven},
    .topics = {native_reports, native_offers, native_own, native_offers, NULL},
    .parse = native_parse,
    .render = native_render,
};
