#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/pki.h"
#include "base/str.h"
#include "folder.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define DAY_MS 86400000LL

static const char *const some_names[] = {"ota.example.com", "localhost", "127.0.0.1", "::1", "192.0.2.7"};

static struct pki_names names_of(const char *const list[], size_t n)
{
    struct pki_names names = {0};
    for (size_t i = 0; i < n; i++)
        assert_true(pki_names_add(&names, list[i]));
    return names;
}

static X509 *cert_at(const struct folder *f, const char *name, int place)
{
    FILE *file = fopen(folder_file(f, name).path, "re");
    assert_non_null(file);
    X509 *cert = NULL;
    for (int i = 0; i <= place; i++) {
        X509_free(cert);
        cert = PEM_read_X509(file, NULL, NULL, NULL);
        assert_non_null(cert);
    }
    fclose(file);
    return cert;
}

/* A folder with CAs and a server certificate of some_names. */
static struct folder folder_with_certs(int64_t now_ms)
{
    struct folder f = folder_make();
    struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
    bool renewed = false;
    struct err e;
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    assert_int_equal(pki_ensure_server(f.path, PKI_P256, &names, now_ms, &renewed, &e), 0);
    assert_true(renewed);
    return f;
}

static bool renews(const struct folder *f, const struct pki_names *names, int64_t now_ms)
{
    bool renewed = false;
    struct err e;
    if (pki_ensure_server(f->path, PKI_P256, names, now_ms, &renewed, &e) != 0)
        fail_msg("%s", e.text);
    return renewed;
}

/* ---- what is made */

static const struct {
    const char *name;
    unsigned mode;
} made[] = {
    {"ca.pem", 0644},        {"ca.key", 0600},     {"device-ca.pem", 0644},
    {"device-ca.key", 0600}, {"server.pem", 0644}, {"server.key", 0600},
};

static void files_have_their_modes(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder outer = folder_make();
    struct folder f;
    struct err e;
    struct stat st;
    bool renewed;
    struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
    mode_t before = umask(0);
    snprintf(f.path, sizeof f.path, "%.200s/data/certs", outer.path);
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    assert_int_equal(pki_ensure_server(f.path, PKI_P256, &names, clock_wall_ms(), &renewed, &e), 0);
    umask(before);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        assert_int_equal(stat(folder_file(&f, made[i].name).path, &st), 0);
        assert_int_equal(st.st_mode & 07777, made[i].mode);
    }
}

/* As a strict client: chain, purpose, name and address against the CA alone. 0, or OpenSSL's reason. */
static int verify_file(const struct folder *f, const char *ca_file, const char *leaf_file, const char *host,
                       const char *ip, int64_t at_ms)
{
    X509 *ca = cert_at(f, ca_file, 0), *leaf = cert_at(f, leaf_file, 0);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, ca), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
    if (host)
        assert_int_equal(X509_VERIFY_PARAM_set1_host(param, host, 0), 1);
    if (ip)
        assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(param, ip), 1);
    int reason = X509_verify_cert(ctx) == 1 ? 0 : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(ca);
    return reason;
}

static int verify(const struct folder *f, const char *ca_file, const char *host, const char *ip,
                  int64_t at_ms)
{
    return verify_file(f, ca_file, "server.pem", host, ip, at_ms);
}

