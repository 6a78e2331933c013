#include "image/image.h"

#include "base/digest.h"
#include "base/str.h"
#include "source.h"

#include <inttypes.h>
#include <string.h>

#define MAGIC                0xE9
#define HEADER_BYTES         24
#define SEGMENT_HEADER_BYTES 8
#define SEGMENTS_MAX         16
#define CHECKSUM_SEED        0xEF
#define CHECKSUM_ALIGN       16
#define BLOCK_BYTES          16384

/* esp_app_desc_t is the first thing in the first segment. */
#define DESC_OFFSET (HEADER_BYTES + SEGMENT_HEADER_BYTES)
#define DESC_BYTES  256
#define DESC_MAGIC  0xABCD5432u
#define DESC_TEXT   32

/* Secure boot: version 1 is a word and an ECDSA signature, version 2 a sector of up to three blocks. */
#define SIGNATURE_V1_BYTES     68
#define SIGNATURE_SECTOR_BYTES 4096
#define SIGNATURE_BLOCK_BYTES  1216
#define SIGNATURE_CRC_OFFSET   1196
#define SIGNATURE_MAGIC        0xE7

static const struct {
    uint16_t id;
    const char *name;
} chips[] = {
    {0x00, "esp32"},    {0x02, "esp32s2"}, {0x05, "esp32c3"},  {0x09, "esp32s3"},  {0x0C, "esp32c2"},
    {0x0D, "esp32c6"},  {0x10, "esp32h2"}, {0x12, "esp32p4"},  {0x14, "esp32c61"}, {0x17, "esp32c5"},
    {0x19, "esp32h21"}, {0x1C, "esp32h4"}, {0x20, "esp32s31"},
};

/* Programs built on a precompiled ESP-IDF carry the descriptor of whoever compiled that. */
static const char *const placeholder_projects[] = {"arduino-lib-builder", "esp32-arduino-lib-builder"};

/* One pass over the file: everything up to `at` is hashed, all segments' bytes are in `sum`. */
struct walk {
    const struct image_source *source;
    struct digester *digester;
    uint64_t at;
    uint32_t first_segment_bytes;
    unsigned char sum;
};

static const char *chip_name(uint16_t id)
{
    for (size_t i = 0; i < ARRAY_SIZE(chips); i++)
        if (chips[i].id == id)
            return chips[i].name;
    return NULL;
}

bool image_chip_known(const char *chip)
{
    for (size_t i = 0; i < ARRAY_SIZE(chips); i++)
        if (strcmp(chips[i].name, chip) == 0)
            return true;
    return false;
}

bool esp_image_matches(const unsigned char *head, size_t len)
{
    if (len < HEADER_BYTES || head[0] != MAGIC)
        return false;
    if (len >= DESC_OFFSET + 4 && source_le32(head + DESC_OFFSET) == DESC_MAGIC)
        return true;
    return head[1] >= 1 && head[1] <= SEGMENTS_MAX && chip_name(source_le16(head + 12)) &&
           source_le32(head + 19) == 0 && head[23] <= 1;
}

static uint64_t bytes_left(const struct walk *w)
{
    return w->source->size - w->at;
}

static int take(struct walk *w, unsigned char *buf, size_t len, struct err *e)
{
    int rc = source_read(w->source, w->at, buf, len, e);
    if (rc)
        return rc;
    digester_add(w->digester, buf, len);
    w->at += len;
    return 0;
}

