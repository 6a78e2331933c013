#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/sign.h"
#include "base/str.h"
#include "folder.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

/* As a device does: the public key as PEM, the signature's DER, and the file's bytes. */
static bool device_accepts(const char *pem, const char *text, const void *file, size_t len)
{
    unsigned char der[128];
    int der_len = base64_parse(text, der, sizeof der);
    assert_true(der_len > 0);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    assert_non_null(key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    bool good = EVP_DigestVerify(ctx, der, (size_t)der_len, file, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return good;
}

static void a_signature_verifies_over_the_files_bytes(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file path = folder_file(&f, "signing.pem");
    struct signing_key *key;
    struct err e;
    char pem[PUBLIC_KEY_TEXT_SIZE], text[SIGNATURE_TEXT_SIZE];
    unsigned char file[3000], digest[SHA256_BYTES];
    for (size_t i = 0; i < sizeof file; i++)
        file[i] = (unsigned char)(i * 31 + i / 256);
    sha256(file, sizeof file, digest);
    assert_int_equal(signing_key_open(path.path, &key, &e), 0);
    assert_int_equal(signing_key_public_pem(key, pem, &e), 0);
    assert_memory_equal(pem, "-----BEGIN PUBLIC KEY-----\n", 27);
    /* the DER of a signature is of several lengths: all must fit */
    for (int round = 0; round < 50; round++) {
        assert_int_equal(sign_sha256(key, digest, text, &e), 0);
        assert_true(device_accepts(pem, text, file, sizeof file));
    }
    assert_false(device_accepts(pem, text, file, sizeof file - 1));
    file[2999] ^= 1;
    assert_false(device_accepts(pem, text, file, sizeof file));
    signing_key_close(key);
}

static void the_key_is_made_once(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file path = folder_file(&f, "signing.pem");
    char first[PUBLIC_KEY_TEXT_SIZE], second[PUBLIC_KEY_TEXT_SIZE], other[PUBLIC_KEY_TEXT_SIZE];
    struct signing_key *key;
    struct stat st;
    struct err e;
    assert_int_equal(signing_key_open(path.path, &key, &e), 0);
    assert_int_equal(signing_key_public_pem(key, first, &e), 0);
    signing_key_close(key);
    assert_int_equal(stat(path.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(signing_key_open(path.path, &key, &e), 0);
    assert_int_equal(signing_key_public_pem(key, second, &e), 0);
    signing_key_close(key);
    assert_string_equal(first, second);
    assert_int_equal(signing_key_open(folder_file(&f, "other.pem").path, &key, &e), 0);
    assert_int_equal(signing_key_public_pem(key, other, &e), 0);
    signing_key_close(key);
    assert_string_not_equal(first, other);
}

static void write_key(const char *path, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new_file(path, "w");
    assert_non_null(bio);
    assert_int_equal(
        PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, cipher ? "word" : NULL, cipher ? 4 : 0, NULL, NULL),
        1);
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void keys_of_other_kinds_are_refused(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file path = folder_file(&f, "signing.pem");
    struct signing_key *key = NULL;
    struct err e;
    const struct {
        EVP_PKEY *pkey;
        const EVP_CIPHER *cipher;
        int want;
    } rows[] = {
        {EVP_EC_gen("P-256"), NULL, 0},
        {EVP_EC_gen("P-384"), NULL, -ERR_INTERNAL},
        {EVP_EC_gen("secp256k1"), NULL, -ERR_INTERNAL},
        {EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, -ERR_INTERNAL},
        {EVP_EC_gen("P-256"), EVP_aes_128_cbc(), -ERR_INTERNAL}, /* and nobody is asked for the passphrase */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        write_key(path.path, rows[i].pkey, rows[i].cipher);
        assert_int_equal(signing_key_open(path.path, &key, &e), rows[i].want);
        if (rows[i].want == 0)
            signing_key_close(key);
    }
}

static void a_broken_file_is_refused_and_kept(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "junk\n",
                                        "-----BEGIN PRIVATE"
                                        " KEY-----\nAAAA\n-----END PRIVATE"
                                        " KEY-----\n"};
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file path = folder_file(&f, "signing.pem");
    struct signing_key *key;
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char again[256];
        size_t len;
        assert_int_equal(file_replace(path.path, texts[i], strlen(texts[i]), 0600, &e), 0);
        assert_int_equal(signing_key_open(path.path, &key, &e), -ERR_INTERNAL);
        assert_non_null(strstr(e.text, "signing.pem"));
        assert_int_equal(file_read(path.path, again, sizeof again, &len, &e), 0);
        assert_string_equal(again, texts[i]);
    }
    assert_int_equal(signing_key_open(folder_file(&f, "no/such/signing.pem").path, &key, &e), -ERR_INTERNAL);
    signing_key_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_verifies_over_the_files_bytes),
        cmocka_unit_test(the_key_is_made_once),
        cmocka_unit_test(keys_of_other_kinds_are_refused),
        cmocka_unit_test(a_broken_file_is_refused_and_kept),
    };
    return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
