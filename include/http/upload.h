/* upload.h: a finished upload as the handler of PUT /firmware sees it: the file is written and hashed, its
 * image read; the bytes are kept (durable, under their SHA-256) before the handler runs, by a thread that may
 * wait for the disk, and are removed again when the handler fails and no row names them.
 *
 *   begin -> write ... write -> store -> check, handler -> settle
 * store and settle run on the upload thread, check and the handler on the writer. Ended anywhere before store
 * by upload_free, nothing is left behind. */
#ifndef OTAD_HTTP_UPLOAD_H
#define OTAD_HTTP_UPLOAD_H

#include "base/digest.h"
#include "base/sign.h"
#include "http/request.h"
#include "image/image.h"
#include "store/firmware.h"

struct upload_result {
    uint64_t size;
    struct digests digests;
    struct image_info image;
    char signature[SIGNATURE_TEXT_SIZE];
    char signed_by[SHA256_TEXT_SIZE]; /* the maker's key; "" otad's own */
};

struct upload;
const struct upload_result *upload_result(const struct upload *up);

/* The firmware that the query's part_of names. ERR_INVALID when there is none. */
int upload_part_of(const struct request *r, struct db *db, struct firmware *out, struct err *e);

/* ---- for the server alone */

struct uploads; /* those between store and settle, of the whole process */
int uploads_open(const struct http_env *env, struct uploads **out, struct err *e);
void uploads_close(struct uploads *set); /* NULL is fine */

/* Before the first byte of the body: the query's product, or that of its part_of, must be there and take
 * `length` bytes (0: not known), and what the header fields claim of the file must be what it wants.
 * ERR_TOO_LARGE for more than the settings allow. */
int upload_begin(struct uploads *set, const struct request *r, struct db *db, uint64_t length,
                 struct upload **out, struct err *e);
int upload_write(struct upload *up, const void *bytes, size_t len, struct err *e);

/* Inspects, holds it against what was claimed, signs what is otad's to sign, keeps. */
int upload_store(struct upload *up, struct err *e);
/* On the writer: the bytes are still there. A deleted row may have taken them along since store. If they were
 * damaged, they are not any more. */
int upload_check(const struct upload *up, struct db *w, struct err *e);
/* Every upload that came through store ends here, and may wait for the disk. named: the handler's row is
 * committed, or may be; otherwise the bytes that it brought go, unless a row or another upload under way
 * names them. */
void upload_settle(struct upload *up, bool named);

void upload_free(struct upload *up); /* NULL is fine */

#endif
