/* verify.h: public keys of makers, and the detached signatures that are made elsewhere with their private
 * halves. Two kinds of key, in PEM (RFC 7468) as SubjectPublicKeyInfo:
 *   ecdsa-p256   ECDSA on P-256 with SHA-256, the signature as DER: `openssl dgst -sha256 -sign`
 *   ed25519      PureEdDSA (RFC 8032), 64 bytes: `openssl pkeyutl -sign -rawin`
 * A key is known by its fingerprint, the SHA-256 of its DER. Pure functions; thread-safe. */
#ifndef OTAD_BASE_VERIFY_H
#define OTAD_BASE_VERIFY_H

#include "base/digest.h"
#include "base/err.h"
#include "base/sign.h"

#include <stdbool.h>
#include <stddef.h>

#define MAKER_KEYS_MAX       8
#define MAKER_KEYS_TEXT_SIZE (MAKER_KEYS_MAX * (PUBLIC_KEY_TEXT_SIZE + SHA256_TEXT_SIZE + 16) + 1)
#define SIGNATURE_BYTES_MAX  72 /* SEQUENCE of two INTEGERs of at most 33 bytes */

enum maker_key_type { MAKER_KEY_P256, MAKER_KEY_ED25519, MAKER_KEY_TYPES };
const char *maker_key_type_word(enum maker_key_type type);

struct maker_key {
    enum maker_key_type type;
    char fingerprint[SHA256_TEXT_SIZE];
    char pem[PUBLIC_KEY_TEXT_SIZE];
};

struct maker_keys {
    size_t n;
    struct maker_key key[MAKER_KEYS_MAX];
};

/* Adds the one key that the text holds, written anew. ERR_INVALID for whatever else it holds, a private key
 * above all, for a key that is there already, and for one too many; the error says nothing of the text. */
int maker_keys_add(struct maker_keys *keys, const char *text, struct err *e);
bool maker_keys_have(const struct maker_keys *keys, enum maker_key_type type);

/* Keys as they are stored: before each, a line with its type and its fingerprint, so that the fingerprint can
 * be found in the text; "" is none. */
void maker_keys_format(const struct maker_keys *keys, char text[MAKER_KEYS_TEXT_SIZE]);
int maker_keys_parse(const char *text, struct maker_keys *out, struct err *e);

struct signature {
    unsigned char bytes[SIGNATURE_BYTES_MAX];
    size_t len; /* 0 none */
};

/* Base64 with padding; false when it is not, or when no key of either kind makes one of this form. */
bool signature_parse(const char *text, struct signature *out);

/* By its form alone. */
bool signature_may_be(const struct signature *s, enum maker_key_type type);

/* Whether it is the signature by one of the keys of what has this SHA-256; then by has that key's
 * fingerprint. Ed25519 hashes the whole message for itself: where message is NULL those keys are not asked.
 */
bool signature_verify(const struct signature *s, const struct maker_keys *keys,
                      const unsigned char digest[SHA256_BYTES], const void *message, size_t len,
                      char by[SHA256_TEXT_SIZE]);

#endif