static void a_strict_client_accepts_the_server(void **state)
{
    (void)state;
    int64_t now_ms = clock_wall_ms();
    FOLDER_AUTO struct folder f = folder_with_certs(now_ms);
    const struct {
        const char *ca, *host, *ip;
        int64_t at_ms;
        int want;
    } rows[] = {
        {"ca.pem", "localhost", NULL, now_ms, X509_V_OK},
        {"ca.pem", "OTA.example.com", NULL, now_ms, X509_V_OK},
        {"ca.pem", NULL, "127.0.0.1", now_ms, X509_V_OK},
        {"ca.pem", NULL, "192.0.2.7", now_ms, X509_V_OK},
        {"ca.pem", NULL, "0:0::1", now_ms, X509_V_OK},
        {"ca.pem", "example.com", NULL, now_ms, X509_V_ERR_HOSTNAME_MISMATCH},
        {"ca.pem", "a.ota.example.com", NULL, now_ms, X509_V_ERR_HOSTNAME_MISMATCH},
        {"ca.pem", NULL, "192.0.2.8", now_ms, X509_V_ERR_IP_ADDRESS_MISMATCH},
        {"device-ca.pem", "localhost", NULL, now_ms, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
        /* a device's clock may be most of a day behind, not more */
        {"ca.pem", "localhost", NULL, now_ms - DAY_MS + 60000, X509_V_OK},
        {"ca.pem", "localhost", NULL, now_ms - DAY_MS - 60000, X509_V_ERR_CERT_NOT_YET_VALID},
        {"ca.pem", "localhost", NULL, now_ms + 824 * DAY_MS - 60000, X509_V_OK},
        {"ca.pem", "localhost", NULL, now_ms + 824 * DAY_MS + 60000, X509_V_ERR_CERT_HAS_EXPIRED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int got = verify(&f, rows[i].ca, rows[i].host, rows[i].ip, rows[i].at_ms);
        if (got != rows[i].want)
            fail_msg("row %zu: %s", i, X509_verify_cert_error_string(got));
    }
}

static void the_server_certificate_says_no_more_than_it_should(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_with_certs(clock_wall_ms());
    X509 *leaf = cert_at(&f, "server.pem", 0), *second = cert_at(&f, "server.pem", 1),
         *ca = cert_at(&f, "ca.pem", 0);
    int days, seconds;
    char group[32];
    size_t len;
    assert_int_equal(X509_cmp(second, ca), 0);
    assert_int_equal(X509_get_version(leaf), X509_VERSION_3);
    assert_int_equal(X509_check_ca(leaf), 0);
    assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
    assert_non_null(X509_get0_subject_key_id(leaf));
    assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(leaf), X509_get0_subject_key_id(ca)),
                     0);
    assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(leaf)), 16);
    assert_int_equal(ASN1_STRING_type(X509_get0_serialNumber(leaf)), V_ASN1_INTEGER); /* not a negative one */
    assert_int_equal(X509_get_signature_nid(leaf), NID_ecdsa_with_SHA256);
    assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(leaf), group, sizeof group, &len), 1);
    assert_string_equal(group, "prime256v1");
    assert_int_equal(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(leaf), X509_get0_notAfter(leaf)), 1);
    assert_int_equal(days, 824); /* 825 with the last second, which counts */
    assert_int_equal(seconds, 86399);
    X509_free(leaf);
    X509_free(second);
    X509_free(ca);
}

static void both_authorities_sign_certificates_and_nothing_else(void **state)
{
    (void)state;
    static const char *const files[] = {"ca.pem", "device-ca.pem"};
    FOLDER_AUTO struct folder f = folder_make();
    struct err e;
    X509 *ca[2];
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    for (int i = 0; i < 2; i++) {
        int days, seconds;
        ca[i] = cert_at(&f, files[i], 0);
        assert_int_equal(X509_check_ca(ca[i]), 1);
        assert_int_equal(X509_get_pathlen(ca[i]), 0);
        assert_int_equal(X509_get_key_usage(ca[i]), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
        assert_non_null(X509_get0_subject_key_id(ca[i]));
        assert_int_equal(X509_verify(ca[i], X509_get0_pubkey(ca[i])), 1);
        assert_int_equal(X509_check_issued(ca[i], ca[i]), X509_V_OK);
        assert_int_equal(
            ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(ca[i]), X509_get0_notAfter(ca[i])), 1);
        assert_int_equal(days, 7304);
        assert_int_equal(seconds, 86399);
    }
    assert_int_not_equal(X509_NAME_cmp(X509_get_subject_name(ca[0]), X509_get_subject_name(ca[1])), 0);
    assert_int_not_equal(EVP_PKEY_eq(X509_get0_pubkey(ca[0]), X509_get0_pubkey(ca[1])), 1);
    X509_free(ca[0]);
    X509_free(ca[1]);
}

static struct folder_file slurp(const struct folder *f, const char *name, char buf[4096])
{
    size_t len;
    struct err e;
    struct folder_file file = folder_file(f, name);
    if (file_read(file.path, buf, 4096, &len, &e) != 0)
        fail_msg("%s", e.text);
    return file;
}

