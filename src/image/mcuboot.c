#include "image/image.h"

#include "base/digest.h"
#include "base/str.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* struct image_header of MCUboot's bootutil/image.h; every number is little-endian. */
#define MAGIC        0x96F3B83Du
#define HEADER_BYTES 32
#define F_ENCRYPTED  0x0Cu /* by AES-128 or AES-256 */

/* struct image_tlv_info before an area's entries, struct image_tlv before an entry's bytes: two words each.
 */
#define AREA_PROTECTED 0x6908
#define AREA_PLAIN     0x6907
#define PAIR_BYTES     4

#define TLV_SHA256           0x10
#define TLV_SECURITY_COUNTER 0x50

#define TRAILER_MAGIC_BYTES 16
#define BLOCK_BYTES         16384

/* Entries whose length the boot loader insists on. */
static const struct {
    uint16_t type, len;
    const char *name;
} fixed[] = {
    {TLV_SHA256, SHA256_BYTES, "SHA-256"},
    {0x11, 48, "SHA-384"},
    {0x12, 64, "SHA-512"},
    {0x40, 12, "dependency"},
    {TLV_SECURITY_COUNTER, 4, "security counter"},
};

/* The last bytes of a slot, by the flash's alignment, and where image_ok stands, from the slot's end. */
static const struct {
    unsigned char magic[TRAILER_MAGIC_BYTES];
    unsigned image_ok;
} trailers[] = {
    {{0x77, 0xC2, 0x95, 0xF3, 0x60, 0xD2, 0xEF, 0x7F, 0x35, 0x52, 0x50, 0x0F, 0x2C, 0xB6, 0x79, 0x80}, 24},
    {{0x10, 0x00, 0x2D, 0xE1, 0x5D, 0x29, 0x41, 0x0B, 0x8D, 0x77, 0x67, 0x9C, 0x11, 0x0F, 0x1F, 0x8A}, 32},
    {{0x20, 0x00, 0x2D, 0xE1, 0x5D, 0x29, 0x41, 0x0B, 0x8D, 0x77, 0x67, 0x9C, 0x11, 0x0F, 0x1F, 0x8A}, 64},
};

/* One pass over the file; each step leaves `at` behind what it has checked. */
struct walk {
    const struct image_source *source;
    uint64_t at;
    uint32_t flags;
    uint16_t protected_bytes; /* of the protected area, 0: there is none */
    char sha256[SHA256_TEXT_SIZE];
};

bool mcuboot_image_matches(const unsigned char *head, size_t len)
{
    return len >= HEADER_BYTES && source_le32(head) == MAGIC && source_le16(head + 8) >= HEADER_BYTES;
}

static uint64_t bytes_left(const struct walk *w)
{
    return w->source->size - w->at;
}

/* A build that was given no version is 0.0.0. */
static void take_version(const unsigned char *p, struct image_info *info)
{
    uint32_t build = source_le32(p + 4);
    int n = snprintf(info->version, sizeof info->version, "%u.%u.%u", p[0], p[1], source_le16(p + 2));
    if (build)
        snprintf(info->version + n, sizeof info->version - (size_t)n, "+%" PRIu32, build);
    info->placeholder = strcmp(info->version, "0.0.0") == 0;
}

static int take_header(struct walk *w, struct image_info *info, struct err *e)
{
    unsigned char head[HEADER_BYTES];
    if (bytes_left(w) < sizeof head)
        return err_field(e, ERR_INVALID, "file", "the header is truncated: %" PRIu64 " of %d bytes",
                         bytes_left(w), HEADER_BYTES);
    int rc = source_read(w->source, 0, head, sizeof head, e);
    if (rc)
        return rc;
    uint16_t header_bytes = source_le16(head + 8);
    uint32_t image_bytes = source_le32(head + 12);
    if (!mcuboot_image_matches(head, sizeof head))
        return err_field(e, ERR_INVALID, "file",
                         "the file starts with 0x%08" PRIx32 " and a header of %u bytes, an MCUboot image "
                         "with 0x%08x and at least %d",
                         source_le32(head), header_bytes, MAGIC, HEADER_BYTES);
    if (header_bytes > w->source->size)
        return err_field(e, ERR_INVALID, "file", "the header has %u bytes, the file ends after %" PRIu64,
                         header_bytes, w->source->size);
    w->at = header_bytes;
    if (image_bytes > bytes_left(w))
        return err_field(e, ERR_INVALID, "file",
                         "the image has %" PRIu32 " bytes at offset %" PRIu64 ", the file ends after %" PRIu64
                         " of them",
                         image_bytes, w->at, bytes_left(w));
    w->at += image_bytes;
    w->flags = source_le32(head + 16);
    w->protected_bytes = source_le16(head + 10);
    take_version(head + 20, info);
    return 0;
}

