/* AWS IoT Jobs as the embedded SDKs use it: a device asks for its next job at the start of each session and
 * when it hears of one, begins it, tells of it with the version that it expects, and says SUCCEEDED itself,
 * as soon as the new firmware runs. Answers come to it whether it subscribed or not. */
#include "wire_aws.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JOBS    "$aws/things/%d/jobs/"
#define STREAMS "$aws/things/%d/streams/"

/* Who the device is, its certificate says. */
static int aws_login(const struct wire_identity *who, struct wire_login *out, struct err *e)
{
    if (!str_copy(out->client_id, sizeof out->client_id, who->device))
        return err_set(e, ERR_INVALID, "the name of device %s is too long", who->device);
    out->username[0] = out->password[0] = '\0';
    return 0;
}

/* ---- reports */

static const struct {
    const char *topic, *status;
    int qos;
} rows[WIRE_KINDS] = {
    [WIRE_INFORM] = {JOBS "$next/get", NULL, 1},
    [WIRE_REQUEST] = {JOBS "start-next", NULL, 1},
    [WIRE_PERCENT] = {JOBS "%x/update", "IN_PROGRESS", 0},
    [WIRE_STATE] = {JOBS "%x/update", "IN_PROGRESS", 1},
    [WIRE_ERROR] = {JOBS "%x/update", "FAILED", 1},
    [WIRE_SUCCESS] = {JOBS "%x/update", "SUCCEEDED", 1},
};

static json_t *details_of(const struct wire_report *report)
{
    json_t *details = json_object();
    char text[384];
    switch (report->kind) {
    case WIRE_PERCENT:
        snprintf(text, sizeof text, "%d/100", report->percent);
        json_put_text(details, "receive", text);
        break;
    case WIRE_STATE:
        json_put_text(details, "self_test", "ready");
        break;
    case WIRE_ERROR:
        snprintf(text, sizeof text, "%s: %s", report->word, report->detail ? report->detail : "");
        json_put_text(details, "reason", text);
        break;
    default:
        snprintf(text, sizeof text, "accepted %s", report->offer->version);
        json_put_text(details, "reason", text);
    }
    return details;
}

/* expectedVersion is text, as the SDK in C has it; whoever gives up does not care. The token tells the answer
 * to the last word from others. */
static void fill_update(json_t *body, const struct wire_report *report)
{
    char expected[24];
    snprintf(expected, sizeof expected, "%" PRId64, report->offer->counter);
    json_put_text(body, "status", rows[report->kind].status);
    if (report->kind != WIRE_ERROR)
        json_put_text(body, "expectedVersion", expected);
    json_put(body, "statusDetails", details_of(report));
    json_put_text(body, "clientToken", rows[report->kind].status);
}

static int aws_say(const struct wire_identity *who, const struct wire_report *report,
                   struct wire_message *out, struct err *e)
{
    const char *job = report->offer ? report->offer->id : NULL;
    int rc = wire_topic(rows[report->kind].topic, who, job, out->topic, e);
    if (rc < 0)
        return rc;
    json_t *body = json_object();
    if (report->offer)
        fill_update(body, report);
    else
        json_put_text(body, "clientToken", who->device);
    wire_body(out, body);
    out->qos = rows[report->kind].qos;
    return 0;
}

/* ---- the job's document: firmware[] says what, and the file of the same place in afr_ota.files[] how */

static const json_t *find_part(const json_t *document, const char *module, size_t *at)
{
    const char *type = strcmp(module, "default") == 0 ? "esp32" : module;
    const json_t *parts = json_object_get(document, "firmware"), *part;
    for (*at = 0; (part = json_array_get(parts, *at)); ++*at) {
        const char *word = json_string_value(json_object_get(part, "ota_type"));
        if (word && strcmp(word, type) == 0)
            return part;
    }
    return NULL;
}

static int read_part(const json_t *part, struct wire_offer *offer, struct err *e)
{
    const struct json_field fields[] = {
        {.key = "url",
         .kind = JSON_KIND_TEXT,
         .out = offer->url,
         .size = sizeof offer->url,
         .required = true},
        {.key = "md5",
         .kind = JSON_KIND_TEXT,
         .out = offer->md5,
         .size = sizeof offer->md5,
         .required = true},
        {.key = "version", .kind = JSON_KIND_TEXT, .out = offer->version, .size = sizeof offer->version},
    };
    return json_read(part, fields, ARRAY_SIZE(fields), false, e);
}

static int read_file(const json_t *afr, size_t at, struct wire_offer *offer, struct err *e)
{
    const json_t *file = json_array_get(json_object_get(afr, "files"), at);
    int64_t size = 0;
    const struct json_field fields[] = {
        {.key = "filesize",
         .kind = JSON_KIND_INT,
         .out = &size,
         .min = 1,
         .max = INT64_MAX,
         .required = true},
        {.key = "fileid", .kind = JSON_KIND_INT, .out = &offer->file, .max = 255, .required = true},
    };
    const struct json_field stream[] = {
        {.key = "streamname", .kind = JSON_KIND_NAME, .out = offer->stream, .size = sizeof offer->stream},
    };
    if (!file)
        return err_field(e, ERR_INVALID, "files", "afr_ota has no file %zu", at);
    int rc = json_read(file, fields, ARRAY_SIZE(fields), false, e);
    if (rc == 0)
        rc = json_read(afr, stream, ARRAY_SIZE(stream), false, e);
    offer->size = (uint64_t)size;
    return rc;
}

