/* tree.h: files and folders of a backup: hashed, copied, linked, synced, removed. What takes long ends with
 * ERR_BUSY soon after *halt is true; NULL: never. */
#ifndef OTAD_BACKUP_TREE_H
#define OTAD_BACKUP_TREE_H

#include "base/digest.h"
#include "base/err.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct file_sum {
    int64_t size;
    char sha256[SHA256_TEXT_SIZE];
};

/* ERR_NOT_FOUND when it is not there, or is no plain file. */
int tree_hash(const char *path, atomic_bool *halt, struct file_sum *out, struct err *e);
/* Makes `to`, which must not be there, of this mode; on disk when it returns 0, but for its folder. out: of
 * the bytes that were copied. On failure there is no `to`. */
int tree_copy(const char *from, const char *to, unsigned mode, atomic_bool *halt, struct file_sum *out,
              struct err *e);
/* Plain file of this size? */
bool tree_has(const char *path, int64_t size);

/* Syncs a folder and those below it. */
int tree_sync(const char *path, struct err *e);
/* Removes a file or a folder with all below it; follows no link. One that is not there is fine. */
int tree_remove(const char *path, struct err *e);

/* Calls each(arg, name) for every entry of the folder until one fails. ERR_NOT_FOUND when there is no folder.
 */
int tree_each(const char *path, int (*each)(void *arg, const char *name, struct err *e), void *arg,
              struct err *e);

#endif
