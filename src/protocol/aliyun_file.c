/* Files in blocks. The answer is binary: two bytes of length, big-endian, of a JSON text; that text; the
 * file's bytes; their CRC-16/ARC, little-endian. Small devices copy the text into 128 bytes, find the file's
 * bytes behind "success"}, or read the text by sscanf: it stays short, and its members where they are. */
#include "aliyun_private.h"
#include "base/crc16.h"
#include "protocol/liberal.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN  256
#define BLOCK_MAX  131072
#define HEAD_MAX   126 /* bytes of the JSON text */
#define ID_MAX     10  /* digits of an id by the platform's rules: it is never cut below that */
#define FTOKEN_MAX 16  /* characters of a fileToken by its rules */

/* ---- the request */

static int64_t member_int(const json_t *object, const char *key, int64_t other)
{
    const json_t *value = liberal_member(object, key);
    int64_t n;
    return value && liberal_int(value, INT64_MIN, INT64_MAX, &n) ? n : other;
}

/* A size beyond the platform's bounds is a mistake that costs nothing to put right; a small one is never
 * enlarged: the device has no more room. */
static uint32_t block_size(int64_t asked)
{
    if (asked < 1)
        return BLOCK_MIN;
    return asked > BLOCK_MAX ? BLOCK_MAX : (uint32_t)asked;
}

int aliyun_read_download(const json_t *body, struct device_event *ev, struct err *e)
{
    const json_t *params = liberal_member(body, "params"), *info = liberal_member(params, "fileInfo"),
                 *block = liberal_member(params, "fileBlock");
    int64_t stream = member_int(info, "streamId", -1), offset = member_int(block, "offset", -1);
    if (stream < 0 || offset < 0)
        return err_set(e, ERR_INVALID, "streamId and offset must be whole numbers");
    ev->kind = EVENT_FILE;
    aliyun_plain(liberal_member(body, "id"), ev->reply.token, sizeof ev->reply.token);
    aliyun_plain(liberal_member(params, "fileToken"), ev->reply.name, FTOKEN_MAX + 1);
    ev->file = calloc(1, sizeof *ev->file);
    if (!ev->file)
        return err_set(e, ERR_INTERNAL, "out of memory");
    *ev->file = (struct file_request){.op = FILE_BLOCKS,
                                      .stream = stream,
                                      .file = member_int(info, "fileId", 1),
                                      .offset = (uint64_t)offset,
                                      .block_bytes = block_size(member_int(block, "size", 0)),
                                      .count = 1};
    return 0;
}

/* ---- the answers */

/* data stays the caller's. The platform's captured answers name their word "message", its documents "msg"
 * where it is an error. */
static char *head_text(int code, json_t *data, const char *id, const char *fault)
{
    json_t *head = json_object();
    json_put_int(head, "code", code);
    json_put(head, "data", json_incref(data));
    json_put_text(head, "id", *id ? id : "0");
    json_put_text(head, "message", fault ? fault : "success");
    if (fault)
        json_put_text(head, "msg", fault);
    char *text = json_text(head);
    json_decref(head);
    return text;
}

/* The same with an id that is cut where the whole would be too long. */
static char *short_head(int code, json_t *data, const char *id, const char *fault)
{
    char cut[TOKEN_SIZE];
    char *text = head_text(code, data, id, fault);
    size_t len = strlen(text), n = strlen(id);
    if (len <= HEAD_MAX || n <= ID_MAX)
        return text;
    free(text);
    str_copy(cut, sizeof cut, id);
    cut[n > len - HEAD_MAX + ID_MAX ? n - (len - HEAD_MAX) : ID_MAX] = '\0';
    return head_text(code, data, cut, fault);
}

/* Takes head over; no bytes follow where b is NULL. */
static int pack(char *head, const struct file_block *b, struct message *out, struct err *e)
{
    size_t n = strlen(head), len = 2 + n + (b ? b->len + 2 : 0);
    unsigned char *p = malloc(len);
    if (!p) {
        free(head);
        return err_set(e, ERR_INTERNAL, "out of memory");
    }
    p[0] = (unsigned char)(n >> 8);
    p[1] = (unsigned char)n;
    memcpy(p + 2, head, n);
    free(head);
    if (b) {
        uint16_t crc = crc16_arc(b->bytes, b->len);
        memcpy(p + 2 + n, b->bytes, b->len);
        p[len - 2] = (unsigned char)crc;
        p[len - 1] = (unsigned char)(crc >> 8);
    }
    out->payload = (char *)p;
    out->len = len;
    return 0;
}

/* No answer is of QoS 1: small devices know a PUBLISH by its first byte, 0x30. */
static int address(const char *product, const char *device, struct message *out, struct err *e)
{
    return message_address("/sys/%p/%d/thing/file/download_reply", product, device, out, e);
}

int aliyun_block(const struct device_event *ev, const struct file_block *b, struct message *out,
                 struct err *e)
{
    int rc = address(ev->product, ev->device, out, e);
    if (rc < 0)
        return rc;
    json_t *data = json_object();
    if (*ev->reply.name)
        json_put_text(data, "fileToken", ev->reply.name);
    json_put_int(data, "bOffset", (int64_t)b->offset);
    json_put_int(data, "fileLength", (int64_t)b->file_size);
    json_put_int(data, "bSize", (int64_t)b->len);
    char *head = short_head(200, data, ev->reply.token, NULL);
    json_decref(data);
    return pack(head, b, out, e);
}

static int answer_fault(const char *product, const char *device, const char *id, int code, const char *fault,
                        struct message *out, struct err *e)
{
    int rc = address(product, device, out, e);
    if (rc < 0)
        return rc;
    json_t *data = json_object();
    char *head = short_head(code, data, id, fault);
    json_decref(data);
    return pack(head, NULL, out, e);
}

int aliyun_no_file(const struct device_event *ev, enum file_fault fault, struct message *out, struct err *e)
{
    static const struct {
        int code;
        const char *word;
    } faults[] = {[FILE_UNKNOWN] = {404, "no such file for this device"},
                  [FILE_PAST_END] = {416, "offset is past the end"},
                  [FILE_UNREADABLE] = {500, "the file cannot be read now"}};
    return answer_fault(ev->product, ev->device, ev->reply.token, faults[fault].code, faults[fault].word, out,
                        e);
}

int aliyun_refuse_download(const void *payload, size_t len, const char *product, const char *device,
                           struct message *out, struct err *e)
{
    char id[TOKEN_SIZE];
    json_t *body = NULL;
    if (len > MESSAGE_MAX || liberal_parse(payload, len, &body, e) < 0)
        body = NULL;
    aliyun_plain(liberal_member(body, "id"), id, sizeof id);
    json_decref(body);
    return answer_fault(product, device, id, 400, "the request is not understood", out, e);
}
