/* json.h: the door to jansson. Text from outside becomes a plain struct here, at the edge; nobody past the
 * edge sees a json_t. JSON is made with json_pack or the json_put helpers, never with printf.
 *
 * Two readers of one table of fields: operators' requests are strict (an unknown field is an error that
 * names it), devices' messages are liberal (unknown fields are ignored). */
#ifndef OTAD_BASE_JSON_H
#define OTAD_BASE_JSON_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 16

/* Parses one JSON text of len bytes: objects only, no duplicate keys, at most JSON_MAX_DEPTH deep. The caller
 * owns *out (json_decref, or json_auto_t). ERR_BAD_REQUEST says where the text is wrong. */
int json_parse(const char *text, size_t len, json_t **out, struct err *e);
/* The same, but of a key that comes twice the last one counts: what devices in the field send. */
int json_parse_device(const char *text, size_t len, json_t **out, struct err *e);

enum json_kind {
    JSON_KIND_NAME,   /* out: char[size]; str_is_name */
    JSON_KIND_TEXT,   /* out: char[size]; str_is_text */
    JSON_KIND_EMPTY,  /* out: char[size]; as TEXT, or "" */
    JSON_KIND_LINES,  /* out: const char *, borrowed; any text, with its ends of lines */
    JSON_KIND_INT,    /* out: int64_t; min <= value <= max */
    JSON_KIND_BOOL,   /* out: bool */
    JSON_KIND_SPAN,   /* out: int64_t milliseconds; "30m" */
    JSON_KIND_MOMENT, /* out: int64_t milliseconds; RFC 3339 */
    JSON_KIND_ARRAY,  /* out: json_t *, borrowed */
    JSON_KIND_OBJECT, /* out: json_t *, borrowed */
    JSON_KIND_ANY,    /* out: json_t *, borrowed; whatever it is */
};

struct json_field {
    const char *key;
    enum json_kind kind;
    void *out;   /* written only when the field is there and not null */
    size_t size; /* of out, for text */
    int64_t min, max;
    bool *present; /* may be NULL; set to whether the field was there and not null */
    bool required;
};

/* ERR_INVALID with the field's name when one is missing, of the wrong type, out of range or, if strict,
 * unknown. out's are written in the order of the table up to the first error. */
int json_read(const json_t *object, const struct json_field fields[], size_t n, bool strict, struct err *e);

/* Adds to an object; NULL text is null, bytes of it that are no UTF-8 become '?', 0 as a moment is null.
 * Running out of memory aborts: half a reply would be worse. */
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_int(json_t *object, const char *key, int64_t value);
void json_put_digits(json_t *object, const char *key, int64_t value); /* as a string */
void json_put_bool(json_t *object, const char *key, bool value);
void json_put_moment(json_t *object, const char *key, int64_t at_ms);
void json_put(json_t *object, const char *key, json_t *value); /* takes value over */

/* Compact text, no escaped slashes; the caller frees. Never NULL. */
char *json_text(const json_t *value);

#endif
