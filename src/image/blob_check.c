#include "image/blob.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STEP_BYTES (256 * 1024)
#define ALIGNED    4096 /* what reading past the cache asks of memory */

struct check {
    int fd;
    bool direct; /* past the cache */
    void *buf;
    uint64_t done;
};

/* What a file system does not have, it says at once or at the first reading. */
static void set_direct(struct check *c, bool on)
{
    c->direct = fcntl(c->fd, F_SETFL, on ? O_DIRECT : 0) == 0 && on;
}

static ssize_t read_step(struct check *c)
{
    for (;;) {
        ssize_t n = pread(c->fd, c->buf, STEP_BYTES, (off_t)c->done);
        if (n >= 0 || (errno != EINTR && !(errno == EINVAL && c->direct)))
            return n;
        if (errno == EINVAL)
            set_direct(c, false);
    }
}

static void forget_step(const struct check *c, size_t n)
{
    if (!c->direct)
        posix_fadvise(c->fd, (off_t)c->done, (off_t)n, POSIX_FADV_DONTNEED);
}

/* To its end, or to where it cannot be read: then *broken is errno. */
static int hash(struct check *c, struct digester *d, uint64_t size, const struct blob_pace *pace, int *broken,
                struct err *e)
{
    while (c->done < size) {
        ssize_t n = read_step(c);
        if (n <= 0) {
            *broken = n < 0 ? errno : ENODATA;
            return 0;
        }
        digester_add(d, c->buf, (size_t)n);
        forget_step(c, (size_t)n);
        c->done += (uint64_t)n;
        if (!pace->go(pace->arg, (size_t)n))
            return err_set(e, ERR_BUSY, "the check was ended");
    }
    return 0;
}

static void judge(const struct check *c, const char *sha256, const struct digests *is, int broken,
                  struct blob_finding *out)
{
    if (broken) {
        snprintf(out->text, sizeof out->text, "it cannot be read after %" PRIu64 " bytes: %.80s", c->done,
                 strerror(broken));
        out->damaged = true;
    } else if (strcmp(is->sha256, sha256) != 0) {
        snprintf(out->text, sizeof out->text, "its bytes have the SHA-256 %s", is->sha256);
        out->damaged = true;
    }
}

static int check_open(struct check *c, const char *sha256, uint64_t size, const struct blob_pace *pace,
                      struct blob_finding *out, struct err *e)
{
    struct digests is = {0};
    struct stat st;
    int broken = 0;
    if (fstat(c->fd, &st) != 0)
        return err_errno(e, "cannot look at blob %s", sha256);
    set_direct(c, true);
    struct digester *d = digester_begin();
    int rc = hash(c, d, size, pace, &broken, e);
    digester_end(d, &is);
    if (rc)
        return rc;
    out->inode = st.st_ino;
    judge(c, sha256, &is, broken, out);
    return 0;
}

int blob_check(struct blobs *blobs, const char *sha256, uint64_t size, const struct blob_pace *pace,
               struct blob_finding *out, struct err *e)
{
    struct check c = {.fd = -1};
    *out = (struct blob_finding){0};
    int rc = blob_open(blobs, sha256, size, &c.fd, e);
    if (rc == -ERR_NOT_FOUND || rc == -ERR_CONFLICT) {
        out->damaged = true;
        snprintf(out->text, sizeof out->text, "%.150s", e->text);
        return 0;
    }
    if (rc)
        return rc;
    rc = posix_memalign(&c.buf, ALIGNED, STEP_BYTES) == 0
             ? check_open(&c, sha256, size, pace, out, e)
             : err_set(e, ERR_INTERNAL, "no memory to check blob %s", sha256);
    free(c.buf);
    close(c.fd);
    return rc;
}
