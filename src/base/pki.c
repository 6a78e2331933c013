#include "base/pki.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "key.h"

#include <arpa/inet.h>
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

#define DAY_S 86400LL

enum {
    BACKDATED_DAYS = 1, /* devices' clocks run behind */
    CA_DAYS = 7305,     /* 20 years */
    SERVER_DAYS = 825,  /* what the strictest clients accept of a private CA */
    RENEW_DAYS = 30,
};

struct extension {
    int nid;
    const char *value;
};

static const struct extension ca_extensions[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};

static const struct extension server_extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};

/* A certificate and its private key, either of which may be missing. */
struct pair {
    X509 *cert;
    EVP_PKEY *key;
};

static void pair_cleanup(struct pair *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}
#define PAIR_AUTO __attribute__((cleanup(pair_cleanup)))

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* ---- reading */

static int cert_read(const char *path, X509 **out, struct err *e)
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

/* dir/name.pem and dir/name.key */
static int pair_paths(const char *dir, const char *name, char cert[FILE_PATH_SIZE], char key[FILE_PATH_SIZE],
                      struct err *e)
{
    char file[64];
    snprintf(file, sizeof file, "%s.pem", name);
    int rc = file_path(cert, dir, file, e);
    snprintf(file, sizeof file, "%s.key", name);
    return rc == 0 ? file_path(key, dir, file, e) : rc;
}

static int pair_read(const char *cert_path, const char *key_path, struct pair *out, struct err *e)
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

static int64_t moment_ms(const ASN1_TIME *at)
{
    struct tm t;
    return ASN1_TIME_to_tm(at, &t) == 1 ? (int64_t)timegm(&t) * 1000 : 0;
}

/* The subject's common name says nothing: only names in subjectAltName count, as for every client of today.
 */
static bool covers_name(X509 *cert, const char *name)
{
    if (is_address(name))
        return X509_check_ip_asc(cert, name, 0) == 1;
    return X509_check_host(cert, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

int pki_expiry(const char *pem_path, int64_t *ends_at_ms, struct err *e)
{
    PAIR_AUTO struct pair p = {0};
    int rc = cert_read(pem_path, &p.cert, e);
    if (rc == 0)
        *ends_at_ms = moment_ms(X509_get0_notAfter(p.cert));
    return rc;
}

int pki_covers(const char *pem_path, const char *name, bool *covers, struct err *e)
{
    PAIR_AUTO struct pair p = {0};
    int rc = cert_read(pem_path, &p.cert, e);
    if (rc == 0)
        *covers = covers_name(p.cert, name);
    return rc;
}

/* ---- making */

static bool set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool done = n && BN_rand(n, 128, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return done;
}

static bool set_subject(X509 *cert, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1;
}

static bool set_validity(X509 *cert, int64_t from_s, int64_t to_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s);
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct extension rows[], size_t n)
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

static bool add_alternative_names(X509 *cert, const struct pki_names *names)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    bool done = all != NULL;
    for (size_t i = 0; i < names->n && done; i++) {
        int kind = is_address(names->name[i]) ? GEN_IPADD : GEN_DNS;
        GENERAL_NAME *one = a2i_GENERAL_NAME(NULL, NULL, NULL, kind, names->name[i], 0);
        done = one && sk_GENERAL_NAME_push(all, one) > 0;
        if (!done)
            GENERAL_NAME_free(one);
    }
    done = done && X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(all);
    return done;
}

