#include "base/pki.h"

#include "base/clock.h"
#include "base/str.h"
#include "cert.h"
#include "key.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum {
    CA_DAYS = 7305,    /* 20 years */
    SERVER_DAYS = 825, /* what the strictest clients accept of a private CA */
    RENEW_DAYS = 30,
};

static const struct cert_extension ca_extensions[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
};

static const char *const server_files[] = {[PKI_P256] = "server", [PKI_RSA_2048] = "server-rsa"};

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* ---- reading */

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
    CERT_PAIR_AUTO struct cert_pair p = {0};
    int rc = cert_read(pem_path, &p.cert, e);
    if (rc == 0)
        *ends_at_ms = cert_ends_ms(p.cert);
    return rc;
}

int pki_covers(const char *pem_path, const char *name, bool *covers, struct err *e)
{
    CERT_PAIR_AUTO struct cert_pair p = {0};
    int rc = cert_read(pem_path, &p.cert, e);
    if (rc == 0)
        *covers = covers_name(p.cert, name);
    return rc;
}

int pki_is_rsa(const char *pem_path, bool *rsa, struct err *e)
{
    CERT_PAIR_AUTO struct cert_pair p = {0};
    int rc = cert_read(pem_path, &p.cert, e);
    if (rc == 0)
        *rsa = X509_get0_pubkey(p.cert) && EVP_PKEY_is_a(X509_get0_pubkey(p.cert), "RSA");
    return rc;
}

/* ---- the authorities */

/* Each CA has a name of its own (part of its serial), so that a bundle may hold those of several servers. */
static bool set_ca_subject(X509 *cert, const char *what)
{
    char text[64], mark[9];
    hex_format(ASN1_STRING_get0_data(X509_get0_serialNumber(cert)), 4, mark);
    snprintf(text, sizeof text, "otad %s %s", what, mark);
    return cert_set_subject(cert, text) && X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1;
}

static X509 *ca_make(EVP_PKEY *key, const char *what, int64_t now_s)
{
    int64_t from_s = now_s - CERT_BACKDATED_DAYS * CERT_DAY_S;
    X509 *cert = cert_begin(key);
    if (cert && set_ca_subject(cert, what) &&
        cert_set_validity(cert, from_s, from_s + CA_DAYS * CERT_DAY_S - 1) &&
        cert_add_extensions(cert, cert, ca_extensions, ARRAY_SIZE(ca_extensions)) && cert_sign(cert, key))
        return cert;
    X509_free(cert);
    return NULL;
}

/* A key that is there without its certificate is used: a crash came between the two. */
static int ca_key(const char *path, enum pki_key kind, EVP_PKEY **out, struct err *e)
{
    int rc = key_read(path, out, e);
    if (rc != -ERR_NOT_FOUND)
        return rc;
    EVP_PKEY *key = key_make(kind);
    rc = key ? key_write(path, key, e) : key_error(e, "cannot make the key of a CA");
    if (rc == 0)
        *out = key;
    else
        EVP_PKEY_free(key);
    return rc;
}

static int ensure_ca(const char *dir, const char *name, const char *what, enum pki_key kind, struct err *e)
{
    char cert_path[FILE_PATH_SIZE], key_path[FILE_PATH_SIZE];
    CERT_PAIR_AUTO struct cert_pair ca = {0};
    int rc = cert_paths(dir, name, cert_path, key_path, e);
    if (rc == 0)
        rc = cert_read(cert_path, &ca.cert, e);
    if (rc != -ERR_NOT_FOUND)
        return rc;
    rc = ca_key(key_path, kind, &ca.key, e);
    if (rc != 0)
        return rc;
    ca.cert = ca_make(ca.key, what, clock_wall_ms() / 1000);
    return ca.cert ? cert_write(cert_path, &ca.cert, 1, e)
                   : key_error(e, "cannot make the certificate of a CA");
}

int pki_ensure_cas(const char *dir, enum pki_key kind, struct err *e)
{
    int rc = file_make_dir(dir, 0700, e);
    if (rc == 0)
        rc = ensure_ca(dir, "ca", "CA", kind, e);
    return rc == 0 ? ensure_ca(dir, "device-ca", "device CA", kind, e) : rc;
}

