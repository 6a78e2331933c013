/* upload.h: a finished upload as the handler of PUT /firmware sees it: the file is written and hashed, its image read;
 * the bytes are kept (durable, under their SHA-256) before the handler runs, by a thread that may wait for the disk, and are
 * removed again when the handler fails and no row names them. */
#ifndef OTAD_HTTP_UPLOAD_H
#define OTAD_HTTP_UPLOAD_H

#include "base/digest.h"
#include "base/sign.h"
#include "image/image.h"

struct upload_result {
    uint64_t size;
    struct digests digests;
    struct image_info image;
    char signature[SIGNATURE_TEXT_SIZE];
};

struct upload;
const struct upload_result *upload_result(const struct upload *up);

#endif
