#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/str.h"
#include "image/image.h"
#include "image_file.h"

#include <stdio.h>
#include <string.h>

#define ENCRYPTED_AES128 0x04
#define ENCRYPTED_AES256 0x08

/* Version 1.2.3+4, an image of 1000 bytes. */
static const unsigned char header[32] = {0x3d, 0xb8, 0xf3, 0x96, 0, 0, 0, 0, 0x20, 0, 0, 0, 0xe8, 3, 0, 0,
                                         0,    0,    0,    0,    1, 2, 3, 0, 4,    0, 0, 0, 0,    0, 0, 0};

static void put16(unsigned char *p, unsigned value)
{
    p[0] = (unsigned char)value;
    p[1] = (unsigned char)(value >> 8);
}

static void add_pair(struct file *f, unsigned a, unsigned b)
{
    unsigned char pair[4];
    put16(pair, a);
    put16(pair + 2, b);
    add(f, pair, sizeof pair);
}

static void add_entry(struct file *f, unsigned type, const void *bytes, size_t len)
{
    add_pair(f, type, (unsigned)len);
    add(f, bytes, len);
}

static void begin(struct file *f, unsigned header_bytes, unsigned protected_bytes, uint32_t image_bytes)
{
    memset(f, 0, sizeof *f);
    add(f, header, sizeof header);
    add_fill(f, 0, header_bytes - sizeof header);
    put16(f->bytes + 8, header_bytes);
    put16(f->bytes + 10, protected_bytes);
    put32(f->bytes + 12, image_bytes);
    for (uint32_t i = 0; i < image_bytes; i++)
        add_fill(f, (unsigned char)(i * 7 + i / 251), 1);
}

/* The area of 51 bytes: the hash of all before it, and something for a signature. */
static void seal(struct file *f)
{
    unsigned char digest[SHA256_BYTES];
    sha256(f->bytes, f->size, digest);
    add_pair(f, 0x6907, 4 + 36 + 11);
    add_entry(f, 0x10, digest, sizeof digest);
    f->hash_at = f->size - sizeof digest;
    add_entry(f, 0x22, "signing", 7);
}

static void make_image(struct file *f, uint32_t image_bytes)
{
    begin(f, 32, 0, image_bytes);
    seal(f);
}

/* Header to 64, image to 164, protected area to 192, area to 243. */
static void make_protected(struct file *f)
{
    static const unsigned char counter[4] = {7, 1}, dependency[12] = {1, 0, 0, 0, 1, 2, 3};
    begin(f, 64, 28, 100);
    add_pair(f, 0x6908, 28);
    add_entry(f, 0x50, counter, sizeof counter);
    add_entry(f, 0x40, dependency, sizeof dependency);
    seal(f);
    assert_int_equal(f->size, 243);
}

static bool is_taken(struct file *f)
{
    struct image_info info;
    struct err e = {0};
    int rc = inspect(f, &info, &e);
    assert_true(rc == 0 || rc == -ERR_INVALID);
    return rc == 0 && info.kind == IMAGE_MCUBOOT;
}

/* The hash written out by hand, so that maker and reader cannot agree on the same mistake. */
static void known_image(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    char hash[SHA256_TEXT_SIZE];
    make_image(&f, 1000);
    assert_memory_equal(f.bytes, header, sizeof header);
    assert_int_equal(f.size, 1083);
    hex_format(f.bytes + 1040, SHA256_BYTES, hash);
    assert_string_equal(hash, "35384ba0ec7aae77ee3e29199fa2f8720061a2830aac5d8209d1fa637f93a743");
    assert_int_equal(inspect(&f, &info, &e), 0);
    assert_int_equal(info.kind, IMAGE_MCUBOOT);
    assert_string_equal(image_kind_name(info.kind), "mcuboot");
    assert_string_equal(info.version, "1.2.3+4");
    assert_string_equal(info.project, "");
    assert_string_equal(info.chip, "");
    assert_int_equal(info.secure_version, 0);
    assert_true(info.hash_appended);
    assert_false(info.placeholder);
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        unsigned char bytes[8];
        const char *text;
        bool placeholder;
    } rows[] = {
        {{1, 2, 3, 0, 0, 0, 0, 0}, "1.2.3", false},
        {{1, 2, 3, 0, 4, 0, 0, 0}, "1.2.3+4", false},
        {{255, 255, 255, 255, 255, 255, 255, 255}, "255.255.65535+4294967295", false},
        {{0, 0, 0, 1, 0, 0, 0, 2}, "0.0.256+33554432", false},
        {{0, 0, 0, 0, 1, 0, 0, 0}, "0.0.0+1", false},
        {{0, 0, 1, 0, 0, 0, 0, 0}, "0.0.1", false},
        {{0, 0, 0, 0, 0, 0, 0, 0}, "0.0.0", true},
    };
    static struct file f;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_info info;
        struct err e = {0};
        begin(&f, 32, 0, 5);
        memcpy(f.bytes + 20, rows[i].bytes, 8);
        seal(&f);
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_string_equal(info.version, rows[i].text);
        assert_int_equal(info.placeholder, rows[i].placeholder);
    }
}

