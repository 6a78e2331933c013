#include "base/str.h"

#include <stdio.h>
#include <string.h>

bool str_copy(char *out, size_t size, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= size) {
        out[0] = '\0';
        return false;
    }
    memcpy(out, text ? text : "", n + 1);
    return true;
}

static bool is_alnum(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool str_is_name(const char *text, size_t size)
{
    size_t n = strlen(text);
    if (n == 0 || n >= size || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return false;
    for (const char *p = text; *p; p++)
        if (!is_alnum((unsigned char)*p) && !strchr("_.:@-", *p))
            return false;
    return true;
}

/* U+2028 and U+2029 end a line in many a viewer, U+202A to U+202E and U+2066 to U+2069 turn the order of what
 * follows: a line of a log that holds one says what its writer likes. Three bytes are there. */
static bool moves_text(const unsigned char *p)
{
    return p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

size_t str_printable(const char *text)
{
    /* the first byte settles the length, and what the second must be at least and at most */
    static const struct {
        unsigned char first, last, length, low, high;
    } rows[] = {
        {0x20, 0x7e, 1, 0, 0},       {0xc2, 0xc2, 2, 0xa0, 0xbf}, {0xc3, 0xdf, 2, 0x80, 0xbf},
        {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f},
        {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf},
        {0xf4, 0xf4, 4, 0x80, 0x8f},
    };
    const unsigned char *p = (const unsigned char *)text;
    size_t row = 0;
    while (row < ARRAY_SIZE(rows) && (p[0] < rows[row].first || p[0] > rows[row].last))
        row++;
    if (row == ARRAY_SIZE(rows))
        return 0;
    if (rows[row].length > 1 && (p[1] < rows[row].low || p[1] > rows[row].high))
        return 0;
    for (size_t i = 2; i < rows[row].length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return rows[row].length == 3 && moves_text(p) ? 0 : rows[row].length;
}

void str_clean(char *text)
{
    while (*text) {
        size_t n = str_printable(text);
        if (n == 0)
            *text = '?';
        text += n ? n : 1;
    }
}

bool str_is_text(const char *text, size_t size)
{
    size_t total = strlen(text);
    if (total == 0 || total >= size)
        return false;
    size_t at = 0, n;
    while ((n = str_printable(text + at)) > 0)
        at += n;
    return at == total;
}

bool str_to_uint(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;
    if (!*text)
        return false;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        uint64_t digit = (uint64_t)(*p - '0');
        if (digit > max || v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}

uint64_t str_hash(const char *text, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

void hex_format(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_parse(const char *text, void *bytes, size_t len)
{
    unsigned char *b = bytes;
    if (strlen(text) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        b[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}

bool str_mac(const char *text, char out[MAC_SIZE])
{
    unsigned char bytes[MAC_SIZE / 2];
    char digits[MAC_SIZE] = "";
    size_t n = 0;
    out[0] = '\0';
    for (const char *p = text; *p; p++) {
        if (strchr(":-.", *p))
            continue;
        if (n == MAC_SIZE - 1)
            return false;
        digits[n++] = *p;
    }
    if (!hex_parse(digits, bytes, sizeof bytes))
        return false;
    hex_format(bytes, sizeof bytes, out);
    return true;
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void base64_write(const void *bytes, size_t len, const char *alphabet, bool pad, char *out)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned v =
            (unsigned)b[i] << 16 | (left > 1 ? (unsigned)b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0);
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        if (left > 1)
            *out++ = alphabet[v >> 6 & 63];
        else if (pad)
            *out++ = '=';
        if (left > 2)
            *out++ = alphabet[v & 63];
        else if (pad)
            *out++ = '=';
    }
    *out = '\0';
}

void base64_format(const void *bytes, size_t len, char *out)
{
    base64_write(bytes, len, standard, true, out);
}

void base64url_format(const void *bytes, size_t len, char *out)
{
    base64_write(bytes, len, url_safe, false, out);
}

/* -1: none of the standard alphabet. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_parse(const char *text, void *bytes, size_t size)
{
    unsigned char *out = bytes;
    size_t len = strlen(text), n = 0;
    if (len % 4)
        return -1;
    size_t pads = len && text[len - 1] == '=' ? 1u + (text[len - 2] == '=') : 0;
    for (size_t i = 0; i < len; i += 4) {
        unsigned v = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = i + k < len - pads ? base64_value(text[i + k]) : 0;
            if (value < 0)
                return -1;
            v = v << 6 | (unsigned)value;
        }
        size_t bytes_here = i + 4 == len ? 3 - pads : 3;
        if (v & ((1u << (24 - 8 * bytes_here)) - 1))
            return -1;
        if (n + bytes_here > size)
            return -1;
        for (size_t k = 0; k < bytes_here; k++)
            out[n++] = (unsigned char)(v >> (16 - 8 * k));
    }
    return (int)n;
}

bool url_encode(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = is_alnum(*p) || strchr("-._~", *p);
        if (n + (plain ? 1 : 3) >= size)
            return false;
        if (plain)
            out[n++] = (char)*p;
        else
            n += (size_t)snprintf(out + n, size - n, "%%%02X", *p);
    }
    out[n] = '\0';
    return true;
}
