#include "image/blob.h"

#include "base/file.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLUSH_BYTES (8u << 20)
#define HEX_DIGITS  "0123456789abcdef"

/* "ab/abcdef...": a blob's place under blobs/. Its first three characters are its folder and the slash. */
#define PLACE_SIZE (SHA256_TEXT_SIZE + 3)

/* "/proc/self/fd/N", or a name in tmp/ of 32 hex digits. */
#define NAME_SIZE 40

struct blobs {
    int blobs_fd, tmp_fd, quarantine_fd;
    _Atomic unsigned generation; /* of quarantines */
    bool anonymous;              /* O_TMPFILE works here, and so does giving it a name later */
};

struct blob_upload {
    struct blobs *blobs;
    int fd;
    char name[NAME_SIZE]; /* in tmp/; "" when it has none yet */
    uint64_t size, flushed;
    struct digester *digester; /* NULL once digests are there */
    struct digests digests;
};

static bool place_of(const char *sha256, char place[PLACE_SIZE])
{
    if (strlen(sha256) != SHA256_TEXT_SIZE - 1 || strspn(sha256, HEX_DIGITS) != SHA256_TEXT_SIZE - 1)
        return false;
    snprintf(place, PLACE_SIZE, "%.2s/%.64s", sha256, sha256);
    return true;
}