static void protected_entries_are_read(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    make_protected(&f);
    assert_int_equal(inspect(&f, &info, &e), 0);
    assert_int_equal(info.secure_version, 263);
    assert_true(info.hash_appended);
}

static void unprotected_counter_does_not_count(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    begin(&f, 32, 0, 100);
    add_pair(&f, 0x6907, 12);
    add_entry(&f, 0x50, "\x07\x00\x00\x00", 4);
    assert_int_equal(inspect(&f, &info, &e), 0);
    assert_int_equal(info.secure_version, 0);
    assert_false(info.hash_appended); /* and no hash is no fault */
}

/* Other hashes are taken as they are. */
static void long_hashes(void **state)
{
    (void)state;
    static const struct {
        unsigned type, len;
    } rows[] = {{0x11, 48}, {0x12, 64}};
    static struct file f;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_info info;
        struct err e = {0};
        unsigned char hash[64] = {1};
        begin(&f, 32, 0, 100);
        add_pair(&f, 0x6907, 8 + rows[i].len);
        add_entry(&f, rows[i].type, hash, rows[i].len);
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_false(info.hash_appended);
    }
}

static void lengths_of_images(void **state)
{
    (void)state;
    static struct file f;
    static const uint32_t rows[] = {0, 1, 16383 - 32, 16384 - 32, 16385 - 32, 16384, 32768, 50000};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_image(&f, rows[i]);
        assert_true(is_taken(&f));
        assert_true(f.largest_read <= 16384);
        f.bytes[31 + rows[i]] ^= 0x10; /* the last byte that is hashed */
        assert_false(is_taken(&f));
    }
}

/* One bit of any byte: only what nothing covers may differ. */
static void every_byte_counts(void **state)
{
    (void)state;
    static struct file f;
    make_protected(&f);
    for (size_t at = 0; at < f.size; at++) {
        bool is_free = at == 197 || at == 232 || at == 233 || at >= 236; /* types of entries, the signature */
        f.bytes[at] ^= 1;
        if (is_taken(&f) != is_free)
            fail_msg("byte %zu", at);
        f.bytes[at] ^= 1;
    }
    assert_true(is_taken(&f));
}

static void wrong_hash_is_named(void **state)
{
    (void)state;
    static struct file f;
    unsigned char digest[SHA256_BYTES];
    char was[SHA256_TEXT_SIZE], is[SHA256_TEXT_SIZE], sentence[256];
    make_protected(&f);
    hex_format(f.bytes + f.hash_at, SHA256_BYTES, was);
    f.bytes[191] ^= 0x80; /* the last byte of the protected area */
    sha256(f.bytes, 192, digest);
    hex_format(digest, sizeof digest, is);
    snprintf(sentence, sizeof sentence, "the SHA-256 at offset 200 is %s, the image's bytes give %s", was,
             is);
    expect_refused(&f, sentence);
}

/* The hash is that of what the device decrypts. */
static void encrypted_images_keep_their_hash_to_themselves(void **state)
{
    (void)state;
    static struct file f;
    static const unsigned char flags[] = {ENCRYPTED_AES128, ENCRYPTED_AES256, 0x10, 0x20};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct image_info info = {.hash_appended = true};
        struct err e = {0};
        bool encrypted = flags[i] & (ENCRYPTED_AES128 | ENCRYPTED_AES256);
        make_image(&f, 100);
        f.bytes[16] = flags[i];
        f.bytes[50] ^= 1;
        assert_int_equal(inspect(&f, &info, &e), encrypted ? 0 : -ERR_INVALID);
        assert_int_equal(info.hash_appended, !encrypted);
    }
}

