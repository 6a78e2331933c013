#include "exchange.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/str.h"
#include "fuse.h"
#include "http/multipart.h"
#include "http/range.h"
#include "http/route.h"
#include "model/board.h"
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A record of TLS is what libmicrohttpd sends in a turn, and it zeroes a block before the first: two records
 * are worth it where many follow. */
#define BLOCK_BYTES       (16 * 1024)
#define LARGE_BLOCK_BYTES (32 * 1024)
#define LARGE_BYTES       (256 * 1024)
/* Small answers leave in one piece with their head: small clients expect one segment. */
#define SMALL_BYTES (16 * 1024)

/* What is sent of a file; lives as long as libmicrohttpd's response. */
struct download {
    int fd;
    uint64_t first; /* of the file, when there is one part */
    uint64_t length;
    struct multipart *multipart; /* NULL: one part */
    struct progress progress;    /* of one part: what many are of a whole, nobody can say */
};

static void download_free(void *arg)
{
    struct download *d = arg;
    close(d->fd);
    free(d->multipart);
    free(d);
}

/* The file is never shorter than its row says, unless someone cut it: then the connection ends early, and the
 * client knows, since the length was promised. */
static ssize_t read_some(const struct download *d, uint64_t pos, char *buf, size_t max)
{
    ssize_t n;
    if (d->multipart)
        return multipart_read(d->multipart, d->fd, pos, buf, max);
    if (max > d->length - pos)
        max = (size_t)(d->length - pos);
    do
        n = pread(d->fd, buf, max, (off_t)(d->first + pos));
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : -1;
}

static void count(const struct download *d, uint64_t pos, size_t n)
{
    board_count(BOARD_DOWNLOAD_BYTES, (int64_t)n);
    if (!d->multipart)
        progress_step(&d->progress, d->first + pos, d->first + pos + n);
}

