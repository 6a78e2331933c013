#include "protocol/onenet.h"

#include "protocol/liberal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what devices say */

/* A number as the shortest text that means it. */
static void real_text(double value, char out[VERSION_SIZE])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, VERSION_SIZE, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

bool onenet_version(const json_t *value, char out[VERSION_SIZE])
{
    if (json_is_real(value))
        real_text(json_real_value(value), out);
    else if (!liberal_text(value, out, VERSION_SIZE))
        return false;
    return str_is_text(out, VERSION_SIZE);
}

/* Where the members are that a device means: in the service's envelope
 * {"id":..,"version":"1.0","params":{..}}, whose version is the envelope's own, in params. */
static const json_t *inner(const json_t *body)
{
    const json_t *params = liberal_member(body, "params");
    return json_is_object(params) ? params : body;
}

/* How devices name their version; no document says it. */
static const char *const version_names[] = {"version", "fw_version", "firmware_version", "f_version",
                                            "s_version"};

static int read_info(const json_t *body, struct device_event *ev, struct err *e)
{
    const json_t *module = liberal_member(inner(body), "module"), *version = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(version_names) && !version; i++)
        version = liberal_member(inner(body), version_names[i]);
    ev->kind = version ? EVENT_INFORM : EVENT_HEARD;
    str_copy(ev->module, sizeof ev->module, "default");
    if (!version)
        return 0;
    if (!onenet_version(version, ev->version))
        return err_field(e, ERR_INVALID, "version", "version must be 1 to %d bytes of text",
                         VERSION_SIZE - 1);
    if (module &&
        (!liberal_text(module, ev->module, sizeof ev->module) || !str_is_name(ev->module, sizeof ev->module)))
        return err_field(e, ERR_INVALID, "module", "module must be a name");
    return 0;
}

static int read_request(const json_t *body, struct device_event *ev, struct err *e)
{
    (void)body;
    (void)e;
    ev->kind = EVENT_REQUEST;
    ev->reply.form = 1;
    return 0;
}

/* The device's words for what went wrong, under whichever name they stand. */
static void take_words(const json_t *body, struct device_event *ev)
{
    static const char *const names[] = {"msg", "message", "status", "error"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const json_t *words = liberal_member(body, names[i]);
        if (json_is_string(words)) {
            liberal_detail(ev->detail, json_string_value(words));
            return;
        }
    }
}

/* 100 is said when the file is in flash, just before the restart; whether it starts, the next version tells.
 */
static int read_status(const json_t *body, struct device_event *ev, struct err *e)
{
    int64_t progress;
    if (!liberal_int(liberal_member(inner(body), "progress"), -1, 100, &progress))
        return err_field(e, ERR_INVALID, "progress", "progress must be a number from 0 to 100, or -1");
    take_words(inner(body), ev);
    if (progress < 0) {
        ev->kind = EVENT_ERROR;
        ev->reason = REASON_UNKNOWN;
        return 0;
    }
    ev->kind = EVENT_PROGRESS;
    ev->percent = (int)progress;
    ev->state = progress == 100 ? EXECUTION_INSTALLING : EXECUTION_DOWNLOADING;
    return 0;
}

/* The device has got ota/inform, and will ask by HTTP. */
static int read_inform_reply(const json_t *body, struct device_event *ev, struct err *e)
{
    (void)body;
    (void)e;
    ev->kind = EVENT_HEARD;
    return 0;
}

enum { INFO, REQUEST, STATUS, INFORM_REPLY, KINDS };

static const char *const onenet_filters[KINDS + 1] = {[INFO] = "$sys/+/+/upload_info",
                                                      [REQUEST] = "$sys/+/+/firmware/request",
                                                      [STATUS] = "$sys/+/+/upgrade/status",
                                                      [INFORM_REPLY] = "$sys/+/+/ota/inform_reply"};

static liberal_reader *const readers[KINDS] = {
    [INFO] = read_info, [REQUEST] = read_request, [STATUS] = read_status, [INFORM_REPLY] = read_inform_reply};

