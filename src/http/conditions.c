#include "http/range.h"

#include "base/clock.h"
#include "base/str.h"

#include <string.h>

#define BLANKS " \t"

void etag_format(const unsigned char sha256[32], char etag[ETAG_SIZE])
{
    etag[0] = '"';
    base64url_format(sha256, 16, etag + 1);
    memcpy(etag + ETAG_SIZE - 2, "\"", 2);
}

/* Whether this is the whole of the field's value, blanks around it aside. */
static bool is_value(const char *header, const char *value)
{
    size_t len = strlen(value);
    header += strspn(header, BLANKS);
    return strncmp(header, value, len) == 0 && header[len + strspn(header + len, BLANKS)] == '\0';
}

/* Behind the entity-tag that starts at the quote p, or NULL; tags may hold commas, but no blanks. */
static const char *tag_end(const char *p)
{
    if (*p != '"')
        return NULL;
    do
        p++;
    while ((unsigned char)*p > 0x20 && *p != '"' && *p != 0x7f);
    return *p == '"' ? p + 1 : NULL;
}

bool etag_listed(const char *header, const char *etag, bool weak)
{
    if (is_value(header, "*"))
        return true;
    size_t len = strlen(etag);
    for (const char *p = header; *(p += strspn(p, BLANKS ",")) != '\0';) {
        bool is_weak = strncmp(p, "W/", 2) == 0;
        const char *tag = is_weak ? p + 2 : p;
        const char *end = tag_end(tag);
        p = end ? end + strspn(end, BLANKS) : NULL;
        if (!p || (*p && *p != ','))
            return false;
        if ((weak || !is_weak) && (size_t)(end - tag) == len && memcmp(tag, etag, len) == 0)
            return true;
    }
    return false;
}

/* HTTP dates have whole seconds, so moments are compared as such. False when header is no date: 13.1.3 and
 * 13.1.4 want such a field ignored. */
static bool read_date(const char *header, int64_t *at_s)
{
    int64_t at_ms;
    if (!header || clock_http_parse(header, &at_ms) != 0)
        return false;
    *at_s = at_ms / 1000;
    return true;
}

/* 13.1.5: one strong tag, or exactly the date of Last-Modified. */
static bool range_still_valid(const char *if_range, const char *etag, int64_t modified_s)
{
    int64_t date_s;
    if (!if_range || is_value(if_range, etag))
        return true;
    return read_date(if_range, &date_s) && date_s == modified_s;
}

enum precondition conditions_judge(const struct conditions *c, const char *etag, int64_t modified_at_ms,
                                   bool *use_range)
{
    int64_t modified_s = modified_at_ms / 1000, date_s;
    *use_range = range_still_valid(c->if_range, etag, modified_s);
    if (c->if_match) {
        if (!etag_listed(c->if_match, etag, false))
            return PRECONDITION_FAILED;
    } else if (read_date(c->if_unmodified_since, &date_s) && modified_s > date_s) {
        return PRECONDITION_FAILED;
    }
    if (c->if_none_match)
        return etag_listed(c->if_none_match, etag, true) ? PRECONDITION_NOT_MODIFIED : PRECONDITION_NONE;
    if (read_date(c->if_modified_since, &date_s) && modified_s <= date_s)
        return PRECONDITION_NOT_MODIFIED;
    return PRECONDITION_NONE;
}