static int take_header(struct walk *w, unsigned *segments, struct image_info *info, struct err *e)
{
    unsigned char head[HEADER_BYTES];
    if (w->source->size < HEADER_BYTES)
        return err_field(e, ERR_INVALID, "file", "the header is truncated: %" PRIu64 " of %d bytes",
                         w->source->size, HEADER_BYTES);
    int rc = take(w, head, sizeof head, e);
    if (rc)
        return rc;
    if (head[0] != MAGIC)
        return err_field(e, ERR_INVALID, "file", "the first byte is 0x%02x, an ESP image starts with 0x%02x",
                         head[0], MAGIC);
    if (head[1] < 1 || head[1] > SEGMENTS_MAX)
        return err_field(e, ERR_INVALID, "file", "the header counts %u segments, 1 to %d are allowed",
                         head[1], SEGMENTS_MAX);
    const char *chip = chip_name(source_le16(head + 12));
    if (!chip)
        return err_field(e, ERR_INVALID, "file", "chip id 0x%04x is unknown", source_le16(head + 12));
    if (head[23] > 1)
        return err_field(e, ERR_INVALID, "file", "hash_appended is %u, only 0 and 1 are allowed", head[23]);
    *segments = head[1];
    info->hash_appended = head[23] == 1;
    str_copy(info->chip, sizeof info->chip, chip);
    return 0;
}

static int take_data(struct walk *w, uint32_t len, struct err *e)
{
    unsigned char block[BLOCK_BYTES];
    for (uint32_t left = len; left > 0;) {
        size_t part = left < sizeof block ? left : sizeof block;
        int rc = take(w, block, part, e);
        if (rc)
            return rc;
        for (size_t i = 0; i < part; i++)
            w->sum ^= block[i];
        left -= (uint32_t)part;
    }
    return 0;
}

static int take_segment(struct walk *w, unsigned number, unsigned segments, struct err *e)
{
    unsigned char head[SEGMENT_HEADER_BYTES];
    if (bytes_left(w) < sizeof head)
        return err_field(e, ERR_INVALID, "file",
                         "the file ends inside the header of segment %u of %u, at offset %" PRIu64, number,
                         segments, w->source->size);
    int rc = take(w, head, sizeof head, e);
    if (rc)
        return rc;
    uint32_t len = source_le32(head + 4);
    if (len > bytes_left(w))
        return err_field(e, ERR_INVALID, "file",
                         "segment %u of %u has %" PRIu32 " bytes at offset %" PRIu64
                         ", the file ends after %" PRIu64 " of them",
                         number, segments, len, w->at, bytes_left(w));
    if (number == 1)
        w->first_segment_bytes = len;
    return take_data(w, len, e);
}

/* The checksum is the last byte of a block of 16, and there is always one: a full block gets another. */
static int take_checksum(struct walk *w, struct err *e)
{
    unsigned char tail[CHECKSUM_ALIGN];
    size_t len = CHECKSUM_ALIGN - w->at % CHECKSUM_ALIGN;
    if (len > bytes_left(w))
        return err_field(e, ERR_INVALID, "file",
                         "the file ends at offset %" PRIu64 ", before the checksum at offset %" PRIu64,
                         w->source->size, w->at + len - 1);
    int rc = take(w, tail, len, e);
    if (rc)
        return rc;
    if (tail[len - 1] != w->sum)
        return err_field(e, ERR_INVALID, "file", "checksum is 0x%02x, the image's bytes give 0x%02x",
                         tail[len - 1], w->sum);
    return 0;
}

static int take_image(struct walk *w, struct image_info *info, struct err *e)
{
    unsigned segments = 0;
    int rc = take_header(w, &segments, info, e);
    for (unsigned i = 1; !rc && i <= segments; i++)
        rc = take_segment(w, i, segments, e);
    return rc ? rc : take_checksum(w, e);
}

static int check_hash(struct walk *w, const char *expected, struct err *e)
{
    unsigned char hash[SHA256_BYTES];
    char text[SHA256_TEXT_SIZE];
    if (bytes_left(w) < sizeof hash)
        return err_field(e, ERR_INVALID, "file",
                         "the header promises an appended SHA-256, the file ends %" PRIu64
                         " bytes after the checksum",
                         bytes_left(w));
    int rc = source_read(w->source, w->at, hash, sizeof hash, e);
    if (rc)
        return rc;
    hex_format(hash, sizeof hash, text);
    if (strcmp(text, expected) != 0)
        return err_field(e, ERR_INVALID, "file", "appended SHA-256 is %s, the image's bytes give %s", text,
                         expected);
    w->at += sizeof hash;
    return 0;
}

