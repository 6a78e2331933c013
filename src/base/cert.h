/* cert.h: X.509 certificates as files and in the making, shared by pki.c and pki_device.c. */
#ifndef OTAD_BASE_CERT_H
#define OTAD_BASE_CERT_H

#include "base/file.h"
#include "base/pki.h"

#include <stdbool.h>
#include <stdint.h>

struct x509_st; /* OpenSSL's X509 and EVP_PKEY */
struct evp_pkey_st;
struct stack_st_GENERAL_NAME;

#define CERT_DAY_S           86400LL
#define CERT_COMMON_NAME_MAX 64 /* characters; X.520, upper bound ub-common-name */

enum { CERT_BACKDATED_DAYS = 1 /* devices' clocks run behind */ };

/* A certificate and its private key, either of which may be missing. */
struct cert_pair {
    struct x509_st *cert;
    struct evp_pkey_st *key;
};
void cert_pair_cleanup(struct cert_pair *p);
#define CERT_PAIR_AUTO __attribute__((cleanup(cert_pair_cleanup)))

/* ---- reading. ERR_NOT_FOUND when a file is not there. */

/* The first certificate in a PEM file. */
int cert_read(const char *path, struct x509_st **out, struct err *e);
/* dir/name.pem and dir/name.key */
int cert_paths(const char *dir, const char *name, char cert[FILE_PATH_SIZE], char key[FILE_PATH_SIZE],
               struct err *e);
/* Both; what was read before a failure stays in out, for its cleanup. */
int cert_pair_read(const char *cert_path, const char *key_path, struct cert_pair *out, struct err *e);
/* A CA whose time is not over. */
int cert_authority_read(const char *dir, const char *name, int64_t now_ms, struct cert_pair *out,
                        struct err *e);

int64_t cert_begins_ms(const struct x509_st *cert);
int64_t cert_ends_ms(const struct x509_st *cert);
/* Of a certificate that cert_begin made. */
#define CERT_SERIAL_BYTES 16
void cert_serial(const struct x509_st *cert, char hex[2 * CERT_SERIAL_BYTES + 1]);

/* ---- making. false or NULL when OpenSSL cannot; key_error (key.h) says why. */

struct cert_extension {
    int nid;
    const char *value; /* as in OpenSSL's settings */
};

/* A certificate with a random serial and this public key, and nothing else yet. */
struct x509_st *cert_begin(struct evp_pkey_st *key);
bool cert_set_subject(struct x509_st *cert, const char *common_name);
bool cert_set_validity(struct x509_st *cert, int64_t from_s, int64_t to_s);
bool cert_add_extensions(struct x509_st *cert, struct x509_st *issuer, const struct cert_extension rows[],
                         size_t n);
bool cert_sign(struct x509_st *cert, struct evp_pkey_st *key);

/* What an authority signs for others. A key of RSA may be used for RSA key exchange too. */
struct cert_leaf {
    const char *common_name;
    const char *purpose;  /* "serverAuth" or "clientAuth" */
    int64_t from_s, to_s; /* cut at the end of the authority's own: a leaf that says more would lie */
    const struct stack_st_GENERAL_NAME *names; /* subjectAltName */
};
struct x509_st *cert_issue(struct evp_pkey_st *key, const struct cert_pair *authority,
                           const struct cert_leaf *leaf);

/* ---- writing */

/* As PEM, one behind the other. */
int cert_write(const char *path, struct x509_st *const certs[], size_t n, struct err *e);
int cert_text(struct x509_st *cert, char *out, size_t size, struct err *e);

#endif
