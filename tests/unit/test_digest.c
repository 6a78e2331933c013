#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* FIPS 180-4 and RFC 1321 examples */
static const struct {
    const char *text;
    struct digests want;
} vectors[] = {
    {"",
     {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "da39a3ee5e6b4b0d3255bfef95601890afd80709", "d41d8cd98f00b204e9800998ecf8427e"}},
    {"abc",
     {"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "a9993e364706816aba3e25717850c26c9cd0d89d", "900150983cd24fb0d6963f7d28e17f72"}},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     {"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      "84983e441c3bd26ebaae4aa1f95129e5e54670f1", "8215ef0796a20bcaaae116d3876c664a"}},
};

static void assert_same(const struct digests *got, const struct digests *want)
{
    assert_string_equal(got->sha256, want->sha256);
    assert_string_equal(got->sha1, want->sha1);
    assert_string_equal(got->md5, want->md5);
}

static void digests_of_known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct digests got;
        struct digester *d = digester_begin();
        digester_add(d, vectors[i].text, strlen(vectors[i].text));
        digester_end(d, &got);
        assert_same(&got, &vectors[i].want);

        unsigned char bytes[SHA256_BYTES];
        char text[SHA256_TEXT_SIZE];
        sha256(vectors[i].text, strlen(vectors[i].text), bytes);
        hex_format(bytes, sizeof bytes, text);
        assert_string_equal(text, vectors[i].want.sha256);
    }
}

static void pieces_of_any_size_give_the_same(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 63, 64, 65, 1000, 4096};
    unsigned char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    struct digests whole, pieces;
    struct digester *d = digester_begin();
    digester_add(d, bytes, sizeof bytes);
    digester_end(d, &whole);
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        d = digester_begin();
        for (size_t at = 0; at < sizeof bytes; at += sizes[s])
            digester_add(d, bytes + at, sizeof bytes - at < sizes[s] ? sizeof bytes - at : sizes[s]);
        digester_end(d, &pieces);
        assert_same(&pieces, &whole);
    }
    d = digester_begin();
    digester_add(d, bytes, sizeof bytes - 1);
    digester_end(d, &pieces);
    assert_string_not_equal(pieces.sha256, whole.sha256);
}

static void some_digests_are_those_of_all(void **state)
{
    (void)state;
    for (unsigned digests = 0; digests <= (DIGEST_SHA256 | DIGEST_SHA1 | DIGEST_MD5); digests++) {
        struct digests got, want = vectors[0].want;
        struct digester *d = digester_begin_of(digests);
        digester_add(d, vectors[0].text, strlen(vectors[0].text));
        digester_end(d, &got);
        if (!(digests & DIGEST_SHA256))
            want.sha256[0] = '\0';
        if (!(digests & DIGEST_SHA1))
            want.sha1[0] = '\0';
        if (!(digests & DIGEST_MD5))
            want.md5[0] = '\0';
        assert_same(&got, &want);
    }
}

static void a_stream_may_be_thrown_away(void **state)
{
    (void)state;
    struct digester *d = digester_begin();
    digester_add(d, "abc", 3);
    digester_end(d, NULL);
}

/* RFC 4231 test cases 1, 2, 6, and both empty */
static void hmac_of_known_texts(void **state)
{
    (void)state;
    unsigned char key_1[20], key_6[131];
    memset(key_1, 0x0b, sizeof key_1);
    memset(key_6, 0xaa, sizeof key_6);
    const struct {
        const void *key;
        size_t key_len;
        const char *text, *want;
    } rows[] = {
        {key_1, sizeof key_1, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"Jefe", 4, "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {key_6, sizeof key_6, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {"", 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned char mac[SHA256_BYTES];
        char text[SHA256_TEXT_SIZE];
        hmac_sha256(rows[i].key, rows[i].key_len, rows[i].text, strlen(rows[i].text), mac);
        hex_format(mac, sizeof mac, text);
        assert_string_equal(text, rows[i].want);
    }
}

/* RFC 2202 and RFC 4231, case 2 */
static void hmac_by_each_hash(void **state)
{
    (void)state;
    static const char *const want[] = {
        [HASH_MD5] = "750c783e6ab0b503eaa86e310a5db738",
        [HASH_SHA1] = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        [HASH_SHA256] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"};
    static const char text[] = "what do ya want for nothing?";
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        unsigned char mac[HMAC_BYTES_MAX];
        char got[2 * HMAC_BYTES_MAX + 1];
        size_t n = hmac((enum hash)i, "Jefe", 4, text, strlen(text), mac);
        assert_int_equal(n, strlen(want[i]) / 2);
        hex_format(mac, n, got);
        assert_string_equal(got, want[i]);
    }
}

static void secrets_compare_by_every_byte(void **state)
{
    (void)state;
    char a[32], b[32];
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = b[i] = (char)(i + 1);
    assert_true(same_secret(a, sizeof a, b, sizeof b));
    assert_true(same_secret("", 0, "", 0));
    assert_false(same_secret(a, sizeof a, b, sizeof b - 1));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 1;
        assert_false(same_secret(a, sizeof a, b, sizeof b));
        b[i] ^= 1;
    }
}

/* Each byte is written: none stays zero in all of 32 fillings (chance of a false alarm: 300 in 2^256). */
static void random_bytes_fill_all_and_no_more(void **state)
{
    (void)state;
    unsigned char seen[300] = {0}, buf[302];
    buf[0] = buf[301] = 0x5a;
    for (int round = 0; round < 32; round++) {
        random_bytes(buf + 1, 300);
        for (size_t i = 0; i < 300; i++)
            seen[i] |= buf[i + 1];
    }
    for (size_t i = 0; i < 300; i++)
        assert_int_not_equal(seen[i], 0);
    assert_int_equal(buf[0], 0x5a);
    assert_int_equal(buf[301], 0x5a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_of_known_texts),        cmocka_unit_test(pieces_of_any_size_give_the_same),
        cmocka_unit_test(some_digests_are_those_of_all), cmocka_unit_test(a_stream_may_be_thrown_away),
        cmocka_unit_test(hmac_of_known_texts),           cmocka_unit_test(hmac_by_each_hash),
        cmocka_unit_test(secrets_compare_by_every_byte), cmocka_unit_test(random_bytes_fill_all_and_no_more),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
