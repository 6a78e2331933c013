#include "wire.h"

#include <stdio.h>
#include <string.h>

/* The client id is the name too: whoever takes it over must have logged in as the same device. */
static int native_login(const struct wire_identity *who, struct wire_login *out, struct err *e)
{
    int n = snprintf(out->username, sizeof out->username, "%s/%s", who->product, who->device);
    if (n < 0 || (size_t)n >= sizeof out->username)
        return err_set(e, ERR_INVALID, "the name of device %s is too long", who->device);
    memcpy(out->client_id, out->username, sizeof out->client_id);
    if (!str_copy(out->password, sizeof out->password, who->secret))
        return err_set(e, ERR_INVALID, "the secret of device %s is too long", who->device);
    return 0;
}

static const char *const native_topics[WIRE_KINDS] = {
    [WIRE_INFORM] = "ota/%p/%d/inform",   [WIRE_PERCENT] = "ota/%p/%d/progress",
    [WIRE_STATE] = "ota/%p/%d/progress",  [WIRE_ERROR] = "ota/%p/%d/progress",
    [WIRE_REQUEST] = "ota/%p/%d/request",
};

static void fill_body(json_t *body, const struct wire_identity *who, const struct wire_report *report)
{
    if (report->offer)
        json_put_text(body, "id", report->offer->id);
    switch (report->kind) {
    case WIRE_INFORM:
        json_put_text(body, "version", report->version);
        json_put_text(body, "module", who->habits->module);
        break;
    case WIRE_PERCENT:
        json_put_int(body, "percent", report->percent);
        break;
    case WIRE_STATE:
        json_put_text(body, "state", report->word);
        break;
    case WIRE_ERROR:
        json_put_text(body, "error", report->word);
        if (report->detail)
            json_put_text(body, "detail", report->detail);
        break;
    default:
        break;
    }
}

static int native_say(const struct wire_identity *who, const struct wire_report *report,
                      struct wire_message *out, struct err *e)
{
    int rc = wire_topic(native_topics[report->kind], who, NULL, out->topic, e);
    if (rc < 0)
        return rc;
    json_t *body = json_object();
    fill_body(body, who, report);
    wire_body(out, body);
    out->qos = 1;
    return 0;
}

static int read_offer(const json_t *object, struct wire_offer *offer, struct err *e)
{
    int64_t size = 0;
    const struct json_field rest[] = {
        {.key = "version",
         .kind = JSON_KIND_TEXT,
         .out = offer->version,
         .size = sizeof offer->version,
         .required = true},
        {.key = "module",
         .kind = JSON_KIND_TEXT,
         .out = offer->module,
         .size = sizeof offer->module,
         .required = true},
        {.key = "url",
         .kind = JSON_KIND_TEXT,
         .out = offer->url,
         .size = sizeof offer->url,
         .required = true},
        {.key = "sha256",
         .kind = JSON_KIND_TEXT,
         .out = offer->sha256,
         .size = sizeof offer->sha256,
         .required = true},
        {.key = "size", .kind = JSON_KIND_INT, .out = &size, .min = 1, .max = INT64_MAX, .required = true},
    };
    int rc = json_read(object, rest, ARRAY_SIZE(rest), false, e);
    offer->size = (uint64_t)size;
    return rc;
}

static int native_hear(const struct wire_identity *who, const struct wire_heard_from *from,
                       struct wire_heard *out, struct err *e)
{
    struct wire_heard heard = {.kind = WIRE_NOTHING};
    bool due = false;
    const struct json_field id[] = {
        {.key = "id",
         .kind = JSON_KIND_NAME,
         .out = heard.offer.id,
         .size = sizeof heard.offer.id,
         .present = &due},
    };
    json_auto_t *object = NULL;
    int rc = json_parse(from->body, from->len, &object, e);
    if (rc == 0)
        rc = json_read(object, id, ARRAY_SIZE(id), false, e);
    if (rc == 0 && due)
        rc = read_offer(object, &heard.offer, e);
    if (rc == 0 && due)
        rc = wire_offer_check(who, &heard.offer, e);
    if (rc < 0)
        return rc;
    heard.kind = due ? WIRE_OFFER : WIRE_NOTHING;
    *out = heard;
    return 0;
}

static const struct wire_filter native_filters[] = {{"ota/%p/%d/offer", 1}, {NULL, 0}};

const struct wire wire_native = {
    .name = "native",
    .filters = native_filters,
    .login = native_login,
    .say = native_say,
    .hear = native_hear,
};
