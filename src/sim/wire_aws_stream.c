#include "wire_aws.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN "rdy" /* as the embedded library has it */

/* CBOR is written and read here by hand: a client that shares the server's code would not notice its
 * mistakes. */

/* ---- asking: {"c","f","l","o","b","n"}, where the bitmap names the first block alone */

struct pen {
    unsigned char bytes[64];
    size_t len;
};

enum major { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };

/* The head of an item (RFC 8949, 3): values up to 32 bits. */
static void put_head(struct pen *p, enum major major, uint64_t value)
{
    size_t more = value < 24 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : 4;
    unsigned info = more == 0 ? (unsigned)value : more == 1 ? 24 : more == 2 ? 25 : 26;
    p->bytes[p->len++] = (unsigned char)((unsigned)major << 5 | info);
    for (size_t i = more; i > 0; i--)
        p->bytes[p->len++] = (unsigned char)(value >> 8 * (i - 1));
}

static void put_bytes(struct pen *p, enum major major, const char *bytes, size_t len)
{
    put_head(p, major, len);
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
}

static void put_number(struct pen *p, char key, uint64_t value)
{
    put_bytes(p, MAJOR_TEXT, &key, 1);
    put_head(p, MAJOR_UINT, value);
}

static int ask_cbor(const struct wire_offer *offer, uint32_t block_bytes, uint64_t index,
                    struct wire_message *out, struct err *e)
{
    struct pen p = {.len = 0};
    put_head(&p, MAJOR_MAP, 6);
    put_bytes(&p, MAJOR_TEXT, "c", 1);
    put_bytes(&p, MAJOR_TEXT, TOKEN, strlen(TOKEN));
    put_number(&p, 'f', (uint64_t)offer->file);
    put_number(&p, 'l', block_bytes);
    put_number(&p, 'o', index);
    put_bytes(&p, MAJOR_TEXT, "b", 1);
    put_bytes(&p, MAJOR_BYTES, "\x01", 1);
    put_number(&p, 'n', 1);
    out->body = malloc(p.len);
    if (!out->body)
        return err_set(e, ERR_INTERNAL, "out of memory");
    memcpy(out->body, p.bytes, p.len);
    out->len = p.len;
    return 0;
}

static void ask_json(const struct wire_offer *offer, uint32_t block_bytes, uint64_t index,
                     struct wire_message *out)
{
    json_t *body = json_object();
    json_put_int(body, "s", 1);
    json_put_int(body, "f", offer->file);
    json_put_int(body, "l", block_bytes);
    json_put_int(body, "o", (int64_t)index);
    json_put_int(body, "n", 1);
    wire_body(out, body);
}

int aws_ask(const struct wire_identity *who, const struct wire_offer *offer, uint64_t offset,
            struct wire_message *out, struct err *e)
{
    const struct wire_habits *habits = who->habits;
    uint64_t index = offset / habits->block_bytes;
    int rc = wire_topic(habits->json_streams ? "$aws/things/%d/streams/%x/get/json"
                                             : "$aws/things/%d/streams/%x/get/cbor",
                        who, offer->stream, out->topic, e);
    if (rc == 0 && habits->json_streams)
        ask_json(offer, habits->block_bytes, index, out);
    else if (rc == 0)
        rc = ask_cbor(offer, habits->block_bytes, index, out, e);
    out->qos = 0;
    return rc;
}

/* ---- blocks: {"f","i","l","p"} */

struct data {
    int64_t index, len;
    const void *bytes;
    size_t payload;
};

struct eye {
    const unsigned char *at, *end;
};

/* value of a map of no given length: UINT64_MAX. False where the bytes end, or nothing of ours begins. */
static bool get_head(struct eye *in, unsigned *major, uint64_t *value)
{
    if (in->at == in->end)
        return false;
    unsigned info = *in->at & 31U;
    size_t more = info < 24 || info == 31 ? 0 : info < 28 ? (size_t)1 << (info - 24) : SIZE_MAX;
    *major = *in->at++ >> 5;
    if (more > (size_t)(in->end - in->at))
        return false;
    *value = info == 31 ? UINT64_MAX : more ? 0 : info;
    for (size_t i = 0; i < more; i++)
        *value = *value << 8 | *in->at++;
    return true;
}

