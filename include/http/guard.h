/* guard.h: what is refused before anything of a request is believed. libmicrohttpd 0.9.75 lets shapes through
 * that two parsers would read differently (two lengths, length and chunks, blanks before the colon); here
 * they all end, with 4xx and a closed connection. Pure: a decision over the method, the version and the list
 * of header fields. */
#ifndef OTAD_HTTP_GUARD_H
#define OTAD_HTTP_GUARD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_HEADERS_MAX    64
#define GUARD_HEAD_BYTES_MAX (7 * 1024)
#define GUARD_METHODS        "GET, HEAD, POST, PUT, PATCH, DELETE"

struct guard_header {
    const char *name, *value; /* value NULL counts as empty */
    size_t name_len, value_len;
};

struct guard_request {
    const char *method, *version;
    const struct guard_header *headers;
    size_t n; /* may be more than GUARD_HEADERS_MAX were given room for: then it is refused */
};

/* How the body comes. */
struct framing {
    bool chunked;
    bool has_length;
    uint64_t length;
    bool expects_continue;
};

/* How much of a header's value is left without the blanks behind it: libmicrohttpd leaves them in place. */
size_t guard_trimmed(const char *value, size_t len);

/* ERR_METHOD (Allow: GUARD_METHODS), ERR_BAD_REQUEST, ERR_HEADERS_TOO_LARGE, ERR_TOO_LARGE for a length that
 * no machine has. */
int guard_check(const struct guard_request *r, struct framing *out, struct err *e);

#endif
