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

static void add_header(struct file *f, unsigned segments, uint16_t chip, bool hash)
{
    unsigned char head[24] = {0xE9, (unsigned char)segments, 2, 0x20, 0, 0, 0x38, 0x40, 0xEE};
    head[12] = (unsigned char)chip;
    head[13] = (unsigned char)(chip >> 8);
    head[17] = 0x8f;
    head[18] = 1;
    head[23] = hash;
    add(f, head, sizeof head);
}

static void add_segment(struct file *f, uint32_t address, const unsigned char *data, uint32_t len)
{
    unsigned char head[8];
    put32(head, address);
    put32(head + 4, len);
    add(f, head, sizeof head);
    add(f, data, len);
}

/* Seals the image by an independent walk over its own segments. */
static void finish(struct file *f, unsigned segments, bool hash)
{
    unsigned char sum = 0xEF, digest[SHA256_BYTES];
    size_t at = 24;
    for (unsigned i = 0; i < segments; i++) {
        size_t len = f->bytes[at + 4] | (size_t)f->bytes[at + 5] << 8 | (size_t)f->bytes[at + 6] << 16;
        for (size_t k = 0; k < len; k++)
            sum = (unsigned char)(sum ^ f->bytes[at + 8 + k]);
        at += 8 + len;
    }
    assert_int_equal(at, f->size);
    do
        add_fill(f, 0, 1);
    while (f->size % 16 != 0);
    f->checksum_at = f->size - 1;
    f->bytes[f->checksum_at] = sum;
    f->hash_at = 0;
    if (!hash)
        return;
    sha256(f->bytes, f->size, digest);
    f->hash_at = f->size;
    add(f, digest, sizeof digest);
}

static void make_desc(unsigned char desc[256], const char *version, const char *project)
{
    memset(desc, 0, 256);
    put32(desc, 0xABCD5432);
    put32(desc + 4, 7);
    memcpy(desc + 16, version, strnlen(version, 32));
    memcpy(desc + 48, project, strnlen(project, 32));
    memcpy(desc + 80, "12:00:00", 8);
    memcpy(desc + 96, "Jan  1 2030", 11);
    memcpy(desc + 112, "v5.3-dirty", 10);
}

/* Two segments: the descriptor and 16 bytes, then second_len bytes. */
static void make_image(struct file *f, uint16_t chip, const char *version, const char *project,
                       uint32_t second_len, bool hash)
{
    unsigned char data[272];
    static unsigned char second[FILE_MAX];
    memset(f, 0, sizeof *f);
    make_desc(data, version, project);
    for (unsigned i = 0; i < 16; i++)
        data[256 + i] = (unsigned char)i;
    for (uint32_t i = 0; i < second_len; i++)
        second[i] = (unsigned char)(i * 7 + i / 251);
    add_header(f, 2, chip, hash);
    add_segment(f, 0x3c000020, data, sizeof data);
    add_segment(f, 0x42000020, second, second_len);
    finish(f, 2, hash);
}

static void expect_good(struct file *f)
{
    struct image_info info;
    struct err e = {0};
    if (inspect(f, &info, &e) != 0)
        fail_msg("%s", e.text);
    assert_int_equal(info.kind, IMAGE_ESP);
}

