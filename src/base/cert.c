#include "cert.h"

#include "base/str.h"
#include "key.h"

#include <errno.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void cert_pair_cleanup(struct cert_pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}

/* ---- reading */

int cert_read(const char *path, X509 **out, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "there is no certificate %s", path);
    if (!f)
        return err_errno(e, "cannot open the certificate %s", path);
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    if (!cert) {
        key_error(e, "not a certificate in PEM");
        return err_wrap(e, "%s", path);
    }
    *out = cert;
    return 0;
}

int cert_paths(const char *dir, const char *name, char cert[FILE_PATH_SIZE], char key[FILE_PATH_SIZE],
               struct err *e)
{
    char file[64];
    snprintf(file, sizeof file, "%s.pem", name);
    int rc = file_path(cert, dir, file, e);
    snprintf(file, sizeof file, "%s.key", name);
    return rc == 0 ? file_path(key, dir, file, e) : rc;
}

int cert_pair_read(const char *cert_path, const char *key_path, struct cert_pair *out, struct err *e)
{
    int rc = cert_read(cert_path, &out->cert, e);
    if (rc == 0)
        rc = key_read(key_path, &out->key, e);
    if (rc == 0 && X509_check_private_key(out->cert, out->key) != 1) {
        ERR_clear_error();
        rc = err_set(e, ERR_INTERNAL, "%s is not the key of %s", key_path, cert_path);
    }
    return rc;
}

int cert_authority_read(const char *dir, const char *name, int64_t now_ms, struct cert_pair *out,
                        struct err *e)
{
    char cert_path[FILE_PATH_SIZE], key_path[FILE_PATH_SIZE];
    int rc = cert_paths(dir, name, cert_path, key_path, e);
    if (rc == 0)
        rc = cert_pair_read(cert_path, key_path, out, e);
    if (rc == 0 && cert_ends_ms(out->cert) <= now_ms)
        rc = err_set(e, ERR_INTERNAL, "the CA in %s has ended: a new one is needed, on the devices too",
                     cert_path);
    return rc;
}

static int64_t moment_ms(const ASN1_TIME *at)
{
    struct tm t;
    return ASN1_TIME_to_tm(at, &t) == 1 ? (int64_t)timegm(&t) * 1000 : 0;
}

int64_t cert_begins_ms(const X509 *cert)
{
    return moment_ms(X509_get0_notBefore(cert));
}

int64_t cert_ends_ms(const X509 *cert)
{
    return moment_ms(X509_get0_notAfter(cert));
}

void cert_serial(const X509 *cert, char hex[2 * CERT_SERIAL_BYTES + 1])
{
    hex_format(ASN1_STRING_get0_data(X509_get0_serialNumber(cert)), CERT_SERIAL_BYTES, hex);
}

/* ---- making */

/* The highest bit is set, so that it always has as many bytes. */
static bool set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool done = n && BN_rand(n, 8 * CERT_SERIAL_BYTES, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return done;
}

X509 *cert_begin(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        X509_set_pubkey(cert, key) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

bool cert_set_subject(X509 *cert, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1;
}

bool cert_set_validity(X509 *cert, int64_t from_s, int64_t to_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s);
}

bool cert_add_extensions(X509 *cert, X509 *issuer, const struct cert_extension rows[], size_t n)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        X509_EXTENSION *x = X509V3_EXT_nconf_nid(NULL, &ctx, rows[i].nid, rows[i].value);
        bool done = x && X509_add_ext(cert, x, -1) == 1;
        X509_EXTENSION_free(x);
        if (!done)
            return false;
    }
    return true;
}

bool cert_sign(X509 *cert, EVP_PKEY *key)
{
    return X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool add_leaf_extensions(X509 *cert, EVP_PKEY *key, X509 *issuer, const struct cert_leaf *leaf)
{
    bool rsa = EVP_PKEY_is_a(key, "RSA");
    const struct cert_extension rows[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature"},
        {NID_ext_key_usage, leaf->purpose},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
    };
    return cert_add_extensions(cert, issuer, rows, ARRAY_SIZE(rows)) &&
           X509_add1_ext_i2d(cert, NID_subject_alt_name, (void *)(uintptr_t)leaf->names, 0,
                             X509V3_ADD_DEFAULT) == 1;
}

X509 *cert_issue(EVP_PKEY *key, const struct cert_pair *authority, const struct cert_leaf *leaf)
{
    int64_t last_s = cert_ends_ms(authority->cert) / 1000;
    X509 *cert = cert_begin(key);
    if (cert && cert_set_subject(cert, leaf->common_name) &&
        X509_set_issuer_name(cert, X509_get_subject_name(authority->cert)) == 1 &&
        cert_set_validity(cert, leaf->from_s, leaf->to_s < last_s ? leaf->to_s : last_s) &&
        add_leaf_extensions(cert, key, authority->cert, leaf) && cert_sign(cert, authority->key))
        return cert;
    X509_free(cert);
    return NULL;
}

/* ---- writing */

/* Freed with BIO_free; NULL when OpenSSL cannot. */
static BIO *encode(X509 *const certs[], size_t n, char **text, size_t *len)
{
    BIO *pem = BIO_new(BIO_s_mem());
    bool done = pem != NULL;
    for (size_t i = 0; i < n && done; i++)
        done = PEM_write_bio_X509(pem, certs[i]) == 1;
    long bytes = done ? BIO_get_mem_data(pem, text) : 0;
    *len = (size_t)bytes;
    if (done)
        return pem;
    BIO_free(pem);
    return NULL;
}

int cert_write(const char *path, X509 *const certs[], size_t n, struct err *e)
{
    char *text;
    size_t len;
    BIO *pem = encode(certs, n, &text, &len);
    if (!pem)
        return key_error(e, "cannot write a certificate as PEM");
    int rc = file_replace(path, text, len, 0644, e);
    BIO_free(pem);
    return rc;
}

int cert_text(X509 *cert, char *out, size_t size, struct err *e)
{
    char *text;
    size_t len;
    BIO *pem = encode(&cert, 1, &text, &len);
    if (!pem)
        return key_error(e, "cannot write a certificate as PEM");
    bool fits = len < size;
    if (fits) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    BIO_free(pem);
    return fits ? 0 : err_set(e, ERR_INTERNAL, "a certificate of %zu bytes of PEM is too long", len);
}
