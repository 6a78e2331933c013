/* backup_private.h: what making, listing and putting back know of each other. */
#ifndef OTAD_BACKUP_PRIVATE_H
#define OTAD_BACKUP_PRIVATE_H

#include "backup/backup.h"
#include "manifest.h"
#include "tree.h"

#define BACKUP_MAKING     ".making-" /* before the name: not all there yet */
#define BACKUP_GONE       ".gone-"   /* no longer all there */
#define BACKUP_ASIDE      ".before-" /* behind the name of what a restore has replaced */
#define BACKUP_STAMP_SIZE 21         /* "20261127T021500.123Z" */

void backup_stamp(int64_t at_ms, char out[BACKUP_STAMP_SIZE]);
/* A name that backup_make gives. */
bool backup_is_name(const char *name);
void backup_of(const struct manifest *m, const char *name, bool ok, struct backup *out);

/* A descriptor that shows, until it is closed, that somebody is at this unfinished backup; BACKUP_HELD when
 * that is somebody else: an otad that was started on the same folder by mistake, or for a drill. -1: the file
 * system has no locks. */
#define BACKUP_HELD (-2)
int backup_hold(const char *work);

#define BLOB_PLACE_SIZE MANIFEST_PATH_SIZE
void backup_blob_place(const char *sha256, char out[BLOB_PLACE_SIZE]); /* "blobs/ab/abcd..." */
/* The folder that path stands in, made when it is not there. */
int backup_parent(const char *path, struct err *e);

#endif