static int open_folder_at(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_anonymous(int tmp_fd)
{
    return openat(tmp_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* A folder's entries one after another; NULL at the end with errno 0, or with errno's reason. */
static const char *next_name(DIR *dir)
{
    const struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry ? entry->d_name : NULL;
}

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}
#define DIR_AUTO __attribute__((cleanup(close_dir)))

/* Takes fd over; NULL when it is none. */
static DIR *list_folder(int fd)
{
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

static int empty_tmp(int tmp_fd, struct err *e)
{
    DIR_AUTO DIR *dir = list_folder(open_folder_at(tmp_fd, "."));
    if (!dir)
        return err_errno(e, "cannot list tmp/");
    const char *name;
    while ((name = next_name(dir)))
        if (unlinkat(tmp_fd, name, 0) != 0 && errno != ENOENT && errno != EISDIR)
            return err_errno(e, "cannot remove tmp/%s", name);
    return errno ? err_errno(e, "cannot list tmp/") : 0;
}

static int open_folder(const char *data_dir, const char *name, int *fd, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_path(path, data_dir, name, e);
    if (!rc)
        rc = file_make_dir(path, 0700, e);
    if (rc)
        return rc;
    *fd = open_folder_at(AT_FDCWD, path);
    return *fd < 0 ? err_errno(e, "cannot open %s", path) : 0;
}

static bool can_be_anonymous(int tmp_fd)
{
    FD_AUTO int fd = open_anonymous(tmp_fd);
    return fd >= 0 && access("/proc/self/fd", X_OK) == 0;
}

int blobs_open(const char *data_dir, struct blobs **out, struct err *e)
{
    struct blobs *blobs = malloc(sizeof *blobs);
    if (!blobs)
        return err_errno(e, "cannot open the blobs");
    *blobs = (struct blobs){.blobs_fd = -1, .tmp_fd = -1, .quarantine_fd = -1};
    int rc = open_folder(data_dir, "blobs", &blobs->blobs_fd, e);
    if (!rc)
        rc = open_folder(data_dir, "tmp", &blobs->tmp_fd, e);
    if (!rc)
        rc = open_folder(data_dir, "quarantine", &blobs->quarantine_fd, e);
    if (!rc)
        rc = empty_tmp(blobs->tmp_fd, e);
    if (!rc)
        rc = file_sync_dir(data_dir, e);
    if (rc) {
        blobs_close(blobs);
        return rc;
    }
    blobs->anonymous = can_be_anonymous(blobs->tmp_fd);
    *out = blobs;
    return 0;
}

int blobs_free_bytes(const struct blobs *blobs, uint64_t *out, struct err *e)
{
    struct statvfs fs;
    if (fstatvfs(blobs->tmp_fd, &fs) != 0)
        return err_errno(e, "cannot look at what is free in tmp/");
    *out = fs.f_bavail * fs.f_frsize;
    return 0;
}

void blobs_close(struct blobs *blobs)
{
    if (!blobs)
        return;
    if (blobs->blobs_fd >= 0)
        close(blobs->blobs_fd);
    if (blobs->tmp_fd >= 0)
        close(blobs->tmp_fd);
    if (blobs->quarantine_fd >= 0)
        close(blobs->quarantine_fd);
    free(blobs);
}

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
    up->fd = blobs->anonymous ? open_anonymous(blobs->tmp_fd) : open_named(blobs->tmp_fd, up->name);
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
    if (!place_of(up->digests.sha256, place))
        return err_set(e, ERR_INTERNAL, "the upload has no SHA-256");
    snprintf(folder, sizeof folder, "%.2s", place);
    if (fchmod(up->fd, 0444) != 0 || fdatasync(up->fd) != 0)
        return err_errno(e, "cannot write the upload to disk");
    if (mkdirat(up->blobs->blobs_fd, folder, 0700) != 0 && errno != EEXIST)
        return err_errno(e, "cannot make blobs/%s", folder);
    FD_AUTO int folder_fd = open_folder_at(up->blobs->blobs_fd, folder);
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

/* Kernels before 5.6 have no openat2, and some containers' filters answer EPERM for what they do not know.
 * There each of the two steps refuses a link by itself. O_NONBLOCK: a pipe in a blob's place must not hold
 * us. */
static int open_beneath(int at, const char *place)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int fd = (int)syscall(SYS_openat2, at, place, &how, sizeof how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return fd;
    char folder[3];
    snprintf(folder, sizeof folder, "%.2s", place);
    FD_AUTO int folder_fd = open_folder_at(at, folder);
    return folder_fd < 0 ? -1 : openat(folder_fd, place + 3, (int)how.flags);
}

int blob_open(struct blobs *blobs, const char *sha256, uint64_t size, int *fd, struct err *e)
{
    char place[PLACE_SIZE];
    struct stat st;
    if (!place_of(sha256, place))
        return err_set(e, ERR_NOT_FOUND, "there is no such blob");
    int opened = open_beneath(blobs->blobs_fd, place);
    if (opened < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "blob %s is not there", sha256);
    if (opened < 0 && (errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
        return err_set(e, ERR_CONFLICT, "blob %s is no plain file", sha256);
    if (opened < 0)
        return err_errno(e, "cannot open blob %s", sha256);
    int rc = 0;
    if (fstat(opened, &st) != 0)
        rc = err_errno(e, "cannot open blob %s", sha256);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_CONFLICT, "blob %s is no plain file", sha256);
    else if ((uint64_t)st.st_size != size)
        rc = err_set(e, ERR_CONFLICT, "blob %s has %jd bytes instead of %" PRIu64, sha256,
                     (intmax_t)st.st_size, size);
    if (rc)
        close(opened);
    else
        *fd = opened;
    return rc;
}

int blob_remove(struct blobs *blobs, const char *sha256, struct err *e)
{
    char place[PLACE_SIZE];
    if (!place_of(sha256, place))
        return err_set(e, ERR_NOT_FOUND, "there is no such blob");
    if (unlinkat(blobs->blobs_fd, place, 0) != 0 && errno != ENOENT)
        return err_errno(e, "cannot remove blob %s", sha256);
    return 0;
}

/* A file that has no bytes to speak of is looked at once more, the bytes of another one are told by its
 * inode. */
static bool is_another(struct blobs *blobs, int folder_fd, const char *sha256, uint64_t size,
                       const struct blob_finding *found)
{
    struct err e;
    struct stat st;
    FD_AUTO int fd = -1;
    if (!found->inode)
        return blob_open(blobs, sha256, size, &fd, &e) == 0;
    return fstatat(folder_fd, sha256, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino != found->inode;
}

int blob_quarantine(struct blobs *blobs, const char *sha256, uint64_t size, const struct blob_finding *found,
                    struct err *e)
{
    char place[PLACE_SIZE], folder[3];
    if (!place_of(sha256, place))
        return err_set(e, ERR_NOT_FOUND, "there is no such blob");
    snprintf(folder, sizeof folder, "%.2s", place);
    FD_AUTO int folder_fd = open_folder_at(blobs->blobs_fd, folder);
    if (folder_fd < 0 && errno == ENOENT)
        return 0;
    if (folder_fd < 0)
        return err_errno(e, "cannot open blobs/%s", folder);
    if (is_another(blobs, folder_fd, sha256, size, found))
        return err_set(e, ERR_CONFLICT, "blob %s is another file now", sha256);
    atomic_fetch_add(&blobs->generation, 1); /* where it cannot be moved too: it is not for use */
    if (renameat(folder_fd, sha256, blobs->quarantine_fd, sha256) != 0 && errno != ENOENT)
        return err_errno(e, "cannot move blob %s into quarantine/", sha256);
    if (fsync(folder_fd) != 0 || fsync(blobs->quarantine_fd) != 0)
        return err_errno(e, "cannot write quarantine/ to disk");
    return 0;
}

unsigned blobs_generation(const struct blobs *blobs)
{
    return atomic_load(&blobs->generation);
}

static int sweep_folder(int blobs_fd, const char *folder, bool (*known)(void *arg, const char *sha256),
                        void *arg, uint64_t *removed, struct err *e)
{
    DIR_AUTO DIR *dir = list_folder(open_folder_at(blobs_fd, folder));
    if (!dir && (errno == ENOTDIR || errno == ELOOP)) /* nothing that was kept here */
        return 0;
    if (!dir)
        return err_errno(e, "cannot list blobs/%s", folder);
    const char *name;
    while ((name = next_name(dir))) {
        char place[PLACE_SIZE];
        if (!place_of(name, place) || strncmp(name, folder, 2) != 0 || known(arg, name))
            continue;
        if (unlinkat(dirfd(dir), name, 0) != 0)
            return err_errno(e, "cannot remove blob %s", name);
        ++*removed;
    }
    return errno ? err_errno(e, "cannot list blobs/%s", folder) : 0;
}

int blobs_sweep(struct blobs *blobs, bool (*known)(void *arg, const char *sha256), void *arg,
                uint64_t *removed, struct err *e)
{
    DIR_AUTO DIR *dir = list_folder(open_folder_at(blobs->blobs_fd, "."));
    uint64_t count = 0;
    if (!dir)
        return err_errno(e, "cannot list blobs/");
    const char *name;
    while ((name = next_name(dir))) {
        if (strlen(name) != 2 || strspn(name, HEX_DIGITS) != 2)
            continue;
        int rc = sweep_folder(blobs->blobs_fd, name, known, arg, &count, e);
        if (rc)
            return rc;
    }
    if (errno)
        return err_errno(e, "cannot list blobs/");
    *removed = count;
    return 0;
}
