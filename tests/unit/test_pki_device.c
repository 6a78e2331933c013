#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pki_client.h"
#include "base/pki_device.h"
#include "folder.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define DAY_MS  86400000LL
#define NAME_64 "abcdefghijklmnopqrstuvwxyz0123456789-_.:@ABCDEFGHIJKLMNOPQRSTUVW"

static struct folder folder_with_cas(enum pki_key kind)
{
    struct folder f = folder_make();
    struct err e;
    assert_int_equal(pki_ensure_cas(f.path, kind, &e), 0);
    return f;
}

static X509 *cert_of(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(cert);
    assert_int_equal(BIO_pending(bio), 0); /* one, and nothing behind it */
    BIO_free(bio);
    return cert;
}

static EVP_PKEY *key_of(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(key);
    BIO_free(bio);
    return key;
}

/* As a strict broker: 0, or OpenSSL's reason. */
static int verify(X509 *cert, X509 *ca, int purpose, int64_t at_ms)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, ca), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, cert, NULL), 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_purpose(param, purpose);
    X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
    int reason = X509_verify_cert(ctx) == 1 ? 0 : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return reason;
}

static void issue(const struct folder *f, const struct pki_device_wish *wish, struct pki_device_cert *out)
{
    struct err e;
    if (pki_device_issue(f->path, wish, out, &e) != 0)
        fail_msg("%s", e.text);
}

/* ---- keys and requests */

static EVP_PKEY *rsa(size_t bits)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
}

static EVP_PKEY *p256(void)
{
    return EVP_EC_gen("P-256");
}

static EVP_PKEY *p384(void)
{
    return EVP_EC_gen("P-384");
}

static EVP_PKEY *p521(void)
{
    return EVP_EC_gen("P-521");
}

static EVP_PKEY *koblitz(void)
{
    return EVP_EC_gen("secp256k1");
}

static EVP_PKEY *ed25519(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static EVP_PKEY *rsa_1024(void)
{
    return rsa(1024);
}

static EVP_PKEY *rsa_2040(void)
{
    return rsa(2040);
}

static EVP_PKEY *rsa_2048(void)
{
    return rsa(2048);
}

static EVP_PKEY *rsa_4096(void)
{
    return rsa(4096);
}

static EVP_PKEY *rsa_4104(void)
{
    return rsa(4104);
}

static EVP_PKEY *p256_spelled_out(void)
{
    EVP_PKEY *key = p256();
    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
    return key;
}

static const EVP_MD *md_of(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

/* A request for much: another name, to be an authority, to serve. signer NULL: key itself. */
static X509_REQ *request(EVP_PKEY *key, EVP_PKEY *signer)
{
    X509_REQ *csr = X509_REQ_new();
    X509_NAME *name = X509_NAME_new();
    STACK_OF(X509_EXTENSION) *wanted = NULL;
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, NULL, NULL, csr, NULL, 0);
    X509V3_add1_i2d(&wanted, NID_basic_constraints, &(BASIC_CONSTRAINTS){.ca = 0xff}, 1, 0);
    assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                                (const unsigned char *)"admin", -1, -1, 0),
                     1);
    assert_int_equal(X509_REQ_set_subject_name(csr, name), 1);
    assert_int_equal(X509_REQ_set_pubkey(csr, key), 1);
    assert_int_equal(X509_REQ_add_extensions(csr, wanted), 1);
    assert_true(X509_REQ_sign(csr, signer ? signer : key, md_of(signer ? signer : key)) > 0);
    sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
    X509_NAME_free(name);
    return csr;
}

#define CSR_SIZE 8192
static void write_csr(X509_REQ *csr, char out[CSR_SIZE])
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509_REQ(bio, csr), 1);
    int len = BIO_read(bio, out, CSR_SIZE - 1);
    assert_true(len > 0 && BIO_pending(bio) == 0);
    out[len] = '\0';
    BIO_free(bio);
    X509_REQ_free(csr);
}

static void csr_text(EVP_PKEY *key, EVP_PKEY *signer, char out[CSR_SIZE])
{
    write_csr(request(key, signer), out);
}

/* ---- what is made */

static void check_identity(X509 *cert, const char *product, const char *device)
{
    char common_name[DEVICE_SIZE], p[PRODUCT_SIZE], d[DEVICE_SIZE];
    unsigned char *der = NULL;
    struct err e;
    int len = i2d_X509(cert, &der);
    assert_int_equal(pki_client_identity(der, (size_t)len, common_name, p, d, &e), 0);
    assert_string_equal(common_name, device);
    assert_string_equal(p, product);
    assert_string_equal(d, device);
    OPENSSL_free(der);
}

