#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/verify.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* ---- makers, made by OpenSSL */

struct text {
    char text[4096];
};

static struct text text_of(BIO *bio, int written)
{
    struct text t;
    char *at;
    assert_int_equal(written, 1);
    size_t len = (size_t)BIO_get_mem_data(bio, &at);
    assert_true(len < sizeof t.text);
    memcpy(t.text, at, len);
    t.text[len] = '\0';
    BIO_free(bio);
    return t;
}

static struct text public_of(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return text_of(bio, PEM_write_bio_PUBKEY(bio, key));
}

static struct text pem(const char *name, const void *der, size_t len)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return text_of(bio, PEM_write_bio(bio, name, "", der, (long)len) > 0);
}

static EVP_PKEY *p256(void)
{
    return EVP_EC_gen("P-256");
}

static EVP_PKEY *ed25519(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static struct signature sign(EVP_PKEY *key, const void *message, size_t len)
{
    struct signature s = {.len = sizeof s.bytes};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = EVP_PKEY_is_a(key, "EC") ? EVP_sha256() : NULL;
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, s.bytes, &s.len, message, len), 1);
    EVP_MD_CTX_free(ctx);
    return s;
}

static bool verifies(const struct maker_keys *keys, const struct signature *s, const void *message,
                     size_t len, char by[SHA256_TEXT_SIZE])
{
    unsigned char digest[SHA256_BYTES];
    sha256(message, len, digest);
    bool good = signature_verify(s, keys, digest, message, len, by);
    assert_int_equal(ERR_peek_error(), 0);
    return good;
}

static bool is_good(const struct maker_keys *keys, const struct signature *s, const void *message, size_t len)
{
    char by[SHA256_TEXT_SIZE];
    return verifies(keys, s, message, len, by);
}

static void must_add(struct maker_keys *keys, const char *text)
{
    struct err e = {0};
    if (maker_keys_add(keys, text, &e))
        fail_msg("%s", e.text);
}

/* Whose only key it is. */
static struct maker_keys only(EVP_PKEY *key)
{
    struct maker_keys keys = {0};
    must_add(&keys, public_of(key).text);
    return keys;
}

static void fill(unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 256);
}

/* ---- known answers */

static struct text of_hex(const char *before, const char *key)
{
    unsigned char der[128];
    char hex[256];
    snprintf(hex, sizeof hex, "%s%s", before, key);
    size_t len = strlen(hex) / 2;
    assert_true(hex_parse(hex, der, len));
    return pem("PUBLIC KEY", der, len);
}

static struct signature signature_of_hex(const char *hex)
{
    struct signature s = {.len = strlen(hex) / 2};
    assert_true(hex_parse(hex, s.bytes, s.len));
    return s;
}