/* The bytes written out by hand, so that maker and reader cannot agree on the same mistake. */
static void known_image(void **state)
{
    (void)state;
    static const unsigned char start[32] = {0xe9, 1, 2,    0x20, 0, 0,    0x38, 0x40, 0xee, 0, 0,
                                            0,    5, 0,    0,    3, 0,    0x8f, 1,    0,    0, 0,
                                            0,    1, 0x20, 0,    0, 0x3c, 0x10, 1,    0,    0};
    static struct file f;
    unsigned char data[272];
    char hash[SHA256_TEXT_SIZE];
    struct image_info info;
    struct err e = {0};
    memset(&f, 0, sizeof f);
    make_desc(data, "2.0.0", "otad-test");
    put32(data + 4, 0);
    memset(data + 112, 0, 32);
    memcpy(data + 112, "v5.3", 4);
    data[178] = data[179] = 0xff;
    for (unsigned i = 0; i < 16; i++)
        data[256 + i] = (unsigned char)i;
    add(&f, start, sizeof start);
    add(&f, data, sizeof data);
    finish(&f, 1, true);
    assert_int_equal(f.size, 352);
    assert_int_equal(f.bytes[319], 0xf0);
    hex_format(f.bytes + 320, 32, hash);
    assert_string_equal(hash, "298039b4a77200d68fbabb7653a8b835540d4eba158211ec9bdbcc883473dedb");
    assert_int_equal(inspect(&f, &info, &e), 0);
    assert_int_equal(info.kind, IMAGE_ESP);
    assert_string_equal(info.version, "2.0.0");
    assert_string_equal(info.project, "otad-test");
    assert_string_equal(info.chip, "esp32c3");
    assert_string_equal(info.idf_version, "v5.3");
    assert_int_equal(info.secure_version, 0);
    assert_true(info.hash_appended);
    assert_false(info.placeholder);
}

static void description_is_read(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    static const struct {
        const char *version, *project, *told_version, *told_project;
        bool placeholder;
    } rows[] = {
        {"1.2.3", "thermo", "1.2.3", "thermo", false},
        {"", "", "", "", false},
        {"12345678901234567890123456789012", "abcdefghijabcdefghijabcdefghijab",
         "12345678901234567890123456789012", "abcdefghijabcdefghijabcdefghijab", false},
        {"1.2\n3", "the\x1brmo", "", "", false},
        {"1.2\xff", "\xc3\xa9t\xc3\xa9", "", "\xc3\xa9t\xc3\xa9", false},
        {"esp-idf: v4.4.6 3572900934", "arduino-lib-builder", "esp-idf: v4.4.6 3572900934",
         "arduino-lib-builder", true},
        {"v5.1", "esp32-arduino-lib-builder", "v5.1", "esp32-arduino-lib-builder", true},
        {"v5.1", "esp32-arduino-lib-builder-2", "v5.1", "esp32-arduino-lib-builder-2", true},
        {"v5.1", "arduino-lib-builde", "v5.1", "arduino-lib-builde", false},
        {"v5.1", "my-arduino-lib-builder", "v5.1", "my-arduino-lib-builder", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_image(&f, 9, rows[i].version, rows[i].project, 64, true);
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_string_equal(info.version, rows[i].told_version);
        assert_string_equal(info.project, rows[i].told_project);
        assert_string_equal(info.idf_version, "v5.3-dirty");
        assert_string_equal(info.chip, "esp32s3");
        assert_int_equal(info.secure_version, 7);
        assert_int_equal(info.placeholder, rows[i].placeholder);
    }
}

static void image_without_description_has_no_version(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    unsigned char data[256];
    static const uint32_t lengths[] = {1, 255, 256};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        memset(&f, 0, sizeof f);
        make_desc(data, "1.0.0", "x");
        if (lengths[i] == 256)
            data[0] ^= 1;
        add_header(&f, 1, 0, false);
        add_segment(&f, 0x3f400020, data, lengths[i]);
        finish(&f, 1, false);
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_int_equal(info.kind, IMAGE_ESP);
        assert_string_equal(info.chip, "esp32");
        assert_string_equal(info.version, "");
        assert_false(info.hash_appended);
    }
}

/* Every padding before the checksum, and segments around the reader's block. */
static void segment_lengths(void **state)
{
    (void)state;
    static struct file f;
    static const uint32_t blocks[] = {0, 16384, 32768, 40000};
    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
        for (uint32_t extra = 0; extra < 20; extra++) {
            make_image(&f, 2, "1", "x", blocks[i] + extra, true);
            expect_good(&f);
            assert_true(f.largest_read <= 16384);
            f.bytes[f.checksum_at - 20] ^= 0x10;
            struct image_info info;
            struct err e = {0};
            assert_int_equal(inspect(&f, &info, &e), -ERR_INVALID);
        }
}

