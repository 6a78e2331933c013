/* file.h: small files made durably: written beside their place, fsynced, put there in one step, the folder
 * fsynced. A crash leaves the old file or the new one, never half of one. Thread-safe. */
#ifndef OTAD_BASE_FILE_H
#define OTAD_BASE_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <unistd.h>

#define FILE_PATH_SIZE 1024

/* For a descriptor that closes itself at the end of its block; -1 is none. */
static inline void fd_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define FD_AUTO __attribute__((cleanup(fd_cleanup), unused))

/* dir + "/" + name; ERR_INTERNAL when it does not fit. */
int file_path(char out[FILE_PATH_SIZE], const char *dir, const char *name, struct err *e);

/* As write, but all of it: 0, or -1 with errno. */
int file_write_all(int fd, const void *bytes, size_t len);

/* Replaces path by these bytes with this mode, whatever the umask says. A link at path is replaced, not
 * followed. */
int file_replace(const char *path, const void *bytes, size_t len, unsigned mode, struct err *e);

/* As file_replace, but ERR_CONFLICT when path is there already. */
int file_create(const char *path, const void *bytes, size_t len, unsigned mode, struct err *e);

/* Removes what calls of the two that a crash ended have left in the folder; none may be under way there. A
 * folder that is not there is fine. */
int file_sweep(const char *path, struct err *e);

/* Reads the whole file into buf and ends it with a zero; *len without it. ERR_NOT_FOUND when there is none,
 * ERR_TOO_LARGE when it does not fit into size - 1 bytes. On failure buf holds nothing of use. */
int file_read(const char *path, char *buf, size_t size, size_t *len, struct err *e);

/* mkdir -p with this mode for what is made; what is there stays as it is. */
int file_make_dir(const char *path, unsigned mode, struct err *e);
int file_sync_dir(const char *path, struct err *e);

#endif