/* RFC 8032, 7.1 */
static void ed25519_answers_as_its_rfc_does(void **state)
{
    (void)state;
    static const struct {
        const char *key, *message, *signature;
    } rows[] = {
        {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25"
         "bf5"
         "f0595bbe24655141438e7a100b"},
        {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387"
         "b2e"
         "aeb4302aeeb00d291612bb0c00"},
        {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7"
         "c15"
         "e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct maker_keys keys = {0};
        unsigned char message[8] = {0};
        size_t len = strlen(rows[i].message) / 2;
        struct signature s = signature_of_hex(rows[i].signature);
        assert_true(hex_parse(rows[i].message, message, len));
        must_add(&keys, of_hex("302a300506032b6570032100", rows[i].key).text);
        assert_int_equal(keys.key[0].type, MAKER_KEY_ED25519);
        assert_true(is_good(&keys, &s, message, len));
        assert_false(is_good(&keys, &s, message, len + 1));
    }
}

static struct signature der_of(const char *r, const char *s)
{
    struct signature out;
    unsigned char *p = out.bytes;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *a = NULL, *b = NULL;
    BN_hex2bn(&a, r);
    BN_hex2bn(&b, s);
    ECDSA_SIG_set0(sig, a, b);
    out.len = (size_t)i2d_ECDSA_SIG(sig, NULL);
    assert_true(out.len <= sizeof out.bytes);
    i2d_ECDSA_SIG(sig, &p);
    ECDSA_SIG_free(sig);
    return out;
}

/* RFC 6979, A.2.5. With s of a signature, -s is one as well, and devices take both. */
static void ecdsa_answers_as_its_rfc_does(void **state)
{
    (void)state;
    static const char r[] = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                      s[] = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
                      minus_s[] = "0834E36AD29A83BF2BC9385E491D6099C8FDF9D1ED67AA7EA5F51F93782857A9";
    struct maker_keys keys = {0};
    must_add(&keys, of_hex("3059301306072a8648ce3d020106082a8648ce3d03010703420004",
                           "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
                           "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")
                        .text);
    struct signature high = der_of(r, s), low = der_of(r, minus_s), swapped = der_of(s, r);
    assert_true(is_good(&keys, &high, "sample", 6));
    assert_true(is_good(&keys, &low, "sample", 6));
    assert_false(is_good(&keys, &swapped, "sample", 6));
    assert_false(is_good(&keys, &high, "samplf", 6));
}

/* ---- signatures */

static EVP_PKEY *(*const makers[])(void) = {p256, ed25519};

static void the_key_that_made_it_is_named(void **state)
{
    (void)state;
    unsigned char file[3000];
    EVP_PKEY *key[5];
    struct maker_keys keys = {0};
    char by[SHA256_TEXT_SIZE];
    fill(file, sizeof file);
    for (size_t i = 0; i < 4; i++)
        must_add(&keys, public_of(key[i] = makers[i % 2]()).text);
    key[4] = p256();
    for (size_t i = 0; i < 4; i++) {
        struct signature s = sign(key[i], file, sizeof file);
        assert_true(verifies(&keys, &s, file, sizeof file, by));
        assert_string_equal(by, keys.key[i].fingerprint);
    }
    struct signature other = sign(key[4], file, sizeof file);
    assert_false(is_good(&keys, &other, file, sizeof file));
    for (size_t i = 0; i < 5; i++)
        EVP_PKEY_free(key[i]);
}

/* Each bit of the signature, one of each byte of the file, and its length. */
static void a_changed_bit_does_not_verify(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_SIZE(makers); kind++) {
        unsigned char file[200];
        EVP_PKEY *key = makers[kind]();
        struct maker_keys keys = only(key);
        fill(file, sizeof file);
        struct signature s = sign(key, file, sizeof file);
        for (size_t bit = 0; bit < 8 * s.len; bit++) {
            struct signature changed = s;
            changed.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_false(is_good(&keys, &changed, file, sizeof file));
        }
        for (size_t i = 0; i < sizeof file; i++) {
            file[i] ^= (unsigned char)(1 << i % 8);
            assert_false(is_good(&keys, &s, file, sizeof file));
            file[i] ^= (unsigned char)(1 << i % 8);
        }
        assert_false(is_good(&keys, &s, file, sizeof file - 1));
        assert_true(is_good(&keys, &s, file, sizeof file));
        EVP_PKEY_free(key);
    }
}

/* Zeros before a number or bytes behind the whole: the same signature, in a form that some devices take. */
static void only_strict_der_verifies(void **state)
{
    (void)state;
    EVP_PKEY *key = p256();
    struct maker_keys keys = only(key);
    struct signature s;
    do
        s = sign(key, "file", 4);
    while (s.len > SIGNATURE_BYTES_MAX - 1);
    struct signature behind = s, zero = s;
    behind.bytes[behind.len++] = 0;
    assert_false(is_good(&keys, &behind, "file", 4));
    behind.bytes[1]++;
    assert_false(is_good(&keys, &behind, "file", 4));
    memmove(zero.bytes + 5, zero.bytes + 4, zero.len++ - 4);
    zero.bytes[4] = 0;
    zero.bytes[3]++;
    zero.bytes[1]++;
    assert_false(is_good(&keys, &zero, "file", 4));
    assert_true(is_good(&keys, &s, "file", 4));
    EVP_PKEY_free(key);
}

static void ed25519_needs_the_message(void **state)
{
    (void)state;
    unsigned char digest[SHA256_BYTES];
    char by[SHA256_TEXT_SIZE];
    EVP_PKEY *key[] = {p256(), ed25519()};
    sha256("file", 4, digest);
    for (size_t i = 0; i < 2; i++) {
        struct maker_keys keys = only(key[i]);
        struct signature s = sign(key[i], "file", 4);
        assert_int_equal(signature_verify(&s, &keys, digest, NULL, 0, by), i == 0);
        EVP_PKEY_free(key[i]);
    }
}

/* ---- base64 */

