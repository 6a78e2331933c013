#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int file_path(char out[FILE_PATH_SIZE], const char *dir, const char *name, struct err *e)
{
    size_t dir_len = strlen(dir), name_len = strlen(name);
    if (dir_len + 1 + name_len >= FILE_PATH_SIZE)
        return err_set(e, ERR_INTERNAL, "the path %.60s.../%.60s is longer than %d bytes", dir, name,
                       FILE_PATH_SIZE - 1);
    memcpy(out, dir, dir_len);
    out[dir_len] = '/';
    memcpy(out + dir_len + 1, name, name_len + 1);
    return 0;
}

int file_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

#define TEMP_END    ".new"
#define TEMP_RANDOM "XXXXXX" /* as mkostemps wants it */

/* Writes a file that no other call writes to, beside path: a name of its own, so that two threads replacing
 * the same file never mix their bytes. */
static int write_beside(const char *path, const void *bytes, size_t len, unsigned mode,
                        char temp[FILE_PATH_SIZE], struct err *e)
{
    int n = snprintf(temp, FILE_PATH_SIZE, "%s." TEMP_RANDOM TEMP_END, path);
    if (n >= FILE_PATH_SIZE)
        return err_set(e, ERR_INTERNAL, "the path %.80s... is too long", path);
    FD_AUTO int fd = mkostemps(temp, sizeof TEMP_END - 1, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot make a file beside %s", path);
    if (fchmod(fd, mode) == 0 && file_write_all(fd, bytes, len) == 0 && fsync(fd) == 0)
        return 0;
    int rc = err_errno(e, "cannot write %s", path);
    unlink(temp);
    return rc;
}

static int sync_dir_of(const char *path, struct err *e)
{
    char dir[FILE_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    memcpy(dir, path, len);
    dir[len] = '\0';
    return file_sync_dir(len ? dir : slash ? "/" : ".", e);
}

int file_replace(const char *path, const void *bytes, size_t len, unsigned mode, struct err *e)
{
    char temp[FILE_PATH_SIZE];
    int rc = write_beside(path, bytes, len, mode, temp, e);
    if (rc != 0)
        return rc;
    if (rename(temp, path) != 0) {
        rc = err_errno(e, "cannot replace %s", path);
        unlink(temp);
        return rc;
    }
    return sync_dir_of(path, e);
}

int file_create(const char *path, const void *bytes, size_t len, unsigned mode, struct err *e)
{
    char temp[FILE_PATH_SIZE];
    int rc = write_beside(path, bytes, len, mode, temp, e);
    if (rc != 0)
        return rc;
    /* a link never replaces, and what it makes is whole from the first moment, unlike a file opened with
     * O_EXCL */
    if (link(temp, path) != 0)
        rc = errno == EEXIST ? err_set(e, ERR_CONFLICT, "%s is there already", path)
                             : err_errno(e, "cannot make %s", path);
    unlink(temp);
    return rc != 0 ? rc : sync_dir_of(path, e);
}

/* "server.pem.k47RsZ.new" */
static bool is_temp(const char *name)
{
    const size_t end = sizeof TEMP_END - 1, random = sizeof TEMP_RANDOM - 1;
    size_t len = strlen(name);
    if (len < end + random + 2 || strcmp(name + len - end, TEMP_END) != 0)
        return false;
    const char *at = name + len - end - random;
    return at[-1] == '.' && !memchr(at, '.', random);
}

int file_sweep(const char *path, struct err *e)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int rc = 0;
    if (!dir)
        return errno == ENOENT ? 0 : err_errno(e, "cannot list the folder %s", path);
    while (rc == 0 && (errno = 0, entry = readdir(dir)))
        if (is_temp(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            rc = err_errno(e, "cannot remove %s/%s", path, entry->d_name);
    if (rc == 0 && errno)
        rc = err_errno(e, "cannot list the folder %s", path);
    closedir(dir);
    return rc;
}

int file_read(const char *path, char *buf, size_t size, size_t *len, struct err *e)
{
    FD_AUTO int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_NOT_FOUND, "there is no file %s", path);
    if (fd < 0)
        return err_errno(e, "cannot open %s", path);
    size_t total = 0;
    while (total < size) {
        ssize_t n = read(fd, buf + total, size - total);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "cannot read %s", path);
        if (n == 0)
            break;
        total += (size_t)n;
    }
    if (total == size)
        return err_set(e, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, size - 1);
    buf[total] = '\0';
    *len = total;
    return 0;
}

static int make_one(const char *path, unsigned mode, struct err *e)
{
    struct stat st;
    if (mkdir(path, mode) == 0)
        return 0;
    int failed = errno;
    if (stat(path, &st) == 0) {
        failed = ENOTDIR;
        if (S_ISDIR(st.st_mode))
            return 0;
    }
    errno = failed;
    return err_errno(e, "cannot make the folder %s", path);
}

int file_make_dir(const char *path, unsigned mode, struct err *e)
{
    char part[FILE_PATH_SIZE];
    size_t len = strlen(path);
    if (len >= sizeof part)
        return err_set(e, ERR_INTERNAL, "the path %.80s... is too long", path);
    memcpy(part, path, len + 1);
    int rc = 0;
    for (size_t i = 1; i < len && rc == 0; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        rc = make_one(part, mode, e);
        part[i] = '/';
    }
    return rc == 0 ? make_one(part, mode, e) : rc;
}

int file_sync_dir(const char *path, struct err *e)
{
    FD_AUTO int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot open the folder %s", path);
    /* EINVAL: a file system whose folders cannot be synced has no stronger promise to make */
    if (fsync(fd) != 0 && errno != EINVAL)
        return err_errno(e, "cannot sync the folder %s", path);
    return 0;
}
