/* firmware_part.h: the files of one firmware: its own row is file 1, rows of firmware_part follow. They are
 * added while no campaign names the firmware; after that nothing of it changes. Their bytes live in
 * image/blob under sha256, and firmware_known knows them. */
#ifndef OTAD_STORE_FIRMWARE_PART_H
#define OTAD_STORE_FIRMWARE_PART_H

#include "store/firmware.h"

#define FIRMWARE_FILES_MAX 20 /* of one firmware, its own among them */

struct firmware_part {
    int number; /* from 2 */
    char filename[FILENAME_SIZE];
    uint64_t size;
    struct digests digests;
    char signature[SIGNATURE_TEXT_SIZE];
    char signed_by[SHA256_TEXT_SIZE]; /* as firmware's */
    int64_t created_at_ms;
};

/* Adds a file to firmware f, which is stored, and sets part->number. When f has a file of this name with
 * these bytes, *existed is true; ERR_CONFLICT when it has other bytes under this name, FIRMWARE_FILES_MAX
 * files already, or a campaign that names it. */
int firmware_part_add(struct db *w, const struct firmware *f, struct firmware_part *part, bool *existed,
                      struct err *e);

/* The files beyond the first, in order. */
int firmware_parts(struct db *db, int64_t firmware_id, struct firmware_part out[FIRMWARE_FILES_MAX],
                   size_t *n, struct err *e);

#endif