static void signatures_are_read_strictly(void **state)
{
    (void)state;
    EVP_PKEY *key = p256();
    struct signature made = sign(key, "file", 4), back;
    char text[SIGNATURE_TEXT_SIZE + 16], other[sizeof text];
    EVP_PKEY_free(key);
    base64_format(made.bytes, made.len, text);
    assert_true(signature_parse(text, &back));
    assert_int_equal(back.len, made.len);
    assert_memory_equal(back.bytes, made.bytes, made.len);
    for (size_t cut = 0; cut < strlen(text); cut++) {
        snprintf(other, sizeof other, "%.*s", (int)cut, text);
        assert_false(signature_parse(other, &back));
    }
    static const char *const behind[] = {"A", "=", "AAAA", "\n", " ", "====="};
    for (size_t i = 0; i < ARRAY_SIZE(behind); i++) {
        snprintf(other, sizeof other, "%s%s", text, behind[i]);
        assert_false(signature_parse(other, &back));
    }
}

static void only_the_forms_of_signatures_are_read(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        unsigned char first, second;
        bool p256, ed25519;
    } rows[] = {
        {0, 0, 0, false, false},       {1, 0x30, 0, false, false},  {7, 0x30, 5, false, false},
        {8, 0x30, 6, true, false},     {63, 0x30, 61, true, false}, {63, 0x01, 61, false, false},
        {64, 0x01, 0x02, false, true}, {64, 0x30, 62, true, true},  {65, 0x30, 63, true, false},
        {65, 0x30, 62, false, false},  {72, 0x30, 70, true, false}, {71, 0x30, 70, false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct signature made = {.bytes = {rows[i].first, rows[i].second}, .len = rows[i].len}, back;
        char text[SIGNATURE_TEXT_SIZE];
        base64_format(made.bytes, made.len, text);
        assert_int_equal(signature_may_be(&made, MAKER_KEY_P256), rows[i].p256);
        assert_int_equal(signature_may_be(&made, MAKER_KEY_ED25519), rows[i].ed25519);
        assert_int_equal(signature_parse(text, &back), rows[i].p256 || rows[i].ed25519);
    }
    unsigned char long_one[73] = {0x30, 71};
    char text[BASE64_SIZE(sizeof long_one)];
    struct signature back;
    base64_format(long_one, sizeof long_one, text);
    assert_false(signature_parse(text, &back));
}

/* ---- keys */

static void keys_are_known_by_their_der(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_SIZE(makers); kind++) {
        EVP_PKEY *key = makers[kind]();
        unsigned char *der = NULL, digest[SHA256_BYTES];
        char want[SHA256_TEXT_SIZE];
        struct maker_keys keys = {0};
        struct text given = public_of(key), around;
        int len = i2d_PUBKEY(key, &der);
        sha256(der, (size_t)len, digest);
        hex_format(digest, sizeof digest, want);
        snprintf(around.text, sizeof around.text, "of the maker\r\n\n%.512s\n\n", given.text);
        must_add(&keys, around.text);
        assert_int_equal(keys.key[0].type, kind);
        assert_string_equal(keys.key[0].fingerprint, want);
        assert_string_equal(keys.key[0].pem, given.text);
        OPENSSL_free(der);
        EVP_PKEY_free(key);
    }
    assert_string_equal(maker_key_type_word(MAKER_KEY_P256), "ecdsa-p256");
    assert_string_equal(maker_key_type_word(MAKER_KEY_ED25519), "ed25519");
}

static void refuse(const char *text, const char *word)
{
    struct maker_keys keys = {0};
    struct err e = {0};
    if (maker_keys_add(&keys, text, &e) != -ERR_INVALID || keys.n != 0)
        fail_msg("taken, or refused otherwise: %s", text);
    if (!strstr(e.text, word))
        fail_msg("%s: not a word of \"%s\"", e.text, word);
}

static void refuse_public(EVP_PKEY *key, const char *word)
{
    assert_non_null(key);
    refuse(public_of(key).text, word);
    EVP_PKEY_free(key);
}

static void other_kinds_of_keys_are_refused(void **state)
{
    (void)state;
    refuse_public(EVP_EC_gen("P-384"), "P-256");
    refuse_public(EVP_EC_gen("P-521"), "P-256");
    refuse_public(EVP_EC_gen("secp256k1"), "P-256");
    refuse_public(EVP_RSA_gen(2048), "P-256");
    refuse_public(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), "P-256");
    refuse_public(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), "P-256");
    EVP_PKEY *key = p256();
    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed"), 1);
    refuse_public(key, "P-256");
}