static bool get_bytes(struct eye *in, uint64_t len, const unsigned char **out)
{
    if (len > (uint64_t)(in->end - in->at))
        return false;
    *out = in->at;
    in->at += len;
    return true;
}

static bool get_member(struct eye *in, unsigned char key, struct data *d)
{
    const unsigned char *bytes = NULL;
    uint64_t value;
    unsigned major;
    if (!get_head(in, &major, &value) || (major >= MAJOR_BYTES && !get_bytes(in, value, &bytes)) ||
        major > MAJOR_TEXT || (major == MAJOR_UINT && value > INT64_MAX))
        return false;
    if (key == 'i' && major == MAJOR_UINT)
        d->index = (int64_t)value;
    if (key == 'l' && major == MAJOR_UINT)
        d->len = (int64_t)value;
    if (key == 'p' && major == MAJOR_BYTES) {
        d->bytes = bytes;
        d->payload = (size_t)value;
    }
    return true;
}

/* Maps of either kind. */
static bool read_cbor(const struct wire_heard_from *from, struct data *d)
{
    struct eye in = {(const unsigned char *)from->body, (const unsigned char *)from->body + from->len};
    const unsigned char *key;
    uint64_t members, len;
    unsigned major;
    if (!get_head(&in, &major, &members) || major != MAJOR_MAP)
        return false;
    for (; members > 0; members -= members != UINT64_MAX) {
        if (members == UINT64_MAX && in.at < in.end && *in.at == 0xFF)
            return in.at + 1 == in.end;
        if (!get_head(&in, &major, &len) || major != MAJOR_TEXT || !get_bytes(&in, len, &key) ||
            !get_member(&in, len == 1 ? *key : 0, d))
            return false;
    }
    return in.at == in.end;
}

static bool read_json(const struct wire_identity *who, const struct wire_heard_from *from, struct data *d)
{
    const char *text;
    struct err e;
    json_auto_t *body = NULL;
    const struct json_field fields[] = {
        {.key = "i", .kind = JSON_KIND_INT, .out = &d->index, .max = INT32_MAX, .required = true},
        {.key = "l", .kind = JSON_KIND_INT, .out = &d->len, .max = WIRE_BLOCK_MAX, .required = true},
    };
    if (json_parse(from->body, from->len, &body, &e) < 0 ||
        json_read(body, fields, ARRAY_SIZE(fields), false, &e) < 0)
        return false;
    text = json_string_value(json_object_get(body, "p"));
    int n = text ? base64_parse(text, from->scratch, who->habits->block_bytes) : -1;
    d->bytes = from->scratch;
    d->payload = n > 0 ? (size_t)n : 0;
    return n >= 0;
}

static int hear_data(const struct wire_identity *who, bool json, const struct wire_heard_from *from,
                     struct wire_heard *out, struct err *e)
{
    struct data d = {.index = -1, .len = -1};
    bool fine = json ? read_json(who, from, &d) : read_cbor(from, &d);
    if (!fine || d.index < 0 || d.index > INT32_MAX || !d.bytes || d.len != (int64_t)d.payload)
        return err_set(e, ERR_INVALID, "a block that makes no sense");
    out->kind = WIRE_BLOCK;
    out->block = (struct wire_block){
        .offset = (uint64_t)d.index * who->habits->block_bytes, .bytes = d.bytes, .len = d.payload};
    return 0;
}

int aws_hear_stream(const struct wire_identity *who, const char *leaf, const struct wire_heard_from *from,
                    struct wire_heard *out, struct err *e)
{
    if (strcmp(leaf, "data/cbor") == 0 || strcmp(leaf, "data/json") == 0)
        return hear_data(who, strcmp(leaf, "data/json") == 0, from, out, e);
    if (strncmp(leaf, "rejected/", 9) == 0)
        out->kind = WIRE_NO_BLOCK;
    return 0;
}