static void authorities_are_made_once(void **state)
{
    (void)state;
    char before[ARRAY_SIZE(made)][4096], after[4096];
    FOLDER_AUTO struct folder f = folder_with_certs(clock_wall_ms());
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(made); i++)
        slurp(&f, made[i].name, before[i]);
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        slurp(&f, made[i].name, after);
        assert_string_equal(after, before[i]);
    }
}

/* After a crash between the two files, or with the key taken elsewhere. */
static void half_an_authority(void **state)
{
    (void)state;
    char key[4096], cert[4096], after[4096];
    FOLDER_AUTO struct folder f = folder_make();
    struct err e;
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    slurp(&f, "ca.key", key);
    assert_int_equal(unlink(folder_file(&f, "ca.pem").path), 0);
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    slurp(&f, "ca.key", after);
    assert_string_equal(after, key);
    struct pki_names names = names_of(some_names, 1);
    assert_true(renews(&f, &names, clock_wall_ms()));

    slurp(&f, "ca.pem", cert);
    assert_int_equal(unlink(folder_file(&f, "ca.key").path), 0);
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    slurp(&f, "ca.pem", after);
    assert_string_equal(after, cert);
    assert_int_equal(access(folder_file(&f, "ca.key").path, F_OK), -1);
    /* the server's certificate still serves; only a renewal fails, in words */
    assert_false(renews(&f, &names, clock_wall_ms()));
    bool renewed;
    assert_int_equal(unlink(folder_file(&f, "server.pem").path), 0);
    assert_int_equal(pki_ensure_server(f.path, PKI_P256, &names, clock_wall_ms(), &renewed, &e),
                     -ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "ca.key"));
}

/* ---- when the server's certificate is made anew */

static void put(const struct folder *f, const char *name, const char *text)
{
    struct err e;
    assert_int_equal(file_replace(folder_file(f, name).path, text, strlen(text), 0600, &e), 0);
}

static void lose_cert(const struct folder *f)
{
    assert_int_equal(unlink(folder_file(f, "server.pem").path), 0);
}

static void lose_key(const struct folder *f)
{
    assert_int_equal(unlink(folder_file(f, "server.key").path), 0);
}

static void break_cert(const struct folder *f)
{
    put(f, "server.pem", "junk\n");
}

static void break_key(const struct folder *f)
{
    put(f, "server.key", "");
}

static void part_key(const struct folder *f)
{
    char key[4096];
    slurp(f, "device-ca.key", key);
    put(f, "server.key", key);
}

static void replace_ca(const struct folder *f)
{
    struct err e;
    assert_int_equal(unlink(folder_file(f, "ca.pem").path), 0);
    assert_int_equal(unlink(folder_file(f, "ca.key").path), 0);
    assert_int_equal(pki_ensure_cas(f->path, PKI_P256, &e), 0);
}

/* One bit of the signature, the last thing in the certificate. */
static void forge_signature(const struct folder *f)
{
    X509 *leaf = cert_at(f, "server.pem", 0);
    const ASN1_BIT_STRING *signature;
    X509_get0_signature(&signature, NULL, leaf);
    /* the copy that is written is the parsed one, so that the bytes may be changed in place */
    ((unsigned char *)(uintptr_t)ASN1_STRING_get0_data(signature))[40] ^= 1;
    FILE *file = fopen(folder_file(f, "server.pem").path, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, leaf), 1);
    fclose(file);
    X509_free(leaf);
}

static void each_fault_makes_it_anew_once(void **state)
{
    (void)state;
    static void (*const faults[])(const struct folder *) = {
        lose_cert, lose_key, break_cert, break_key, part_key, replace_ca, forge_signature,
    };
    struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        int64_t now_ms = clock_wall_ms();
        FOLDER_AUTO struct folder f = folder_with_certs(now_ms);
        assert_false(renews(&f, &names, now_ms));
        faults[i](&f);
        assert_true(renews(&f, &names, now_ms));
        assert_false(renews(&f, &names, now_ms));
        assert_int_equal(verify(&f, "ca.pem", "localhost", NULL, now_ms), X509_V_OK);
    }
}

