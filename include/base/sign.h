/* sign.h: the signing key of offers: ECDSA P-256, PEM in the data directory. A signature is
 * ECDSA-with-SHA256 over a whole file, DER: what `openssl dgst -sha256 -verify` accepts.
 * Thread-safe: a key is constant after loading. */
#ifndef OTAD_BASE_SIGN_H
#define OTAD_BASE_SIGN_H

#include "base/err.h"

#include <stddef.h>

#define SIGNATURE_TEXT_SIZE  101 /* base64 of at most 72 bytes of DER, with room */
#define PUBLIC_KEY_TEXT_SIZE 256 /* PEM SubjectPublicKeyInfo */

struct signing_key;

/* Loads the private key at path, or makes it (0600) when it is not there. */
int signing_key_open(const char *path, struct signing_key **out, struct err *e);
void signing_key_close(struct signing_key *key);

int signing_key_public_pem(const struct signing_key *key, char pem[PUBLIC_KEY_TEXT_SIZE], struct err *e);

/* Signs an already computed SHA-256 (32 bytes); base64 of the DER signature with its end. */
int sign_sha256(const struct signing_key *key, const unsigned char digest[32], char text[SIGNATURE_TEXT_SIZE],
                struct err *e);

#endif
