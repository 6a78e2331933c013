#include "protocol/aws.h"

#include "aws_parts.h"
#include "protocol/cbor.h"
#include "protocol/liberal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool aws_is_thing(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-");
    return n > 0 && n < DEVICE_SIZE && name[n] == '\0';
}

/* ---- topics */

#define NAME_LEVEL 4

static const struct {
    const char *filter;
    bool named; /* level NAME_LEVEL is a job or a stream */
} forms[AWS_FORMS] = {
    [AWS_LIST] = {AWS_PREFIX "+/jobs/get", false},
    [AWS_START_NEXT] = {AWS_PREFIX "+/jobs/start-next", false},
    [AWS_DESCRIBE] = {AWS_PREFIX "+/jobs/+/get", true},
    [AWS_UPDATE] = {AWS_PREFIX "+/jobs/+/update", true},
    [AWS_DOCUMENT] = {AWS_PREFIX "+/job/+/get", true},
    [AWS_PLAIN_UPDATE] = {AWS_PREFIX "+/job/+/update", true},
    [AWS_DESCRIBE_JSON] = {AWS_PREFIX "+/streams/+/describe/json", true},
    [AWS_DESCRIBE_CBOR] = {AWS_PREFIX "+/streams/+/describe/cbor", true},
    [AWS_GET_JSON] = {AWS_PREFIX "+/streams/+/get/json", true},
    [AWS_GET_CBOR] = {AWS_PREFIX "+/streams/+/get/cbor", true},
};

/* Ours, of those that the filters below bring back from a broker without the plugin. */
static const char *const echoes[] = {
    AWS_PREFIX "+/jobs/notify",       AWS_PREFIX "+/jobs/notify-next",
    AWS_PREFIX "+/jobs/get/accepted", AWS_PREFIX "+/jobs/start-next/accepted",
    AWS_PREFIX "+/jobs/get/rejected", AWS_PREFIX "+/jobs/start-next/rejected",
};

static bool is_echo(const char *topic)
{
    for (size_t i = 0; i < ARRAY_SIZE(echoes); i++)
        if (topic_matches(echoes[i], topic))
            return true;
    return false;
}

static bool is_stream(enum aws_form form)
{
    return form >= AWS_DESCRIBE_JSON;
}

static int read_topic(const char *topic, struct aws_request *r, struct err *e)
{
    if (!topic_level(topic, 2, r->thing, sizeof r->thing) || !aws_is_thing(r->thing)) {
        r->thing[0] = '\0';
        return aws_refuse(r, AWS_INVALID_TOPIC, e, "the topic names no thing");
    }
    if ((r->echo = is_echo(topic)))
        return 0;
    enum aws_form form = AWS_LIST;
    while (form < AWS_FORMS && !topic_matches(forms[form].filter, topic))
        form++;
    bool named = !(topic_levels(topic) > NAME_LEVEL && (form == AWS_FORMS || forms[form].named)) ||
                 topic_level(topic, NAME_LEVEL, r->name, sizeof r->name);
    if (form == AWS_FORMS)
        return aws_refuse(r, AWS_INVALID_TOPIC, e, "the topic maps to no request");
    r->form = form;
    return named ? 0 : aws_refuse(r, AWS_INVALID_REQUEST, e, "the name of a job or stream is too long");
}

/* ---- bodies */

/* The client token, at most 64 bytes: first of all, so that a refusal has it too. */
static int read_token(struct aws_request *r, const json_t *body, struct err *e)
{
    const char *key = is_stream(r->form) ? "c" : "clientToken";
    const json_t *token = liberal_member(body, key);
    if (!token || liberal_text(token, r->token, sizeof r->token))
        return 0;
    r->token[0] = '\0';
    return aws_refuse(r, AWS_INVALID_REQUEST, e, "%s must be a text of at most %d bytes", key,
                      TOKEN_SIZE - 1);
}

static int parse_body(struct aws_request *r, const void *payload, size_t len, json_t **body, struct err *e)
{
    int rc = aws_is_cbor(r->form) ? cbor_parse(payload, len, body, e) : liberal_parse(payload, len, body, e);
    if (rc < 0)
        r->fault = aws_is_cbor(r->form) ? AWS_INVALID_CBOR : AWS_INVALID_JSON;
    return rc;
}

static void begin_event(const struct aws_request *r, struct device_event *ev)
{
    *ev = (struct device_event){.kind = EVENT_ECHO, .percent = -1, .reason = REASON_NONE};
    str_copy(ev->device, sizeof ev->device, r->thing);
    ev->reply.form = (int)r->form;
    str_copy(ev->reply.name, sizeof ev->reply.name, r->name);
    str_copy(ev->reply.token, sizeof ev->reply.token, r->token);
}

