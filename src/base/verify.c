#include "base/verify.h"

#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_BEGIN       "-----BEGIN "
#define PEM_NAME        "PUBLIC KEY"
#define PREFIX_MAX      27
#define ED25519_BYTES   64
#define DER_SEQUENCE    0x30
#define ECDSA_BYTES_MIN 8 /* SEQUENCE of two INTEGERs of one byte */

_Static_assert(BASE64_SIZE(SIGNATURE_BYTES_MAX) <= SIGNATURE_TEXT_SIZE, "a signature fits its text");

/* Each kind of key has one form of DER (RFC 5480, the point not compressed; RFC 8410): all before the bits of
 * the key itself is the same. So no other curve and no other way to write these gets in. */
static const struct kind {
    const char *word;
    size_t der_len, prefix_len;
    unsigned char prefix[PREFIX_MAX];
} kinds[MAKER_KEY_TYPES] = {
    [MAKER_KEY_P256] = {"ecdsa-p256", 91, 27, {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                               0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                               0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04}},
    [MAKER_KEY_ED25519] = {
        "ed25519", 44, 12, {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}}};

const char *maker_key_type_word(enum maker_key_type type)
{
    return kinds[type].word;
}

/* ---- keys */

static bool find_type(const unsigned char *der, size_t len, enum maker_key_type *out)
{
    for (int i = 0; i < MAKER_KEY_TYPES; i++)
        if (len == kinds[i].der_len && memcmp(der, kinds[i].prefix, kinds[i].prefix_len) == 0) {
            *out = (enum maker_key_type)i;
            return true;
        }
    return false;
}

/* A point that is not on its curve is no key. */
static EVP_PKEY *decode(const unsigned char *der, size_t len)
{
    EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)len);
    ERR_clear_error();
    return key;
}

static void write_pem(const unsigned char *der, size_t len, char pem[PUBLIC_KEY_TEXT_SIZE])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (!bio || !PEM_write_bio(bio, PEM_NAME, "", der, (long)len))
        abort();
    size_t n = (size_t)BIO_get_mem_data(bio, &text);
    if (n >= PUBLIC_KEY_TEXT_SIZE)
        abort();
    memcpy(pem, text, n);
    pem[n] = '\0';
    BIO_free(bio);
}

