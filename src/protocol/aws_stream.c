/* AWS IoT's MQTT-based file delivery: a job's files in blocks. Members have names of one letter: c client
 * token, s version of the stream, f file, l bytes of a block, o first block, n blocks, b bitmap of blocks,
 * i number of a block, p its bytes; d description, r files, z size; o error code and m its sentence. Both
 * formats say the same (protocol/cbor.h). */
#include "aws_parts.h"
#include "protocol/cbor.h"
#include "protocol/liberal.h"

#include <stdlib.h>
#include <string.h>

#define STREAM_VERSION 1 /* what a stream holds never changes */
#define BLOCK_MIN      256
#define BLOCK_MAX      131072
#define REQUEST_MAX    131072 /* bytes that one request brings */
#define COUNT_MAX      98304
#define BITMAP_MAX     12288

/* ---- requests */

static int64_t stream_id(const char *name)
{
    uint64_t id;
    size_t n = strlen(AWS_STREAM_PREFIX);
    bool ours = strncmp(name, AWS_STREAM_PREFIX, n) == 0 && str_to_uint(name + n, INT64_MAX, &id);
    return ours ? (int64_t)id : -1;
}

static int read_number(struct aws_request *r, const json_t *body, const char *key, int64_t max, int64_t *out,
                       enum aws_fault fault, struct err *e)
{
    const json_t *value = liberal_member(body, key);
    int64_t any;
    if (!value || liberal_int(value, 0, max, out))
        return 0;
    bool beyond = liberal_int(value, INT64_MIN, INT64_MAX, &any);
    return aws_refuse(r, beyond ? fault : AWS_INVALID_REQUEST, e, "%s must be a number from 0 to %lld", key,
                      (long long)max);
}

static int read_bitmap(struct aws_request *r, const json_t *body, unsigned char bits[BITMAP_MAX], size_t *len,
                       struct err *e)
{
    const json_t *value = liberal_member(body, "b");
    const char *text = json_string_value(value);
    *len = 0;
    if (!value)
        return 0;
    if (text && text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        text += 2;
    size_t n = text ? strlen(text) / 2 : 0;
    if (n > BITMAP_MAX)
        return aws_refuse(r, AWS_BITMAP, e, "the bitmap may have %d bytes", BITMAP_MAX);
    if (!text || strlen(text) != 2 * n || !hex_parse(text, bits, n))
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "b must be a bitmap in hexadecimal digits");
    while (n > 0 && bits[n - 1] == 0)
        n--;
    if (n == 0 && *text)
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "b names no block");
    *len = n;
    return 0;
}

struct wish {
    int64_t version, file, block_bytes, first, count;
};

static int read_wish(struct aws_request *r, const json_t *body, struct wish *w, struct err *e)
{
    *w = (struct wish){.version = STREAM_VERSION, .file = -1};
    int rc = read_number(r, body, "s", INT64_MAX, &w->version, AWS_VERSION, e);
    if (rc == 0)
        rc = read_number(r, body, "f", 255, &w->file, AWS_INVALID_REQUEST, e);
    if (rc == 0)
        rc = read_number(r, body, "l", BLOCK_MAX, &w->block_bytes, AWS_BLOCK_SIZE, e);
    if (rc == 0)
        rc = read_number(r, body, "o", INT32_MAX, &w->first, AWS_OFFSET, e);
    if (rc == 0)
        rc = read_number(r, body, "n", COUNT_MAX, &w->count, AWS_BLOCK_COUNT, e);
    if (rc < 0)
        return rc;
    if (w->version != STREAM_VERSION)
        return aws_refuse(r, AWS_VERSION, e, "the stream's version is %d", STREAM_VERSION);
    if (w->file < 0 || !liberal_member(body, "l"))
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "f and l must say which file and how large a block is");
    if (w->block_bytes < BLOCK_MIN)
        return aws_refuse(r, AWS_BLOCK_SIZE, e, "a block has %d to %d bytes", BLOCK_MIN, BLOCK_MAX);
    return 0;
}

/* What is beyond the bytes of one request is left out: the device asks again. */
static uint32_t block_count(const struct wish *w)
{
    int64_t most = REQUEST_MAX / w->block_bytes;
    return (uint32_t)(w->count > 0 && w->count < most ? w->count : most);
}

static int read_blocks(struct aws_request *r, const json_t *body, struct file_request **out, struct err *e)
{
    unsigned char bits[BITMAP_MAX];
    struct wish w;
    size_t len = 0;
    int rc = read_wish(r, body, &w, e);
    if (rc == 0)
        rc = read_bitmap(r, body, bits, &len, e);
    if (rc < 0)
        return rc;
    struct file_request *f = calloc(1, sizeof *f + len);
    if (!f)
        return err_set(e, ERR_INTERNAL, "out of memory");
    f->op = FILE_BLOCKS;
    f->file = w.file;
    f->block_bytes = (uint32_t)w.block_bytes;
    f->offset = (uint64_t)w.first * (uint64_t)w.block_bytes;
    f->count = block_count(&w);
    f->bitmap_len = len;
    memcpy(f->bitmap, bits, len);
    *out = f;
    return 0;
}

