#include "protocol/cbor.h"

#include "base/str.h"

#include <cbor.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading. By libcbor's decoder of one item at a time: it allocates nothing, while cbor_load takes
 * memory for as many members as a map claims to have. */

enum kind { UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, BOOLEAN, NOTHING, REAL, PIECES, BREAK };

struct item {
    enum kind kind;
    bool open;  /* ARRAY, MAP: until a BREAK */
    uint64_t n; /* the value, or the count of what follows */
    double real;
    const unsigned char *bytes; /* in the message */
};

struct reader {
    const unsigned char *at;
    size_t left;
};

#define NUMBER(name, type, what)                                \
    static void name(void *item, type value)                    \
    {                                                           \
        *(struct item *)item = (struct item){what, .n = value}; \
    }
#define WORD(name, what, ...)                                              \
    static void name(void *item)                                           \
    {                                                                      \
        *(struct item *)item = (struct item){.kind = what, ##__VA_ARGS__}; \
    }
NUMBER(on_uint8, uint8_t, UINT)
NUMBER(on_uint16, uint16_t, UINT)
NUMBER(on_uint32, uint32_t, UINT)
NUMBER(on_uint64, uint64_t, UINT)
NUMBER(on_negint8, uint8_t, NEGATIVE)
NUMBER(on_negint16, uint16_t, NEGATIVE)
NUMBER(on_negint32, uint32_t, NEGATIVE)
NUMBER(on_negint64, uint64_t, NEGATIVE)
NUMBER(on_array, size_t, ARRAY)
NUMBER(on_map, size_t, MAP)
NUMBER(on_tag, uint64_t, TAG)
NUMBER(on_boolean, bool, BOOLEAN)
WORD(on_open_array, ARRAY, .open = true)
WORD(on_open_map, MAP, .open = true)
WORD(on_pieces, PIECES)
WORD(on_nothing, NOTHING)
WORD(on_break, BREAK)

static void on_bytes(void *item, cbor_data bytes, size_t len)
{
    *(struct item *)item = (struct item){.kind = BYTES, .n = len, .bytes = bytes};
}

static void on_text(void *item, cbor_data bytes, size_t len)
{
    *(struct item *)item = (struct item){.kind = TEXT, .n = len, .bytes = bytes};
}

static void on_float(void *item, float value)
{
    *(struct item *)item = (struct item){.kind = REAL, .real = value};
}

static void on_double(void *item, double value)
{
    *(struct item *)item = (struct item){.kind = REAL, .real = value};
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string_start = on_pieces,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_pieces,
    .indef_array_start = on_open_array,
    .array_start = on_array,
    .indef_map_start = on_open_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_nothing,
    .null = on_nothing,
    .boolean = on_boolean,
    .indef_break = on_break,
};

static bool next_item(struct reader *r, struct item *out)
{
    struct cbor_decoder_result result = cbor_stream_decode(r->at, r->left, &callbacks, out);
    if (result.status != CBOR_DECODER_FINISHED)
        return false;
    r->at += result.read;
    r->left -= result.read;
    return true;
}

static json_t *value_of(struct reader *r, const struct item *it, int depth);

static json_t *hex_text(const struct item *it)
{
    char *text = malloc(2 * it->n + 3);
    if (!text)
        return NULL;
    text[0] = '0';
    text[1] = 'x';
    hex_format(it->bytes, it->n, text + 2);
    json_t *value = json_string(text);
    free(text);
    return value;
}

/* NULL for what is not UTF-8, or holds a zero. */
static json_t *plain_text(const struct item *it)
{
    const char *text = (const char *)it->bytes;
    return it->n > 0 && memchr(text, '\0', it->n) ? NULL : json_stringn(text, it->n);
}

/* Whether one more member follows the done ones: its first item. -1: the message is broken. */
static int next_member(struct reader *r, const struct item *whole, uint64_t done, struct item *out)
{
    if (!whole->open && done == whole->n)
        return 0;
    if (!next_item(r, out))
        return -1;
    if (out->kind == BREAK)
        return whole->open ? 0 : -1;
    return 1;
}

static json_t *array_of(struct reader *r, const struct item *whole, int depth)
{
    json_t *array = json_array(), *value;
    struct item it;
    int rc;
    for (uint64_t n = 0; (rc = next_member(r, whole, n, &it)) > 0; n++)
        if (!(value = value_of(r, &it, depth)) || json_array_append_new(array, value) < 0)
            break;
    if (rc == 0)
        return array;
    json_decref(array);
    return NULL;
}

static bool add_member(struct reader *r, const struct item *key, json_t *object, int depth)
{
    struct item it;
    json_t *name = key->kind == TEXT ? plain_text(key) : NULL, *value = NULL;
    if (name && next_item(r, &it))
        value = value_of(r, &it, depth);
    bool added = value && json_object_set_new(object, json_string_value(name), value) == 0;
    json_decref(name);
    return added;
}

static json_t *object_of(struct reader *r, const struct item *whole, int depth)
{
    json_t *object = json_object();
    struct item it;
    int rc;
    for (uint64_t n = 0; (rc = next_member(r, whole, n, &it)) > 0; n++)
        if (!add_member(r, &it, object, depth))
            break;
    if (rc == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *tagged(struct reader *r, int depth)
{
    struct item it;
    return next_item(r, &it) ? value_of(r, &it, depth) : NULL;
}

static json_t *real_of(double real)
{
    json_t *value = json_real(real); /* NULL for infinities and what is no number */
    return value ? value : json_null();
}

/* The value that begins with it; NULL: the message is broken. */
static json_t *value_of(struct reader *r, const struct item *it, int depth)
{
    if (depth == 0)
        return NULL;
    switch (it->kind) {
    case UINT:
        return it->n <= INT64_MAX ? json_integer((json_int_t)it->n) : NULL;
    case NEGATIVE:
        return it->n <= INT64_MAX ? json_integer(-1 - (json_int_t)it->n) : NULL;
    case BYTES:
        return hex_text(it);
    case TEXT:
        return plain_text(it);
    case ARRAY:
        return array_of(r, it, depth - 1);
    case MAP:
        return object_of(r, it, depth - 1);
    case TAG:
        return tagged(r, depth - 1);
    case BOOLEAN:
        return json_boolean(it->n);
    case NOTHING:
        return json_null();
    case REAL:
        return real_of(it->real);
    default: /* a BREAK without an open beginning, a string in pieces */
        return NULL;
    }
}

int cbor_parse(const void *payload, size_t len, json_t **out, struct err *e)
{
    struct reader r = {.at = payload, .left = len};
    struct item it;
    if (len == 0 || !next_item(&r, &it) || it.kind != MAP)
        return err_set(e, ERR_BAD_REQUEST, "a CBOR map is expected");
    json_t *object = value_of(&r, &it, JSON_MAX_DEPTH);
    if (!object || r.left > 0) {
        json_decref(object);
        return err_set(e, ERR_BAD_REQUEST, "not valid CBOR at byte %zu of %zu", len - r.left, len);
    }
    *out = object;
    return 0;
}

/* ---- making */

#define HEAD_MAX 9 /* bytes of an item's head */

struct maker {
    unsigned char *bytes;
    size_t len, cap;
};

static unsigned char *room(struct maker *m, size_t len)
{
    if (m->cap - m->len < len) {
        m->cap = 2 * m->cap + len;
        m->bytes = realloc(m->bytes, m->cap);
        if (!m->bytes)
            abort();
    }
    return m->bytes + m->len;
}

static void add_bytes(struct maker *m, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(room(m, len), bytes, len);
    m->len += len;
}

static void add_text(struct maker *m, const char *text, size_t len)
{
    m->len += cbor_encode_string_start(len, room(m, HEAD_MAX), HEAD_MAX);
    add_bytes(m, text, len);
}

static void add_integer(struct maker *m, json_int_t value)
{
    unsigned char *at = room(m, HEAD_MAX);
    m->len += value >= 0 ? cbor_encode_uint((uint64_t)value, at, HEAD_MAX)
                         : cbor_encode_negint((uint64_t)(-1 - value), at, HEAD_MAX);
}

static void add_value(struct maker *m, const json_t *value);

static void add_array(struct maker *m, const json_t *array)
{
    size_t n = json_array_size(array);
    m->len += cbor_encode_array_start(n, room(m, HEAD_MAX), HEAD_MAX);
    for (size_t i = 0; i < n; i++)
        add_value(m, json_array_get(array, i));
}

/* more: members that the caller adds. */
static void add_object(struct maker *m, const json_t *object, size_t more)
{
    const char *key;
    json_t *value;
    m->len += cbor_encode_map_start(json_object_size(object) + more, room(m, HEAD_MAX), HEAD_MAX);
    json_object_foreach((json_t *)object, key, value)
    {
        add_text(m, key, strlen(key));
        add_value(m, value);
    }
}

static void add_value(struct maker *m, const json_t *value)
{
    if (json_is_integer(value))
        add_integer(m, json_integer_value(value));
    else if (json_is_string(value))
        add_text(m, json_string_value(value), json_string_length(value));
    else if (json_is_array(value))
        add_array(m, value);
    else if (json_is_object(value))
        add_object(m, value, 0);
    else if (json_is_boolean(value))
        m->len += cbor_encode_bool(json_is_true(value), room(m, HEAD_MAX), HEAD_MAX);
    else
        m->len += cbor_encode_null(room(m, HEAD_MAX), HEAD_MAX);
}

char *cbor_make(const json_t *object, const char *key, const void *bytes, size_t len, size_t *out_len)
{
    struct maker m = {0};
    room(&m, len + 256);
    add_object(&m, object, key ? 1 : 0);
    if (key) {
        add_text(&m, key, strlen(key));
        m.len += cbor_encode_bytestring_start(len, room(&m, HEAD_MAX), HEAD_MAX);
        add_bytes(&m, bytes, len);
    }
    *out_len = m.len;
    return (char *)m.bytes;
}