static int onenet_parse(const char *topic, const void *payload, size_t len, struct device_event *ev,
                        struct err *e)
{
    struct device_event found = {.percent = -1, .reason = REASON_NONE};
    size_t kind = 0;
    while (kind < KINDS && !topic_matches(onenet_filters[kind], topic))
        kind++;
    if (kind == KINDS || !topic_level(topic, 1, found.product, sizeof found.product) ||
        !topic_level(topic, 2, found.device, sizeof found.device) ||
        !str_is_name(found.product, sizeof found.product) || !str_is_name(found.device, sizeof found.device))
        return err_set(e, ERR_INVALID, "no topic of a device");
    return liberal_read(payload, len, readers[kind], &found, ev, e);
}

/* ---- what they are told */

static json_t *command(const char *cmd, json_t *params)
{
    json_t *body = json_object();
    json_put_text(body, "cmd", cmd);
    json_put(body, "params", params);
    return body;
}

/* A handler that knows upgrade_firmware alone passes over "none". */
static json_t *command_for(const struct outgoing *what)
{
    const struct offer_file *f = &what->offer.file;
    json_t *params = json_object();
    if (what->kind != OUTGOING_OFFER)
        return command("none", params);
    json_put_text(params, "url", f->url);
    json_put_text(params, "md5", f->digests.md5);
    json_put_int(params, "size", (int64_t)f->size);
    return command("upgrade_firmware", params);
}

/* Clients hand the id, a string, back in ota/inform_reply, and look at nothing else. */
static json_t *inform_for(const struct outgoing *what)
{
    json_t *body = json_object();
    json_put_digits(body, "id", what->offer.id);
    json_put_text(body, "version", "1.0");
    return body;
}

static int say(const struct outgoing *what, const char *pattern, json_t *body, struct message *m,
               struct err *e)
{
    *m = (struct message){.qos = 1, .only_subscribed = true};
    int rc = message_address(pattern, what->product, what->device, m, e);
    if (rc < 0)
        json_decref(body);
    else
        message_json(m, body);
    return rc;
}

/* Who asks is answered; who does not is told of an offer in both ways, and has subscribed to the one it
 * knows.
 */
static int onenet_render(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n,
                         struct err *e)
{
    bool due = what->kind == OUTGOING_OFFER, asked = what->reply.form != 0;
    *n = 0;
    if (!due && (what->kind != OUTGOING_NOTHING || !asked))
        return 0;
    int rc = say(what, "$sys/%p/%d/cmd_exec", command_for(what), &out[0], e);
    if (rc < 0)
        return rc;
    *n = 1;
    if (!due || asked)
        return 0;
    rc = say(what, "$sys/%p/%d/ota/inform", inform_for(what), &out[1], e);
    if (rc < 0)
        message_clear(&out[0]);
    *n = rc < 0 ? 0 : 2;
    return rc;
}

/* ---- logging in: client id device, user name product, password a token, or the secret as it is */

static bool onenet_claim(const struct login *login, struct login_claim *out)
{
    return login->username && login->client_id && str_is_name(login->username, sizeof out->product) &&
           str_is_name(login->client_id, sizeof out->device) &&
           str_copy(out->product, sizeof out->product, login->username) &&
           str_copy(out->device, sizeof out->device, login->client_id);
}

static bool onenet_proven(const struct login *login, const struct login_claim *claim, const char *secret,
                          int64_t now_s)
{
    return login->password &&
           (same_secret(secret, strlen(secret), login->password, strlen(login->password)) ||
            onenet_token_proves(login->password, claim->product, claim->device, secret, now_s));
}

/* ---- the numbers of fuse-ota */

