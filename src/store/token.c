#include "store/token.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

void token_make(char text[TOKEN_TEXT_SIZE])
{
    unsigned char random[32];

    random_bytes(random, sizeof random);
    memcpy(text, "otad_", 5);
    base64url_format(random, sizeof random, text + 5);
}

void token_hash(const unsigned char key[32], const char *text, unsigned char hash[SHA256_BYTES])
{
    hmac_sha256(key, 32, text, strlen(text), hash);
}

static int read_token(struct stmt *s, struct token *out, struct err *e)
{
    struct token t = {.id = col_int(s, 0)};
    char word[16];
    int role;

    col_text(s, 1, t.name, sizeof t.name);
    col_text(s, 2, word, sizeof word);
    t.created_at_ms = col_int(s, 3);
    t.expires_at_ms = col_int(s, 4);
    t.last_used_at_ms = col_int(s, 5);
    role = role_parse(word);
    if (role < 0)
        return err_set(e, ERR_INTERNAL, "token %lld has a role that this otad does not know",
                       (long long)t.id);
    t.role = (enum role)role;
    *out = t;
    return 0;
}

int token_insert(struct db *w, struct token *t, const unsigned char hash[SHA256_BYTES], struct err *e)
{
    struct stmt *s = db_stmt(w, Q_TOKEN_INSERT);
    int rc;

    bind_text(s, ":name", t->name);
    bind_text(s, ":role", role_word(t->role));
    bind_blob(s, ":hash", hash, SHA256_BYTES);
    bind_int(s, ":created_at_ms", t->created_at_ms);
    bind_int(s, ":expires_at_ms", t->expires_at_ms);
    rc = stmt_run(s, NULL, e);
    if (rc == 0)
        t->id = db_last_id(w);
    return rc;
}

/* The index compares bytes until they differ, but of an HMAC under a key that nobody outside has: how far it
 * came says nothing about a token, and the next try begins anew. The whole of it is compared once more, in
 * constant time, so that this does not hang on how an index is walked. */
static bool is_same(struct stmt *s, const unsigned char hash[SHA256_BYTES])
{
    unsigned char stored[SHA256_BYTES] = {0};
    size_t len = col_blob(s, 6, stored, sizeof stored);

    return same_secret(stored, len, hash, SHA256_BYTES);
}

int token_find(struct db *db, const unsigned char hash[SHA256_BYTES], int64_t now_ms, struct token *out,
               struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_TOKEN_FIND);
    int rc;

    bind_blob(s, ":hash", hash, SHA256_BYTES);
    bind_int(s, ":now_ms", now_ms);
    rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0 || !is_same(s, hash))
        return err_set(e, ERR_NOT_FOUND, "there is no such token");
    return read_token(s, out, e);
}

int token_get(struct db *db, int64_t id, struct token *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_TOKEN_GET);
    int rc;

    bind_int(s, ":id", id);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no token %lld", (long long)id);
    return rc < 0 ? rc : read_token(s, out, e);
}

int token_list(struct db *db, int64_t after_id, struct token out[], size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_TOKEN_LIST);
    size_t found = 0;
    int rc;

    bind_int(s, ":after_id", after_id);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        if ((rc = read_token(s, &out[found++], e)) < 0)
            break;
    if (rc == 0)
        *n = found;
    return rc;
}

int token_delete(struct db *w, int64_t id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_TOKEN_DELETE);
    int64_t changed = 0;
    int rc;

    bind_int(s, ":id", id);
    rc = stmt_run(s, &changed, e);
    if (rc == 0 && !changed)
        return err_set(e, ERR_NOT_FOUND, "there is no token %lld", (long long)id);
    return rc;
}

/* ---- idempotent requests */

int idempotency_find(struct db *db, int64_t caller, const char *key,
                     const unsigned char request_hash[SHA256_BYTES], bool *found, struct remembered *out,
                     struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_IDEMPOTENCY_FIND);
    unsigned char stored[SHA256_BYTES] = {0};
    const char *reply;
    int rc;

    bind_int(s, ":caller", caller);
    bind_text(s, ":key", key);
    rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    *found = rc > 0;
    if (!*found)
        return 0;
    if (col_blob(s, 0, stored, sizeof stored) != SHA256_BYTES ||
        memcmp(stored, request_hash, SHA256_BYTES) != 0)
        return err_field(e, ERR_INVALID, "Idempotency-Key", "this key was used for another request");
    reply = col_ptr(s, 3);
    out->reply = strdup(reply ? reply : "");
    if (!out->reply)
        return err_set(e, ERR_INTERNAL, "out of memory");
    out->status = (int)col_int(s, 1);
    col_text(s, 2, out->location, sizeof out->location);
    return 0;
}

int idempotency_add(struct db *w, int64_t caller, const char *key,
                    const unsigned char request_hash[SHA256_BYTES], const struct remembered *r,
                    int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_IDEMPOTENCY_ADD);

    bind_int(s, ":caller", caller);
    bind_text(s, ":key", key);
    bind_blob(s, ":request_hash", request_hash, SHA256_BYTES);
    bind_int(s, ":status", r->status);
    bind_text(s, ":location", r->location);
    bind_text(s, ":reply", r->reply);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

int idempotency_forget(struct db *w, int64_t before_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_IDEMPOTENCY_FORGET);

    bind_int(s, ":before_ms", before_ms);
    return stmt_run(s, NULL, e);
}

int idempotency_forget_all(struct db *w, struct err *e)
{
    return stmt_run(db_stmt(w, Q_IDEMPOTENCY_FORGET_ALL), NULL, e);
}
