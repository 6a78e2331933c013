/* Aliyun's Link SDK for C as it is in the field: it subscribes to answers with blocks and to nothing else,
 * takes upgrades it never subscribed to, and has steps that are strings and a comma too many. */
#include "wire.h"

#include "base/crc16.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMESTAMP "2524608000000" /* the SDK's own constant */
#define CRC_BYTES 2
#define HEAD_MAX  1024

/* ---- login */

/* Text that is signed: names and values in the order of the alphabet. */
static int sign(const struct wire_identity *who, const char *client, struct wire_login *out, struct err *e)
{
    unsigned char mac[SHA256_BYTES];
    char text[WIRE_LOGIN_SIZE];
    int n = snprintf(text, sizeof text, "clientId%sdeviceName%sproductKey%stimestamp" TIMESTAMP, client,
                     who->device, who->product);
    if (n < 0 || (size_t)n >= sizeof text)
        return err_set(e, ERR_INVALID, "the name of device %s is too long", who->device);
    hmac_sha256(who->secret, strlen(who->secret), text, (size_t)n, mac);
    for (size_t i = 0; i < sizeof mac; i++)
        snprintf(out->password + 2 * i, 3, "%02X", mac[i]);
    return 0;
}

static int aliyun_login(const struct wire_identity *who, struct wire_login *out, struct err *e)
{
    char client[PRODUCT_SIZE + DEVICE_SIZE];
    int n = snprintf(client, sizeof client, "%s.%s", who->product, who->device);
    int m =
        snprintf(out->client_id, sizeof out->client_id,
                 "%s|timestamp=" TIMESTAMP ",_ss=1,_v=sdk-c-4.2.0,securemode=2,signmethod=hmacsha256,ext=3,"
                 "_conn=tls_0|",
                 client);
    int k = snprintf(out->username, sizeof out->username, "%s&%s", who->device, who->product);
    if (n < 0 || (size_t)n >= sizeof client || m < 0 || (size_t)m >= sizeof out->client_id || k < 0)
        return err_set(e, ERR_INVALID, "the name of device %s is too long", who->device);
    return sign(who, client, out, e);
}

/* ---- reports */

static const struct {
    const char *topic;
    int qos;
} rows[WIRE_KINDS] = {
    [WIRE_INFORM] = {"/ota/device/inform/%p/%d", 1},
    [WIRE_PERCENT] = {"/ota/device/progress/%p/%d", 0},
    [WIRE_STATE] = {"/ota/device/progress/%p/%d", 0},
    [WIRE_ERROR] = {"/ota/device/progress/%p/%d", 1},
    [WIRE_REQUEST] = {"/sys/%p/%d/thing/ota/firmware/get", 0},
};

static int step_of(const struct wire_report *report)
{
    static const struct {
        const char *word;
        int step;
    } STEPS[] = {{"download", -2}, {"verify", -3}, {"flash", -4}};
    if (report->kind == WIRE_PERCENT)
        return report->percent;
    if (report->kind == WIRE_STATE)
        return 100;
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++)
        if (strcmp(STEPS[i].word, report->word) == 0)
            return STEPS[i].step;
    return -1;
}

static void fill_params(json_t *params, const struct wire_identity *who, const struct wire_report *report)
{
    char step[16];
    if (report->kind == WIRE_INFORM) {
        json_put_text(params, "version", report->version);
    } else if (report->kind != WIRE_REQUEST) {
        snprintf(step, sizeof step, "%d", step_of(report));
        json_put_text(params, "step", step);
        json_put_text(params, "desc", report->detail ? report->detail : "");
    }
    if (strcmp(who->habits->module, "default") != 0)
        json_put_text(params, "module", who->habits->module);
}

static int aliyun_say(const struct wire_identity *who, const struct wire_report *report,
                      struct wire_message *out, struct err *e)
{
    char serial[16];
    int rc = wire_topic(rows[report->kind].topic, who, NULL, out->topic, e);
    if (rc < 0)
        return rc;
    json_t *body = json_object(), *params = json_object();
    snprintf(serial, sizeof serial, "%" PRIu32, report->serial);
    json_put_text(body, "id", serial);
    fill_params(params, who, report);
    json_put(body, "params", params);
    wire_body(out, body);
    out->qos = rows[report->kind].qos;
    return 0;
}