/* ---- the server */

static bool signed_by(X509 *cert, X509 *ca)
{
    bool right = X509_check_issued(ca, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(ca)) == 1;
    ERR_clear_error();
    return right;
}

static bool still_good(const struct cert_pair *server, X509 *ca, const struct pki_names *names,
                       int64_t now_ms)
{
    if (!signed_by(server->cert, ca))
        return false;
    if (cert_begins_ms(server->cert) > now_ms)
        return false;
    if (cert_ends_ms(server->cert) - now_ms <= RENEW_DAYS * CERT_DAY_S * 1000)
        return false;
    for (size_t i = 0; i < names->n; i++)
        if (!covers_name(server->cert, names->name[i]))
            return false;
    return true;
}

/* NULL when OpenSSL cannot. */
static GENERAL_NAMES *alternative_names(const struct pki_names *names)
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
    if (done)
        return all;
    GENERAL_NAMES_free(all);
    return NULL;
}

static X509 *server_make(EVP_PKEY *key, const struct cert_pair *ca, const struct pki_names *names,
                         int64_t now_s)
{
    int64_t from_s = now_s - CERT_BACKDATED_DAYS * CERT_DAY_S;
    GENERAL_NAMES *all = alternative_names(names);
    const struct cert_leaf leaf = {
        .common_name = strlen(names->name[0]) <= CERT_COMMON_NAME_MAX ? names->name[0] : "otad",
        .purpose = "serverAuth",
        .from_s = from_s,
        .to_s = from_s + SERVER_DAYS * CERT_DAY_S - 1,
        .names = all,
    };
    X509 *cert = all ? cert_issue(key, ca, &leaf) : NULL;
    GENERAL_NAMES_free(all);
    return cert;
}

static int server_renew(const char *dir, enum pki_key kind, const struct pki_names *names, int64_t now_ms,
                        struct err *e)
{
    char cert_path[FILE_PATH_SIZE], key_path[FILE_PATH_SIZE];
    CERT_PAIR_AUTO struct cert_pair ca = {0}, fresh = {0};
    int rc = cert_paths(dir, server_files[kind], cert_path, key_path, e);
    if (rc == 0)
        rc = cert_authority_read(dir, "ca", now_ms, &ca, e);
    if (rc != 0)
        return err_wrap(e, "the server's certificate must be made anew");
    fresh.key = key_make(kind);
    if (fresh.key)
        fresh.cert = server_make(fresh.key, &ca, names, now_ms / 1000);
    if (!fresh.cert)
        return key_error(e, "cannot make the server's certificate");
    rc = key_write(key_path, fresh.key, e);
    return rc == 0 ? cert_write(cert_path, (X509 *const[]){fresh.cert, ca.cert}, 2, e) : rc;
}

int pki_ensure_server(const char *dir, enum pki_key kind, const struct pki_names *names, int64_t now_ms,
                      bool *renewed, struct err *e)
{
    char ca_cert[FILE_PATH_SIZE], cert[FILE_PATH_SIZE], key[FILE_PATH_SIZE];
    CERT_PAIR_AUTO struct cert_pair ca = {0}, server = {0};
    if (names->n == 0)
        return err_set(e, ERR_INTERNAL, "a server certificate needs a name");
    int rc = file_path(ca_cert, dir, "ca.pem", e);
    if (rc == 0)
        rc = cert_paths(dir, server_files[kind], cert, key, e);
    if (rc == 0)
        rc = cert_read(ca_cert, &ca.cert, e);
    if (rc != 0)
        return rc;
    struct err unreadable; /* is a reason to make it anew, not to fail */
    if (cert_pair_read(cert, key, &server, &unreadable) == 0 && still_good(&server, ca.cert, names, now_ms)) {
        *renewed = false;
        return 0;
    }
    rc = server_renew(dir, kind, names, now_ms, e);
    if (rc == 0)
        *renewed = true;
    return rc;
}