static int check_hash(const struct walk *w, const unsigned char hash[SHA256_BYTES], struct image_info *info,
                      struct err *e)
{
    char text[SHA256_TEXT_SIZE];
    if (w->flags & F_ENCRYPTED)
        return 0;
    hex_format(hash, SHA256_BYTES, text);
    if (strcmp(text, w->sha256) != 0)
        return err_field(e, ERR_INVALID, "file",
                         "the SHA-256 at offset %" PRIu64 " is %s, the image's bytes give %s", w->at, text,
                         w->sha256);
    info->hash_appended = true;
    return 0;
}

static int check_length(const struct walk *w, uint16_t type, uint16_t len, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (fixed[i].type == type && fixed[i].len != len)
            return err_field(e, ERR_INVALID, "file",
                             "the %s at offset %" PRIu64 " has %u bytes, it must have %u", fixed[i].name,
                             w->at, len, fixed[i].len);
    return 0;
}

/* The bytes of an entry, which are all there, at w->at. */
static int take_value(const struct walk *w, bool is_protected, uint16_t type, uint16_t len,
                      struct image_info *info, struct err *e)
{
    unsigned char value[SHA256_BYTES];
    int rc = check_length(w, type, len, e);
    if (rc || (type != TLV_SHA256 && type != TLV_SECURITY_COUNTER))
        return rc;
    rc = source_read(w->source, w->at, value, len, e);
    if (rc == 0 && type == TLV_SHA256)
        rc = check_hash(w, value, info, e);
    else if (rc == 0 && is_protected) /* from elsewhere the boot loader does not take it */
        info->secure_version = source_le32(value);
    return rc;
}

static int take_entry(struct walk *w, bool is_protected, uint64_t end, struct image_info *info, struct err *e)
{
    unsigned char head[PAIR_BYTES];
    if (end - w->at < sizeof head)
        return err_field(e, ERR_INVALID, "file",
                         "the TLV area ends at offset %" PRIu64 ", inside the head of the entry at %" PRIu64,
                         end, w->at);
    int rc = source_read(w->source, w->at, head, sizeof head, e);
    if (rc)
        return rc;
    uint16_t type = source_le16(head), len = source_le16(head + 2);
    w->at += sizeof head;
    if (len > end - w->at)
        return err_field(e, ERR_INVALID, "file",
                         "TLV 0x%04x has %u bytes at offset %" PRIu64 ", its area ends after %" PRIu64
                         " of them",
                         type, len, w->at, end - w->at);
    rc = take_value(w, is_protected, type, len, info, e);
    w->at += len;
    return rc;
}

/* The area's own head: its end, without looking at its entries. */
static int find_area_end(const struct walk *w, uint16_t magic, uint64_t *end, struct err *e)
{
    const char *name = magic == AREA_PROTECTED ? "protected TLV area" : "TLV area";
    unsigned char head[PAIR_BYTES];
    if (bytes_left(w) < sizeof head)
        return err_field(e, ERR_INVALID, "file",
                         "the file ends at offset %" PRIu64 ", where the %s at offset %" PRIu64 " begins",
                         w->source->size, name, w->at);
    int rc = source_read(w->source, w->at, head, sizeof head, e);
    if (rc)
        return rc;
    uint16_t bytes = source_le16(head + 2);
    if (source_le16(head) != magic)
        return err_field(e, ERR_INVALID, "file",
                         "the %s at offset %" PRIu64 " begins with 0x%04x, it must begin with 0x%04x", name,
                         w->at, source_le16(head), magic);
    if (magic == AREA_PROTECTED && bytes != w->protected_bytes)
        return err_field(e, ERR_INVALID, "file",
                         "the %s at offset %" PRIu64 " has %u bytes, the header says %u", name, w->at, bytes,
                         w->protected_bytes);
    if (bytes < sizeof head || bytes > bytes_left(w))
        return err_field(e, ERR_INVALID, "file",
                         "the %s at offset %" PRIu64 " says it has %u bytes, possible are %d to %" PRIu64,
                         name, w->at, bytes, PAIR_BYTES, bytes_left(w));
    *end = w->at + bytes;
    return 0;
}