static void broken_images_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned value;
        const char *sentence;
    } rows[] = {
        {8, 244, "the header has 244 bytes, the file ends after 243"},
        {8, 243, "the image has 100 bytes at offset 243, the file ends after 0 of them"},
        {14, 0xffff, "the image has 4294901860 bytes at offset 64, the file ends after 179 of them"},
        {12, 180, "the image has 180 bytes at offset 64, the file ends after 179 of them"},
        {12, 179, "the file ends at offset 243, where the protected TLV area at offset 243 begins"},
        {12, 176, "the file ends at offset 243, where the protected TLV area at offset 240 begins"},
        {10, 0, "the TLV area at offset 164 begins with 0x6908, it must begin with 0x6907"},
        {10, 29, "the protected TLV area at offset 164 has 28 bytes, the header says 29"},
        {164, 0x6907, "the protected TLV area at offset 164 begins with 0x6907, it must begin with 0x6908"},
        {166, 27, "the protected TLV area at offset 164 has 27 bytes, the header says 28"},
        {170, 5, "the security counter at offset 172 has 5 bytes, it must have 4"},
        {170, 20, "the security counter at offset 172 has 20 bytes, it must have 4"},
        {170, 21, "TLV 0x0050 has 21 bytes at offset 172, its area ends after 20 of them"},
        {178, 11, "the dependency at offset 180 has 11 bytes, it must have 12"},
        {192, 0x6908, "the TLV area at offset 192 begins with 0x6908, it must begin with 0x6907"},
        {194, 3, "the TLV area at offset 192 says it has 3 bytes, possible are 4 to 51"},
        {194, 52, "the TLV area at offset 192 says it has 52 bytes, possible are 4 to 51"},
        {194, 50, "TLV 0x0022 has 7 bytes at offset 236, its area ends after 6 of them"},
        {194, 43, "the TLV area ends at offset 235, inside the head of the entry at 232"},
        {194, 4, "the image ends at offset 196, and the 47 bytes behind it are no padding of a slot"},
        {198, 31, "the SHA-256 at offset 200 has 31 bytes, it must have 32"},
        {196, 0x11, "the SHA-384 at offset 200 has 32 bytes, it must have 48"},
        {196, 0x12, "the SHA-512 at offset 200 has 32 bytes, it must have 64"},
    };
    static struct file f;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_protected(&f);
        put16(f.bytes + rows[i].at, rows[i].value);
        expect_refused(&f, rows[i].sentence);
    }
    make_protected(&f);
    put16(f.bytes + 10, 3); /* both agree on a size that is none */
    put16(f.bytes + 166, 3);
    expect_refused(&f, "the protected TLV area at offset 164 says it has 3 bytes, possible are 4 to 79");
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    make_protected(&f);
    for (size_t size = f.size; size-- > 32;) {
        f.size = size;
        assert_int_equal(inspect(&f, &info, &e), -ERR_INVALID);
    }
    for (size_t size = 32; size-- > 0;) {
        f.size = size;
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_int_equal(info.kind, IMAGE_OPAQUE);
    }
    struct image_source source = {.read = read_file, .arg = &f, .size = f.size = 31};
    assert_int_equal(mcuboot_image_inspect(&source, &info, &e), -ERR_INVALID);
    assert_string_equal(e.text, "the header is truncated: 31 of 32 bytes");
}

static void other_files_are_opaque(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned char value;
    } rows[] = {{0, 0x3c}, {0, 0x3e}, {1, 0}, {2, 0}, {3, 0}, {8, 31}, {8, 0}};
    static struct file f;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_info info;
        struct err e = {0};
        make_image(&f, 100);
        f.bytes[rows[i].at] = rows[i].value;
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_int_equal(info.kind, IMAGE_OPAQUE);
        assert_string_equal(info.version, "");
    }
    struct image_info info;
    struct err e = {0};
    struct image_source source = {.read = read_file, .arg = &f, .size = f.size};
    assert_int_equal(mcuboot_image_inspect(&source, &info, &e), -ERR_INVALID);
    assert_string_equal(e.text, "the file starts with 0x96f3b83d and a header of 0 bytes, an MCUboot image "
                                "with 0x96f3b83d and at least 32");
}