static ssize_t on_block(void *arg, uint64_t pos, char *buf, size_t max)
{
    ssize_t n = read_some(arg, pos, buf, max);
    if (n <= 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    count(arg, pos, (size_t)n);
    return n;
}

static ssize_t on_nothing(void *arg, uint64_t pos, char *buf, size_t max)
{
    (void)arg;
    (void)pos;
    (void)buf;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *small_response(struct download *d)
{
    char *bytes = malloc((size_t)d->length + 1);
    size_t done = 0;
    ssize_t n = bytes ? 0 : -1;
    while (n >= 0 && done < d->length) {
        n = read_some(d, done, bytes + done, (size_t)d->length - done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (n >= 0)
        count(d, 0, done);
    download_free(d);
    struct MHD_Response *response =
        n < 0 ? NULL : MHD_create_response_from_buffer(done, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(bytes);
    return response;
}

/* Takes d over. */
static struct MHD_Response *start(struct download *d, bool head)
{
    if (!head) {
        board_count(BOARD_DOWNLOADS, 1);
        if (d->length <= SMALL_BYTES)
            return small_response(d);
    }
    size_t block = d->length < LARGE_BYTES ? BLOCK_BYTES : LARGE_BLOCK_BYTES;
    struct MHD_Response *response =
        MHD_create_response_from_callback(d->length, block, on_block, d, download_free);
    if (!response)
        download_free(d);
    return response;
}

static bool is_terse(const struct request *r)
{
    return (r->route->flags & ROUTE_TERSE) != 0;
}

/* OneNET's clients wait for its word that nothing is wrong; of all else they have no room. Some then search
 * what has come so far for "Content-Length": the service has it before that word, libmicrohttpd has it last,
 * and a field that ends in it is found as well. */
static void add_verdict(struct MHD_Response *response, uint64_t length)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, length);
    MHD_add_response_header(response, "X-Content-Length", text);
    MHD_add_response_header(response, "Ota-Errno", "0");
}

/* length: bytes of the body. */
static void add_identity(struct MHD_Response *response, const struct request *r, uint64_t length)
{
    if (is_terse(r)) {
        add_verdict(response, length);
        return;
    }
    MHD_add_response_header(response, "ETag", r->reply.etag);
    MHD_add_response_header(response, "Accept-Ranges", "bytes");
}

static void add_type(struct MHD_Response *response, const struct request *r)
{
    if (!is_terse(r))
        MHD_add_response_header(response, "Content-Type", "application/octet-stream");
}

/* With 200 and 304 only: small clients count every byte of a 206's head. */
static void add_freshness(struct MHD_Response *response, const struct request *r)
{
    char date[CLOCK_HTTP_SIZE];
    if (is_terse(r))
        return;
    clock_http_format(r->reply.modified_at_ms, date);
    MHD_add_response_header(response, "Last-Modified", date);
    MHD_add_response_header(response, "Cache-Control", "private, immutable, no-transform");
}

/* RFC 9530, of the whole file whatever part is sent. */
static void add_digest(struct MHD_Response *response, const struct request *r)
{
    char base64[BASE64_SIZE(SHA256_BYTES)], field[BASE64_SIZE(SHA256_BYTES) + 16];
    const char *wanted = request_header(r, "Want-Repr-Digest");
    if (!wanted || !strstr(wanted, "sha-256"))
        return;
    base64_format(r->reply.sha256, SHA256_BYTES, base64);
    snprintf(field, sizeof field, "sha-256=:%s:", base64);
    MHD_add_response_header(response, "Repr-Digest", field);
}

static struct MHD_Response *failed(struct request *r, enum err_code code, unsigned *status)
{
    struct err e;
    char range[40];
    err_set(&e, code, code == ERR_RANGE ? "the file has no such bytes" : "the file is another one now");
    *status = (unsigned)err_status(code);
    struct MHD_Response *response = is_terse(r) ? fuse_problem(&e, true, status) : problem_response(&e);
    if (!response)
        return NULL;
    if (!is_terse(r))
        MHD_add_response_header(response, "ETag", r->reply.etag);
    if (code == ERR_RANGE) {
        snprintf(range, sizeof range, "bytes */%" PRIu64, r->reply.size);
        MHD_add_response_header(response, "Content-Range", range);
    }
    return response;
}

/* RFC 9110 8.6: a 304's Content-Length, where there is one, is the file's; libmicrohttpd sends one, and no
 * body. */
static struct MHD_Response *not_modified(struct request *r, unsigned *status)
{
    *status = 304;
    struct MHD_Response *response =
        MHD_create_response_from_callback(r->reply.size, 1, on_nothing, NULL, NULL);
    if (!response)
        return NULL;
    add_identity(response, r, r->reply.size);
    add_freshness(response, r);
    return response;
}

static struct MHD_Response *whole(struct request *r, struct download *d)
{
    struct MHD_Response *response = start(d, r->head);
    if (!response)
        return NULL;
    add_type(response, r);
    add_identity(response, r, r->reply.size);
    add_freshness(response, r);
    if (r->reply.md5[0])
        MHD_add_response_header(response, "x-MD5", r->reply.md5);
    return response;
}

static struct MHD_Response *one_part(struct request *r, struct download *d, const struct range *part)
{
    char field[80];
    d->first = part->first;
    d->length = part->end - part->first;
    struct MHD_Response *response = start(d, false);
    if (!response)
        return NULL;
    snprintf(field, sizeof field, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, part->first, part->end - 1,
             r->reply.size);
    add_type(response, r);
    MHD_add_response_header(response, "Content-Range", field);
    add_identity(response, r, part->end - part->first);
    return response;
}

static struct MHD_Response *many_parts(struct request *r, struct download *d, const struct range parts[],
                                       size_t n)
{
    unsigned char random[16];
    char boundary[MULTIPART_BOUNDARY_SIZE], type[80];
    d->multipart = malloc(sizeof *d->multipart);
    if (!d->multipart) {
        download_free(d);
        return NULL;
    }
    random_bytes(random, sizeof random);
    base64url_format(random, sizeof random, boundary);
    multipart_plan(d->multipart, parts, n, r->reply.size, boundary);
    uint64_t length = d->multipart->length;
    d->length = length;
    struct MHD_Response *response = start(d, false);
    if (!response)
        return NULL;
    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", boundary);
    MHD_add_response_header(response, "Content-Type", type);
    add_identity(response, r, length);
    return response;
}

static struct MHD_Response *file_response(struct request *r, bool use_range, unsigned *status,
                                          uint64_t *length)
{
    struct range parts[RANGES_MAX];
    size_t n = 0;
    const char *header = r->head || !use_range ? NULL : request_header(r, "Range");
    enum range_verdict verdict = range_parse(header, r->reply.size, true, parts, &n);
    if (verdict == RANGE_UNSATISFIABLE)
        return failed(r, ERR_RANGE, status);
    struct download *d = malloc(sizeof *d);
    if (!d)
        return NULL;
    *d = (struct download){.fd = r->reply.fd, .length = r->reply.size};
    progress_begin(&d->progress, r);
    r->reply.fd = -1;
    *status = verdict == RANGE_WHOLE ? 200 : 206;
    *length = r->head || n > 0 ? 0 : r->reply.size;
    for (size_t i = 0; i < n; i++)
        *length += parts[i].end - parts[i].first;
    if (verdict == RANGE_WHOLE)
        return whole(r, d);
    return n == 1 ? one_part(r, d, &parts[0]) : many_parts(r, d, parts, n);
}

struct MHD_Response *download_response(struct request *r, unsigned *status, uint64_t *length)
{
    const struct conditions c = {
        .if_match = request_header(r, "If-Match"),
        .if_none_match = request_header(r, "If-None-Match"),
        .if_modified_since = request_header(r, "If-Modified-Since"),
        .if_unmodified_since = request_header(r, "If-Unmodified-Since"),
        .if_range = request_header(r, "If-Range"),
    };
    bool use_range;
    *length = 0;
    enum precondition verdict = conditions_judge(&c, r->reply.etag, r->reply.modified_at_ms, &use_range);
    if (verdict == PRECONDITION_FAILED)
        return failed(r, ERR_PRECONDITION, status);
    if (verdict == PRECONDITION_NOT_MODIFIED)
        return not_modified(r, status);
    struct MHD_Response *response = file_response(r, use_range, status, length);
    if (response && *status < 300) {
        add_digest(response, r);
        response_attachment(response, r->reply.attachment);
    }
    return response;
}