/* 208 is in no document; firmware in the field says it when its own deadline has passed. */
static const struct {
    int step;
    enum event_kind kind;
    enum execution_state state;
    enum reason reason;
} steps[] = {
    {100, EVENT_PROGRESS, EXECUTION_DOWNLOADED, REASON_NONE},
    {101, EVENT_PROGRESS, EXECUTION_DOWNLOADED, REASON_NONE},
    {102, EVENT_ERROR, EXECUTION_FAILED, REASON_SPACE},        /* no room for the file */
    {103, EVENT_ERROR, EXECUTION_FAILED, REASON_SPACE},        /* out of memory */
    {104, EVENT_ERROR, EXECUTION_FAILED, REASON_DOWNLOAD},     /* a request took too long */
    {105, EVENT_ERROR, EXECUTION_FAILED, REASON_POWER},        /* battery low */
    {106, EVENT_ERROR, EXECUTION_FAILED, REASON_DOWNLOAD},     /* bad signal */
    {107, EVENT_ERROR, EXECUTION_FAILED, REASON_DOWNLOAD},     /* anything else */
    {201, EVENT_PROGRESS, EXECUTION_SUCCEEDED, REASON_NONE},   /* installed */
    {202, EVENT_ERROR, EXECUTION_FAILED, REASON_POWER},        /* battery low */
    {203, EVENT_ERROR, EXECUTION_FAILED, REASON_SPACE},        /* out of memory */
    {204, EVENT_ERROR, EXECUTION_FAILED, REASON_INCOMPATIBLE}, /* not the version that was announced */
    {205, EVENT_ERROR, EXECUTION_FAILED, REASON_VERIFY},       /* MD5 */
    {206, EVENT_ERROR, EXECUTION_FAILED, REASON_FLASH},        /* anything else while installing */
    {207, EVENT_ERROR, EXECUTION_FAILED, REASON_UNKNOWN},      /* tried as often as it may */
    {208, EVENT_ERROR, EXECUTION_FAILED, REASON_EXPIRED},
};

bool onenet_step(int64_t step, struct device_event *ev)
{
    bool percent = step >= 0 && step <= 100;
    size_t row = 0;
    while (row < ARRAY_SIZE(steps) && steps[row].step != step)
        row++;
    if (row == ARRAY_SIZE(steps) && !percent)
        return false;
    bool listed = row < ARRAY_SIZE(steps);
    ev->kind = listed ? steps[row].kind : EVENT_PROGRESS;
    ev->state = listed ? steps[row].state : EXECUTION_DOWNLOADING;
    ev->reason = listed ? steps[row].reason : REASON_NONE;
    ev->percent = percent ? (int)step : -1;
    return true;
}

int onenet_status(enum execution_state state)
{
    static const int numbers[EXECUTION_STATES] = {
        [EXECUTION_PENDING] = 1,     [EXECUTION_QUEUED] = 1,     [EXECUTION_OFFERED] = 1,
        [EXECUTION_DOWNLOADING] = 2, [EXECUTION_DOWNLOADED] = 3, [EXECUTION_INSTALLING] = 3,
        [EXECUTION_TESTING] = 3,     [EXECUTION_SUCCEEDED] = 4,  [EXECUTION_FAILED] = 5,
        [EXECUTION_TIMED_OUT] = 5,   [EXECUTION_REJECTED] = 5,   [EXECUTION_ROLLED_BACK] = 5,
        [EXECUTION_CANCELLED] = 6,   [EXECUTION_SUPERSEDED] = 6, [EXECUTION_REMOVED] = 6,
    };
    return numbers[state];
}

/* ---- the row */

static const char *const onenet_reports[] = {"$sys/%p/%d/upload_info", "$sys/%p/%d/firmware/request",
                                             "$sys/%p/%d/upgrade/status", "$sys/%p/%d/ota/inform_reply",
                                             NULL};
static const char *const onenet_offers[] = {"$sys/%p/%d/cmd_exec", "$sys/%p/%d/ota/inform", NULL};
static const char *const onenet_own[] = {"$sys/%p/%d/#", NULL};

const struct protocol onenet_protocol = {
    .name = "onenet",
    .filters = onenet_filters,
    .login = {.one_session = true, .base64_secret = true, .claim = onenet_claim, .proven = onenet_proven},
    .topics = {onenet_reports, onenet_offers, onenet_own, onenet_offers, NULL},
    .parse = onenet_parse,
    .render = onenet_render,
};
