#include "blob_private.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLUSH_BYTES (8u << 20)

/* "/proc/self/fd/N", or a name in tmp/ of 32 hex digits. */
#define NAME_SIZE 40

struct blob_upload {
    struct blobs *blobs;
    int fd;
    char name[NAME_SIZE]; /* in tmp/; "" when it has none yet */
    uint64_t size, flushed;
    struct digester *digester; /* NULL once digests are there */
    struct digests digests;
};

static int open_named(int tmp_fd, char name[NAME_SIZE])
{
    unsigned char random[16];
    random_bytes(random, sizeof random);
    hex_format(random, sizeof random, name);
    return openat(tmp_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

int blob_upload_begin(struct blobs *blobs, struct blob_upload **out, struct err *e)
{
    struct blob_upload *up = calloc(1, sizeof *up);
    if (!up)
        return err_errno(e, "cannot begin an upload");
    up->blobs = blobs;
    up->fd = blobs->anonymous ? blob_anonymous(blobs->tmp_fd) : open_named(blobs->tmp_fd, up->name);
    if (up->fd < 0) {
        int rc = err_errno(e, "cannot make a file in tmp/");
        free(up);
        return rc;
    }
    up->digester = digester_begin();
    *out = up;
    return 0;
}

/* Without this the disk would begin when the last byte is in, and fdatasync would wait for all of it. Only
 * starts writing: waiting here would hold up the thread, and eat the error that fdatasync is to report. */
static void flush_some(struct blob_upload *up)
{
    if (up->size - up->flushed < FLUSH_BYTES)
        return;
    sync_file_range(up->fd, (off64_t)up->flushed, (off64_t)(up->size - up->flushed), SYNC_FILE_RANGE_WRITE);
    up->flushed = up->size;
}

int blob_upload_write(struct blob_upload *up, const void *bytes, size_t len, struct err *e)
{
    const unsigned char *p = bytes;
    for (size_t left = len; left > 0;) {
        ssize_t written = write(up->fd, p, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return err_errno(e, "cannot write the upload after %" PRIu64 " bytes", up->size);
        digester_add(up->digester, p, (size_t)written);
        up->size += (uint64_t)written;
        p += written;
        left -= (size_t)written;
        flush_some(up);
    }
    return 0;
}

uint64_t blob_upload_size(const struct blob_upload *up)
{
    return up->size;
}

static void end_hashing(struct blob_upload *up)
{
    if (up->digester)
        digester_end(up->digester, &up->digests);
    up->digester = NULL;
}

void blob_upload_digests(struct blob_upload *up, struct digests *out)
{
    end_hashing(up);
    *out = up->digests;
}

static int64_t read_upload(void *arg, uint64_t offset, void *buf, size_t len)
{
    const struct blob_upload *up = arg;
    ssize_t got;
    do
        got = pread(up->fd, buf, len, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

int blob_upload_inspect(struct blob_upload *up, struct image_info *out, struct err *e)
{
    struct image_source source = {.read = read_upload, .arg = up, .size = up->size};
    return image_inspect(&source, out, e);
}

int blob_upload_read(struct blob_upload *up, void *out, struct err *e)
{
    int64_t got = 1;
    for (uint64_t at = 0; at < up->size && got > 0; at += (uint64_t)got) {
        got = read_upload(up, at, (char *)out + at, (size_t)(up->size - at));
        if (got < 0)
            return err_errno(e, "cannot read the upload after %" PRIu64 " bytes", at);
        if (got == 0)
            return err_set(e, ERR_INTERNAL, "the upload has lost its end after %" PRIu64 " bytes", at);
    }
    return 0;
}

static int link_upload(const struct blob_upload *up, const char *place)
{
    char path[NAME_SIZE];
    if (up->name[0])
        return linkat(up->blobs->tmp_fd, up->name, up->blobs->blobs_fd, place, 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", up->fd);
    return linkat(AT_FDCWD, path, up->blobs->blobs_fd, place, AT_SYMLINK_FOLLOW);
}

static bool go_on(void *arg, size_t n)
{
    (void)arg;
    (void)n;
    return true;
}

/* The same bytes may be there already. What has their name and other bytes is damaged, and unusable for every
 * reader, so it makes room: whoever uploads them again believes that they are there. */
static int put_in_place(struct blob_upload *up, const char *place, struct err *e)
{
    const struct blob_pace pace = {.go = go_on};
    struct blob_finding found;
    if (link_upload(up, place) == 0)
        return 0;
    if (errno != EEXIST)
        return err_errno(e, "cannot link blobs/%s", place);
    int rc = blob_check(up->blobs, up->digests.sha256, up->size, &pace, &found, e);
    if (rc || !found.damaged)
        return rc;
    if (unlinkat(up->blobs->blobs_fd, place, 0) != 0 && errno != ENOENT)
        return err_errno(e, "cannot replace blobs/%s", place);
    if (link_upload(up, place) != 0 && errno != EEXIST)
        rc = err_errno(e, "cannot link blobs/%s", place);
    atomic_fetch_add(&up->blobs->generation, 1);
    return rc;
}

/* The bytes are on disk before the name is, the name before anyone is told. blobs/ is synced even when the
 * folder was there: another upload may have made it a moment ago. */
static int keep(struct blob_upload *up, struct err *e)
{
    char place[PLACE_SIZE], folder[3];
    if (!blob_place(up->digests.sha256, place))
        return err_set(e, ERR_INTERNAL, "the upload has no SHA-256");
    snprintf(folder, sizeof folder, "%.2s", place);
    if (fchmod(up->fd, 0444) != 0 || fdatasync(up->fd) != 0)
        return err_errno(e, "cannot write the upload to disk");
    if (mkdirat(up->blobs->blobs_fd, folder, 0700) != 0 && errno != EEXIST)
        return err_errno(e, "cannot make blobs/%s", folder);
    FD_AUTO int folder_fd = blob_folder_at(up->blobs->blobs_fd, folder);
    if (folder_fd < 0)
        return err_errno(e, "cannot open blobs/%s", folder);
    int rc = put_in_place(up, place, e);
    if (rc)
        return rc;
    if (fsync(folder_fd) != 0 || fsync(up->blobs->blobs_fd) != 0)
        return err_errno(e, "cannot write blobs/%s to disk", folder);
    return 0;
}

int blob_upload_keep(struct blob_upload *up, struct err *e)
{
    end_hashing(up);
    int rc = keep(up, e);
    blob_upload_drop(up);
    return rc;
}

void blob_upload_drop(struct blob_upload *up)
{
    if (!up)
        return;
    if (up->digester)
        digester_end(up->digester, NULL);
    if (up->name[0])
        unlinkat(up->blobs->tmp_fd, up->name, 0);
    close(up->fd);
    free(up);
}