/* CRC-32 of IEEE 802.3, as zlib has it. */
static uint32_t crc32_of(const unsigned char *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

/* Signing tools fill up with 0xFF, flash readers and linkers with 0. */
static bool is_padding(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != bytes[0])
            return false;
    return len == 0 || bytes[0] == 0xFF || bytes[0] == 0;
}

static int check_signature_v1(const struct walk *w, bool *found, struct err *e)
{
    unsigned char version[4];
    int rc = source_read(w->source, w->at, version, sizeof version, e);
    *found = !rc && source_le32(version) == 0;
    return rc;
}

static int check_signature_v2(const struct walk *w, size_t padding, bool *found, struct err *e)
{
    unsigned char bytes[SIGNATURE_SECTOR_BYTES];
    int rc = source_read(w->source, w->at, bytes, padding, e);
    if (rc)
        return rc;
    *found = is_padding(bytes, padding);
    rc = source_read(w->source, w->at + padding, bytes, SIGNATURE_BLOCK_BYTES, e);
    if (rc)
        return rc;
    *found = *found && bytes[0] == SIGNATURE_MAGIC && (bytes[1] == 2 || bytes[1] == 3) &&
             source_le32(bytes + SIGNATURE_CRC_OFFSET) == crc32_of(bytes, SIGNATURE_CRC_OFFSET);
    return 0;
}

static int check_tail(const struct walk *w, struct err *e)
{
    size_t padding = (SIGNATURE_SECTOR_BYTES - w->at % SIGNATURE_SECTOR_BYTES) % SIGNATURE_SECTOR_BYTES;
    uint64_t left = bytes_left(w);
    bool found = left == 0;
    int rc = 0;
    if (left == SIGNATURE_V1_BYTES)
        rc = check_signature_v1(w, &found, e);
    else if (left == padding + SIGNATURE_SECTOR_BYTES)
        rc = check_signature_v2(w, padding, &found, e);
    if (rc || found)
        return rc;
    return err_field(e, ERR_INVALID, "file",
                     "the image ends at offset %" PRIu64 ", and the %" PRIu64
                     " bytes behind it are no signature block",
                     w->at, left);
}

/* A text that fills its field has no end in the file; one that is not text is as good as none. */
static void copy_text(char out[DESC_TEXT + 1], const unsigned char *field)
{
    memcpy(out, field, DESC_TEXT);
    out[DESC_TEXT] = '\0';
    if (!str_is_text(out, DESC_TEXT + 1))
        memset(out, 0, DESC_TEXT + 1);
}

static bool is_placeholder(const char *project)
{
    for (size_t i = 0; i < ARRAY_SIZE(placeholder_projects); i++)
        if (strncmp(project, placeholder_projects[i], strlen(placeholder_projects[i])) == 0)
            return true;
    return false;
}

static int read_description(const struct walk *w, struct image_info *info, struct err *e)
{
    unsigned char desc[DESC_BYTES];
    if (w->first_segment_bytes < sizeof desc)
        return 0;
    int rc = source_read(w->source, DESC_OFFSET, desc, sizeof desc, e);
    if (rc || source_le32(desc) != DESC_MAGIC)
        return rc;
    info->secure_version = source_le32(desc + 4);
    copy_text(info->version, desc + 16);
    copy_text(info->project, desc + 48);
    copy_text(info->idf_version, desc + 112);
    info->placeholder = is_placeholder(info->project);
    return 0;
}

int esp_image_inspect(const struct image_source *source, struct image_info *out, struct err *e)
{
    struct image_info info = {.kind = IMAGE_ESP};
    struct walk w = {.source = source, .digester = digester_begin(), .sum = CHECKSUM_SEED};
    struct digests digests;
    int rc = take_image(&w, &info, e);
    digester_end(w.digester, &digests);
    if (!rc && info.hash_appended)
        rc = check_hash(&w, digests.sha256, e);
    if (!rc)
        rc = check_tail(&w, e);
    if (!rc)
        rc = read_description(&w, &info, e);
    if (!rc)
        *out = info;
    return rc;
}