static void time_makes_it_anew(void **state)
{
    (void)state;
    int64_t now_ms = clock_wall_ms() / 1000 * 1000;
    /* made a day ago in its own eyes: it ends a second before 824 days from now */
    int64_t end_ms = now_ms + 824 * DAY_MS - 1000;
    struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
    const struct {
        int64_t at_ms;
        bool want;
    } rows[] = {
        {now_ms, false},
        {now_ms - DAY_MS, false},
        {now_ms - DAY_MS - 1000, true},
        {end_ms - 30 * DAY_MS - 1, false},
        {end_ms - 30 * DAY_MS, true},
        {end_ms + DAY_MS, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        FOLDER_AUTO struct folder f = folder_with_certs(now_ms);
        int64_t ends_at_ms;
        struct err e;
        assert_int_equal(pki_expiry(folder_file(&f, "server.pem").path, &ends_at_ms, &e), 0);
        assert_int_equal(ends_at_ms, end_ms);
        if (renews(&f, &names, rows[i].at_ms) != rows[i].want)
            fail_msg("row %zu", i);
    }
}

static void a_name_that_is_not_in_it_makes_it_anew(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool want;
    } rows[] = {
        {"ota.example.com", false},  {"OTA.Example.Com", false}, {"0:0::1", false},
        {"other.example.com", true}, {"example.com", true},      {"192.0.2.8", true},
        {"fd00::2", true},
    };
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        FOLDER_AUTO struct folder f = folder_with_certs(now_ms);
        struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
        assert_true(pki_names_add(&names, rows[i].name));
        assert_int_equal(renews(&f, &names, now_ms), rows[i].want);
        assert_false(renews(&f, &names, now_ms));
        bool covers = false;
        struct err e;
        assert_int_equal(pki_covers(folder_file(&f, "server.pem").path, rows[i].name, &covers, &e), 0);
        assert_true(covers);
        /* fewer names are no reason */
        names.n = 1;
        assert_false(renews(&f, &names, now_ms));
    }
}

static void as_many_names_as_fit(void **state)
{
    (void)state;
    struct pki_names names = {0};
    char name[64];
    for (int i = 0; i < PKI_NAMES_MAX; i++) {
        snprintf(name, sizeof name, "a-rather-long-name-of-a-machine-%d.example.com", i);
        assert_true(pki_names_add(&names, name));
    }
    assert_false(pki_names_add(&names, "one-more.example.com"));
    assert_true(pki_names_add(&names, name));
    FOLDER_AUTO struct folder f = folder_make();
    struct err e;
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    assert_true(renews(&f, &names, clock_wall_ms()));
    assert_false(renews(&f, &names, clock_wall_ms()));
    assert_int_equal(verify(&f, "ca.pem", name, NULL, clock_wall_ms()), X509_V_OK);
    names.n = 0;
    bool renewed;
    assert_int_equal(pki_ensure_server(f.path, PKI_P256, &names, clock_wall_ms(), &renewed, &e),
                     -ERR_INTERNAL);
}

/* A common name holds 64 characters, a host name 253. */
static void a_long_first_name(void **state)
{
    (void)state;
    static const char sixty_four[] = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.abcdefghij";
    static const char sixty_five[] = "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz.abcdefghijk";
    static const char *const rows[] = {sixty_four, sixty_five};
    _Static_assert(sizeof sixty_four == 65 && sizeof sixty_five == 66, "as their names say");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        FOLDER_AUTO struct folder f = folder_make();
        struct pki_names names = names_of(&rows[i], 1);
        struct err e;
        assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
        assert_true(renews(&f, &names, clock_wall_ms()));
        assert_int_equal(verify(&f, "ca.pem", rows[i], NULL, clock_wall_ms()), X509_V_OK);
    }
}

static void nothing_outlives_its_authority(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct pki_names names = names_of(some_names, 2);
    int64_t ca_end_ms, end_ms;
    bool renewed;
    struct err e;
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    assert_int_equal(pki_expiry(folder_file(&f, "ca.pem").path, &ca_end_ms, &e), 0);
    assert_true(renews(&f, &names, ca_end_ms - 100 * DAY_MS));
    assert_int_equal(pki_expiry(folder_file(&f, "server.pem").path, &end_ms, &e), 0);
    assert_int_equal(end_ms, ca_end_ms);
    assert_int_equal(pki_ensure_server(f.path, PKI_P256, &names, ca_end_ms, &renewed, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "ended"));
}