static void sixteen_segments(void **state)
{
    (void)state;
    static struct file f;
    memset(&f, 0, sizeof f);
    add_header(&f, 16, 0x20, true);
    for (unsigned i = 0; i < 16; i++) {
        unsigned char data[3] = {(unsigned char)i, (unsigned char)(i * 3), 0x77};
        add_segment(&f, i, data, i % 4);
    }
    finish(&f, 16, true);
    expect_good(&f);
    f.bytes[1] = 17;
    struct image_source source = {.read = read_file, .arg = &f, .size = f.size};
    struct image_info info;
    struct err e = {0};
    assert_int_equal(esp_image_inspect(&source, &info, &e), -ERR_INVALID);
    assert_string_equal(e.text, "the header counts 17 segments, 1 to 16 are allowed");
}

static void chips_are_known(void **state)
{
    (void)state;
    static const struct {
        uint16_t id;
        const char *name;
    } rows[] = {
        {0, "esp32"},       {2, "esp32s2"},    {5, "esp32c3"},     {9, "esp32s3"},     {0x0c, "esp32c2"},
        {0x0d, "esp32c6"},  {0x10, "esp32h2"}, {0x12, "esp32p4"},  {0x14, "esp32c61"}, {0x17, "esp32c5"},
        {0x19, "esp32h21"}, {0x1c, "esp32h4"}, {0x20, "esp32s31"},
    };
    static struct file f;
    struct image_info info;
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_image(&f, rows[i].id, "1", "x", 3, true);
        assert_int_equal(inspect(&f, &info, &e), 0);
        assert_string_equal(info.chip, rows[i].name);
        assert_true(image_chip_known(rows[i].name));
    }
    assert_false(image_chip_known("esp8266"));
    assert_false(image_chip_known("ESP32"));
    assert_false(image_chip_known(""));
}

static void broken_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned char value;
        const char *sentence;
    } rows[] = {
        {1, 0, "the header counts 0 segments, 1 to 16 are allowed"},
        {1, 17, "the header counts 17 segments, 1 to 16 are allowed"},
        {1, 255, "the header counts 255 segments, 1 to 16 are allowed"},
        {12, 1, "chip id 0x0001 is unknown"},
        {13, 1, "chip id 0x0105 is unknown"},
        {23, 2, "hash_appended is 2, only 0 and 1 are allowed"},
        {31, 1, "segment 1 of 2 has 16777488 bytes at offset 32, the file ends after 400 of them"},
    };
    static struct file f;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        make_image(&f, 5, "1.0.0", "x", 80, true);
        assert_int_equal(f.size, 432);
        f.bytes[rows[i].at] = rows[i].value;
        expect_refused(&f, rows[i].sentence);
    }
}