/* Everything but subject, validity and extensions; NULL when OpenSSL cannot. */
static X509 *cert_begin(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        X509_set_pubkey(cert, key) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

/* Certificates as PEM in a file, one behind the other. */
static int certs_write(const char *path, X509 *const certs[], size_t n, struct err *e)
{
    BIO *pem = BIO_new(BIO_s_mem());
    bool done = pem != NULL;
    for (size_t i = 0; i < n && done; i++)
        done = PEM_write_bio_X509(pem, certs[i]) == 1;
    char *text;
    long len = done ? BIO_get_mem_data(pem, &text) : 0;
    int rc = done ? file_replace(path, text, (size_t)len, 0644, e)
                  : key_error(e, "cannot write a certificate as PEM");
    BIO_free(pem);
    return rc;
}

/* ---- the authorities */

/* Each CA has a name of its own (part of its serial), so that a bundle may hold those of several servers. */
static bool set_ca_subject(X509 *cert, const char *what)
{
    char text[64], mark[9];
    hex_format(ASN1_STRING_get0_data(X509_get0_serialNumber(cert)), 4, mark);
    snprintf(text, sizeof text, "otad %s %s", what, mark);
    return set_subject(cert, text) && X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1;
}

static X509 *ca_make(EVP_PKEY *key, const char *what, int64_t now_s)
{
    int64_t from_s = now_s - BACKDATED_DAYS * DAY_S;
    X509 *cert = cert_begin(key);
    if (cert && set_ca_subject(cert, what) && set_validity(cert, from_s, from_s + CA_DAYS * DAY_S - 1) &&
        add_extensions(cert, cert, ca_extensions, ARRAY_SIZE(ca_extensions)) &&
        X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* A key that is there without its certificate is used: a crash came between the two. */
static int ca_key(const char *path, EVP_PKEY **out, struct err *e)
{
    int rc = key_read(path, out, e);
    if (rc != -ERR_NOT_FOUND)
        return rc;
    EVP_PKEY *key = key_make();
    rc = key ? key_write(path, key, e) : key_error(e, "cannot make the key of a CA");
    if (rc == 0)
        *out = key;
    else
        EVP_PKEY_free(key);
    return rc;
}

static int ensure_ca(const char *dir, const char *name, const char *what, struct err *e)
{
    char cert_path[FILE_PATH_SIZE], key_path[FILE_PATH_SIZE];
    PAIR_AUTO struct pair ca = {0};
    int rc = pair_paths(dir, name, cert_path, key_path, e);
    if (rc == 0)
        rc = cert_read(cert_path, &ca.cert, e);
    if (rc != -ERR_NOT_FOUND)
        return rc;
    rc = ca_key(key_path, &ca.key, e);
    if (rc != 0)
        return rc;
    ca.cert = ca_make(ca.key, what, clock_wall_ms() / 1000);
    return ca.cert ? certs_write(cert_path, &ca.cert, 1, e)
                   : key_error(e, "cannot make the certificate of a CA");
}

int pki_ensure_cas(const char *dir, struct err *e)
{
    int rc = file_make_dir(dir, 0700, e);
    if (rc == 0)
        rc = ensure_ca(dir, "ca", "CA", e);
    return rc == 0 ? ensure_ca(dir, "device-ca", "device CA", e) : rc;
}

/* ---- the server */

static bool signed_by(X509 *cert, X509 *ca)
{
    bool right = X509_check_issued(ca, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(ca)) == 1;
    ERR_clear_error();
    return right;
}

static bool still_good(const struct pair *server, X509 *ca, const struct pki_names *names, int64_t now_ms)
{
    if (!signed_by(server->cert, ca))
        return false;
    if (moment_ms(X509_get0_notBefore(server->cert)) > now_ms)
        return false;
    if (moment_ms(X509_get0_notAfter(server->cert)) - now_ms <= RENEW_DAYS * DAY_S * 1000)
        return false;
    for (size_t i = 0; i < names->n; i++)
        if (!covers_name(server->cert, names->name[i]))
            return false;
    return true;
}

/* A certificate that outlives its CA would say more than the CA can. */
static bool set_server_validity(X509 *cert, X509 *ca, int64_t now_s)
{
    int64_t from_s = now_s - BACKDATED_DAYS * DAY_S, to_s = from_s + SERVER_DAYS * DAY_S - 1;
    int64_t ca_to_s = moment_ms(X509_get0_notAfter(ca)) / 1000;
    return set_validity(cert, from_s, to_s < ca_to_s ? to_s : ca_to_s);
}

static X509 *server_make(EVP_PKEY *key, const struct pair *ca, const struct pki_names *names, int64_t now_s)
{
    /* X.520 allows a common name 64 characters */
    const char *common_name = strlen(names->name[0]) <= 64 ? names->name[0] : "otad";
    X509 *cert = cert_begin(key);
    if (cert && set_subject(cert, common_name) &&
        X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
        set_server_validity(cert, ca->cert, now_s) &&
        add_extensions(cert, ca->cert, server_extensions, ARRAY_SIZE(server_extensions)) &&
        add_alternative_names(cert, names) && X509_sign(cert, ca->key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static int server_renew(const char *cert_path, const char *key_path, const struct pair *ca,
                        const struct pki_names *names, int64_t now_ms, struct err *e)
{
    PAIR_AUTO struct pair fresh = {.key = key_make()};
    if (fresh.key)
        fresh.cert = server_make(fresh.key, ca, names, now_ms / 1000);
    if (!fresh.cert)
        return key_error(e, "cannot make the server's certificate");
    int rc = key_write(key_path, fresh.key, e);
    return rc == 0 ? certs_write(cert_path, (X509 *const[]){fresh.cert, ca->cert}, 2, e) : rc;
}

/* The CA must be able to sign: its key may be elsewhere, and its time may be over. */
static int ca_for_signing(const char *cert_path, const char *key_path, int64_t now_ms, struct pair *ca,
                          struct err *e)
{
    int rc = pair_read(cert_path, key_path, ca, e);
    if (rc != 0)
        return err_wrap(e, "the server's certificate must be made anew");
    if (moment_ms(X509_get0_notAfter(ca->cert)) <= now_ms)
        return err_set(e, ERR_INTERNAL, "the CA in %s has ended: a new one is needed, on the devices too",
                       cert_path);
    return 0;
}

int pki_ensure_server(const char *dir, const struct pki_names *names, int64_t now_ms, bool *renewed,
                      struct err *e)
{
    char ca_cert[FILE_PATH_SIZE], ca_key_path[FILE_PATH_SIZE], cert[FILE_PATH_SIZE], key[FILE_PATH_SIZE];
    PAIR_AUTO struct pair ca = {0}, server = {0}, signer = {0};
    if (names->n == 0)
        return err_set(e, ERR_INTERNAL, "a server certificate needs a name");
    int rc = pair_paths(dir, "ca", ca_cert, ca_key_path, e);
    if (rc == 0)
        rc = pair_paths(dir, "server", cert, key, e);
    if (rc == 0)
        rc = cert_read(ca_cert, &ca.cert, e);
    if (rc != 0)
        return rc;
    struct err unreadable; /* is a reason to make it anew, not to fail */
    if (pair_read(cert, key, &server, &unreadable) == 0 && still_good(&server, ca.cert, names, now_ms)) {
        *renewed = false;
        return 0;
    }
    rc = ca_for_signing(ca_cert, ca_key_path, now_ms, &signer, e);
    if (rc == 0)
        rc = server_renew(cert, key, &signer, names, now_ms, e);
    if (rc == 0)
        *renewed = true;
    return rc;
}
