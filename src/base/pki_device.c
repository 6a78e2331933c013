#include "base/pki_device.h"

#include "base/pki_client.h"
#include "cert.h"
#include "key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096

/* ---- the key of a request */

/* By the curve's name: one spelled out, by which a forger may choose its base point, is no name (RFC 5480
 * 2.1.1). */
static bool curve_is_good(EVP_PKEY *key)
{
    char group[32];
    size_t len;
    int spelled_out = 1;
    return EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out) == 1 &&
           !spelled_out && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
           (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

static bool key_is_good(EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);
    if (EVP_PKEY_is_a(key, "RSA"))
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
    return EVP_PKEY_is_a(key, "EC") && curve_is_good(key);
}

/* A point on the curve; a modulus that is odd and no prime. */
static bool key_is_sound(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool sound = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return sound;
}

static int refuse_csr(struct err *e, const char *why)
{
    ERR_clear_error();
    return err_field(e, ERR_INVALID, "csr", "%s", why);
}

static int csr_key(X509_REQ *csr, EVP_PKEY **out, struct err *e)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(csr);
    if (!key || !key_is_good(key) || !key_is_sound(key))
        return refuse_csr(e,
                          "csr must hold a key of ECDSA on P-256 or P-384, or of RSA with 2048 to 4096 bits");
    if (X509_REQ_verify(csr, key) != 1)
        return refuse_csr(e, "csr is not signed by the key it holds");
    EVP_PKEY_up_ref(key);
    *out = key;
    return 0;
}

static int csr_read(const char *text, EVP_PKEY **out, struct err *e)
{
    BIO *pem = BIO_new_mem_buf(text, -1);
    X509_REQ *csr = pem ? PEM_read_bio_X509_REQ(pem, NULL, NULL, NULL) : NULL;
    BIO_free(pem);
    int rc = csr ? csr_key(csr, out, e) : refuse_csr(e, "csr must be a PKCS#10 request in PEM");
    X509_REQ_free(csr);
    return rc;
}

/* ---- the certificate */

/* NULL when OpenSSL cannot. */
static GENERAL_NAMES *device_names(const char *product, const char *device)
{
    char urn[PKI_CLIENT_URN_SIZE];
    snprintf(urn, sizeof urn, PKI_CLIENT_URN "%s/%s", product, device);
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    GENERAL_NAME *one = a2i_GENERAL_NAME(NULL, NULL, NULL, GEN_URI, urn, 0);
    if (all && one && sk_GENERAL_NAME_push(all, one) > 0)
        return all;
    GENERAL_NAME_free(one);
    GENERAL_NAMES_free(all);
    return NULL;
}

static X509 *make(EVP_PKEY *key, const struct cert_pair *ca, const struct pki_device_wish *wish)
{
    GENERAL_NAMES *names = device_names(wish->product, wish->device);
    int64_t now_s = wish->now_ms / 1000;
    const struct cert_leaf leaf = {
        .common_name = wish->device,
        .purpose = "clientAuth",
        .from_s = now_s - CERT_BACKDATED_DAYS * CERT_DAY_S,
        .to_s = now_s + wish->days * CERT_DAY_S,
        .names = names,
    };
    X509 *cert = names ? cert_issue(key, ca, &leaf) : NULL;
    GENERAL_NAMES_free(names);
    return cert;
}

static int read_ca(const char *dir, int64_t now_ms, struct cert_pair *out, struct err *e)
{
    int rc = cert_authority_read(dir, "device-ca", now_ms, out, e);
    if (rc == -ERR_NOT_FOUND)
        return err_set(e, ERR_CONFLICT,
                       "certificates of devices are not made here: device-ca.pem or "
                       "device-ca.key is kept elsewhere");
    return rc;
}

static int describe(const struct cert_pair *device, const struct cert_pair *ca, bool with_key,
                    struct pki_device_cert *out, struct err *e)
{
    int rc = cert_text(device->cert, out->cert, sizeof out->cert, e);
    if (rc == 0)
        rc = cert_text(ca->cert, out->ca, sizeof out->ca, e);
    if (rc)
        return rc;
    cert_serial(device->cert, out->serial);
    out->ends_at_ms = cert_ends_ms(device->cert);
    out->key[0] = '\0';
    return with_key ? key_text(device->key, out->key, sizeof out->key, e) : 0;
}

static int get_key(const struct pki_device_wish *wish, EVP_PKEY **out, struct err *e)
{
    if (wish->csr)
        return csr_read(wish->csr, out, e);
    *out = key_make(wish->key);
    return *out ? 0 : key_error(e, "cannot make a device's key");
}

int pki_device_issue(const char *dir, const struct pki_device_wish *wish, struct pki_device_cert *out,
                     struct err *e)
{
    CERT_PAIR_AUTO struct cert_pair ca = {0}, device = {0};
    size_t len = strlen(wish->device);
    if (len > CERT_COMMON_NAME_MAX)
        return err_field(e, ERR_INVALID, "name",
                         "the device's name has %zu characters, and a certificate holds a name of at most %d",
                         len, CERT_COMMON_NAME_MAX);
    int rc = read_ca(dir, wish->now_ms, &ca, e);
    if (rc == 0)
        rc = get_key(wish, &device.key, e);
    if (rc)
        return rc;
    device.cert = make(device.key, &ca, wish);
    return device.cert ? describe(&device, &ca, !wish->csr, out, e)
                       : key_error(e, "cannot make a device's certificate");
}
