/* digest.h: SHA-256, SHA-1 and MD5 of one stream in one pass, and HMAC with each. The door to OpenSSL's EVP
 * digests. MD5 and SHA-1 are for old devices that check nothing else; identity is always the SHA-256. */
#ifndef OTAD_BASE_DIGEST_H
#define OTAD_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#define SHA256_BYTES     32
#define SHA256_TEXT_SIZE 65
#define SHA1_TEXT_SIZE   41
#define MD5_TEXT_SIZE    33

struct digests { /* lower-case hex; "" is one that was not asked for */
    char sha256[SHA256_TEXT_SIZE];
    char sha1[SHA1_TEXT_SIZE];
    char md5[MD5_TEXT_SIZE];
};

/* Lets OpenSSL end the process where memory is short, instead of crashing later, or never again doing what it
 * could not do then. Before its first use; for a program, never for a plugin. */
void crypto_lacks_no_memory(void);

struct digester; /* one stream; used by one thread at a time */

/* For whoever needs not all three: MD5 alone takes longer than the two others. */
#define DIGEST_SHA256 (1U << 0)
#define DIGEST_SHA1   (1U << 1)
#define DIGEST_MD5    (1U << 2)

struct digester *digester_begin(void); /* of all; never NULL: out of memory aborts */
struct digester *digester_begin_of(unsigned digests);
void digester_add(struct digester *d, const void *bytes, size_t len);
/* Ends the stream and frees d; out may be NULL to throw it away. */
void digester_end(struct digester *d, struct digests *out);

void sha256(const void *bytes, size_t len, unsigned char out[SHA256_BYTES]);
void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 unsigned char out[SHA256_BYTES]);

/* HMAC with the hash that devices choose; MD5 and SHA-1 are not broken in it. The length in bytes. */
enum hash { HASH_MD5, HASH_SHA1, HASH_SHA256, HASHES };
#define HMAC_BYTES_MAX SHA256_BYTES
size_t hmac(enum hash hash, const void *key, size_t key_len, const void *bytes, size_t len,
            unsigned char out[HMAC_BYTES_MAX]);

/* Constant-time; false at once only when the lengths differ. */
bool same_secret(const void *a, size_t a_len, const void *b, size_t b_len);

/* Bytes of the system's generator; aborts when there are none. */
void random_bytes(void *out, size_t len);

#endif
