#include "image/blob.h"

#include "base/file.h"
#include "base/str.h"
#include "blob_private.h"

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

#define HEX_DIGITS "0123456789abcdef"

bool blob_place(const char *sha256, char place[PLACE_SIZE])
{
    if (strlen(sha256) != SHA256_TEXT_SIZE - 1 || strspn(sha256, HEX_DIGITS) != SHA256_TEXT_SIZE - 1)
        return false;
    snprintf(place, PLACE_SIZE, "%.2s/%.64s", sha256, sha256);
    return true;
}

int blob_folder_at(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int blob_anonymous(int tmp_fd)
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
    DIR_AUTO DIR *dir = list_folder(blob_folder_at(tmp_fd, "."));
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
    *fd = blob_folder_at(AT_FDCWD, path);
    return *fd < 0 ? err_errno(e, "cannot open %s", path) : 0;
}

static bool can_be_anonymous(int tmp_fd)
{
    FD_AUTO int fd = blob_anonymous(tmp_fd);
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
    FD_AUTO int folder_fd = blob_folder_at(at, folder);
    return folder_fd < 0 ? -1 : openat(folder_fd, place + 3, (int)how.flags);
}

int blob_open(struct blobs *blobs, const char *sha256, uint64_t size, int *fd, struct err *e)
{
    char place[PLACE_SIZE];
    struct stat st;
    if (!blob_place(sha256, place))
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
    if (!blob_place(sha256, place))
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
    if (!blob_place(sha256, place))
        return err_set(e, ERR_NOT_FOUND, "there is no such blob");
    snprintf(folder, sizeof folder, "%.2s", place);
    FD_AUTO int folder_fd = blob_folder_at(blobs->blobs_fd, folder);
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
    DIR_AUTO DIR *dir = list_folder(blob_folder_at(blobs_fd, folder));
    if (!dir && (errno == ENOTDIR || errno == ELOOP)) /* nothing that was kept here */
        return 0;
    if (!dir)
        return err_errno(e, "cannot list blobs/%s", folder);
    const char *name;
    while ((name = next_name(dir))) {
        char place[PLACE_SIZE];
        if (!blob_place(name, place) || strncmp(name, folder, 2) != 0 || known(arg, name))
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
    DIR_AUTO DIR *dir = list_folder(blob_folder_at(blobs->blobs_fd, "."));
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