static int read_body(struct aws_request *r, const void *payload, size_t len, struct device_event *ev,
                     struct err *e)
{
    json_t *body = NULL;
    if (len > MESSAGE_MAX)
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "a message of %zu bytes, at most %d are taken", len,
                          MESSAGE_MAX);
    int rc = parse_body(r, payload, len, &body, e);
    if (rc == 0)
        rc = read_token(r, body, e);
    if (rc == 0) {
        begin_event(r, ev);
        rc = is_stream(r->form) ? aws_stream_read(r, body, ev, e) : aws_job_read(r, body, ev, e);
    }
    json_decref(body);
    return rc;
}

static int read_request(struct aws_request *r, const char *topic, const void *payload, size_t len,
                        struct device_event *ev, struct err *e)
{
    int rc = read_topic(topic, r, e);
    if (rc < 0)
        return rc;
    if (!r->echo)
        return read_body(r, payload, len, ev, e);
    begin_event(r, ev);
    return 0;
}

static int aws_parse(const char *topic, const void *payload, size_t len, struct device_event *ev,
                     struct err *e)
{
    struct aws_request r = {0};
    struct device_event found = {0};
    int rc = read_request(&r, topic, payload, len, &found, e);
    if (rc == 0)
        *ev = found;
    else
        device_event_clear(&found);
    return rc;
}

/* The message is read once more: a refusal is rare, and says better than an error what was wrong. */
static bool aws_refusal(const char *topic, const void *payload, size_t len, const struct err *why,
                        int64_t now_ms, char product[PRODUCT_SIZE], char device[DEVICE_SIZE],
                        struct message *out)
{
    struct aws_request r = {0};
    struct device_event ev = {0};
    struct err e;
    int rc = read_request(&r, topic, payload, len, &ev, &e);
    device_event_clear(&ev);
    if (rc == 0 || !*r.thing)
        return false;
    product[0] = '\0';
    str_copy(device, DEVICE_SIZE, r.thing);
    if (is_stream(r.form) || (r.form == AWS_NONE && topic_matches(AWS_PREFIX "+/streams/#", topic)))
        return aws_stream_rejection(&r, why->text, out, &e) == 0;
    out->qos = 1;
    message_json(out, aws_job_rejection(r.token, now_ms, r.fault, why->text, NULL));
    int n = snprintf(out->topic, sizeof out->topic, "%s/rejected", topic);
    return n > 0 && (size_t)n < sizeof out->topic;
}

/* ---- logging in: by a certificate of the device CA, whatever user name comes beside it: AWS's SDKs put
 * their own name and version there */

static bool aws_claim(const struct login *login, struct login_claim *out)
{
    const char *product = login->common_name_product;
    return login->common_name && aws_is_thing(login->common_name) &&
           str_copy(out->device, sizeof out->device, login->common_name) &&
           str_copy(out->product, sizeof out->product, product ? product : "");
}

static bool aws_proven(const struct login *login, const struct login_claim *claim, const char *secret,
                       int64_t now_s)
{
    (void)login;
    (void)claim;
    (void)secret;
    (void)now_s;
    return false; /* nothing but a certificate proves anything */
}

/* ---- the row */

static const char *const aws_filters[] = {AWS_PREFIX "+/jobs/+",          AWS_PREFIX "+/jobs/+/+",
                                          AWS_PREFIX "+/job/+/+",         AWS_PREFIX "+/streams/+/describe/+",
                                          AWS_PREFIX "+/streams/+/get/+", NULL};
/* Its shadow, and whatever else AWS keeps below a thing, is the device's own affair. */
static const char *const aws_own[] = {AWS_PREFIX "%d/#", NULL};
/* The SDKs subscribe to the notices just before they ask, and would begin a job twice that they are told of
 * at both: who has not asked a moment after its login is told then. The plainer form cannot ask. */
static const char *const aws_offers[] = {AWS_PREFIX "%d/job/notify", NULL};
static const char *const aws_blocks[] = {AWS_PREFIX "%d/streams/+/get/+", NULL};

const struct protocol aws_protocol = {
    .name = "aws",
    .filters = aws_filters,
    .success_by_report = true,
    .login =
        {.one_session = true, .asks = true, .certificate = true, .claim = aws_claim, .proven = aws_proven},
    .topics = {aws_own, aws_own, aws_own, aws_offers, aws_blocks},
    .parse = aws_parse,
    .refuse = aws_refusal,
    .render = aws_job_render,
    .block = aws_stream_block,
    .describe = aws_stream_describe,
    .no_file = aws_stream_no_file,
};
