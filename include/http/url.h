/* url.h: the request target taken apart: a path and a query, percent-decoded exactly once. Pure. */
#ifndef OTAD_HTTP_URL_H
#define OTAD_HTTP_URL_H

#include "base/err.h"

#include <stddef.h>

#define URL_TARGET_MAX 2048
#define QUERY_MAX      16

struct url_query {
    size_t n;
    struct {
        const char *name, *value; /* value "" when there was no "=" */
    } item[QUERY_MAX];
};

struct url {
    char text[URL_TARGET_MAX + 1]; /* what path and query point into */
    const char *path;
    struct url_query query;
};

/* target in origin form, "/path?name=value", or behind "http://host" in absolute form, which servers must
 * take (RFC 9112 3.2.2) and modems with a command for HTTP send; the host is not looked at. ERR_URI_TOO_LONG
 * beyond URL_TARGET_MAX; ERR_BAD_REQUEST for another form, a broken escape, a control character (escaped
 * too), a parameter given twice or too many of them; ERR_NOT_FOUND for an escaped slash, since no path here
 * has one inside a segment. In the query "+" is a blank, as clients write it. */
int url_parse(const char *target, struct url *out, struct err *e);

/* NULL when absent. */
const char *query_get(const struct url_query *q, const char *name);

#endif