/* In each form that OpenSSL writes one, beside a public key, and where the name says that it is public. */
static void private_keys_are_refused(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_SIZE(makers); kind++) {
        EVP_PKEY *key = makers[kind]();
        unsigned char *der = NULL;
        BIO *plain = BIO_new(BIO_s_mem()), *sealed = BIO_new(BIO_s_mem()), *old = BIO_new(BIO_s_mem());
        struct text one =
            text_of(plain, PEM_write_bio_PKCS8PrivateKey(plain, key, NULL, NULL, 0, NULL, NULL));
        struct text two = text_of(
            sealed, PEM_write_bio_PKCS8PrivateKey(sealed, key, EVP_aes_128_cbc(), "word", 4, NULL, NULL));
        refuse(one.text, "private");
        refuse(two.text, "private");
        if (kind == MAKER_KEY_P256)
            refuse(
                text_of(old, PEM_write_bio_PrivateKey_traditional(old, key, NULL, NULL, 0, NULL, NULL)).text,
                "private");
        else
            BIO_free(old);
        struct text both = public_of(key);
        strcat(both.text, one.text);
        refuse(both.text, "private");
        int len = i2d_PrivateKey(key, &der);
        refuse(pem("PUBLIC KEY", der, (size_t)len).text, "P-256");
        OPENSSL_free(der);
        EVP_PKEY_free(key);
    }
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const unsigned char off_curve[91] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
                                                0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                                0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x01};
    EVP_PKEY *key = p256();
    struct text good = public_of(key), twice = good, broken = good;
    unsigned char *der = NULL, longer[92] = {0};
    int len = i2d_PUBKEY(key, &der);
    memcpy(longer, der, (size_t)len);
    strcat(twice.text, good.text);
    broken.text[40] = '!';
    refuse("", "PEM");
    refuse("junk", "PEM");
    refuse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "P-256");
    refuse("-----BEGIN PUBLIC KEY-----\n", "PEM");
    refuse(twice.text, "one public key");
    refuse(broken.text, "PEM");
    refuse(pem("EC PARAMETERS", der, (size_t)len).text, "PEM");
    refuse(pem("CERTIFICATE", der, (size_t)len).text, "certificate");
    refuse(pem("PUBLIC KEY", longer, sizeof longer).text, "P-256");
    refuse(pem("PUBLIC KEY", der, (size_t)len - 1).text, "P-256");
    refuse(pem("PUBLIC KEY", off_curve, sizeof off_curve).text, "curve");
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static void eight_different_keys_fit(void **state)
{
    (void)state;
    struct maker_keys keys = {0}, back;
    struct text given[MAKER_KEYS_MAX + 1];
    char text[MAKER_KEYS_TEXT_SIZE];
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
        EVP_PKEY *key = makers[i == 3]();
        given[i] = public_of(key);
        EVP_PKEY_free(key);
    }
    assert_false(maker_keys_have(&keys, MAKER_KEY_P256));
    for (size_t i = 0; i < MAKER_KEYS_MAX; i++) {
        must_add(&keys, given[i].text);
        assert_int_equal(maker_keys_add(&keys, given[i / 2].text, &e), -ERR_INVALID);
        assert_non_null(strstr(e.text, keys.key[i / 2].fingerprint));
        assert_int_equal(maker_keys_have(&keys, MAKER_KEY_ED25519), i >= 3);
    }
    assert_int_equal(maker_keys_add(&keys, given[MAKER_KEYS_MAX].text, &e), -ERR_INVALID);
    assert_string_equal(e.text, "there may be 8 keys");
    maker_keys_format(&keys, text);
    assert_int_equal(maker_keys_parse(text, &back, &e), 0);
    assert_int_equal(back.n, MAKER_KEYS_MAX);
    for (size_t i = 0; i < MAKER_KEYS_MAX; i++) {
        assert_string_equal(back.key[i].pem, given[i].text);
        assert_string_equal(back.key[i].fingerprint, keys.key[i].fingerprint);
        assert_non_null(strstr(text, keys.key[i].fingerprint));
    }
    assert_int_equal(maker_keys_parse("", &back, &e), 0);
    assert_int_equal(back.n, 0);
    maker_keys_format(&back, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_answers_as_its_rfc_does),
        cmocka_unit_test(ecdsa_answers_as_its_rfc_does),
        cmocka_unit_test(the_key_that_made_it_is_named),
        cmocka_unit_test(a_changed_bit_does_not_verify),
        cmocka_unit_test(only_strict_der_verifies),
        cmocka_unit_test(ed25519_needs_the_message),
        cmocka_unit_test(signatures_are_read_strictly),
        cmocka_unit_test(only_the_forms_of_signatures_are_read),
        cmocka_unit_test(keys_are_known_by_their_der),
        cmocka_unit_test(other_kinds_of_keys_are_refused),
        cmocka_unit_test(private_keys_are_refused),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(eight_different_keys_fit),
    };
    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