static int read_der(const unsigned char *der, size_t len, struct maker_key *out, struct err *e)
{
    unsigned char digest[SHA256_BYTES];
    if (!find_type(der, len, &out->type))
        return err_set(e, ERR_INVALID, "the key must be one of ECDSA on P-256 or of Ed25519");
    EVP_PKEY *key = decode(der, len);
    if (!key)
        return err_set(e, ERR_INVALID, "the key is none: its point is not on the curve");
    EVP_PKEY_free(key);
    sha256(der, len, digest);
    hex_format(digest, sizeof digest, out->fingerprint);
    write_pem(der, len, out->pem);
    return 0;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

/* Looked for before anything is decoded: whatever stands beside it, what holds a private key goes no further.
 */
static int check_text(const char *text, struct err *e)
{
    if (strstr(text, "PRIVATE KEY"))
        return err_set(e, ERR_INVALID,
                       "this is a private key, which nobody but its maker should have; nothing was stored. "
                       "The public one is what `openssl pkey -pubout -in FILE` prints");
    if (strstr(text, "BEGIN CERTIFICATE"))
        return err_set(
            e, ERR_INVALID,
            "this is a certificate; its key is what `openssl x509 -noout -pubkey -in FILE` prints");
    if (count(text, PEM_BEGIN) != 1)
        return err_set(e, ERR_INVALID,
                       "each text must be one public key in PEM (-----BEGIN PUBLIC KEY-----)");
    return 0;
}

static int read_pem(const char *text, struct maker_key *out, struct err *e)
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    BIO *bio = BIO_new_mem_buf(text, -1);
    bool read =
        bio && PEM_read_bio(bio, &name, &header, &der, &len) && strcmp(name, PEM_NAME) == 0 && !*header;
    int rc = read ? read_der(der, (size_t)len, out, e)
                  : err_set(e, ERR_INVALID, "this is no public key in PEM (-----BEGIN PUBLIC KEY-----)");
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int maker_keys_add(struct maker_keys *keys, const char *text, struct err *e)
{
    struct maker_key key;
    int rc = check_text(text, e);
    if (rc == 0)
        rc = read_pem(text, &key, e);
    for (size_t i = 0; i < keys->n && rc == 0; i++)
        if (strcmp(keys->key[i].fingerprint, key.fingerprint) == 0)
            rc = err_set(e, ERR_INVALID, "the key %s comes twice", key.fingerprint);
    if (rc == 0 && keys->n == MAKER_KEYS_MAX)
        rc = err_set(e, ERR_INVALID, "there may be %d keys", MAKER_KEYS_MAX);
    if (rc == 0)
        keys->key[keys->n++] = key;
    return rc;
}

bool maker_keys_have(const struct maker_keys *keys, enum maker_key_type type)
{
    bool found = false;
    for (size_t i = 0; i < keys->n; i++)
        found = found || keys->key[i].type == type;
    return found;
}

void maker_keys_format(const struct maker_keys *keys, char text[MAKER_KEYS_TEXT_SIZE])
{
    size_t at = 0;
    *text = '\0';
    for (size_t i = 0; i < keys->n; i++) {
        const struct maker_key *k = &keys->key[i];
        at += (size_t)snprintf(text + at, MAKER_KEYS_TEXT_SIZE - at, "%s %s\n%s",
                               maker_key_type_word(k->type), k->fingerprint, k->pem);
    }
}

int maker_keys_parse(const char *text, struct maker_keys *out, struct err *e)
{
    struct maker_keys keys = {0};
    char one[PUBLIC_KEY_TEXT_SIZE];
    const char *end;
    for (const char *p = text; (p = strstr(p, PEM_BEGIN)); p = end) {
        const char *next = strstr(p + 1, PEM_BEGIN);
        end = next ? next : p + strlen(p);
        snprintf(one, sizeof one, "%.*s", (int)(end - p), p);
        int rc = maker_keys_add(&keys, one, e);
        if (rc)
            return rc;
    }
    *out = keys;
    return 0;
}

/* ---- signatures */

bool signature_may_be(const struct signature *s, enum maker_key_type type)
{
    if (type == MAKER_KEY_ED25519)
        return s->len == ED25519_BYTES;
    return s->len >= ECDSA_BYTES_MIN && s->bytes[0] == DER_SEQUENCE && s->bytes[1] == s->len - 2;
}

bool signature_parse(const char *text, struct signature *out)
{
    struct signature s;
    int len =
        strlen(text) < BASE64_SIZE(SIGNATURE_BYTES_MAX) ? base64_parse(text, s.bytes, sizeof s.bytes) : -1;
    s.len = len > 0 ? (size_t)len : 0;
    if (!signature_may_be(&s, MAKER_KEY_P256) && !signature_may_be(&s, MAKER_KEY_ED25519))
        return false;
    *out = s;
    return true;
}

/* OpenSSL takes a signature only as the DER that it would write itself. */
static bool verify_p256(EVP_PKEY *key, const struct signature *s, const unsigned char digest[SHA256_BYTES])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_verify(ctx, s->bytes, s->len, digest, SHA256_BYTES) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

static bool verify_ed25519(EVP_PKEY *key, const struct signature *s, const void *message, size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, s->bytes, s->len, message, len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static EVP_PKEY *open_key(const struct maker_key *k)
{
    BIO *bio = BIO_new_mem_buf(k->pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

bool signature_verify(const struct signature *s, const struct maker_keys *keys,
                      const unsigned char digest[SHA256_BYTES], const void *message, size_t len,
                      char by[SHA256_TEXT_SIZE])
{
    bool good = false;
    for (size_t i = 0; i < keys->n && !good; i++) {
        const struct maker_key *k = &keys->key[i];
        EVP_PKEY *key = signature_may_be(s, k->type) ? open_key(k) : NULL;
        if (key && k->type == MAKER_KEY_P256)
            good = verify_p256(key, s, digest);
        else if (key && message)
            good = verify_ed25519(key, s, message, len);
        EVP_PKEY_free(key);
        if (good)
            str_copy(by, SHA256_TEXT_SIZE, k->fingerprint);
    }
    ERR_clear_error();
    return good;
}
