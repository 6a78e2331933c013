/* manifest.h: what a backup holds, as its manifest.json says it. A value with one allocation: manifest_free.
 */
#ifndef OTAD_BACKUP_MANIFEST_H
#define OTAD_BACKUP_MANIFEST_H

#include "base/digest.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_NAME      "manifest.json"
#define MANIFEST_PATH_SIZE 160

struct manifest_file {
    char path[MANIFEST_PATH_SIZE]; /* below the backup's folder: one to three names, never out of it */
    char sha256[SHA256_TEXT_SIZE];
    int64_t size;
    int64_t mode;
};

struct manifest {
    int64_t made_at_ms;
    int64_t missing;
    size_t n, cap;
    struct manifest_file *files;
};

void manifest_add(struct manifest *m, const struct manifest_file *file);
int64_t manifest_bytes(const struct manifest *m);
int manifest_write(const struct manifest *m, const char *folder, struct err *e);
/* ERR_NOT_FOUND: there is none; ERR_DAMAGED: it is none of ours. */
int manifest_read(const char *folder, struct manifest *out, struct err *e);
void manifest_free(struct manifest *m);

#define MANIFEST_AUTO __attribute__((cleanup(manifest_free)))

#endif