static int read_document(const struct wire_identity *who, const json_t *document, struct wire_offer *offer,
                         struct err *e)
{
    size_t at;
    const json_t *part = find_part(document, who->habits->module, &at);
    if (!part)
        return err_set(e, ERR_INVALID, "the job has nothing for module %s", who->habits->module);
    str_copy(offer->module, sizeof offer->module, who->habits->module);
    str_copy(offer->version, sizeof offer->version, who->habits->next_version);
    int rc = read_part(part, offer, e);
    if (rc == 0)
        rc = read_file(json_object_get(document, "afr_ota"), at, offer, e);
    return rc < 0 ? rc : wire_offer_check(who, offer, e);
}

/* ---- answers */

/* {"execution":{..}}; without one there is no job. */
static int hear_job(const struct wire_identity *who, const json_t *body, struct wire_heard *out,
                    struct err *e)
{
    char status[16] = "";
    json_t *job = NULL, *document = NULL;
    struct wire_offer *offer = &out->offer;
    const struct json_field execution[] = {{.key = "execution", .kind = JSON_KIND_OBJECT, .out = &job}};
    const struct json_field fields[] = {
        {.key = "jobId",
         .kind = JSON_KIND_NAME,
         .out = offer->id,
         .size = sizeof offer->id,
         .required = true},
        {.key = "status", .kind = JSON_KIND_TEXT, .out = status, .size = sizeof status, .required = true},
        {.key = "versionNumber",
         .kind = JSON_KIND_INT,
         .out = &offer->counter,
         .min = 1,
         .max = INT64_MAX,
         .required = true},
        {.key = "jobDocument", .kind = JSON_KIND_OBJECT, .out = &document, .required = true},
    };
    int rc = json_read(body, execution, ARRAY_SIZE(execution), false, e);
    out->kind = job ? WIRE_OFFER : WIRE_NOTHING;
    if (rc < 0 || !job)
        return rc;
    rc = json_read(job, fields, ARRAY_SIZE(fields), false, e);
    if (rc < 0)
        return rc;
    offer->waits = strcmp(status, "QUEUED") == 0;
    return read_document(who, document, offer, e);
}

static int hear_accepted(const json_t *body, struct wire_heard *out)
{
    const char *token = json_string_value(json_object_get(body, "clientToken"));
    if (token && strcmp(token, rows[WIRE_SUCCESS].status) == 0)
        out->kind = WIRE_TAKEN;
    return 0;
}

static int hear_rejected(const json_t *body, struct wire_heard *out)
{
    const char *code = json_string_value(json_object_get(body, "code"));
    const json_t *state = json_object_get(body, "executionState");
    out->counter = json_integer_value(json_object_get(state, "versionNumber"));
    out->kind =
        code && strcmp(code, "VersionMismatch") == 0 && out->counter > 0 ? WIRE_COUNTER : WIRE_REFUSED;
    return 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && strcmp(text + len - n, end) == 0;
}

static int hear_jobs(const struct wire_identity *who, const char *leaf, const struct wire_heard_from *from,
                     struct wire_heard *out, struct err *e)
{
    json_auto_t *body = NULL;
    int rc = json_parse(from->body, from->len, &body, e);
    if (rc < 0)
        return rc;
    if (strcmp(leaf, "notify-next") == 0 || strcmp(leaf, "$next/get/accepted") == 0 ||
        strcmp(leaf, "start-next/accepted") == 0)
        return hear_job(who, body, out, e);
    if (ends_with(leaf, "/update/accepted"))
        return hear_accepted(body, out);
    if (ends_with(leaf, "/update/rejected"))
        return hear_rejected(body, out);
    if (ends_with(leaf, "/rejected"))
        return err_set(e, ERR_INVALID, "%s", leaf);
    return 0;
}

/* What follows the pattern in the topic; NULL: the topic does not begin so. */
static const char *below(const char *topic, const char *pattern, const struct wire_identity *who)
{
    char mine[WIRE_TOPIC_SIZE];
    struct err e;
    if (wire_topic(pattern, who, NULL, mine, &e) < 0 || strncmp(topic, mine, strlen(mine)) != 0)
        return NULL;
    return topic + strlen(mine);
}

static int aws_hear(const struct wire_identity *who, const struct wire_heard_from *from,
                    struct wire_heard *out, struct err *e)
{
    struct wire_heard heard = {.kind = WIRE_OTHER};
    const char *job = below(from->topic, JOBS, who), *stream = below(from->topic, STREAMS, who);
    int rc = 0;
    if (job)
        rc = hear_jobs(who, job, from, &heard, e);
    else if (stream && (stream = strchr(stream, '/')))
        rc = aws_hear_stream(who, stream + 1, from, &heard, e);
    if (rc == 0)
        *out = heard;
    return rc;
}

static const struct wire_filter aws_filters[] = {
    {JOBS "notify-next", 1}, {STREAMS "+/data/cbor", 0}, {STREAMS "+/data/json", 0}, {NULL, 0}};

const struct wire wire_aws = {
    .name = "aws",
    .filters = aws_filters,
    .certificate = true,
    .own_word = true,
    .login = aws_login,
    .say = aws_say,
    .ask = aws_ask,
    .hear = aws_hear,
};
