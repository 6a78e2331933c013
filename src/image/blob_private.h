/* blob_private.h: what the files of the folder of blobs share. */
#ifndef OTAD_IMAGE_BLOB_PRIVATE_H
#define OTAD_IMAGE_BLOB_PRIVATE_H

#include "image/blob.h"

#include <stdatomic.h>

/* "ab/abcdef...": a blob's place under blobs/. Its first three characters are its folder and the slash. */
#define PLACE_SIZE (SHA256_TEXT_SIZE + 3)

struct blobs {
    int blobs_fd, tmp_fd, quarantine_fd;
    _Atomic unsigned generation; /* of quarantines */
    bool anonymous;              /* O_TMPFILE works here, and so does giving it a name later */
};

/* False for what is no SHA-256. */
bool blob_place(const char *sha256, char place[PLACE_SIZE]);
int blob_folder_at(int at, const char *name);
/* A file in tmp/ without a name; -1 where the file system has none. */
int blob_anonymous(int tmp_fd);

#endif
