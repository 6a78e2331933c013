/* claim.h: what the header fields of an upload claim of its file, so that a broken or forged one is noticed:
 *   X-Content-SHA256   its SHA-256, 64 hex digits
 *   X-Signature        a maker's signature of it, base64: needed by a product that holds makers' keys, and
 *                      refused by one that holds none, which would not look at it
 * A claim that could never hold is refused before the body is read, one that does not hold after it. */
#ifndef OTAD_HTTP_CLAIM_H
#define OTAD_HTTP_CLAIM_H

#include "base/verify.h"
#include "http/request.h"
#include "image/blob.h"
#include "store/product.h"

#define CLAIM_MESSAGE_MAX (64 * 1024 * 1024)

struct claim {
    bool has_sha256;
    unsigned char sha256[SHA256_BYTES];
    struct maker_keys keys;
    struct signature signature; /* len 0 where there are no keys */
};

int claim_read(const struct request *r, const struct product *p, struct claim *out, struct err *e);

/* Whether verifying takes the whole file at once, which may then have CLAIM_MESSAGE_MAX bytes. */
bool claim_needs_message(const struct claim *c);

/* The upload is written, and has this SHA-256. by is the key that the signature verifies with, "" where the
 * product holds none. ERR_INVALID when a claim does not hold. May wait for the disk. */
int claim_check(const struct claim *c, struct blob_upload *blob, const unsigned char digest[SHA256_BYTES],
                char by[SHA256_TEXT_SIZE], struct err *e);

#endif
