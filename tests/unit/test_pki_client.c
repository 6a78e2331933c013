#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pki_client.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define NAME_64  "abcdefghijklmnopqrstuvwxyz0123456789-_.:@ABCDEFGHIJKLMNOPQRSTUVW"
#define NAME_128 NAME_64 NAME_64

struct text { /* bytes, which may hold zeros */
    const char *bytes;
    int len; /* 0: up to the first zero */
};

struct named {
    const char *what;
    struct text common[2], uri[2]; /* up to the first without bytes */
    const char *want[3];           /* common name, product, device; NULL: refused */
    const char *word;              /* of the refusal */
};

static int length(struct text t)
{
    return t.len ? t.len : (int)strlen(t.bytes);
}

/* Not by OpenSSL's own table, which stops a common name at 64 characters: a hostile authority's does not. */
static void add_common_name(X509 *cert, struct text t)
{
    X509_NAME_ENTRY *entry = NULL;
    entry = X509_NAME_ENTRY_create_by_NID(&entry, NID_commonName, V_ASN1_UTF8STRING,
                                          (const unsigned char *)t.bytes, length(t));
    assert_non_null(entry);
    assert_int_equal(X509_NAME_add_entry(X509_get_subject_name(cert), entry, -1, 0), 1);
    X509_NAME_ENTRY_free(entry);
}

static void add_name(GENERAL_NAMES *names, int kind, struct text t)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    assert_int_equal(ASN1_STRING_set(string, t.bytes, length(t)), 1);
    GENERAL_NAME_set0_value(name, kind, string);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

static X509 *begin(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 7), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    EVP_PKEY_free(key);
    return cert;
}

static unsigned char *finish(X509 *cert, int *len)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    unsigned char *der = NULL;
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    *len = i2d_X509(cert, &der);
    assert_true(*len > 0);
    EVP_PKEY_free(key);
    X509_free(cert);
    return der;
}

/* With an address and a DNS name before the URIs, which say nothing of a device. */
static unsigned char *encode(const struct named *row, int *len)
{
    X509 *cert = begin();
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    for (size_t i = 0; i < ARRAY_SIZE(row->common) && row->common[i].bytes; i++)
        add_common_name(cert, row->common[i]);
    add_name(names, GEN_DNS, (struct text){"urn:otad:dns/d", 0});
    for (size_t i = 0; i < ARRAY_SIZE(row->uri) && row->uri[i].bytes; i++)
        add_name(names, GEN_URI, row->uri[i]);
    if (row->uri[0].bytes)
        assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT), 1);
    GENERAL_NAMES_free(names);
    return finish(cert, len);
}

struct seen {
    char common_name[DEVICE_SIZE], product[PRODUCT_SIZE], device[DEVICE_SIZE];
};
static const struct seen untouched = {"?", "?", "?"};

static int look(const unsigned char *der, size_t len, struct seen *out, struct err *e)
{
    /* in memory of just this size, so that a sanitizer sees a step too far */
    unsigned char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, der, len);
    *out = untouched;
    int rc = pki_client_identity(copy, len, out->common_name, out->product, out->device, e);
    free(copy);
    assert_int_equal(ERR_peek_error(), 0);
    if (rc != 0) {
        assert_int_equal(rc, -ERR_INVALID);
        assert_memory_equal(out, &untouched, sizeof untouched);
    }
    return rc;
}