/* The SDK's text as it is: the comma behind fileId makes it no JSON. The id is the offset, and comes back. */
static int aliyun_ask(const struct wire_identity *who, const struct wire_offer *offer, uint64_t offset,
                      struct wire_message *out, struct err *e)
{
    uint64_t left = offer->size - offset;
    uint64_t size = left < who->habits->block_bytes ? left : who->habits->block_bytes;
    int rc = wire_topic("/sys/%p/%d/thing/file/download", who, NULL, out->topic, e);
    if (rc < 0)
        return rc;
    int n = asprintf(&out->body,
                     "{\"id\":\"%" PRIu64 "\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"default\","
                     "\"fileInfo\":{\"streamId\":%s,\"fileId\":%" PRId64 ",},"
                     "\"fileBlock\":{\"size\":%" PRIu64 ",\"offset\":%" PRIu64 "}}}",
                     offset, offer->stream, offer->file, size, offset);
    if (n < 0)
        return err_set(e, ERR_INTERNAL, "out of memory");
    out->len = (size_t)n;
    out->qos = 0;
    return 0;
}

/* ---- upgrades */

/* The SDK compares these words as they are, and ignores a push that has another. */
static int read_sign(const json_t *data, struct wire_offer *offer, struct err *e)
{
    char method[16] = "", value[SHA256_TEXT_SIZE] = "";
    const struct json_field fields[] = {
        {.key = "signMethod", .kind = JSON_KIND_TEXT, .out = method, .size = sizeof method, .required = true},
        {.key = "sign", .kind = JSON_KIND_TEXT, .out = value, .size = sizeof value, .required = true},
    };
    int rc = json_read(data, fields, ARRAY_SIZE(fields), false, e);
    if (rc < 0)
        return rc;
    str_copy(offer->id, sizeof offer->id, value);
    if (strcmp(method, "SHA256") == 0 || strcmp(method, "Sha256") == 0)
        str_copy(offer->sha256, sizeof offer->sha256, value);
    else if (strcmp(method, "Md5") != 0 || !str_copy(offer->md5, sizeof offer->md5, value))
        return err_field(e, ERR_INVALID, "signMethod", "signMethod %s does not go with its sign", method);
    return 0;
}

static int read_data(const json_t *data, struct wire_offer *offer, struct err *e)
{
    int64_t size = 0, stream = -1;
    char by[8] = "";
    const struct json_field fields[] = {
        {.key = "size", .kind = JSON_KIND_INT, .out = &size, .min = 1, .max = INT64_MAX, .required = true},
        {.key = "version",
         .kind = JSON_KIND_TEXT,
         .out = offer->version,
         .size = sizeof offer->version,
         .required = true},
        {.key = "module", .kind = JSON_KIND_TEXT, .out = offer->module, .size = sizeof offer->module},
        {.key = "url", .kind = JSON_KIND_TEXT, .out = offer->url, .size = sizeof offer->url},
        {.key = "dProtocol", .kind = JSON_KIND_TEXT, .out = by, .size = sizeof by},
        {.key = "streamId", .kind = JSON_KIND_INT, .out = &stream, .min = 0, .max = INT64_MAX},
        {.key = "streamFileId", .kind = JSON_KIND_INT, .out = &offer->file, .min = 0, .max = INT64_MAX},
    };
    str_copy(offer->module, sizeof offer->module, "default");
    int rc = json_read(data, fields, ARRAY_SIZE(fields), false, e);
    if (rc < 0)
        return rc;
    offer->size = (uint64_t)size;
    if (strcmp(by, "mqtt") == 0 && stream >= 0)
        snprintf(offer->stream, sizeof offer->stream, "%" PRId64, stream);
    return read_sign(data, offer, e);
}

/* {"code":"1000","data":{..},"id":..,"message":"success"}; data without members: nothing is due. */
static int hear_upgrade(const struct wire_identity *who, const struct wire_heard_from *from,
                        struct wire_heard *out, struct err *e)
{
    char code[8] = "", message[16] = "";
    json_t *data = NULL;
    const struct json_field fields[] = {
        {.key = "code", .kind = JSON_KIND_TEXT, .out = code, .size = sizeof code, .required = true},
        {.key = "message", .kind = JSON_KIND_TEXT, .out = message, .size = sizeof message, .required = true},
        {.key = "data", .kind = JSON_KIND_OBJECT, .out = &data, .required = true},
    };
    json_auto_t *body = NULL;
    int rc = json_parse(from->body, from->len, &body, e);
    if (rc == 0)
        rc = json_read(body, fields, ARRAY_SIZE(fields), false, e);
    if (rc < 0)
        return rc;
    if (strcmp(code, "1000") != 0 || strcmp(message, "success") != 0)
        return err_set(e, ERR_INVALID, "code %s, message %s", code, message);
    out->kind = json_object_size(data) > 0 ? WIRE_OFFER : WIRE_NOTHING;
    if (out->kind == WIRE_NOTHING)
        return 0;
    rc = read_data(data, &out->offer, e);
    return rc < 0 ? rc : wire_offer_check(who, &out->offer, e);
}

