#include "base/json.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(size_t len)
{
    void *at = malloc(len);
    if (!at)
        abort();
    return at;
}

/* jansson that lacks memory takes a good message for nonsense, and leaves out of an answer what it has no
 * room for. */
__attribute__((constructor)) static void never_lack_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

/* jansson stops at 2,048 levels; ours is a cheap look before it, so that a bomb costs nothing. */
static bool too_deep(const char *text, size_t len)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (quoted) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                quoted = false;
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > JSON_MAX_DEPTH)
                return true;
        } else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return false;
}

static int parse(const char *text, size_t len, size_t flags, json_t **out, struct err *e)
{
    json_error_t fault;
    if (len == 0)
        return err_set(e, ERR_BAD_REQUEST, "the body is empty, a JSON object is expected");
    if (too_deep(text, len))
        return err_set(e, ERR_BAD_REQUEST, "JSON nested deeper than %d levels", JSON_MAX_DEPTH);
    json_t *value = json_loadb(text, len, flags, &fault);
    if (!value)
        return err_set(e, ERR_BAD_REQUEST, "not valid JSON at line %d, column %d: %s", fault.line,
                       fault.column, fault.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return err_set(e, ERR_BAD_REQUEST, "a JSON object is expected");
    }
    *out = value;
    return 0;
}

int json_parse(const char *text, size_t len, json_t **out, struct err *e)
{
    return parse(text, len, JSON_REJECT_DUPLICATES, out, e);
}

int json_parse_device(const char *text, size_t len, json_t **out, struct err *e)
{
    return parse(text, len, 0, out, e);
}

static int wrong(const struct json_field *f, const char *what, struct err *e)
{
    return err_field(e, ERR_INVALID, f->key, "%s must be %s", f->key, what);
}

static int read_text(const struct json_field *f, const json_t *v, struct err *e)
{
    const char *text = json_string_value(v);
    if (!text)
        return wrong(f, "a string", e);
    if (f->kind == JSON_KIND_NAME && !str_is_name(text, f->size))
        return err_field(e, ERR_INVALID, f->key, "%s must be 1 to %zu of A-Z a-z 0-9 _ . : @ -", f->key,
                         f->size - 1);
    bool empty_is_fine = f->kind == JSON_KIND_EMPTY && !*text;
    if (f->kind != JSON_KIND_NAME && !empty_is_fine && !str_is_text(text, f->size))
        return err_field(e, ERR_INVALID, f->key,
                         "%s must be 1 to %zu bytes of text without control characters", f->key, f->size - 1);
    str_copy(f->out, f->size, text);
    return 0;
}

static int read_int(const struct json_field *f, const json_t *v, struct err *e)
{
    if (!json_is_integer(v))
        return wrong(f, "a whole number", e);
    int64_t n = json_integer_value(v);
    if (n < f->min || n > f->max)
        return err_field(e, ERR_INVALID, f->key, "%s must be from %lld to %lld", f->key, (long long)f->min,
                         (long long)f->max);
    *(int64_t *)f->out = n;
    return 0;
}

static int read_time(const struct json_field *f, const json_t *v, struct err *e)
{
    bool span = f->kind == JSON_KIND_SPAN;
    const char *text = json_string_value(v);
    if (!text || (span ? clock_span_parse(text, f->out) : clock_parse(text, f->out)))
        return wrong(f, span ? "a span such as \"30s\", \"10m\", \"2h\" or \"7d\"" : "an RFC 3339 time", e);
    return 0;
}

static int read_field(const struct json_field *f, const json_t *v, struct err *e)
{
    switch (f->kind) {
    case JSON_KIND_NAME:
    case JSON_KIND_TEXT:
    case JSON_KIND_EMPTY:
        return read_text(f, v, e);
    case JSON_KIND_LINES:
        if (!json_is_string(v))
            return wrong(f, "a string", e);
        *(const char **)f->out = json_string_value(v);
        return 0;
    case JSON_KIND_INT:
        return read_int(f, v, e);
    case JSON_KIND_SPAN:
    case JSON_KIND_MOMENT:
        return read_time(f, v, e);
    case JSON_KIND_BOOL:
        if (!json_is_boolean(v))
            return wrong(f, "true or false", e);
        *(bool *)f->out = json_is_true(v);
        return 0;
    case JSON_KIND_ARRAY:
        if (!json_is_array(v))
            return wrong(f, "an array", e);
        *(const json_t **)f->out = v;
        return 0;
    case JSON_KIND_OBJECT:
        if (!json_is_object(v))
            return wrong(f, "an object", e);
        *(const json_t **)f->out = v;
        return 0;
    case JSON_KIND_ANY:
        *(const json_t **)f->out = v;
        return 0;
    }
    return wrong(f, "of a known kind", e);
}

static int refuse_unknown(const json_t *object, const struct json_field fields[], size_t n, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;
        while (i < n && strcmp(fields[i].key, key) != 0)
            i++;
        if (i == n)
            return err_field(e, ERR_INVALID, key, "unknown field \"%.40s\"", key);
    }
    return 0;
}

int json_read(const json_t *object, const struct json_field fields[], size_t n, bool strict, struct err *e)
{
    int rc = strict ? refuse_unknown(object, fields, n, e) : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct json_field *f = &fields[i];
        const json_t *v = json_object_get(object, f->key);
        bool there = v && !json_is_null(v);
        if (f->present)
            *f->present = there;
        if (!there && f->required)
            rc = err_field(e, ERR_INVALID, f->key, "%s is missing", f->key);
        else if (there)
            rc = read_field(f, v, e);
    }
    return rc;
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (!value || json_object_set_new(object, key, value) != 0)
        abort();
}

/* Text of a file or a URL may be no UTF-8, which JSON cannot hold: '?' for those bytes. */
static json_t *string_of(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char *copy = strdup(text);
    if (!copy)
        abort();
    str_clean(copy);
    value = json_string(copy);
    free(copy);
    return value;
}

void json_put_text(json_t *object, const char *key, const char *text)
{
    json_put(object, key, text ? string_of(text) : json_null());
}

void json_put_int(json_t *object, const char *key, int64_t value)
{
    json_put(object, key, json_integer(value));
}

void json_put_digits(json_t *object, const char *key, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    json_put_text(object, key, digits);
}

void json_put_bool(json_t *object, const char *key, bool value)
{
    json_put(object, key, json_boolean(value));
}

void json_put_moment(json_t *object, const char *key, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (at_ms)
        clock_format(at_ms, text);
    json_put_text(object, key, at_ms ? text : NULL);
}

char *json_text(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    if (!text)
        abort();
    return text;
}
