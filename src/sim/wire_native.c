#include "wire.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

static int native_topic(const struct wire_identity *who, const char *leaf, char topic[WIRE_TOPIC_SIZE],
                        struct err *e)
{
    int n = snprintf(topic, WIRE_TOPIC_SIZE, "ota/%s/%s/%s", who->product, who->device, leaf);
    if (n < 0 || n >= WIRE_TOPIC_SIZE)
        return err_set(e, ERR_INVALID, "the topic of device %s is too long", who->device);
    return 0;
}

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

static int native_subscription(const struct wire_identity *who, char topic[WIRE_TOPIC_SIZE], struct err *e)
{
    return native_topic(who, "offer", topic, e);
}

static const char *const LEAVES[] = {
    [WIRE_INFORM] = "inform",  [WIRE_PERCENT] = "progress", [WIRE_STATE] = "progress",
    [WIRE_ERROR] = "progress", [WIRE_REQUEST] = "request",
};

static void fill_body(json_t *body, const struct wire_report *report)
{
    switch (report->kind) {
    case WIRE_INFORM:
        json_put_text(body, "version", report->version);
        json_put_text(body, "module", report->module);
        break;
    case WIRE_PERCENT:
        json_put_text(body, "id", report->id);
        json_put_int(body, "percent", report->percent);
        break;
    case WIRE_STATE:
        json_put_text(body, "id", report->id);
        json_put_text(body, "state", report->word);
        break;
    case WIRE_ERROR:
        json_put_text(body, "id", report->id);
        json_put_text(body, "error", report->word);
        if (report->detail)
            json_put_text(body, "detail", report->detail);
        break;
    case WIRE_REQUEST:
        break;
    }
}

static int native_say(const struct wire_identity *who, const struct wire_report *report,
                      struct wire_message *out, struct err *e)
{
    int rc = native_topic(who, LEAVES[report->kind], out->topic, e);
    if (rc)
        return rc;
    json_auto_t *body = json_object();
    fill_body(body, report);
    out->body = json_text(body);
    return 0;
}

static int check_offer(const struct wire_offer *offer, struct err *e)
{
    unsigned char digest[32];
    if (!hex_parse(offer->sha256, digest, sizeof digest) || strspn(offer->sha256, "0123456789abcdef") != 64)
        return err_field(e, ERR_INVALID, "sha256", "sha256 must be 64 lower-case hex digits");
    if (strncmp(offer->url, "https://", 8) != 0 && strncmp(offer->url, "http://", 7) != 0)
        return err_field(e, ERR_INVALID, "url", "url must begin with https:// or http://");
    return 0;
}

static int native_hear(const char *body, size_t len, struct wire_offer *out, struct err *e)
{
    struct wire_offer offer = {0};
    bool due = false;
    int64_t size = 0;
    const struct json_field id[] = {
        {.key = "id", .kind = JSON_KIND_NAME, .out = offer.id, .size = sizeof offer.id, .present = &due},
    };
    const struct json_field rest[] = {
        {.key = "version",
         .kind = JSON_KIND_TEXT,
         .out = offer.version,
         .size = sizeof offer.version,
         .required = true},
        {.key = "module",
         .kind = JSON_KIND_TEXT,
         .out = offer.module,
         .size = sizeof offer.module,
         .required = true},
        {.key = "url", .kind = JSON_KIND_TEXT, .out = offer.url, .size = sizeof offer.url, .required = true},
        {.key = "sha256",
         .kind = JSON_KIND_TEXT,
         .out = offer.sha256,
         .size = sizeof offer.sha256,
         .required = true},
        {.key = "size", .kind = JSON_KIND_INT, .out = &size, .min = 1, .max = INT64_MAX, .required = true},
    };
    json_auto_t *object = NULL;
    int rc = json_parse(body, len, &object, e);
    if (rc == 0)
        rc = json_read(object, id, ARRAY_SIZE(id), false, e);
    if (rc == 0 && due)
        rc = json_read(object, rest, ARRAY_SIZE(rest), false, e);
    if (rc == 0 && due)
        rc = check_offer(&offer, e);
    if (rc)
        return rc;
    offer.size = (uint64_t)size;
    *out = offer;
    return 0;
}

const struct wire wire_native = {
    .name = "native",
    .login = native_login,
    .subscription = native_subscription,
    .say = native_say,
    .hear = native_hear,
};