/* ---- behind the image */

static const unsigned char magics[][16] = {
    {0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80},
    {0x10, 0x00, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a},
    {0x20, 0x00, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a},
};
static const size_t image_ok[] = {24, 32, 64};

/* An image of 183 bytes in a slot, with the trailer of that alignment or (3) none. */
static void make_slot(struct file *f, size_t size, unsigned char filler, size_t alignment)
{
    make_image(f, 100);
    assert_int_equal(f->size, 183);
    add_fill(f, filler, size - f->size);
    if (alignment < ARRAY_SIZE(magics))
        memcpy(f->bytes + size - 16, magics[alignment], 16);
}

static void padded_slots_are_accepted(void **state)
{
    (void)state;
    static struct file f;
    static const size_t sizes[] = {183 + 48, 4096, 183 + 16384, 183 + 16384 + 16, 183 + 16385, 50000};
    static const unsigned char fillers[] = {0xff, 0};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (size_t alignment = 0; alignment <= 3; alignment++)
            for (size_t k = 0; k < ARRAY_SIZE(fillers); k++) {
                make_slot(&f, sizes[i], fillers[k], alignment);
                assert_true(is_taken(&f));
                if (alignment == 3 || sizes[i] < 183 + 64)
                    continue;
                f.bytes[f.size - image_ok[alignment]] = 1;
                assert_true(is_taken(&f));
                assert_true(f.largest_read <= 16384);
            }
    make_slot(&f, 184, 0xff, 3);
    assert_true(is_taken(&f));
}

static void other_tails_are_refused(void **state)
{
    (void)state;
    static struct file f;
    static const struct {
        size_t size, alignment, at;
        unsigned char value;
    } rows[] = {
        {184, 3, 183, 0xfe},        /* one byte that is no filler */
        {184, 3, 183, 1},           /* or would be image_ok elsewhere */
        {4096, 3, 183, 0},          /* two fillers */
        {4096, 3, 4095, 0},         /* to the last byte */
        {4096, 3, 4096 - 24, 1},    /* image_ok without a trailer */
        {4096, 0, 4096 - 17, 0xfe}, /* the byte before the magic */
        {4096, 0, 4096 - 16, 0x76}, /* the magic's first byte */
        {4096, 0, 4096 - 1, 0x81},  /* its last */
        {4096, 0, 4096 - 24, 2},    {4096, 0, 4096 - 23, 1},    {4096, 0, 4096 - 25, 1},
        {4096, 1, 4096 - 24, 1},    {4096, 2, 4096 - 32, 1},    {4096, 1, 4096 - 64, 1},
        {4096, 1, 4096 - 16, 0x30}, /* no such alignment */
        {50000, 0, 183 + 16384, 1}, {50000, 0, 183 + 16383, 0},
    };
    char sentence[128];
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_slot(&f, rows[i].size, 0xff, rows[i].alignment);
        f.bytes[rows[i].at] = rows[i].value;
        snprintf(sentence, sizeof sentence,
                 "the image ends at offset 183, and the %zu bytes behind it are no padding of a slot",
                 rows[i].size - 183);
        expect_refused(&f, sentence);
    }
}

static void failing_disk_is_no_fault_of_the_image(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    make_image(&f, 100);
    struct image_source longer = {.read = read_file, .arg = &f, .size = f.size + 64};
    assert_int_equal(image_inspect(&longer, &info, &e), -ERR_INTERNAL);
    f.fails = true;
    assert_int_equal(inspect(&f, &info, &e), -ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_image),
        cmocka_unit_test(versions),
        cmocka_unit_test(protected_entries_are_read),
        cmocka_unit_test(unprotected_counter_does_not_count),
        cmocka_unit_test(long_hashes),
        cmocka_unit_test(lengths_of_images),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(wrong_hash_is_named),
        cmocka_unit_test(encrypted_images_keep_their_hash_to_themselves),
        cmocka_unit_test(broken_images_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(other_files_are_opaque),
        cmocka_unit_test(padded_slots_are_accepted),
        cmocka_unit_test(other_tails_are_refused),
        cmocka_unit_test(failing_disk_is_no_fault_of_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
