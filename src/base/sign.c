#include "base/sign.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/str.h"
#include "key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct signing_key {
    EVP_PKEY *pkey;
};

enum { SIGNATURE_MAX = 72 }; /* SEQUENCE of two INTEGERs of at most 33 bytes */
_Static_assert(BASE64_SIZE(SIGNATURE_MAX) <= SIGNATURE_TEXT_SIZE, "a signature fits its text");

int key_error(struct err *e, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    int rc = err_set(e, ERR_INTERNAL, "%s: %s", what, reason ? reason : "OpenSSL gives no reason");
    ERR_clear_error();
    return rc;
}

EVP_PKEY *key_make(enum pki_key kind)
{
    return kind == PKI_RSA_2048 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

int key_read(const char *path, EVP_PKEY **out, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "there is no key %s", path);
    if (!f)
        return err_errno(e, "cannot open the key %s", path);
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
    fclose(f);
    if (!key) {
        key_error(e, "not a private key in PEM");
        return err_wrap(e, "%s", path);
    }
    *out = key;
    return 0;
}

/* PKCS#8 PEM in memory; BIO_free wipes it. NULL when OpenSSL cannot. */
static BIO *encode(EVP_PKEY *key, char **text, size_t *len, struct err *e)
{
    BIO *pem = BIO_new(BIO_s_mem());
    if (!pem || PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1) {
        key_error(e, "cannot write a key as PEM");
        BIO_free(pem);
        return NULL;
    }
    *len = (size_t)BIO_get_mem_data(pem, text);
    return pem;
}

/* Given to one of the two ways of making a file. */
static int save(const char *path, EVP_PKEY *key,
                int (*put)(const char *, const void *, size_t, unsigned, struct err *), struct err *e)
{
    char *text;
    size_t len;
    BIO *pem = encode(key, &text, &len, e);
    int rc = pem ? put(path, text, len, 0600, e) : -(int)e->code;
    BIO_free(pem);
    return rc;
}

int key_write(const char *path, EVP_PKEY *key, struct err *e)
{
    return save(path, key, file_replace, e);
}

int key_create(const char *path, EVP_PKEY *key, struct err *e)
{
    return save(path, key, file_create, e);
}

int key_text(EVP_PKEY *key, char *out, size_t size, struct err *e)
{
    char *text;
    size_t len;
    BIO *pem = encode(key, &text, &len, e);
    if (!pem)
        return -(int)e->code;
    bool fits = len < size;
    if (fits) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    BIO_free(pem);
    return fits ? 0 : err_set(e, ERR_INTERNAL, "a key of %zu bytes of PEM is too long", len);
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    size_t len;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static int make_missing(const char *path, struct err *e)
{
    EVP_PKEY *key = key_make(PKI_P256);
    int rc = key ? key_create(path, key, e) : key_error(e, "cannot make a key");
    EVP_PKEY_free(key);
    return rc == -ERR_CONFLICT ? 0 : rc;
}

/* OpenSSL fetches what it needs at the first signature, and where memory is short then, it never does again.
 */
static int try_key(const struct signing_key *key, struct err *e)
{
    static const unsigned char digest[SHA256_BYTES];
    char signature[SIGNATURE_TEXT_SIZE];
    return sign_sha256(key, digest, signature, e);
}

int signing_key_open(const char *path, struct signing_key **out, struct err *e)
{
    EVP_PKEY *pkey = NULL;
    int rc = key_read(path, &pkey, e);
    if (rc == -ERR_NOT_FOUND) {
        rc = make_missing(path, e);
        if (rc == 0)
            rc = key_read(path, &pkey, e);
    }
    if (rc != 0)
        return rc;
    if (!is_p256(pkey)) {
        EVP_PKEY_free(pkey);
        return err_set(e, ERR_INTERNAL, "the signing key %s is not an ECDSA key on P-256", path);
    }
    struct signing_key *key = malloc(sizeof *key);
    if (!key)
        abort();
    key->pkey = pkey;
    rc = try_key(key, e);
    if (rc == 0)
        *out = key;
    else
        signing_key_close(key);
    return rc;
}

void signing_key_close(struct signing_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

int signing_key_public_pem(const struct signing_key *key, char pem[PUBLIC_KEY_TEXT_SIZE], struct err *e)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    int rc = 0;
    long len = bio && PEM_write_bio_PUBKEY(bio, key->pkey) == 1 ? BIO_get_mem_data(bio, &text) : 0;
    if (len <= 0 || len >= PUBLIC_KEY_TEXT_SIZE) {
        rc = key_error(e, "cannot write the public key as PEM");
    } else {
        memcpy(pem, text, (size_t)len);
        pem[len] = '\0';
    }
    BIO_free(bio);
    return rc;
}

int sign_sha256(const struct signing_key *key, const unsigned char digest[32], char text[SIGNATURE_TEXT_SIZE],
                struct err *e)
{
    unsigned char der[SIGNATURE_MAX];
    size_t len = sizeof der;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    bool done = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_sign(ctx, der, &len, digest, SHA256_BYTES) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!done)
        return key_error(e, "cannot sign");
    base64_format(der, len, text);
    return 0;
}
