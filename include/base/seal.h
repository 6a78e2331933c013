/* seal.h: secrets at rest. AES-256-GCM under a key file of the data directory; what is sealed for one purpose
 * ("device", "enrolment") and owner does not open for another, since both are authenticated with it.
 * Thread-safe: struct seal is constant after loading. */
#ifndef OTAD_BASE_SEAL_H
#define OTAD_BASE_SEAL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SECRET_SIZE   129 /* a device's secret as text, with its end */
#define SEAL_OVERHEAD 28  /* 12 bytes nonce before, 16 bytes tag behind */
#define SEALED_SIZE   (SECRET_SIZE + SEAL_OVERHEAD)

struct seal {
    unsigned char key[32];
};

/* Reads the 32-byte key file; ERR_NOT_FOUND when there is none. seal_create makes it first (0600, whole or
 * not at all) when it is not there, and never replaces one. */
int seal_load(const char *path, struct seal *out, struct err *e);
int seal_create(const char *path, struct seal *out, struct err *e);

/* Writes len + SEAL_OVERHEAD bytes to out. */
int seal_close(const struct seal *s, const char *purpose, const char *owner, const void *secret, size_t len,
               unsigned char *out, struct err *e);

/* Opens into text with an end; *out of at least len - SEAL_OVERHEAD + 1 bytes. ERR_INTERNAL when it was
 * changed. */
int seal_open(const struct seal *s, const char *purpose, const char *owner, const unsigned char *sealed,
              size_t len, char *out, size_t size, struct err *e);

/* Derives a 32-byte key for one use from the master key (HMAC-SHA-256 over label). */
void seal_derive(const struct seal *s, const char *label, unsigned char out[32]);

#endif
