#include "protocol/liberal.h"

#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Makes a blank of each comma that only blanks part from a closing bracket. Strings stay as they are. */
static void drop_commas(char *text, size_t len)
{
    size_t comma = len; /* len: none is waiting */
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\')
                i++;
            quoted = c != '"';
            continue;
        }
        if ((c == '}' || c == ']') && comma < len)
            text[comma] = ' ';
        if (!is_blank(c))
            comma = c == ',' ? i : len;
        quoted = c == '"';
    }
}

static size_t trimmed(const char *text, size_t len)
{
    while (len > 0 && (is_blank(text[len - 1]) || text[len - 1] == '\0'))
        len--;
    return len;
}

int liberal_parse(const void *payload, size_t len, json_t **out, struct err *e)
{
    len = trimmed(payload, len);
    if (len == 0) {
        *out = json_object();
        return 0;
    }
    char *text = malloc(len);
    if (!text)
        return err_set(e, ERR_INTERNAL, "out of memory");
    memcpy(text, payload, len);
    drop_commas(text, len);
    int rc = json_parse_device(text, len, out, e);
    free(text);
    return rc;
}

int liberal_read(const void *payload, size_t len, liberal_reader *read, struct device_event *found,
                 struct device_event *ev, struct err *e)
{
    json_t *body = NULL;
    if (len > MESSAGE_MAX)
        return err_set(e, ERR_INVALID, "a message of %zu bytes, at most %d are taken", len, MESSAGE_MAX);
    int rc = liberal_parse(payload, len, &body, e);
    if (rc < 0)
        return rc;
    rc = read(body, found, e);
    json_decref(body);
    if (rc == 0)
        *ev = *found;
    return rc;
}

const json_t *liberal_member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char digits[24];
    uint64_t magnitude;
    bool negative = *text == '-';
    size_t n = strcspn(text + negative, ".");
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text + negative, n);
    digits[n] = '\0';
    if (!str_to_uint(digits, INT64_MAX, &magnitude))
        return false;
    int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool liberal_int(const json_t *value, int64_t min, int64_t max, int64_t *out)
{
    if (json_is_string(value))
        return text_to_int(json_string_value(value), min, max, out);
    if (json_is_real(value)) {
        double real = json_real_value(value);
        if (!(real >= (double)min && real <= (double)max) || real < -9e15 || real > 9e15)
            return false;
        *out = (int64_t)real;
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return false;
    *out = json_integer_value(value);
    return true;
}

bool liberal_text(const json_t *value, char *out, size_t size)
{
    int n = -1;
    if (json_is_string(value))
        return str_copy(out, size, json_string_value(value));
    if (json_is_integer(value))
        n = snprintf(out, size, "%lld", (long long)json_integer_value(value));
    return n >= 0 && (size_t)n < size;
}

void liberal_detail(char out[DETAIL_SIZE], const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= DETAIL_SIZE)
        for (n = DETAIL_SIZE - 1; ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    out[n] = '\0';
}
