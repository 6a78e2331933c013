/* stream.h: a body that is made while it is sent: in flat memory, on the thread of its connection, and of a
 * length that nobody knows before its end. */
#ifndef OTAD_HTTP_STREAM_H
#define OTAD_HTTP_STREAM_H

#include "base/err.h"

#include <microhttpd.h>
#include <stddef.h>

struct stream { /* the first member of whoever makes one */
    /* The next piece, which stays as it is until the next call; *len 0: that was all, and is again. */
    int (*next)(struct stream *s, const char **piece, size_t *len, struct err *e);
    void (*free)(struct stream *s);
    const char *piece; /* http/stream.c's: what is left of it to be sent */
    size_t left;
};

#define STREAM_LENGTH UINT64_MAX /* of such a body */

void stream_free(struct stream *s); /* NULL is fine */
/* Takes the stream over; NULL without memory. */
struct MHD_Response *stream_response(struct stream *s, const char *type);

#endif
