#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/seal.h"
#include "base/str.h"
#include "folder.h"

#include <string.h>

static const struct seal fixed = {{1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                   17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}};

static void what_is_sealed_opens_again(void **state)
{
    (void)state;
    struct err e;
    char secret[SECRET_SIZE] = "", out[SECRET_SIZE];
    for (size_t len = 0; len < sizeof secret; len++) {
        unsigned char sealed[SEALED_SIZE];
        sealed[len + SEAL_OVERHEAD] = 0x5a;
        assert_int_equal(seal_close(&fixed, "device", "thermo/d1", secret, len, sealed, &e), 0);
        assert_int_equal(sealed[len + SEAL_OVERHEAD], 0x5a);
        assert_int_equal(
            seal_open(&fixed, "device", "thermo/d1", sealed, len + SEAL_OVERHEAD, out, len + 1, &e), 0);
        assert_string_equal(out, secret);
        if (len + 1 < sizeof secret) {
            secret[len] = (char)('!' + len % 90);
            secret[len + 1] = '\0';
        }
    }
}

static void two_seals_of_one_secret_differ(void **state)
{
    (void)state;
    struct err e;
    unsigned char a[6 + SEAL_OVERHEAD], b[6 + SEAL_OVERHEAD];
    assert_int_equal(seal_close(&fixed, "device", "d", "secret", 6, a, &e), 0);
    assert_int_equal(seal_close(&fixed, "device", "d", "secret", 6, b, &e), 0);
    assert_memory_not_equal(a, b, 12);
    assert_memory_not_equal(a + 12, b + 12, 6);
}

static void every_changed_byte_is_found(void **state)
{
    (void)state;
    struct err e;
    unsigned char sealed[6 + SEAL_OVERHEAD];
    char out[7];
    assert_int_equal(seal_close(&fixed, "device", "d", "secret", 6, sealed, &e), 0);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 0x80;
        assert_int_equal(seal_open(&fixed, "device", "d", sealed, sizeof sealed, out, sizeof out, &e),
                         -ERR_INTERNAL);
        assert_null(strstr(out, "secret"));
        sealed[i] ^= 0x80;
    }
    assert_int_equal(seal_open(&fixed, "device", "d", sealed, sizeof sealed, out, sizeof out, &e), 0);
}

static void a_seal_opens_only_for_its_purpose_owner_and_key(void **state)
{
    (void)state;
    struct err e;
    struct seal other = fixed;
    other.key[31] ^= 1;
    const struct {
        const struct seal *seal;
        const char *purpose, *owner;
        int want;
    } rows[] = {
        {&fixed, "device", "ab", 0},
        {&fixed, "devic", "eab", -ERR_INTERNAL},
        {&fixed, "devicea", "b", -ERR_INTERNAL},
        {&fixed, "deviceab", "", -ERR_INTERNAL},
        {&fixed, "enrolment", "ab", -ERR_INTERNAL},
        {&fixed, "device", "ac", -ERR_INTERNAL},
        {&fixed, "device", "a", -ERR_INTERNAL},
        {&other, "device", "ab", -ERR_INTERNAL},
    };
    unsigned char sealed[6 + SEAL_OVERHEAD];
    char out[7];
    assert_int_equal(seal_close(&fixed, "device", "ab", "secret", 6, sealed, &e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(seal_open(rows[i].seal, rows[i].purpose, rows[i].owner, sealed, sizeof sealed, out,
                                   sizeof out, &e),
                         rows[i].want);
}

static void lengths_are_checked(void **state)
{
    (void)state;
    struct err e;
    unsigned char sealed[6 + SEAL_OVERHEAD];
    char out[8];
    assert_int_equal(seal_close(&fixed, "device", "d", "secret", 6, sealed, &e), 0);
    static const struct {
        size_t len, size;
        int want;
    } rows[] = {
        {6 + SEAL_OVERHEAD, 7, 0},
        {6 + SEAL_OVERHEAD, 6, -ERR_INTERNAL},
        {6 + SEAL_OVERHEAD, 0, -ERR_INTERNAL},
        {5 + SEAL_OVERHEAD, 7, -ERR_INTERNAL},
        {SEAL_OVERHEAD, 7, -ERR_INTERNAL},
        {SEAL_OVERHEAD - 1, 7, -ERR_INTERNAL},
        {0, 7, -ERR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(seal_open(&fixed, "device", "d", sealed, rows[i].len, out, rows[i].size, &e),
                         rows[i].want);
}

static void the_key_file_is_made_once(void **state)
{
    (void)state;
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file key = folder_file(&f, "seal.key");
    struct seal a, b, c;
    struct stat st;
    struct err e;
    assert_int_equal(seal_load(key.path, &a, &e), -ERR_NOT_FOUND);
    assert_int_equal(seal_create(key.path, &a, &e), 0);
    assert_int_equal(stat(key.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(seal_create(key.path, &b, &e), 0);
    assert_int_equal(seal_load(key.path, &c, &e), 0);
    assert_memory_equal(a.key, b.key, 32);
    assert_memory_equal(a.key, c.key, 32);
    struct folder_file second = folder_file(&f, "second.key");
    assert_int_equal(seal_create(second.path, &b, &e), 0);
    assert_memory_not_equal(a.key, b.key, 32);
}

static void a_key_file_of_another_size_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 33, 64, 4096};
    FOLDER_AUTO struct folder f = folder_make();
    struct folder_file key = folder_file(&f, "seal.key");
    char bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct seal out = fixed;
        struct err e;
        assert_int_equal(file_replace(key.path, bytes, sizes[i], 0600, &e), 0);
        assert_int_equal(seal_create(key.path, &out, &e), -ERR_INTERNAL);
        assert_memory_equal(out.key, fixed.key, 32);
    }
    struct seal out;
    struct err e;
    assert_int_equal(file_replace(key.path, bytes, 32, 0600, &e), 0);
    assert_int_equal(seal_load(key.path, &out, &e), 0);
    assert_memory_equal(out.key, bytes, 32);
}

/* HMAC-SHA-256 with key 01 02 .. 20 over the label, computed with another program. */
static void derived_keys_depend_on_the_label(void **state)
{
    (void)state;
    static const struct {
        const char *label, *want;
    } rows[] = {
        {"url", "f8331c8e277b495732df9a143dbfe48e90f5aee4cea46a411fbc6b563993a0c2"},
        {"urm", "4a1026439e34e57f845ee08e4d378c3e67927beb015e5e09f90f8ad6b39da2f2"},
        {"", "462476a897ddfdbd40d1420e08a5bcfeeb25c3e2ade6a0a9083b327b9ef9fca1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned char key[32];
        char text[65];
        seal_derive(&fixed, rows[i].label, key);
        hex_format(key, sizeof key, text);
        assert_string_equal(text, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_again),
        cmocka_unit_test(two_seals_of_one_secret_differ),
        cmocka_unit_test(every_changed_byte_is_found),
        cmocka_unit_test(a_seal_opens_only_for_its_purpose_owner_and_key),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(the_key_file_is_made_once),
        cmocka_unit_test(a_key_file_of_another_size_is_refused),
        cmocka_unit_test(derived_keys_depend_on_the_label),
    };
    return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