static void a_certificate_with_its_key(void **state)
{
    (void)state;
    static const struct {
        enum pki_key ca, key;
        uint32_t usage;
        int signature;
    } rows[] = {
        {PKI_P256, PKI_P256, KU_DIGITAL_SIGNATURE, NID_ecdsa_with_SHA256},
        {PKI_P256, PKI_RSA_2048, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT, NID_ecdsa_with_SHA256},
        {PKI_RSA_2048, PKI_P256, KU_DIGITAL_SIGNATURE, NID_sha256WithRSAEncryption},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        FOLDER_AUTO struct folder f = folder_with_cas(rows[i].ca);
        struct pki_device_cert made;
        char serial[PKI_SERIAL_TEXT_SIZE], ca_file[4096];
        size_t len;
        struct err e;
        int64_t now_ms = clock_wall_ms();
        issue(&f, &(struct pki_device_wish){"thermo", "kitchen", NULL, rows[i].key, 825, now_ms}, &made);
        assert_int_equal(file_read(folder_file(&f, "device-ca.pem").path, ca_file, sizeof ca_file, &len, &e),
                         0);
        assert_string_equal(made.ca, ca_file);
        X509 *cert = cert_of(made.cert), *ca = cert_of(made.ca);
        EVP_PKEY *key = key_of(made.key);
        check_identity(cert, "thermo", "kitchen");
        assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(cert)), 1);
        assert_int_equal(X509_check_private_key(cert, key), 1);
        assert_int_equal(EVP_PKEY_is_a(key, rows[i].key == PKI_P256 ? "EC" : "RSA"), 1);
        assert_int_equal(EVP_PKEY_get_bits(key), rows[i].key == PKI_P256 ? 256 : 2048);
        assert_int_equal(X509_get_version(cert), X509_VERSION_3);
        assert_int_equal(X509_check_ca(cert), 0);
        assert_int_equal(X509_get_key_usage(cert), rows[i].usage);
        assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
        assert_int_equal(X509_get_signature_nid(cert), rows[i].signature);
        hex_format(ASN1_STRING_get0_data(X509_get0_serialNumber(cert)),
                   (size_t)ASN1_STRING_length(X509_get0_serialNumber(cert)), serial);
        assert_string_equal(made.serial, serial);
        assert_int_equal(verify(cert, ca, X509_PURPOSE_SSL_CLIENT, now_ms), X509_V_OK);
        assert_int_equal(verify(cert, ca, X509_PURPOSE_SSL_SERVER, now_ms), X509_V_ERR_INVALID_PURPOSE);
        EVP_PKEY_free(key);
        X509_free(ca);
        X509_free(cert);
    }
}

static void from_a_day_ago_to_the_day_asked_for(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_with_cas(PKI_P256);
    int64_t now_ms = clock_wall_ms() / 1000 * 1000, ca_ends_ms;
    struct err e;
    assert_int_equal(pki_expiry(folder_file(&f, "device-ca.pem").path, &ca_ends_ms, &e), 0);
    const struct {
        int64_t days, ends_at_ms;
    } rows[] = {
        {1, now_ms + DAY_MS},
        {825, now_ms + 825 * DAY_MS},
        {7303, now_ms + 7303 * DAY_MS},
        {7304, ca_ends_ms}, /* the CA began a day ago, and its last second is the one before */
        {PKI_DEVICE_DAYS_MAX, ca_ends_ms},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pki_device_cert made;
        issue(&f, &(struct pki_device_wish){"p", "d", NULL, PKI_P256, rows[i].days, now_ms}, &made);
        X509 *cert = cert_of(made.cert), *ca = cert_of(made.ca);
        if (made.ends_at_ms != rows[i].ends_at_ms)
            fail_msg("row %zu: %lld, not %lld", i, (long long)made.ends_at_ms, (long long)rows[i].ends_at_ms);
        /* for OpenSSL it is over with its last second */
        assert_int_equal(verify(cert, ca, X509_PURPOSE_SSL_CLIENT, made.ends_at_ms - 1000), X509_V_OK);
        assert_int_equal(verify(cert, ca, X509_PURPOSE_SSL_CLIENT, made.ends_at_ms),
                         X509_V_ERR_CERT_HAS_EXPIRED);
        time_t a_day_ago = (time_t)((now_ms - DAY_MS) / 1000), before = a_day_ago - 1;
        assert_int_equal(X509_cmp_time(X509_get0_notBefore(cert), &a_day_ago), -1); /* that second itself */
        assert_int_equal(X509_cmp_time(X509_get0_notBefore(cert), &before), 1);
        X509_free(ca);
        X509_free(cert);
    }
}

/* ---- from a request */

static void the_key_alone_is_taken(void **state)
{
    (void)state;
    static EVP_PKEY *(*const keys[])(void) = {p256, p384, rsa_2048, rsa_4096};
    FOLDER_AUTO struct folder f = folder_with_cas(PKI_P256);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct pki_device_cert made;
        char csr[CSR_SIZE];
        EVP_PKEY *key = keys[i]();
        csr_text(key, NULL, csr);
        /* a kind of key is for those that are made */
        issue(&f, &(struct pki_device_wish){"p", NAME_64, csr, PKI_RSA_2048, 30, clock_wall_ms()}, &made);
        X509 *cert = cert_of(made.cert), *ca = cert_of(made.ca);
        assert_string_equal(made.key, "");
        assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(cert), key), 1);
        check_identity(cert, "p", NAME_64);
        assert_int_equal(X509_check_ca(cert), 0);
        assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
        assert_int_equal(verify(cert, ca, X509_PURPOSE_SSL_CLIENT, clock_wall_ms()), X509_V_OK);
        X509_free(ca);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
}

