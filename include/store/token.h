/* token.h: operators' tokens, and the memory of idempotent requests. A token is "otad_" and 43 characters of
 * base64url (256 bits); only its HMAC is stored. */
#ifndef OTAD_STORE_TOKEN_H
#define OTAD_STORE_TOKEN_H

#include "base/digest.h"
#include "model/words.h"
#include "store/db.h"

#define TOKEN_TEXT_SIZE 49

struct token {
    int64_t id;
    char name[129];
    enum role role;
    int64_t created_at_ms;
    int64_t expires_at_ms;   /* 0 never */
    int64_t last_used_at_ms; /* 0 never, or since the last minute was written: store/token_use */
};

/* Makes a random token; text is what the operator gets, once. */
void token_make(char text[TOKEN_TEXT_SIZE]);
/* What is stored and looked up; key is derived from the data directory's seal (label "token"). */
void token_hash(const unsigned char key[32], const char *text, unsigned char hash[SHA256_BYTES]);

int token_insert(struct db *w, struct token *t, const unsigned char hash[SHA256_BYTES], struct err *e);
/* ERR_NOT_FOUND when no unexpired token has this hash. */
int token_find(struct db *db, const unsigned char hash[SHA256_BYTES], int64_t now_ms, struct token *out,
               struct err *e);
/* Expired ones too. ERR_NOT_FOUND. */
int token_get(struct db *db, int64_t id, struct token *out, struct err *e);
int token_list(struct db *db, int64_t after_id, struct token out[], size_t cap, size_t *n, struct err *e);
int token_delete(struct db *w, int64_t id, struct err *e);

struct remembered { /* the reply to a request that carried an Idempotency-Key */
    int status;
    char location[256];
    char *reply; /* JSON text; the reader frees it */
};

/* *found: the caller used this key before; then request_hash must be the same (else ERR_INVALID) and *out is
 * the reply. */
int idempotency_find(struct db *db, int64_t caller, const char *key,
                     const unsigned char request_hash[SHA256_BYTES], bool *found, struct remembered *out,
                     struct err *e);
int idempotency_add(struct db *w, int64_t caller, const char *key,
                    const unsigned char request_hash[SHA256_BYTES], const struct remembered *r,
                    int64_t now_ms, struct err *e);
/* Forgets what is older. */
int idempotency_forget(struct db *w, int64_t before_ms, struct err *e);
int idempotency_forget_all(struct db *w, struct err *e); /* of any number */

#endif
