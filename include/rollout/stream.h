/* stream.h: which file a device means that asks for blocks of one: its own, and only while an execution that
 * brings it is under way. Reads only, over any connection. */
#ifndef OTAD_ROLLOUT_STREAM_H
#define OTAD_ROLLOUT_STREAM_H

#include "model/event.h"
#include "store/db.h"

#define STREAM_FILES_MAX 64 /* files of one execution that are looked at */

struct stream_file {
    char product[PRODUCT_SIZE]; /* of the device; the event of a thing of AWS does not tell it */
    int64_t execution_id;
    char sha256[SHA256_TEXT_SIZE];
    uint64_t size;
};

/* The file that ev (EVENT_FILE) is about. ERR_NOT_FOUND: no such file for this device now. */
int stream_find(struct db *db, const struct device_event *ev, struct stream_file *out, struct err *e);

/* The sizes of all files of ev's stream, in order, and its device's product. ERR_NOT_FOUND as above. */
int stream_sizes(struct db *db, const struct device_event *ev, char product[PRODUCT_SIZE],
                 uint64_t sizes[STREAM_FILES_MAX], size_t *n, struct err *e);

#endif