static void names_and_refusals(void **state)
{
    (void)state;
    static const struct named rows[] = {
        {"ours", {{"kitchen", 0}}, {{"urn:otad:thermo/kitchen", 0}}, {"kitchen", "thermo", "kitchen"}, ""},
        {"every character",
         {{NAME_64, 0}},
         {{"urn:otad:" NAME_64 "/" NAME_64, 0}},
         {NAME_64, NAME_64, NAME_64},
         ""},
        {"as long as names are",
         {{NAME_128, 0}},
         {{"urn:otad:" NAME_64 "/" NAME_128, 0}},
         {NAME_128, NAME_64, NAME_128},
         ""},
        {"another authority's", {{"kitchen", 0}}, {{NULL, 0}}, {"kitchen", "", ""}, ""},
        {"another URI", {{"d", 0}}, {{"https://ota.example.com/d", 0}}, {"d", "", ""}, ""},
        {"a prefix of ours", {{"d", 0}}, {{"urn:otad", 0}}, {"d", "", ""}, ""},
        {"another before ours", {{"d", 0}}, {{"urn:uuid:1", 0}, {"urn:otad:p/d", 0}}, {"d", "p", "d"}, ""},
        {"no common name", {{NULL, 0}}, {{"urn:otad:p/d", 0}}, {NULL}, "no common name"},
        {"two common names", {{"d", 0}, {"e", 0}}, {{"urn:otad:p/d", 0}}, {NULL}, "several common names"},
        {"the same twice", {{"d", 0}, {"d", 0}}, {{NULL, 0}}, {NULL}, "several common names"},
        {"a zero in the common name", {{"d\0x", 3}}, {{"urn:otad:p/d", 0}}, {NULL}, "no name"},
        {"a zero at its end", {{"d\0", 2}}, {{"urn:otad:p/d", 0}}, {NULL}, "no name"},
        {"an over-long common name", {{NAME_128 "x", 0}}, {{NULL, 0}}, {NULL}, "no name"},
        {"a blank in it", {{"my device", 0}}, {{NULL, 0}}, {NULL}, "no name"},
        {"a slash in it", {{"p/d", 0}}, {{NULL, 0}}, {NULL}, "no name"},
        {"dots", {{"..", 0}}, {{NULL, 0}}, {NULL}, "no name"},
        {"a topic's wildcard", {{"#", 0}}, {{NULL, 0}}, {NULL}, "no name"},
        {"two devices", {{"d", 0}}, {{"urn:otad:p/d", 0}, {"urn:otad:q/d", 0}}, {NULL}, "several devices"},
        {"another device than its own", {{"d", 0}}, {{"urn:otad:p/e", 0}}, {NULL}, "is not its device"},
        {"no slash", {{"d", 0}}, {{"urn:otad:pd", 0}}, {NULL}, "product/device"},
        {"no product", {{"d", 0}}, {{"urn:otad:/d", 0}}, {NULL}, "product/device"},
        {"no device", {{"d", 0}}, {{"urn:otad:p/", 0}}, {NULL}, "product/device"},
        {"nothing", {{"d", 0}}, {{"urn:otad:", 0}}, {NULL}, "product/device"},
        {"two slashes", {{"d", 0}}, {{"urn:otad:p/d/", 0}}, {NULL}, "product/device"},
        {"an over-long product", {{"d", 0}}, {{"urn:otad:" NAME_64 "x/d", 0}}, {NULL}, "product/device"},
        {"an over-long device", {{"d", 0}}, {{"urn:otad:p/" NAME_128 "x", 0}}, {NULL}, "product/device"},
        {"a zero in the product", {{"d", 0}}, {{"urn:otad:p\0x/d", 14}}, {NULL}, "product/device"},
        {"a zero behind the device", {{"d", 0}}, {{"urn:otad:p/d\0e", 14}}, {NULL}, "product/device"},
        {"percents", {{"d", 0}}, {{"urn:otad:p%2fx/d", 0}}, {NULL}, "product/device"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct named *row = &rows[i];
        struct seen seen;
        struct err e = {0};
        int len;
        unsigned char *der = encode(row, &len);
        int rc = look(der, (size_t)len, &seen, &e);
        OPENSSL_free(der);
        if ((rc == 0) != (row->want[0] != NULL) || (rc && !strstr(e.text, row->word)))
            fail_msg("%s: %d %s", row->what, rc, e.text);
        if (rc == 0 && (strcmp(seen.common_name, row->want[0]) != 0 ||
                        strcmp(seen.product, row->want[1]) != 0 || strcmp(seen.device, row->want[2]) != 0))
            fail_msg("%s: %s, %s, %s", row->what, seen.common_name, seen.product, seen.device);
    }
}

/* Some authorities write names in 16 bits a character. */
static void a_common_name_in_another_encoding(void **state)
{
    (void)state;
    struct seen seen;
    struct err e;
    int len;
    X509 *cert = begin();
    assert_int_equal(X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, V_ASN1_BMPSTRING,
                                                (const unsigned char *)"\0d\0001", 4, -1, 0),
                     1);
    unsigned char *der = finish(cert, &len);
    assert_int_equal(look(der, (size_t)len, &seen, &e), 0);
    assert_string_equal(seen.common_name, "d1");
    OPENSSL_free(der);
}

static void alternative_names_that_cannot_be_read(void **state)
{
    (void)state;
    static const unsigned char junk[] = {0x30, 0x7f, 0x86};
    for (int count = 1; count <= 2; count++) {
        struct seen seen;
        struct err e;
        int len;
        X509 *cert = begin();
        add_common_name(cert, (struct text){"d", 0});
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        /* two empty lists: good each, and one too many */
        assert_int_equal(count == 1 ? ASN1_OCTET_STRING_set(value, junk, sizeof junk)
                                    : ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x30\0", 2),
                         1);
        X509_EXTENSION *x = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
        for (int i = 0; i < count; i++)
            assert_int_equal(X509_add_ext(cert, x, -1), 1);
        X509_EXTENSION_free(x);
        ASN1_OCTET_STRING_free(value);
        unsigned char *der = finish(cert, &len);
        assert_int_equal(look(der, (size_t)len, &seen, &e), -ERR_INVALID);
        assert_non_null(strstr(e.text, "alternative names"));
        OPENSSL_free(der);
    }
}