static void segment_past_the_end_is_refused(void **state)
{
    (void)state;
    static struct file f;
    make_image(&f, 5, "1.0.0", "x", 80, true);
    put32(f.bytes + 308, UINT32_MAX);
    expect_refused(&f, "segment 2 of 2 has 4294967295 bytes at offset 312, the file ends after 120 of them");
    put32(f.bytes + 308, 121);
    expect_refused(&f, "segment 2 of 2 has 121 bytes at offset 312, the file ends after 120 of them");
    put32(f.bytes + 308, 120); /* now the file ends with the data */
    expect_refused(&f, "the file ends at offset 432, before the checksum at offset 447");
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    make_image(&f, 5, "1.0.0", "x", 80, true);
    for (size_t size = f.size; size-- > 24;) {
        f.size = size;
        assert_int_equal(inspect(&f, &info, &e), -ERR_INVALID);
    }
    static const struct {
        size_t size;
        const char *sentence;
    } rows[] = {
        {431, "the header promises an appended SHA-256, the file ends 31 bytes after the checksum"},
        {400, "the header promises an appended SHA-256, the file ends 0 bytes after the checksum"},
        {399, "the file ends at offset 399, before the checksum at offset 399"},
        {392, "the file ends at offset 392, before the checksum at offset 399"},
        {391, "segment 2 of 2 has 80 bytes at offset 312, the file ends after 79 of them"},
        {312, "segment 2 of 2 has 80 bytes at offset 312, the file ends after 0 of them"},
        {311, "the file ends inside the header of segment 2 of 2, at offset 311"},
        {304, "the file ends inside the header of segment 2 of 2, at offset 304"},
        {303, "segment 1 of 2 has 272 bytes at offset 32, the file ends after 271 of them"},
        {31, "the file ends inside the header of segment 1 of 2, at offset 31"},
        {24, "the file ends inside the header of segment 1 of 2, at offset 24"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        f.size = rows[i].size;
        expect_refused(&f, rows[i].sentence);
    }
    struct image_source source = {.read = read_file, .arg = &f, .size = f.size = 23};
    assert_int_equal(esp_image_inspect(&source, &info, &e), -ERR_INVALID);
    assert_string_equal(e.text, "the header is truncated: 23 of 24 bytes");
    source.size = f.size = 0;
    assert_int_equal(esp_image_inspect(&source, &info, &e), -ERR_INVALID);
    assert_string_equal(e.text, "the header is truncated: 0 of 24 bytes");
}

static void wrong_checksum_is_refused(void **state)
{
    (void)state;
    static struct file f;
    char sentence[128];
    make_image(&f, 5, "1.0.0", "x", 80, false);
    unsigned sum = f.bytes[f.checksum_at];
    f.bytes[f.checksum_at] ^= 1;
    snprintf(sentence, sizeof sentence, "checksum is 0x%02x, the image's bytes give 0x%02x", sum ^ 1, sum);
    expect_refused(&f, sentence);
    f.bytes[f.checksum_at] ^= 1;
    expect_good(&f);
    for (size_t at = 312; at < 392; at++) { /* each byte of the second segment counts */
        f.bytes[at] ^= 0x80;
        snprintf(sentence, sizeof sentence, "checksum is 0x%02x, the image's bytes give 0x%02x", sum,
                 sum ^ 0x80);
        expect_refused(&f, sentence);
        f.bytes[at] ^= 0x80;
    }
    f.bytes[392] = 1; /* padding is not part of the sum */
    expect_good(&f);
}

/* Bytes that no checksum covers, and changes that keep the checksum: only the hash sees them. */
static void wrong_hash_is_refused(void **state)
{
    (void)state;
    static struct file f;
    char was[SHA256_TEXT_SIZE], is[SHA256_TEXT_SIZE], sentence[256];
    make_image(&f, 5, "1.0.0", "x", 80, true);
    hex_format(f.bytes + f.hash_at, 32, was);
    static const size_t places[] = {2, 8, 24, 304, 392, 398, 100};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        unsigned char digest[SHA256_BYTES];
        f.bytes[places[i]] ^= 4;
        if (places[i] == 100)
            f.bytes[300] ^= 4;
        sha256(f.bytes, f.hash_at, digest);
        hex_format(digest, sizeof digest, is);
        snprintf(sentence, sizeof sentence, "appended SHA-256 is %s, the image's bytes give %s", was, is);
        expect_refused(&f, sentence);
        f.bytes[places[i]] ^= 4;
        if (places[i] == 100)
            f.bytes[300] ^= 4;
    }
    for (size_t i = 0; i < 32; i++) {
        struct image_info info;
        struct err e = {0};
        f.bytes[f.hash_at + i] ^= 1;
        assert_int_equal(inspect(&f, &info, &e), -ERR_INVALID);
        f.bytes[f.hash_at + i] ^= 1;
    }
    expect_good(&f);
}