static int take_entries(struct walk *w, bool is_protected, uint64_t end, struct image_info *info,
                        struct err *e)
{
    int rc = 0;
    w->at += PAIR_BYTES;
    while (rc == 0 && w->at < end)
        rc = take_entry(w, is_protected, end, info, e);
    return rc;
}

/* The hash covers header, image and protected area; the file has all of them. */
static int hash_until(struct walk *w, uint64_t end, struct err *e)
{
    unsigned char block[BLOCK_BYTES];
    struct digester *digester = digester_begin();
    struct digests digests;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < end;) {
        size_t part = end - at < sizeof block ? (size_t)(end - at) : sizeof block;
        rc = source_read(w->source, at, block, part, e);
        if (rc == 0)
            digester_add(digester, block, part);
        at += part;
    }
    digester_end(digester, &digests);
    str_copy(w->sha256, sizeof w->sha256, digests.sha256);
    return rc;
}

static int take_areas(struct walk *w, struct image_info *info, struct err *e)
{
    uint64_t end = w->at;
    int rc = w->protected_bytes ? find_area_end(w, AREA_PROTECTED, &end, e) : 0;
    if (rc == 0)
        rc = hash_until(w, end, e);
    if (rc == 0 && w->protected_bytes)
        rc = take_entries(w, true, end, info, e);
    if (rc == 0)
        rc = find_area_end(w, AREA_PLAIN, &end, e);
    return rc ? rc : take_entries(w, false, end, info, e);
}

/* Whether w->at .. end holds one filler, 0xFF or 0, but for a 1 at image_ok. */
static int check_filler(const struct walk *w, uint64_t end, uint64_t image_ok, bool *found, struct err *e)
{
    unsigned char block[BLOCK_BYTES], filler = 0xFF;
    *found = true;
    for (uint64_t at = w->at; *found && at < end;) {
        size_t part = end - at < sizeof block ? (size_t)(end - at) : sizeof block;
        int rc = source_read(w->source, at, block, part, e);
        if (rc)
            return rc;
        if (at == w->at && block[0] == 0)
            filler = 0;
        for (size_t i = 0; i < part; i++)
            if (block[i] != filler && !(at + i == image_ok && block[i] == 1))
                *found = false;
        at += part;
    }
    return 0;
}

/* Where the trailer's magic begins, and its image_ok; without a trailer both are the file's end. */
static int find_trailer(const struct walk *w, uint64_t *magic_at, uint64_t *image_ok, struct err *e)
{
    unsigned char last[TRAILER_MAGIC_BYTES];
    uint64_t size = w->source->size;
    *magic_at = *image_ok = size;
    if (bytes_left(w) < sizeof last)
        return 0;
    int rc = source_read(w->source, size - sizeof last, last, sizeof last, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(trailers); i++)
        if (memcmp(trailers[i].magic, last, sizeof last) == 0) {
            *magic_at = size - sizeof last;
            *image_ok = size - trailers[i].image_ok;
        }
    return 0;
}

static int check_tail(const struct walk *w, struct err *e)
{
    uint64_t end, image_ok;
    bool found = false;
    int rc = find_trailer(w, &end, &image_ok, e);
    if (rc == 0)
        rc = check_filler(w, end, image_ok, &found, e);
    if (rc || found)
        return rc;
    return err_field(e, ERR_INVALID, "file",
                     "the image ends at offset %" PRIu64 ", and the %" PRIu64
                     " bytes behind it are no padding of a slot",
                     w->at, bytes_left(w));
}

int mcuboot_image_inspect(const struct image_source *source, struct image_info *out, struct err *e)
{
    struct image_info info = {.kind = IMAGE_MCUBOOT};
    struct walk w = {.source = source};
    int rc = take_header(&w, &info, e);
    if (!rc)
        rc = take_areas(&w, &info, e);
    if (!rc)
        rc = check_tail(&w, e);
    if (!rc)
        *out = info;
    return rc;
}
