/* err.h: the one way to fail.
 *
 * A function that can fail returns int: 0, or the negative of an enum err_code. It says why by
 *     return err_set(e, ERR_CONFLICT, "version %s is not newer than %s", a, b);
 * and a caller adds context by err_wrap. Outputs are written only on success. e is never NULL.
 * The sentence is for a person: it names the thing, and holds no secret. Thread-safe: no shared state. */
#ifndef OTAD_BASE_ERR_H
#define OTAD_BASE_ERR_H

/* One row a kind of failure: name, HTTP status (RFC 9110), stable word in JSON and logs. */
#define ERR_TABLE(X)                                           \
    X(ERR_INTERNAL, 500, "internal")                           \
    X(ERR_DAMAGED, 500, "damaged")                             \
    X(ERR_BAD_REQUEST, 400, "bad_request")                     \
    X(ERR_UNAUTHORIZED, 401, "unauthorized")                   \
    X(ERR_FORBIDDEN, 403, "forbidden")                         \
    X(ERR_NOT_FOUND, 404, "not_found")                         \
    X(ERR_METHOD, 405, "method_not_allowed")                   \
    X(ERR_CONFLICT, 409, "conflict")                           \
    X(ERR_LENGTH_REQUIRED, 411, "length_required")             \
    X(ERR_PRECONDITION, 412, "precondition_failed")            \
    X(ERR_TOO_LARGE, 413, "too_large")                         \
    X(ERR_URI_TOO_LONG, 414, "uri_too_long")                   \
    X(ERR_MEDIA_TYPE, 415, "unsupported_media_type")           \
    X(ERR_RANGE, 416, "range_not_satisfiable")                 \
    X(ERR_INVALID, 422, "invalid")                             \
    X(ERR_PRECONDITION_REQUIRED, 428, "precondition_required") \
    X(ERR_TOO_MANY, 429, "too_many_requests")                  \
    X(ERR_HEADERS_TOO_LARGE, 431, "headers_too_large")         \
    X(ERR_BUSY, 503, "unavailable")                            \
    X(ERR_NO_SPACE, 507, "insufficient_storage")

enum err_code {
    ERR_NONE,
#define X(name, status, word) name,
    ERR_TABLE(X)
#undef X
        ERR_CODES
};

struct err {
    enum err_code code;
    char field[64]; /* the request field, setting or header at fault; "" when none is */
    char text[320]; /* one sentence, without a full stop; both are UTF-8 without control characters */
};

/* Both return -code. Text that does not fit is cut, and what is not
 * printable UTF-8 becomes '?': an error may quote hostile input, and goes into JSON. */
int err_set(struct err *e, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int err_field(struct err *e, enum err_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "context: " before the sentence; returns -e->code. */
int err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The field stands inside another: "count" under "policy" is "policy.count". Returns -e->code. */
int err_under(struct err *e, const char *parent);

/* For a failed system call: "cannot open /x: Permission denied". ENOSPC and EDQUOT become ERR_NO_SPACE,
 * everything else ERR_INTERNAL. Reads errno. */
int err_errno(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

int err_status(enum err_code code);       /* HTTP status */
const char *err_word(enum err_code code); /* stable word */

#endif
