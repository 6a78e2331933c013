/* file.h: small files made durably: written beside their place, fsynced, renamed, the folder fsynced. */
#ifndef OTAD_BASE_FILE_H
#define OTAD_BASE_FILE_H

#include "base/err.h"

#include <stddef.h>

#define FILE_PATH_SIZE 1024

/* For a descriptor that closes itself at the end of its block. */
static inline void fd_cleanup(int *fd);
#define FD_AUTO __attribute__((cleanup(fd_cleanup)))

/* dir + "/" + name; ERR_INTERNAL when it does not fit. */
int file_path(char out[FILE_PATH_SIZE], const char *dir, const char *name, struct err *e);

/* Replaces path by these bytes with this mode, atomically and durably. */
int file_replace(const char *path, const void *bytes, size_t len, unsigned mode, struct err *e);

/* Reads the whole file into buf and ends it with a zero; *len without it. ERR_NOT_FOUND when there is none,
 * ERR_TOO_LARGE when it does not fit. */
int file_read(const char *path, char *buf, size_t size, size_t *len, struct err *e);

/* mkdir -p with this mode for what is made. */
int file_make_dir(const char *path, unsigned mode, struct err *e);
int file_sync_dir(const char *path, struct err *e);

#include <unistd.h>
static inline void fd_cleanup(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#endif