static void refused(const struct folder *f, const char *csr, const char *word)
{
    struct pki_device_cert made;
    struct err e;
    assert_int_equal(pki_device_issue(f->path,
                                      &(struct pki_device_wish){"p", "d", csr, PKI_P256, 30, clock_wall_ms()},
                                      &made, &e),
                     -ERR_INVALID);
    assert_string_equal(e.field, "csr");
    if (!strstr(e.text, word))
        fail_msg("%s", e.text);
}

static void keys_that_are_too_weak_or_too_strange(void **state)
{
    (void)state;
    static EVP_PKEY *(*const keys[])(void) = {rsa_1024, rsa_2040, rsa_4104,        p521,
                                              koblitz,  ed25519,  p256_spelled_out};
    FOLDER_AUTO struct folder f = folder_with_cas(PKI_P256);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        char csr[CSR_SIZE];
        EVP_PKEY *key = keys[i]();
        csr_text(key, NULL, csr);
        refused(&f, csr, "P-256 or P-384");
        EVP_PKEY_free(key);
    }
}

/* The last byte of a key on P-256, which is no point on the curve then. */
static void off_the_curve(char csr[CSR_SIZE])
{
    EVP_PKEY *key = p256();
    X509_REQ *made = request(key, NULL);
    X509_PUBKEY *pub = X509_REQ_get_X509_PUBKEY(made);
    unsigned char *der = NULL, *at;
    int len = i2d_X509_REQ(made, &der);
    const unsigned char *bytes;
    int bytes_len;
    assert_int_equal(X509_PUBKEY_get0_param(NULL, &bytes, &bytes_len, NULL, pub), 1);
    at = memmem(der, (size_t)len, bytes, (size_t)bytes_len);
    assert_non_null(at);
    at[bytes_len - 1] ^= 1;
    const unsigned char *p = der;
    X509_REQ_free(made);
    made = d2i_X509_REQ(NULL, &p, len);
    assert_non_null(made);
    write_csr(made, csr);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static void requests_that_are_not_their_own(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_with_cas(PKI_P256);
    char csr[CSR_SIZE], cut[CSR_SIZE];
    EVP_PKEY *mine = p256(), *other = p256(), *of_another_kind = rsa(2048);
    csr_text(mine, other, csr);
    refused(&f, csr, "not signed by the key");
    csr_text(mine, of_another_kind, csr);
    refused(&f, csr, "not signed by the key");
    off_the_curve(csr);
    refused(&f, csr, "P-256 or P-384");
    csr_text(mine, NULL, csr);
    for (size_t n = 0; csr[n]; n += 7) {
        memcpy(cut, csr, n);
        cut[n] = '\0';
        if (!strstr(cut, "-----END CERTIFICATE REQUEST-----"))
            refused(&f, cut, "PKCS#10 request in PEM");
    }
    refused(&f, "junk", "PKCS#10 request in PEM");
    EVP_PKEY_free(mine);
    EVP_PKEY_free(other);
    EVP_PKEY_free(of_another_kind);
}

/* ---- names and authorities */

static void a_name_longer_than_a_common_name(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_with_cas(PKI_P256);
    struct pki_device_cert made;
    struct err e;
    assert_int_equal(
        pki_device_issue(f.path,
                         &(struct pki_device_wish){"p", NAME_64 "x", NULL, PKI_P256, 30, clock_wall_ms()},
                         &made, &e),
        -ERR_INVALID);
    assert_string_equal(e.field, "name");
    assert_non_null(strstr(e.text, "65"));
    assert_non_null(strstr(e.text, "64"));
}

static void an_authority_that_cannot_sign(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_with_cas(PKI_P256);
    struct pki_device_wish wish = {"p", "d", NULL, PKI_P256, 30, clock_wall_ms()};
    struct pki_device_cert made;
    struct err e;
    int64_t ends_at_ms;
    assert_int_equal(pki_expiry(folder_file(&f, "device-ca.pem").path, &ends_at_ms, &e), 0);
    wish.now_ms = ends_at_ms;
    assert_int_equal(pki_device_issue(f.path, &wish, &made, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "ended"));
    wish.now_ms = ends_at_ms - 1000;
    issue(&f, &wish, &made);
    assert_int_equal(made.ends_at_ms, ends_at_ms);
    assert_int_equal(unlink(folder_file(&f, "device-ca.key").path), 0);
    assert_int_equal(pki_device_issue(f.path, &wish, &made, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "device-ca.key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_with_its_key),
        cmocka_unit_test(from_a_day_ago_to_the_day_asked_for),
        cmocka_unit_test(the_key_alone_is_taken),
        cmocka_unit_test(keys_that_are_too_weak_or_too_strange),
        cmocka_unit_test(requests_that_are_not_their_own),
        cmocka_unit_test(a_name_longer_than_a_common_name),
        cmocka_unit_test(an_authority_that_cannot_sign),
    };
    return cmocka_run_group_tests_name("pki_device", tests, NULL, NULL);
}