static void reading_what_is_no_certificate(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    int64_t at_ms = 7;
    bool covers = true;
    struct err e;
    put(&f, "junk.pem", "junk");
    assert_int_equal(pki_expiry(folder_file(&f, "none.pem").path, &at_ms, &e), -ERR_NOT_FOUND);
    assert_int_equal(pki_expiry(folder_file(&f, "junk.pem").path, &at_ms, &e), -ERR_INTERNAL);
    assert_int_equal(pki_covers(folder_file(&f, "none.pem").path, "localhost", &covers, &e), -ERR_NOT_FOUND);
    assert_int_equal(pki_covers(folder_file(&f, "junk.pem").path, "localhost", &covers, &e), -ERR_INTERNAL);
    assert_int_equal(at_ms, 7);
    assert_true(covers);
    struct pki_names names = names_of(some_names, 1);
    assert_int_equal(pki_ensure_server(f.path, PKI_P256, &names, clock_wall_ms(), &covers, &e),
                     -ERR_NOT_FOUND);
}

/* ---- for clients that know nothing but RSA */

static void a_second_certificate_with_an_rsa_key(void **state)
{
    (void)state;
    static const struct {
        enum pki_key ca;
        int signature;
    } rows[] = {{PKI_RSA_2048, NID_sha256WithRSAEncryption}, {PKI_P256, NID_ecdsa_with_SHA256}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        FOLDER_AUTO struct folder f = folder_make();
        struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
        int64_t now_ms = clock_wall_ms();
        char first[4096], after[4096];
        bool renewed = false;
        struct stat st;
        struct err e;
        assert_int_equal(pki_ensure_cas(f.path, rows[i].ca, &e), 0);
        assert_true(renews(&f, &names, now_ms));
        slurp(&f, "server.pem", first);
        assert_int_equal(pki_ensure_server(f.path, PKI_RSA_2048, &names, now_ms, &renewed, &e), 0);
        assert_true(renewed);
        assert_int_equal(pki_ensure_server(f.path, PKI_RSA_2048, &names, now_ms, &renewed, &e), 0);
        assert_false(renewed);
        assert_false(renews(&f, &names, now_ms));
        slurp(&f, "server.pem", after);
        assert_string_equal(after, first);
        assert_int_equal(stat(folder_file(&f, "server-rsa.key").path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(verify_file(&f, "ca.pem", "server-rsa.pem", "localhost", NULL, now_ms), X509_V_OK);
        assert_int_equal(verify_file(&f, "ca.pem", "server.pem", NULL, "192.0.2.7", now_ms), X509_V_OK);
        X509 *rsa = cert_at(&f, "server-rsa.pem", 0), *ec = cert_at(&f, "server.pem", 0);
        assert_int_equal(EVP_PKEY_is_a(X509_get0_pubkey(rsa), "RSA"), 1);
        assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(rsa)), 2048);
        assert_int_equal(X509_get_key_usage(rsa), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
        assert_int_equal(X509_get_key_usage(ec), KU_DIGITAL_SIGNATURE);
        assert_int_equal(X509_get_signature_nid(rsa), rows[i].signature);
        assert_int_equal(X509_get_signature_nid(ec), rows[i].signature);
        X509_free(rsa);
        X509_free(ec);
    }
}

/* Devices trust it: the kind that is asked for later says nothing of the one that is there. */
static void an_authority_keeps_its_kind(void **state)
{
    (void)state;
    char before[4096], after[4096];
    FOLDER_AUTO struct folder f = folder_make();
    struct err e;
    assert_int_equal(pki_ensure_cas(f.path, PKI_RSA_2048, &e), 0);
    slurp(&f, "ca.pem", before);
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    slurp(&f, "ca.pem", after);
    assert_string_equal(after, before);
    static const char *const files[] = {"ca.pem", "device-ca.pem"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        X509 *ca = cert_at(&f, files[i], 0);
        assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(ca)), 2048);
        assert_int_equal(X509_get_signature_nid(ca), NID_sha256WithRSAEncryption);
        X509_free(ca);
    }
}

/* ---- certs/make-certs.sh is the same thing by hand: what it makes, otad keeps */