static int read_describe(struct file_request **out, struct err *e)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_set(e, ERR_INTERNAL, "out of memory");
    (*out)->op = FILE_DESCRIBE;
    return 0;
}

int aws_stream_read(struct aws_request *r, const json_t *body, struct device_event *ev, struct err *e)
{
    bool blocks = r->form == AWS_GET_JSON || r->form == AWS_GET_CBOR;
    int rc = blocks ? read_blocks(r, body, &ev->file, e) : read_describe(&ev->file, e);
    if (rc < 0)
        return rc;
    ev->kind = EVENT_FILE;
    ev->file->by_execution = true;
    ev->file->stream = stream_id(r->name);
    return 0;
}

/* ---- answers, in the format they were asked in */

bool aws_is_cbor(enum aws_form form)
{
    return form == AWS_DESCRIBE_CBOR || form == AWS_GET_CBOR;
}

static json_t *begin(const char *token)
{
    json_t *body = json_object();
    if (*token)
        json_put_text(body, "c", token);
    return body;
}

/* Takes the body over. */
static int finish(struct message *m, const char *thing, const char *stream, const char *what,
                  enum aws_form form, json_t *body, struct err *e)
{
    int rc = aws_topic(m, e, thing, "streams/%s/%s/%s", stream, what, aws_is_cbor(form) ? "cbor" : "json");
    if (rc == 0 && aws_is_cbor(form)) {
        m->payload = cbor_make(body, NULL, NULL, 0, &m->len);
        json_decref(body);
    } else if (rc == 0) {
        message_json(m, body);
    } else {
        json_decref(body);
    }
    return rc;
}

static int finish_event(struct message *m, const struct device_event *ev, const char *what, json_t *body,
                        struct err *e)
{
    return finish(m, ev->device, ev->reply.name, what, (enum aws_form)ev->reply.form, body, e);
}

static void put_base64(json_t *body, const char *key, const void *bytes, size_t len)
{
    char *text = malloc(BASE64_SIZE(len));
    if (!text)
        abort();
    base64_format(bytes, len, text);
    json_put_text(body, key, text);
    free(text);
}

int aws_stream_block(const struct device_event *ev, const struct file_block *b, struct message *out,
                     struct err *e)
{
    json_t *body = begin(ev->reply.token);
    json_put_int(body, "f", ev->file->file);
    json_put_int(body, "i", (int64_t)b->index);
    json_put_int(body, "l", (int64_t)b->len);
    if (!aws_is_cbor((enum aws_form)ev->reply.form)) {
        put_base64(body, "p", b->bytes, b->len);
        return finish_event(out, ev, "data", body, e);
    }
    int rc = aws_topic(out, e, ev->device, "streams/%s/data/cbor", ev->reply.name);
    if (rc == 0)
        out->payload = cbor_make(body, "p", b->bytes, b->len, &out->len);
    json_decref(body);
    return rc;
}

int aws_stream_describe(const struct device_event *ev, const uint64_t sizes[], size_t n, struct message *out,
                        struct err *e)
{
    json_t *body = begin(ev->reply.token), *files = json_array();
    json_put_int(body, "s", STREAM_VERSION);
    json_put_text(body, "d", ev->reply.name);
    for (size_t i = 0; i < n; i++) {
        json_t *file = json_object();
        json_put_int(file, "f", (int64_t)i);
        json_put_int(file, "z", (int64_t)sizes[i]);
        json_array_append_new(files, file);
    }
    json_put(body, "r", files);
    return finish_event(out, ev, "description", body, e);
}

/* Short names, and the long ones that older clients read. */
static json_t *rejection(const char *token, enum aws_fault fault, const char *sentence)
{
    json_t *body = json_object();
    json_put_text(body, "o", aws_fault_word(fault));
    json_put_text(body, "m", sentence);
    if (*token)
        json_put_text(body, "c", token);
    json_put_text(body, "code", aws_fault_word(fault));
    json_put_text(body, "message", sentence);
    if (*token)
        json_put_text(body, "clientToken", token);
    return body;
}

int aws_stream_no_file(const struct device_event *ev, enum file_fault fault, struct message *out,
                       struct err *e)
{
    static const enum aws_fault faults[] = {
        [FILE_UNKNOWN] = AWS_NOT_FOUND, [FILE_PAST_END] = AWS_OFFSET, [FILE_UNREADABLE] = AWS_INTERNAL};
    json_t *body = rejection(ev->reply.token, faults[fault], aws_fault_sentence(faults[fault]));
    return finish_event(out, ev, "rejected", body, e);
}

int aws_stream_rejection(const struct aws_request *r, const char *sentence, struct message *out,
                         struct err *e)
{
    return finish(out, r->thing, r->name, "rejected", r->form, rejection(r->token, r->fault, sentence), e);
}
