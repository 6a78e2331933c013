/* backup.h: copies of all that otad keeps, and putting one back. A folder for each:
 *
 *   <dir>/20261127T021500.123Z/
 *       manifest.json   every file: its size, its SHA-256, its mode; written last
 *       otad.db         the store as it was at one moment
 *       blobs/ab/abcd…  the files that its rows name
 *       keys/ certs/    and admin.token
 *
 * It is made under a name that begins with a dot and gets its own when all of it is on disk, so half a backup
 * never looks like one. It holds the keys that open the store's secrets: who has a backup has them.
 *
 * Blobs never change, so they are hard links, to the data directory's or to the backup's before, where the
 * file system has them; else copies. What takes long ends with ERR_BUSY soon after *halt is true (NULL:
 * never). Threads: one may make, prune and sweep; any may list. */
#ifndef OTAD_BACKUP_BACKUP_H
#define OTAD_BACKUP_BACKUP_H

#include "base/err.h"
#include "base/file.h"
#include "store/db.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BACKUP_NAME_SIZE 24 /* "20261127T021500.123Z", and "-2" for another of that moment */

struct backup {
    char name[BACKUP_NAME_SIZE];
    int64_t at_ms;
    int64_t bytes; /* of all files, those that are links too */
    int64_t files;
    int64_t missing; /* blobs that the store names and that were not there whole: a backup cannot make them
                        whole */
    int64_t damaged; /* blobs that are not in it with their bytes; backup_verify alone counts them */
    bool ok; /* every file of the manifest is there in its size; whether in its bytes, backup_verify says */
};

int backup_make(struct store *store, const char *data_dir, const char *dir, int64_t now_ms, atomic_bool *halt,
                struct backup *out, struct err *e);

/* Newest first; *out is the caller's to free, NULL when there are none. Folders with another name, or without
 * a manifest that can be read, are none. A dir that is not there has none. */
int backup_list(const char *dir, struct backup **out, size_t *n, struct err *e);
/* Of those, keeps the newest `keep` that are ok, and the one with the name `spare` (NULL: none), and removes
 * what is older. Those of later than now_ms a clock has made that was ahead, or the clock is behind now: they
 * are counted by themselves, and neither makes the others go. */
int backup_prune(const char *dir, size_t keep, const char *spare, int64_t now_ms, size_t *removed,
                 struct err *e);
/* Removes what was begun by a process that was killed. */
int backup_sweep(const char *dir, struct err *e);

/* Reads all of it: ERR_DAMAGED says what is not as the manifest has it. Blobs that are damaged are counted,
 * and *e names the last one: firmware can be uploaded again, and is no reason to leave the store lost.
 * folder: its own, not the one of all. */
int backup_verify(const char *folder, struct backup *out, struct err *e);

/* Puts back a backup that was verified, while no otad runs on data_dir. What is there and differs is kept
 * beside it, as <name>.before-<time of now_ms>. Killed half way, it may be called again. Until then a start
 * either finds all that there was, or BACKUP_READY, the store that is to be: it refuses. */
#define BACKUP_READY "otad.db.ready"
struct restored {
    int64_t blobs;   /* put there, or put right */
    int64_t damaged; /* blobs that are neither good in the backup nor were good in the data directory */
    int64_t files;   /* keys, certificates, the token: those that differed */
    char aside[32];  /* the suffix of what was kept; "" nothing was there */
};
int backup_restore(const char *folder, const char *data_dir, int64_t now_ms, struct restored *out,
                   struct err *e);

#endif