static void run_script(const struct folder *f, const char *option, int want)
{
    char command[1024], said[4096];
    snprintf(command, sizeof command,
             "sh certs/make-certs.sh %s %s ota.example.com localhost 127.0.0.1 ::1 192.0.2.7 >%s/out 2>&1",
             option, f->path, f->path);
    if ((system(command) == 0) != (want == 0)) { // NOLINT(cert-env33-c): a script is what is tested
        slurp(f, "out", said);
        fail_msg("%s", said);
    }
}

static void the_script_makes_what_otad_takes(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
    char before[ARRAY_SIZE(made)][4096], after[4096];
    struct err e;
    run_script(&f, "", 0);
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        struct stat st;
        assert_int_equal(stat(slurp(&f, made[i].name, before[i]).path, &st), 0);
        assert_int_equal(st.st_mode & 07777, made[i].mode);
    }
    assert_int_equal(pki_ensure_cas(f.path, PKI_P256, &e), 0);
    assert_false(renews(&f, &names, clock_wall_ms()));
    assert_int_equal(verify(&f, "ca.pem", "localhost", NULL, clock_wall_ms()), X509_V_OK);
    run_script(&f, "", 1);
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        slurp(&f, made[i].name, after);
        assert_string_equal(after, before[i]);
    }
    assert_true(pki_names_add(&names, "new.example.com"));
    assert_true(renews(&f, &names, clock_wall_ms()));
    assert_int_equal(verify(&f, "ca.pem", "new.example.com", NULL, clock_wall_ms()), X509_V_OK);
}

static void the_script_makes_rsa_too(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct pki_names names = names_of(some_names, ARRAY_SIZE(some_names));
    bool renewed = true, rsa = false;
    struct err e;
    run_script(&f, "-r", 0);
    int64_t now_ms = clock_wall_ms(); /* what the script makes begins when it is made */
    assert_false(renews(&f, &names, now_ms));
    assert_int_equal(pki_ensure_server(f.path, PKI_RSA_2048, &names, now_ms, &renewed, &e), 0);
    assert_false(renewed);
    assert_int_equal(verify_file(&f, "ca.pem", "server-rsa.pem", "localhost", NULL, now_ms), X509_V_OK);
    X509 *leaf = cert_at(&f, "server-rsa.pem", 0), *ca = cert_at(&f, "device-ca.pem", 0);
    assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    assert_int_equal(X509_get_signature_nid(leaf), NID_sha256WithRSAEncryption);
    assert_int_equal(X509_get_signature_nid(ca), NID_sha256WithRSAEncryption);
    X509_free(leaf);
    X509_free(ca);
    assert_int_equal(pki_is_rsa(folder_file(&f, "server-rsa.pem").path, &rsa, &e), 0);
    assert_true(rsa);
    assert_int_equal(pki_is_rsa(folder_file(&f, "server.pem").path, &rsa, &e), 0);
    assert_false(rsa);
    run_script(&f, "-r", 1);
    run_script(&f, "", 1);
    run_script(&f, "-x", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_their_modes),
        cmocka_unit_test(a_strict_client_accepts_the_server),
        cmocka_unit_test(the_server_certificate_says_no_more_than_it_should),
        cmocka_unit_test(both_authorities_sign_certificates_and_nothing_else),
        cmocka_unit_test(authorities_are_made_once),
        cmocka_unit_test(half_an_authority),
        cmocka_unit_test(each_fault_makes_it_anew_once),
        cmocka_unit_test(time_makes_it_anew),
        cmocka_unit_test(a_name_that_is_not_in_it_makes_it_anew),
        cmocka_unit_test(as_many_names_as_fit),
        cmocka_unit_test(a_long_first_name),
        cmocka_unit_test(nothing_outlives_its_authority),
        cmocka_unit_test(reading_what_is_no_certificate),
        cmocka_unit_test(a_second_certificate_with_an_rsa_key),
        cmocka_unit_test(an_authority_keeps_its_kind),
        cmocka_unit_test(the_script_makes_what_otad_takes),
        cmocka_unit_test(the_script_makes_rsa_too),
    };
    return cmocka_run_group_tests_name("pki", tests, NULL, NULL);
}
