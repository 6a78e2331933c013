#include "stream.h"

#include "base/log.h"

#include <string.h>

#define BLOCK_BYTES (16 * 1024)

void stream_free(struct stream *s)
{
    if (s)
        s->free(s);
}

static size_t take(struct stream *s, char *buf, size_t max)
{
    size_t n = s->left < max ? s->left : max;
    memcpy(buf, s->piece, n);
    s->piece += n;
    s->left -= n;
    return n;
}

/* The status has left already: a client sees that its list broke off by the missing end. */
static ssize_t on_block(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct stream *s = arg;
    struct err e;
    size_t done = 0;
    (void)pos;
    while (done < max) {
        if (s->left == 0 && s->next(s, &s->piece, &s->left, &e) < 0) {
            log_error("http: an answer broke off: %s", e.text);
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        if (s->left == 0)
            break;
        done += take(s, buf + done, max - done);
    }
    return done ? (ssize_t)done : MHD_CONTENT_READER_END_OF_STREAM;
}

static void on_free(void *arg)
{
    stream_free(arg);
}

struct MHD_Response *stream_response(struct stream *s, const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_block, s, on_free);
    if (!response)
        stream_free(s);
    else
        MHD_add_response_header(response, "Content-Type", type);
    return response;
}