/* 1216 bytes whose CRC is right: zlib's, byte by byte from its table's definition. */
static void make_signature_block(unsigned char block[1216], unsigned char version)
{
    memset(block, 0, 1216);
    for (size_t i = 36; i < 1196; i++)
        block[i] = (unsigned char)(i * 5 + 1);
    block[0] = 0xE7;
    block[1] = version;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < 1196; i++) {
        uint32_t row = (crc ^ block[i]) & 0xff;
        for (int k = 0; k < 8; k++)
            row = row & 1 ? 0xedb88320u ^ row >> 1 : row >> 1;
        crc = row ^ crc >> 8;
    }
    put32(block + 1196, ~crc);
}

static size_t sign_v2(struct file *f, unsigned char padding, unsigned char version)
{
    unsigned char block[1216];
    add_fill(f, padding, (4096 - f->size % 4096) % 4096);
    size_t sector = f->size;
    make_signature_block(block, version);
    add(f, block, sizeof block);
    add_fill(f, 0xFF, 4096 - sizeof block);
    return sector;
}

static void signatures_are_accepted(void **state)
{
    (void)state;
    static struct file f;
    for (int hash = 0; hash < 2; hash++) {
        make_image(&f, 0, "1.0.0", "x", 80, hash);
        add_fill(&f, 0, 4);
        add_fill(&f, 0x5c, 64);
        expect_good(&f);
        make_image(&f, 5, "1.0.0", "x", 80, hash);
        sign_v2(&f, 0xFF, 2);
        expect_good(&f);
        make_image(&f, 5, "1.0.0", "x", 80, hash);
        sign_v2(&f, 0, 3);
        expect_good(&f);
    }
    make_image(&f, 5, "1.0.0", "x", 4096 - 312 - 1 - 32, true); /* already a multiple of 4096 */
    assert_int_equal(f.size, 4096);
    sign_v2(&f, 0xFF, 3);
    assert_int_equal(f.size, 8192);
    expect_good(&f);
}

static void other_tails_are_refused(void **state)
{
    (void)state;
    static struct file f;
    static const size_t lengths[] = {1, 32, 67, 68, 69, 3664 + 4096, 3664 + 4095, 3664 + 4097, 4096};
    char sentence[160];
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        make_image(&f, 5, "1.0.0", "x", 80, true);
        add_fill(&f, 0x41, lengths[i]);
        snprintf(sentence, sizeof sentence,
                 "the image ends at offset 432, and the %zu bytes behind it are no signature block",
                 lengths[i]);
        expect_refused(&f, sentence);
    }
    make_image(&f, 5, "1.0.0", "x", 80, false);
    add_fill(&f, 0x41, 32); /* a hash that the header does not promise */
    expect_refused(&f, "the image ends at offset 400, and the 32 bytes behind it are no signature block");
}

static void broken_signature_blocks_are_refused(void **state)
{
    (void)state;
    static struct file f;
    static const size_t places[] = {0, 2, 36, 1195, 1196, 1199};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        make_image(&f, 5, "1.0.0", "x", 80, true);
        f.bytes[sign_v2(&f, 0xFF, 2) + places[i]] ^= 1;
        expect_refused(&f,
                       "the image ends at offset 432, and the 7760 bytes behind it are no signature block");
    }
    for (size_t at = 432; at < 4096; at += 3663) { /* the first and the last byte of the padding */
        make_image(&f, 5, "1.0.0", "x", 80, true);
        sign_v2(&f, 0xFF, 2);
        f.bytes[at] = 0xFE;
        expect_refused(&f,
                       "the image ends at offset 432, and the 7760 bytes behind it are no signature block");
    }
    make_image(&f, 5, "1.0.0", "x", 80, true);
    sign_v2(&f, 0xFF, 4);
    expect_refused(&f, "the image ends at offset 432, and the 7760 bytes behind it are no signature block");
    make_image(&f, 5, "1.0.0", "x", 80, true);
    add_fill(&f, 0, 3);
    add_fill(&f, 1, 65); /* version 1 has a zero word first */
    expect_refused(&f, "the image ends at offset 432, and the 68 bytes behind it are no signature block");
}

