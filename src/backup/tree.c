#include "tree.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024)

static int open_plain(const char *path, int *out, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT && errno != ELOOP)
        return err_errno(e, "cannot open %s", path);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        fd_cleanup(&fd);
        return err_set(e, ERR_NOT_FOUND, "%s is not there", path);
    }
    *out = fd;
    return 0;
}

/* Reads to the end; to_fd < 0: only reads. */
static int pump(int fd, int to_fd, const char *path, atomic_bool *halt, struct file_sum *out, struct err *e)
{
    struct digester *digester = digester_begin();
    struct digests digests;
    char *piece = malloc(PIECE_BYTES);
    int64_t size = 0;
    int rc = piece ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
    while (rc == 0) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_errno(e, "cannot read %s", path);
        else if (halt && atomic_load(halt))
            rc = err_set(e, ERR_BUSY, "otad is stopping");
        else if (to_fd >= 0 && file_write_all(to_fd, piece, (size_t)n) < 0)
            rc = err_errno(e, "cannot copy %s", path);
        else {
            digester_add(digester, piece, (size_t)n);
            size += n;
        }
    }
    free(piece);
    digester_end(digester, &digests);
    if (rc == 0) {
        out->size = size;
        memcpy(out->sha256, digests.sha256, sizeof out->sha256);
    }
    return rc;
}

int tree_hash(const char *path, atomic_bool *halt, struct file_sum *out, struct err *e)
{
    FD_AUTO int fd = -1;
    int rc = open_plain(path, &fd, e);
    return rc < 0 ? rc : pump(fd, -1, path, halt, out, e);
}

int tree_copy(const char *from, const char *to, unsigned mode, atomic_bool *halt, struct file_sum *out,
              struct err *e)
{
    FD_AUTO int fd = -1;
    int rc = open_plain(from, &fd, e);
    if (rc < 0)
        return rc;
    FD_AUTO int to_fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to_fd < 0)
        return err_errno(e, "cannot make %s", to);
    rc = pump(fd, to_fd, from, halt, out, e);
    if (rc == 0 && (fchmod(to_fd, mode) < 0 || fsync(to_fd) < 0))
        rc = err_errno(e, "cannot write %s to disk", to);
    if (rc < 0)
        unlink(to);
    return rc;
}

bool tree_has(const char *path, int64_t size)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
}

int tree_each(const char *path, int (*each)(void *arg, const char *name, struct err *e), void *arg,
              struct err *e)
{
    DIR *dir = opendir(path);
    int rc = 0;
    if (!dir && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_NOT_FOUND, "there is no folder %s", path);
    if (!dir)
        return err_errno(e, "cannot list %s", path);
    const struct dirent *entry;
    errno = 0;
    while (rc == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = each(arg, entry->d_name, e);
        errno = 0;
    }
    if (rc == 0 && errno)
        rc = err_errno(e, "cannot list %s", path);
    closedir(dir);
    return rc;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int sync_below(void *arg, const char *name, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_path(path, arg, name, e);
    return rc == 0 && is_folder(path) ? tree_sync(path, e) : rc;
}

/* A backup is three folders deep. */
int tree_sync(const char *path, struct err *e) /* NOLINT(misc-no-recursion) */
{
    char own[FILE_PATH_SIZE];
    str_copy(own, sizeof own, path);
    int rc = tree_each(own, sync_below, own, e);
    return rc < 0 ? rc : file_sync_dir(path, e);
}

static int remove_below(void *arg, const char *name, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_path(path, arg, name, e);
    return rc < 0 ? rc : tree_remove(path, e);
}

int tree_remove(const char *path, struct err *e) /* NOLINT(misc-no-recursion) */
{
    char own[FILE_PATH_SIZE];
    if (!is_folder(path))
        return unlink(path) == 0 || errno == ENOENT ? 0 : err_errno(e, "cannot remove %s", path);
    str_copy(own, sizeof own, path);
    int rc = tree_each(own, remove_below, own, e);
    if (rc < 0)
        return rc;
    return rmdir(path) == 0 || errno == ENOENT ? 0 : err_errno(e, "cannot remove %s", path);
}
