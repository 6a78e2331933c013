/* key.h: private keys as PEM files, shared by sign.c and what makes certificates. Errors never hold a key's
 * text. */
#ifndef OTAD_BASE_KEY_H
#define OTAD_BASE_KEY_H

#include "base/pki.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY; freed with EVP_PKEY_free */

/* NULL when OpenSSL cannot. RSA takes some tenths of a second. */
struct evp_pkey_st *key_make(enum pki_key kind);

/* ERR_NOT_FOUND when there is no file. Keys under a passphrase are refused: nobody is there to type it. */
int key_read(const char *path, struct evp_pkey_st **out, struct err *e);

/* PKCS#8 PEM, 0600. key_write replaces what is there, key_create answers ERR_CONFLICT then. */
int key_write(const char *path, struct evp_pkey_st *key, struct err *e);
int key_create(const char *path, struct evp_pkey_st *key, struct err *e);

/* As key_write would write it. */
int key_text(struct evp_pkey_st *key, char *out, size_t size, struct err *e);

/* "what: <OpenSSL's reason>", and forgets OpenSSL's queue of errors. */
int key_error(struct err *e, const char *what);

#endif
