#include "base/seal.h"

#include "base/digest.h"
#include "base/file.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16 };

int seal_load(const char *path, struct seal *out, struct err *e)
{
    char buf[KEY_BYTES + 2];
    size_t len;
    int rc = file_read(path, buf, sizeof buf, &len, e);
    if (rc == 0 && len == KEY_BYTES)
        memcpy(out->key, buf, KEY_BYTES);
    else if (rc == 0 || rc == -ERR_TOO_LARGE)
        rc = err_set(e, ERR_INTERNAL, "the key file %s does not hold exactly %d bytes", path, KEY_BYTES);
    OPENSSL_cleanse(buf, sizeof buf);
    return rc;
}

int seal_create(const char *path, struct seal *out, struct err *e)
{
    unsigned char key[KEY_BYTES];
    random_bytes(key, sizeof key);
    int rc = file_create(path, key, sizeof key, 0600, e);
    OPENSSL_cleanse(key, sizeof key);
    return rc == 0 || rc == -ERR_CONFLICT ? seal_load(path, out, e) : rc;
}

/* The purpose goes in with its final zero, so that "a","bc" and "ab","c" are different. */
static bool add_names(EVP_CIPHER_CTX *ctx, const char *purpose, const char *owner)
{
    int n;
    return EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)purpose, (int)strlen(purpose) + 1) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)owner, (int)strlen(owner)) == 1;
}

/* Looked up by its name once, and kept until the process ends: the look takes longer than opening a secret.
 */
static struct {
    pthread_once_t once;
    EVP_CIPHER *aes;
} found = {.once = PTHREAD_ONCE_INIT};

static void find_cipher(void)
{
    found.aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

/* A context ready for the text itself; NULL when OpenSSL has no memory. */
static EVP_CIPHER_CTX *begin(const struct seal *s, const unsigned char *nonce, int encrypt,
                             const char *purpose, const char *owner)
{
    pthread_once(&found.once, find_cipher);
    EVP_CIPHER_CTX *ctx = found.aes ? EVP_CIPHER_CTX_new() : NULL;
    if (ctx && EVP_CipherInit_ex2(ctx, found.aes, s->key, nonce, encrypt, NULL) == 1 &&
        add_names(ctx, purpose, owner))
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

int seal_close(const struct seal *s, const char *purpose, const char *owner, const void *secret, size_t len,
               unsigned char *out, struct err *e)
{
    int n = 0, rest = 0;
    random_bytes(out, NONCE_BYTES);
    EVP_CIPHER_CTX *ctx = begin(s, out, 1, purpose, owner);
    unsigned char *text = out + NONCE_BYTES;
    bool done = ctx && EVP_CipherUpdate(ctx, text, &n, secret, (int)len) == 1 &&
                EVP_CipherFinal_ex(ctx, text + n, &rest) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return done ? 0 : err_set(e, ERR_INTERNAL, "cannot seal a secret");
}

int seal_open(const struct seal *s, const char *purpose, const char *owner, const unsigned char *sealed,
              size_t len, char *out, size_t size, struct err *e)
{
    if (len < SEAL_OVERHEAD || len - SEAL_OVERHEAD >= size)
        return err_set(e, ERR_INTERNAL, "a sealed secret of %zu bytes does not fit", len);
    size_t text_len = len - SEAL_OVERHEAD;
    const unsigned char *text = sealed + NONCE_BYTES;
    unsigned char tag[TAG_BYTES];
    memcpy(tag, text + text_len, TAG_BYTES);
    int n = 0, rest = 0;
    EVP_CIPHER_CTX *ctx = begin(s, sealed, 0, purpose, owner);
    bool done = ctx && EVP_CipherUpdate(ctx, (unsigned char *)out, &n, text, (int)text_len) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
                EVP_CipherFinal_ex(ctx, (unsigned char *)out + n, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!done) {
        OPENSSL_cleanse(out, text_len);
        return err_set(e, ERR_INTERNAL, "a sealed secret was changed, or sealed with another key");
    }
    out[text_len] = '\0';
    return 0;
}

void seal_derive(const struct seal *s, const char *label, unsigned char out[32])
{
    hmac_sha256(s->key, sizeof s->key, label, strlen(label), out);
}