/* What starts with 0xE9 by chance, or is an older image, is stored as it is. */
static void other_files_are_opaque(void **state)
{
    (void)state;
    static const struct {
        size_t len, at;
        unsigned char value;
    } rows[] = {
        {0, 0, 0},    {1, 0, 0xE9}, {23, 0, 0xE9}, {200, 0, 0xE8}, {200, 0, 0x7f},
        {200, 1, 0},  {200, 1, 17}, {200, 12, 1},  {200, 13, 1},   {200, 19, 1},
        {200, 22, 1}, {200, 23, 2}, {200, 0, 'P'},
    };
    static struct file f;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct image_info info;
        struct err e = {0};
        memset(&f, 0, sizeof f);
        add_header(&f, 2, 5, true);
        add_fill(&f, 0x33, 400);
        f.size = rows[i].len;
        f.bytes[rows[i].at] = rows[i].value;
        memset(&info, 0x5a, sizeof info);
        if (inspect(&f, &info, &e) != 0)
            fail_msg("row %zu: %s", i, e.text);
        assert_int_equal(info.kind, IMAGE_OPAQUE);
        assert_string_equal(info.version, "");
        assert_string_equal(info.chip, "");
        assert_false(info.hash_appended);
    }
    assert_string_equal(image_kind_name(IMAGE_OPAQUE), "opaque");
    assert_string_equal(image_kind_name(IMAGE_ESP), "esp");
}

/* With the descriptor's magic in its place a file is an image, whatever its header has become; one byte short
 * of the magic the header decides. */
static void claims_by_the_descriptor(void **state)
{
    (void)state;
    static struct file f;
    make_image(&f, 5, "1.0.0", "x", 80, true);
    f.bytes[12] = 0xEE;
    assert_true(esp_image_matches(f.bytes, 36));
    assert_false(esp_image_matches(f.bytes, 35));
    f.bytes[32] ^= 1;
    assert_false(esp_image_matches(f.bytes, 64));
    f.bytes[12] = 5;
    assert_true(esp_image_matches(f.bytes, 24));
    assert_false(esp_image_matches(f.bytes, 23));
}

static void failing_disk_is_no_fault_of_the_image(void **state)
{
    (void)state;
    static struct file f;
    struct image_info info;
    struct err e = {0};
    make_image(&f, 5, "1.0.0", "x", 80, true);
    struct image_source longer = {.read = read_file, .arg = &f, .size = f.size + 68};
    assert_int_equal(image_inspect(&longer, &info, &e), -ERR_INTERNAL);
    f.fails = true;
    assert_int_equal(inspect(&f, &info, &e), -ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_image),
        cmocka_unit_test(description_is_read),
        cmocka_unit_test(image_without_description_has_no_version),
        cmocka_unit_test(segment_lengths),
        cmocka_unit_test(sixteen_segments),
        cmocka_unit_test(chips_are_known),
        cmocka_unit_test(broken_headers_are_refused),
        cmocka_unit_test(segment_past_the_end_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(wrong_checksum_is_refused),
        cmocka_unit_test(wrong_hash_is_refused),
        cmocka_unit_test(signatures_are_accepted),
        cmocka_unit_test(other_tails_are_refused),
        cmocka_unit_test(broken_signature_blocks_are_refused),
        cmocka_unit_test(other_files_are_opaque),
        cmocka_unit_test(claims_by_the_descriptor),
        cmocka_unit_test(failing_disk_is_no_fault_of_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