/* ---- blocks: length of the JSON, big-endian; JSON; bytes; CRC-16/ARC of the bytes, little-endian */

static int check_bytes(const struct wire_block *block, struct err *e)
{
    const unsigned char *bytes = block->bytes, *end = bytes + block->len;
    unsigned sent = end[0] | (unsigned)end[1] << 8;
    if (crc16_arc(bytes, block->len) != sent)
        return err_set(e, ERR_INVALID, "a block at %" PRIu64 " whose CRC is wrong", block->offset);
    return 0;
}

/* Fields of the reply's JSON; code 200 or another. */
static int read_head(const char *json, size_t len, int64_t *code, struct wire_block *block, struct err *e)
{
    char id[24] = "", asked[24];
    json_t *data = NULL;
    int64_t offset = -1, size = 0, whole = 0;
    const struct json_field head[] = {
        {.key = "code", .kind = JSON_KIND_INT, .out = code, .min = 0, .max = INT32_MAX, .required = true},
        {.key = "id", .kind = JSON_KIND_TEXT, .out = id, .size = sizeof id, .required = true},
        {.key = "data", .kind = JSON_KIND_OBJECT, .out = &data},
    };
    const struct json_field fields[] = {
        {.key = "bOffset", .kind = JSON_KIND_INT, .out = &offset, .max = INT32_MAX, .required = true},
        {.key = "bSize",
         .kind = JSON_KIND_INT,
         .out = &size,
         .min = 1,
         .max = WIRE_BLOCK_MAX,
         .required = true},
        {.key = "fileLength", .kind = JSON_KIND_INT, .out = &whole, .max = INT32_MAX, .required = true},
    };
    json_auto_t *body = NULL;
    int rc = json_parse(json, len, &body, e);
    if (rc == 0)
        rc = json_read(body, head, ARRAY_SIZE(head), false, e);
    if (rc < 0 || *code != 200)
        return rc;
    rc = data ? json_read(data, fields, ARRAY_SIZE(fields), false, e) : err_set(e, ERR_INVALID, "no data");
    if (rc < 0)
        return rc;
    snprintf(asked, sizeof asked, "%" PRId64, offset);
    if (strcmp(id, asked) != 0)
        return err_set(e, ERR_INVALID, "a block at %s as the answer to %s", asked, id);
    block->offset = (uint64_t)offset;
    block->len = (size_t)size;
    return 0;
}

static int hear_block(const struct wire_heard_from *from, struct wire_heard *out, struct err *e)
{
    const unsigned char *at = (const unsigned char *)from->body;
    int64_t code = 0;
    size_t json_len = from->len >= 2 ? (size_t)at[0] << 8 | at[1] : 0;
    if (json_len == 0 || json_len > HEAD_MAX || from->len < 2 + json_len)
        return err_set(e, ERR_INVALID, "a block without a head");
    int rc = read_head(from->body + 2, json_len, &code, &out->block, e);
    if (rc < 0)
        return rc;
    out->kind = code == 200 ? WIRE_BLOCK : WIRE_NO_BLOCK;
    if (code != 200)
        return 0;
    if (from->len != 2 + json_len + out->block.len + CRC_BYTES)
        return err_set(e, ERR_INVALID, "a block of %zu bytes that says %zu", from->len, out->block.len);
    out->block.bytes = at + 2 + json_len;
    return check_bytes(&out->block, e);
}

static int aliyun_hear(const struct wire_identity *who, const struct wire_heard_from *from,
                       struct wire_heard *out, struct err *e)
{
    struct wire_heard heard = {.kind = WIRE_OTHER};
    int rc = 0;
    if (wire_topic_is(from->topic, "/sys/%p/%d/thing/file/download_reply", who))
        rc = hear_block(from, &heard, e);
    else if (wire_topic_is(from->topic, "/ota/device/upgrade/%p/%d", who) ||
             wire_topic_is(from->topic, "/sys/%p/%d/thing/ota/firmware/get_reply", who))
        rc = hear_upgrade(who, from, &heard, e);
    if (rc == 0)
        *out = heard;
    return rc;
}

static const struct wire_filter aliyun_filters[] = {{"/sys/%p/%d/thing/file/download_reply", 0}, {NULL, 0}};

const struct wire wire_aliyun = {
    .name = "aliyun",
    .filters = aliyun_filters,
    .login = aliyun_login,
    .say = aliyun_say,
    .ask = aliyun_ask,
    .hear = aliyun_hear,
};
