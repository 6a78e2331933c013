/* Devices of OneNET that are told to upgrade by cmd_exec. They log in with a token, or where their secret is
 * no key of OneNET's, with the secret itself. They learn their version from the firmware that they flash. */
#include "wire.h"

#include <stdio.h>
#include <string.h>

#define EXPIRES "4102444800" /* seconds since 1970: such tokens are compiled into firmware */
#define VERSION "2018-10-31"

/* ---- login */

static int make_token(const struct wire_identity *who, const unsigned char *key, size_t len,
                      struct wire_login *out, struct err *e)
{
    unsigned char mac[SHA256_BYTES];
    char resource[PRODUCT_SIZE + DEVICE_SIZE + 32], text[sizeof resource + 64], sign[BASE64_SIZE(sizeof mac)];
    char resource_encoded[3 * sizeof resource], sign_encoded[3 * sizeof sign];
    snprintf(resource, sizeof resource, who->common_secret ? "products/%s" : "products/%s/devices/%s",
             who->product, who->device);
    int n = snprintf(text, sizeof text, EXPIRES "\nsha256\n%s\n" VERSION, resource);
    hmac_sha256(key, len, text, (size_t)n, mac);
    base64_format(mac, sizeof mac, sign);
    if (!url_encode(resource, resource_encoded, sizeof resource_encoded) ||
        !url_encode(sign, sign_encoded, sizeof sign_encoded))
        return err_set(e, ERR_INTERNAL, "a token that does not fit");
    n = snprintf(out->password, sizeof out->password,
                 "version=" VERSION "&res=%s&et=" EXPIRES "&method=sha256&sign=%s", resource_encoded,
                 sign_encoded);
    if (n < 0 || (size_t)n >= sizeof out->password)
        return err_set(e, ERR_INVALID, "the name of device %s is too long", who->device);
    return 0;
}

static int onenet_login(const struct wire_identity *who, struct wire_login *out, struct err *e)
{
    unsigned char key[WIRE_LOGIN_SIZE];
    if (!str_copy(out->client_id, sizeof out->client_id, who->device) ||
        !str_copy(out->username, sizeof out->username, who->product))
        return err_set(e, ERR_INVALID, "the name of device %s is too long", who->device);
    int len = base64_parse(who->secret, key, sizeof key);
    if (len > 0)
        return make_token(who, key, (size_t)len, out, e);
    if (!str_copy(out->password, sizeof out->password, who->secret))
        return err_set(e, ERR_INVALID, "the secret of device %s is too long", who->device);
    return 0;
}

/* ---- reports */

static const char *const onenet_topics[WIRE_KINDS] = {
    [WIRE_INFORM] = "$sys/%p/%d/upload_info",       [WIRE_PERCENT] = "$sys/%p/%d/upgrade/status",
    [WIRE_STATE] = "$sys/%p/%d/upgrade/status",     [WIRE_ERROR] = "$sys/%p/%d/upgrade/status",
    [WIRE_REQUEST] = "$sys/%p/%d/firmware/request",
};

static void fill_body(json_t *body, const struct wire_report *report)
{
    switch (report->kind) {
    case WIRE_INFORM:
        json_put_text(body, "version", report->version);
        break;
    case WIRE_PERCENT: /* 100 would say that it is flashed */
        json_put_int(body, "progress", report->percent < 99 ? report->percent : 99);
        break;
    case WIRE_STATE:
        json_put_int(body, "progress", 100);
        break;
    case WIRE_ERROR:
        json_put_int(body, "progress", -1);
        json_put_text(body, "msg", report->detail ? report->detail : report->word);
        break;
    default:
        break;
    }
}

static int onenet_say(const struct wire_identity *who, const struct wire_report *report,
                      struct wire_message *out, struct err *e)
{
    int rc = wire_topic(onenet_topics[report->kind], who, NULL, out->topic, e);
    if (rc < 0)
        return rc;
    json_t *body = json_object();
    fill_body(body, report);
    wire_body(out, body);
    out->qos = 1;
    return 0;
}

/* ---- commands: {"cmd":"upgrade_firmware","params":{"url":..,"md5":..,"size":..}} */

static int read_params(const struct wire_identity *who, const json_t *params, struct wire_offer *offer,
                       struct err *e)
{
    int64_t size = 0;
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
        {.key = "size", .kind = JSON_KIND_INT, .out = &size, .min = 1, .max = INT64_MAX, .required = true},
    };
    int rc = json_read(params, fields, ARRAY_SIZE(fields), false, e);
    if (rc < 0)
        return rc;
    offer->size = (uint64_t)size;
    str_copy(offer->id, sizeof offer->id, offer->md5);
    str_copy(offer->module, sizeof offer->module, who->habits->module);
    str_copy(offer->version, sizeof offer->version, who->habits->next_version);
    return wire_offer_check(who, offer, e);
}

static int hear_command(const struct wire_identity *who, const struct wire_heard_from *from,
                        struct wire_heard *out, struct err *e)
{
    char command[32] = "";
    json_t *params = NULL;
    const struct json_field fields[] = {
        {.key = "cmd", .kind = JSON_KIND_TEXT, .out = command, .size = sizeof command, .required = true},
        {.key = "params", .kind = JSON_KIND_OBJECT, .out = &params},
    };
    json_auto_t *body = NULL;
    int rc = json_parse(from->body, from->len, &body, e);
    if (rc == 0)
        rc = json_read(body, fields, ARRAY_SIZE(fields), false, e);
    if (rc < 0 || strcmp(command, "upgrade_firmware") != 0)
        return rc;
    if (!params)
        return err_field(e, ERR_INVALID, "params", "params is missing");
    out->kind = WIRE_OFFER;
    return read_params(who, params, &out->offer, e);
}

static int onenet_hear(const struct wire_identity *who, const struct wire_heard_from *from,
                       struct wire_heard *out, struct err *e)
{
    struct wire_heard heard = {.kind = WIRE_OTHER};
    int rc = 0;
    if (wire_topic_is(from->topic, "$sys/%p/%d/cmd_exec", who))
        rc = hear_command(who, from, &heard, e);
    if (rc == 0)
        *out = heard;
    return rc;
}

static const struct wire_filter onenet_filters[] = {{"$sys/%p/%d/cmd_exec", 1}, {NULL, 0}};

const struct wire wire_onenet = {
    .name = "onenet",
    .filters = onenet_filters,
    .login = onenet_login,
    .say = onenet_say,
    .hear = onenet_hear,
};