static void no_certificate_at_all(void **state)
{
    (void)state;
    static const struct named row = {"", {{"d", 0}}, {{"urn:otad:p/d", 0}}, {NULL}, ""};
    struct seen seen;
    struct err e;
    int len;
    unsigned char *der = encode(&row, &len), *longer = malloc((size_t)len + 1);
    assert_non_null(longer);
    for (size_t n = 0; n < (size_t)len; n++)
        assert_int_equal(look(der, n, &seen, &e), -ERR_INVALID);
    assert_int_equal(look(der, (size_t)len, &seen, &e), 0);
    memcpy(longer, der, (size_t)len);
    longer[len] = 0;
    assert_int_equal(look(longer, (size_t)len + 1, &seen, &e), -ERR_INVALID);
    assert_int_equal(look((const unsigned char *)"-----BEGIN CERTIFICATE-----\n", 28, &seen, &e),
                     -ERR_INVALID);
    /* whatever single byte is another one: an answer, and nothing read that is not there */
    for (size_t i = 0; i < (size_t)len; i++) {
        memcpy(longer, der, (size_t)len);
        longer[i] ^= 0x81;
        (void)look(longer, (size_t)len, &seen, &e);
    }
    /* who called has errors of its own, which stay */
    ERR_raise(ERR_LIB_USER, 17);
    assert_int_not_equal(pki_client_identity(der, 3, seen.common_name, seen.product, seen.device, &e), 0);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 17);
    assert_int_equal(ERR_get_error(), 0);
    free(longer);
    OPENSSL_free(der);
}

/* ---- its number */

/* Of a certificate with this number, whose bytes are the INTEGER's own. */
static int serial_of(const char *bytes, int len, bool negative, char out[PKI_CLIENT_SERIAL_SIZE])
{
    struct err e;
    int der_len;
    X509 *cert = begin();
    ASN1_INTEGER *serial = X509_get_serialNumber(cert);
    add_common_name(cert, (struct text){"d", 0});
    assert_int_equal(ASN1_STRING_set(serial, bytes, len), 1);
    serial->type = negative ? V_ASN1_NEG_INTEGER : V_ASN1_INTEGER;
    unsigned char *der = finish(cert, &der_len);
    int rc = pki_client_serial(der, (size_t)der_len, out, &e);
    OPENSSL_free(der);
    assert_int_equal(ERR_peek_error(), 0);
    return rc;
}

static void its_number(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int len;
        bool negative;
        const char *want; /* NULL: refused */
    } rows[] = {
        {"\x07", 1, false, "07"},
        {"\x00", 1, false, "00"},
        {"\xab\x00", 2, false, "ab00"}, /* DER puts a zero before it */
        {"\x7f\xff", 2, false, "7fff"},
        {"0123456789abcdefghij", 20, false, "303132333435363738396162636465666768696a"},
        {"0123456789abcdefghijk", 21, false, NULL},
        {"\x07", 1, true, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char seen[PKI_CLIENT_SERIAL_SIZE] = "?";
        int rc = serial_of(rows[i].bytes, rows[i].len, rows[i].negative, seen);
        assert_int_equal(rc, rows[i].want ? 0 : -ERR_INVALID);
        assert_string_equal(seen, rows[i].want ? rows[i].want : "?");
    }
    struct err e;
    char seen[PKI_CLIENT_SERIAL_SIZE];
    assert_int_equal(pki_client_serial((const unsigned char *)"0", 1, seen, &e), -ERR_INVALID);
}

static void a_number_as_people_write_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        {"07", "07"},
        {"7", "07"},
        {"0", "00"},
        {"000", "00"},
        {"ABcd", "abcd"},
        {"0abc", "0abc"},
        {"abc", "0abc"},
        {"00aB", "ab"},
        {"0123456789012345678901234567890123456789", "0123456789012345678901234567890123456789"},
        {"000123456789012345678901234567890123456789", "0123456789012345678901234567890123456789"},
        {"11234567890123456789012345678901234567890", NULL},
        {"", NULL},
        {"ab:cd", NULL},
        {"0x07", NULL},
        {"g1", NULL},
        {" 7", NULL},
        {"-7", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char seen[PKI_CLIENT_SERIAL_SIZE] = "?";
        bool taken = pki_client_serial_parse(rows[i].text, seen);
        if (taken != (rows[i].want != NULL) || strcmp(seen, taken ? rows[i].want : "?") != 0)
            fail_msg("%s: %d %s", rows[i].text, taken, seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_refusals),
        cmocka_unit_test(a_common_name_in_another_encoding),
        cmocka_unit_test(alternative_names_that_cannot_be_read),
        cmocka_unit_test(no_certificate_at_all),
        cmocka_unit_test(its_number),
        cmocka_unit_test(a_number_as_people_write_it),
    };
    return cmocka_run_group_tests_name("pki_client", tests, NULL, NULL);
}
