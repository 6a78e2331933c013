/* multipart.h: the body of a 206 with several ranges (RFC 9110 14.6) as a function from a position to bytes,
 * so that Content-Length is known before and any piece can be read at any time. Pure but for the file it
 * reads. */
#ifndef OTAD_HTTP_MULTIPART_H
#define OTAD_HTTP_MULTIPART_H

#include "http/range.h"

#include <sys/types.h>

#define MULTIPART_BOUNDARY_SIZE 25
#define MULTIPART_HEAD_SIZE     192

struct multipart {
    size_t n;
    struct range part[RANGES_MAX];
    char head[RANGES_MAX + 1]
             [MULTIPART_HEAD_SIZE]; /* before each part, and the closing line behind the last */
    uint64_t length;                /* of the whole body */
    char boundary[MULTIPART_BOUNDARY_SIZE];
};

/* boundary: up to 24 characters that the file is not going to hold, that is random ones. */
void multipart_plan(struct multipart *m, const struct range parts[], size_t n, uint64_t file_size,
                    const char *boundary);

/* At most max bytes of the body from pos on; 0 at its end, -1 when the file is shorter than it was or cannot
 * be read. */
ssize_t multipart_read(const struct multipart *m, int fd, uint64_t pos, char *buf, size_t max);

#endif
