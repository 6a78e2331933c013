#include "http/url.h"

#include "base/str.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_control(int c)
{
    return c < 0x20 || c == 0x7f;
}

/* In place. */
static int decode(char *text, bool in_query, struct err *e)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        int c = (unsigned char)*p;
        if (c == '%') {
            int hi = hex_value(p[1]), lo = hi < 0 ? -1 : hex_value(p[2]);
            if (lo < 0)
                return err_set(e, ERR_BAD_REQUEST, "the URL holds a %% that two hex digits do not follow");
            c = hi << 4 | lo;
            p += 2;
            if (is_control(c))
                return err_set(e, ERR_BAD_REQUEST, "the URL holds an escaped control character");
            if (c == '/' && !in_query)
                return err_set(e, ERR_NOT_FOUND, "there is nothing at this path");
        } else if (c == '+' && in_query) {
            c = ' ';
        }
        *out++ = (char)c;
    }
    *out = '\0';
    return 0;
}

static int add_item(struct url_query *q, char *pair, struct err *e)
{
    char *value = strchr(pair, '=');
    if (value)
        *value++ = '\0';
    else
        value = pair + strlen(pair);
    int rc = decode(pair, true, e);
    if (rc == 0)
        rc = decode(value, true, e);
    if (rc)
        return rc;
    if (query_get(q, pair))
        return err_field(e, ERR_BAD_REQUEST, pair, "the query names %.40s twice", pair);
    if (q->n == QUERY_MAX)
        return err_set(e, ERR_BAD_REQUEST, "the query has more than %d parameters", QUERY_MAX);
    q->item[q->n].name = pair;
    q->item[q->n++].value = value;
    return 0;
}

static int parse_query(char *text, struct url_query *q, struct err *e)
{
    int rc = 0;
    char *rest = text, *pair;
    while (rc == 0 && (pair = strsep(&rest, "&")))
        if (*pair)
            rc = add_item(q, pair, e);
    return rc;
}

/* What follows scheme and host of the absolute form; the origin form as it is. */
static const char *origin_form(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t n = strlen(schemes[i]), host = 0;
        if (strncasecmp(target, schemes[i], n) == 0)
            host = strcspn(target + n, "/?#");
        if (host > 0)
            return target + n + host;
    }
    return target;
}

int url_parse(const char *target, struct url *out, struct err *e)
{
    size_t len = strlen(target);
    if (len > URL_TARGET_MAX)
        return err_set(e, ERR_URI_TOO_LONG, "the URL is longer than %d bytes", URL_TARGET_MAX);
    target = origin_form(target);
    len = strlen(target);
    if (target[0] != '/')
        return err_set(e, ERR_BAD_REQUEST, "the request must name a path that begins with a slash");
    for (size_t i = 0; i < len; i++)
        if (is_control((unsigned char)target[i]) || target[i] == ' ' || target[i] == '#')
            return err_set(e, ERR_BAD_REQUEST, "the URL holds a character that must be escaped");
    memcpy(out->text, target, len + 1);
    out->path = out->text;
    out->query.n = 0;
    char *query = strchr(out->text, '?');
    if (query)
        *query++ = '\0';
    int rc = decode(out->text, false, e);
    return rc || !query ? rc : parse_query(query, &out->query, e);
}

const char *query_get(const struct url_query *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->item[i].name, name) == 0)
            return q->item[i].value;
    return NULL;
}
