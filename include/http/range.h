/* range.h: which bytes of a file a request asks for: RFC 9110 sections 13 and 14 as pure functions.
 * Offsets are inclusive first, exclusive end, so that a length is always end - first and never turns. */
#ifndef OTAD_HTTP_RANGE_H
#define OTAD_HTTP_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 8 /* parts of one answer after coalescing; more asked for: the whole file */

struct range {
    uint64_t first, end; /* first < end <= size */
};

enum range_verdict {
    RANGE_WHOLE, /* no Range, one that is not understood, or too many parts: 200 with everything */
    RANGE_PARTS, /* 206 with n parts, in the order asked for, overlaps merged (RFC 9110 14.2, 15.3.7.2) */
    RANGE_UNSATISFIABLE, /* 416 */
};

/* header is the field's value, or NULL. "bytes=" in any case, blanks around commas, "a-b", "a-" and "-n";
 * numbers beyond 2^64 are as good as infinite; an end past the file is cut to it (esp_https_ota's partial
 * download asks one past). A bare "0-99" without a unit, as OneNET devices send, is taken when bare_allowed.
 * An empty file is never satisfiable. Ranges that overlap or touch become one, in the place of the first of
 * them; the whole file is the answer as soon as the ninth part would be needed, so that a long header costs
 * little. *n is 0 unless RANGE_PARTS. For GET only: RFC 9110 14.2 ignores Range on every other method. */
enum range_verdict range_parse(const char *header, uint64_t size, bool bare_allowed,
                               struct range parts[RANGES_MAX], size_t *n);

/* The entity tag of a file: 22 characters, base64url of the first 16 bytes of its SHA-256, and with quotes.
 */
#define ETAG_SIZE 25
void etag_format(const unsigned char sha256[32], char etag[ETAG_SIZE]);

/* If-Match / If-None-Match: whether the list names this tag, or is "*". weak: W/ prefixes compare equal
 * (If-None-Match); strong: they never do (If-Match, If-Range). A list is read up to the first thing in it
 * that is no tag. */
bool etag_listed(const char *header, const char *etag, bool weak);

enum precondition { PRECONDITION_NONE, PRECONDITION_NOT_MODIFIED, PRECONDITION_FAILED };

struct conditions { /* field values, NULL when absent */
    const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since, *if_range;
};

/* RFC 9110 13.2.2 for GET and HEAD. *use_range says whether a Range header is to be followed: no If-Range, or
 * one that is exactly this tag, or exactly the date of Last-Modified, which is modified_at_ms in whole
 * seconds. Fields that should be dates and are none are ignored. */
enum precondition conditions_judge(const struct conditions *c, const char *etag, int64_t modified_at_ms,
                                   bool *use_range);

#endif
