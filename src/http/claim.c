#include "claim.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_HEADER "X-Signature"
#define DIGEST_HEADER    "X-Content-SHA256"

static int read_digest(const struct request *r, struct claim *c, struct err *e)
{
    const char *text = request_header(r, DIGEST_HEADER);
    c->has_sha256 = text != NULL;
    if (text && !hex_parse(text, c->sha256, sizeof c->sha256))
        return err_field(e, ERR_BAD_REQUEST, DIGEST_HEADER,
                         DIGEST_HEADER " must be a SHA-256, 64 hex digits");
    return 0;
}

/* That none of the keys makes one of this form is known without the file. */
static bool may_verify(const struct claim *c)
{
    bool may = false;
    for (int type = 0; type < MAKER_KEY_TYPES; type++)
        may = may || (maker_keys_have(&c->keys, (enum maker_key_type)type) &&
                      signature_may_be(&c->signature, (enum maker_key_type)type));
    return may;
}

static int read_signature(const struct request *r, const struct product *p, struct claim *c, struct err *e)
{
    const char *text = request_header(r, SIGNATURE_HEADER);
    int rc = maker_keys_parse(p->public_keys, &c->keys, e);
    if (rc)
        return err_set(e, ERR_INTERNAL, "the public keys of product %s cannot be read", p->key);
    if (c->keys.n == 0 && text)
        return err_field(e, ERR_INVALID, SIGNATURE_HEADER,
                         "product %s holds no public_keys, so nothing would check this signature", p->key);
    if (c->keys.n == 0)
        return 0;
    if (!text)
        return err_field(
            e, ERR_INVALID, SIGNATURE_HEADER,
            "product %s takes files that their maker has signed: the signature is missing, base64 "
            "in the header field " SIGNATURE_HEADER,
            p->key);
    if (!signature_parse(text, &c->signature) || !may_verify(c))
        return err_field(e, ERR_INVALID, SIGNATURE_HEADER,
                         SIGNATURE_HEADER " is no signature by a key of product %s: it must be base64 of an "
                                          "ECDSA signature in DER, or of the 64 bytes of Ed25519's",
                         p->key);
    return 0;
}

int claim_read(const struct request *r, const struct product *p, struct claim *out, struct err *e)
{
    struct claim c = {0};
    int rc = read_digest(r, &c, e);
    if (rc == 0)
        rc = read_signature(r, p, &c, e);
    if (rc == 0)
        *out = c;
    return rc;
}

bool claim_needs_message(const struct claim *c)
{
    return maker_keys_have(&c->keys, MAKER_KEY_ED25519) && signature_may_be(&c->signature, MAKER_KEY_ED25519);
}

/* Ed25519 goes over the message twice, so OpenSSL wants it whole. It is read into memory and not mapped: a
 * disk that fails under a mapping would end the process by SIGBUS, here it is an error of this upload. One
 * upload at a time comes by here. */
static int read_message(const struct claim *c, struct blob_upload *blob, void **out, struct err *e)
{
    *out = NULL;
    if (!claim_needs_message(c))
        return 0;
    void *message = malloc((size_t)blob_upload_size(blob));
    if (!message)
        return err_set(e, ERR_INTERNAL, "no memory to verify the signature of the upload");
    int rc = blob_upload_read(blob, message, e);
    if (rc)
        free(message);
    else
        *out = message;
    return rc;
}

static int check_signature(const struct claim *c, struct blob_upload *blob,
                           const unsigned char digest[SHA256_BYTES], char by[SHA256_TEXT_SIZE], struct err *e)
{
    void *message;
    int rc = read_message(c, blob, &message, e);
    if (rc)
        return rc;
    bool good =
        signature_verify(&c->signature, &c->keys, digest, message, (size_t)blob_upload_size(blob), by);
    free(message);
    return good ? 0
                : err_field(
                      e, ERR_INVALID, SIGNATURE_HEADER,
                      "the signature is not one of this file by a key of the product: nothing was stored");
}

int claim_check(const struct claim *c, struct blob_upload *blob, const unsigned char digest[SHA256_BYTES],
                char by[SHA256_TEXT_SIZE], struct err *e)
{
    *by = '\0';
    if (c->has_sha256 && memcmp(c->sha256, digest, sizeof c->sha256) != 0)
        return err_field(e, ERR_INVALID, DIGEST_HEADER,
                         "the file that came has another SHA-256 than " DIGEST_HEADER
                         " says: nothing was stored");
    return c->keys.n ? check_signature(c, blob, digest, by, e) : 0;
}
