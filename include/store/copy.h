/* copy.h: looking into a copy of the store: a file of its own, which no writer has. */
#ifndef OTAD_STORE_COPY_H
#define OTAD_STORE_COPY_H

#include "base/digest.h"
#include "store/db.h"

/* ERR_CONFLICT when it is no store, or a newer otad's; ERR_DAMAGED when it is not whole: all of it is read.
 * The caller closes. */
int copy_open(const char *path, atomic_bool *halt, struct db **out, struct err *e);
void copy_close(struct db *db); /* NULL is fine */

/* The blobs that rows name, of a copy or of the live store, by SHA-256 from behind `after` on ("": the
 * first). */
struct blob_row {
    char sha256[SHA256_TEXT_SIZE];
    int64_t size;
    bool damaged; /* it is listed so (rollout/damage) */
};
int blob_rows(struct db *db, const char *after, struct blob_row out[], size_t cap, size_t *n, struct err *e);

#endif
