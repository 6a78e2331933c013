/* blob.h: the bytes of firmware on disk, once each, under their SHA-256:
 *   <data>/blobs/ab/abcdef...   0444, never changed       <data>/tmp/...   uploads under way
 *   <data>/quarantine/abcdef... what was found in a blob's place, and is not its bytes
 * A blob is opened by its digest only, never by a name from outside (openat2 RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS). Thread-safe: struct blobs is constant after opening.
 *
 * An upload is a pipe of three steps: blob_upload_begin, _write (any number, hashing on the way), then
 * blob_upload_keep (fdatasync, link to its place, fsync of the folders) or blob_upload_drop. Between the last
 * write and keep the caller may inspect the file, or read it. Nothing is left behind by a crash: O_TMPFILE
 * where the file system has it, else a name in tmp/ that the next start sweeps. Different uploads may run in
 * different threads, one upload in one thread at a time.
 *
 * A blob is kept before its row is written and removed after its row is gone. Between those steps only the
 * caller knows of it: blobs_sweep runs before uploads are taken, and where blob_remove may have come in
 * between, the caller opens the blob once more before it writes the row. */
#ifndef OTAD_IMAGE_BLOB_H
#define OTAD_IMAGE_BLOB_H

#include "base/digest.h"
#include "base/err.h"
#include "image/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blobs;
struct blob_upload;

/* Makes the folders when they are missing and empties tmp/, so it comes after the data directory's lock. */
int blobs_open(const char *data_dir, struct blobs **out, struct err *e);
void blobs_close(struct blobs *blobs);

/* What is free where uploads are written. */
int blobs_free_bytes(const struct blobs *blobs, uint64_t *out, struct err *e);

int blob_upload_begin(struct blobs *blobs, struct blob_upload **out, struct err *e);
/* ERR_NO_SPACE when the disk is full; then only drop is left. */
int blob_upload_write(struct blob_upload *up, const void *bytes, size_t len, struct err *e);
uint64_t blob_upload_size(const struct blob_upload *up);
/* Ends hashing; may be called once, before inspect or keep. */
void blob_upload_digests(struct blob_upload *up, struct digests *out);
int blob_upload_inspect(struct blob_upload *up, struct image_info *out, struct err *e);
/* All of it, into blob_upload_size bytes. */
int blob_upload_read(struct blob_upload *up, void *out, struct err *e);
/* Durable when it returns 0; the same bytes already there are fine, and are read: a blob that is damaged is
 * replaced. Ends the upload either way. */
int blob_upload_keep(struct blob_upload *up, struct err *e);
void blob_upload_drop(struct blob_upload *up); /* NULL is fine */

/* A read-only descriptor of the blob, whose size must be `size`; the caller closes. ERR_NOT_FOUND when it is
 * not there or sha256 is not 64 lower-case hex digits, ERR_CONFLICT when its size is wrong or it is no plain
 * file. */
int blob_open(struct blobs *blobs, const char *sha256, uint64_t size, int *fd, struct err *e);

/* ---- image/blob_check.c: reads a blob from the disk, past the cache where the system lets us, so that what
 * devices fetch stays in memory, and the disk is what is looked at. */
struct blob_pace {
    bool (*go)(void *arg, size_t n); /* n more bytes were read; false ends the check with ERR_BUSY */
    void *arg;
};
struct blob_finding {
    bool damaged;
    char text[160]; /* one sentence: what is wrong */
    uint64_t inode; /* of the file whose bytes are wrong; 0 it has no bytes to speak of */
};
/* Fails when nothing can be said of the blob. */
int blob_check(struct blobs *blobs, const char *sha256, uint64_t size, const struct blob_pace *pace,
               struct blob_finding *out, struct err *e);

/* Moves what was found out of the blob's place, into quarantine/. ERR_CONFLICT: another file stands there
 * now, that of a new upload. */
int blob_quarantine(struct blobs *blobs, const char *sha256, uint64_t size, const struct blob_finding *found,
                    struct err *e);
/* Grows when blobs are taken out of their place: descriptors that are kept are to be opened anew. */
unsigned blobs_generation(const struct blobs *blobs);

/* Removes a blob that no row names any more; one that is not there is fine. */
int blob_remove(struct blobs *blobs, const char *sha256, struct err *e);

/* Calls known(arg, sha256) for every blob and removes those it answers false for; *removed counts them. known
 * answers true when it cannot tell. Files with other names are left alone. */
int blobs_sweep(struct blobs *blobs, bool (*known)(void *arg, const char *sha256), void *arg,
                uint64_t *removed, struct err *e);

#endif
