#include "http/multipart.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void multipart_plan(struct multipart *m, const struct range parts[], size_t n, uint64_t file_size,
                    const char *boundary)
{
    m->n = n;
    m->length = 0;
    snprintf(m->boundary, sizeof m->boundary, "%s", boundary);
    for (size_t i = 0; i < n; i++) {
        m->part[i] = parts[i];
        snprintf(m->head[i], MULTIPART_HEAD_SIZE,
                 "%s--%s\r\nContent-Type: application/octet-stream\r\n"
                 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
                 i ? "\r\n" : "", m->boundary, parts[i].first, parts[i].end - 1, file_size);
        m->length += strlen(m->head[i]) + (parts[i].end - parts[i].first);
    }
    snprintf(m->head[n], MULTIPART_HEAD_SIZE, "\r\n--%s--\r\n", m->boundary);
    m->length += strlen(m->head[n]);
}

static ssize_t read_file(int fd, uint64_t at, char *buf, size_t max)
{
    ssize_t n;
    do
        n = pread(fd, buf, max, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : -1;
}

ssize_t multipart_read(const struct multipart *m, int fd, uint64_t pos, char *buf, size_t max)
{
    size_t done = 0;
    uint64_t at = 0; /* where the piece that is looked at begins in the body */
    for (size_t i = 0; i <= m->n && done < max; i++) {
        uint64_t head = strlen(m->head[i]), bytes = i < m->n ? m->part[i].end - m->part[i].first : 0;
        if (pos + done < at + head) {
            uint64_t from = pos + done - at;
            size_t take = head - from < max - done ? (size_t)(head - from) : max - done;
            memcpy(buf + done, m->head[i] + from, take);
            done += take;
        }
        at += head;
        while (done < max && pos + done >= at && pos + done < at + bytes) {
            uint64_t from = pos + done - at;
            size_t take = bytes - from < max - done ? (size_t)(bytes - from) : max - done;
            ssize_t got = read_file(fd, m->part[i].first + from, buf + done, take);
            if (got < 0)
                return -1;
            done += (size_t)got;
        }
        at += bytes;
    }
    return (ssize_t)done;
}
