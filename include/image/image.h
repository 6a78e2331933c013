/* image.h: what a firmware file says of itself. A file is recognised by its first bytes, then checked whole:
 * a file that claims to be an image and is broken is refused, a file that claims nothing is opaque.
 * Every length in the file is hostile. Pure: reads through one function, holds no file.
 *
 * ESP images: ESP-IDF "App Image Format" (esp_image_header_t, esp_app_desc_t, checksum, appended SHA-256).
 * Plenty of files start with 0xE9 by chance, or are the older image of an ESP8266, and must pass as opaque.
 * So a file claims to be an ESP image when its first byte is 0xE9 and
 *   - esp_app_desc_t's magic is at offset 32, whatever else its header says, or
 *   - all 24 bytes of the header are there and plausible: 1 to 16 segments, a chip this build knows, reserved
 *     bytes zero, hash_appended 0 or 1.
 * Then one wrong byte refuses it. A shorter file that starts with 0xE9 is opaque; a caller whose product
 * takes ESP images only looks at `kind`, or calls esp_image_inspect, which takes the claim for granted.
 *
 * MCUboot images (Zephyr): bootutil/image.h of MCUboot, as its imgtool writes them. A file claims to be one
 * by its first word, 0x96F3B83D little-endian, and a header that says it has 32 bytes or more, all 32 there.
 * Sizes past the end of the file are an upload that was cut, and refused like all else that is wrong. */
#ifndef OTAD_IMAGE_IMAGE_H
#define OTAD_IMAGE_IMAGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind { IMAGE_OPAQUE, IMAGE_ESP, IMAGE_MCUBOOT, IMAGE_KINDS };

struct image_info {
    enum image_kind kind;
    char version[33]; /* "" when the image tells none, or tells bytes that are not text; so all texts here */
    char project[33];
    char chip[16]; /* "esp32c3"; "" when it has none */
    char idf_version[33];
    uint32_t secure_version; /* MCUboot: the security counter; 0 when there is none */
    bool placeholder;        /* version is a build system's own and tells nothing of this program */
    bool hash_appended;      /* and checked */
};

const char *image_kind_name(enum image_kind kind);

/* Reads up to len bytes at offset; returns bytes read, 0 at the end, -1 on failure (errno). */
struct image_source {
    int64_t (*read)(void *arg, uint64_t offset, void *buf, size_t len);
    void *arg;
    uint64_t size;
};

/* ERR_INVALID, with what was wrong and where, for a broken image. */
int image_inspect(const struct image_source *source, struct image_info *out, struct err *e);

/* True for an ESP chip name this build knows ("esp32", "esp32s3" ...). */
bool image_chip_known(const char *chip);

/* image/esp.c: the rule above (head is the file's first len bytes, IMAGE_HEAD_BYTES where it has them), and
 * the whole check. Accepted behind the image: nothing, or a secure boot signature, version 1 (68 bytes) or 2
 * (padding to 4096 and one sector of 4096). Signatures are not verified: only the device has the key. */
#define IMAGE_HEAD_BYTES 64
bool esp_image_matches(const unsigned char *head, size_t len);
int esp_image_inspect(const struct image_source *source, struct image_info *out, struct err *e);

/* image/mcuboot.c: version "1.2.3+4", "1.2.3" when the build number is 0, and 0.0.0 is Zephyr's placeholder.
 * Checked: every size, the areas of TLVs and each entry's bounds, the SHA-256 where there is one. It is the
 * hash of what the device decrypts, so that of an encrypted image is left to the device, as are SHA-384,
 * SHA-512 and signatures. Accepted behind the TLVs: nothing, or the rest of a slot as imgtool's --pad,
 * --confirm and --erased-val write it: 0xFF or 0 throughout, the trailer's magic at the end or not, and with
 * it 1 in the place of image_ok. */
bool mcuboot_image_matches(const unsigned char *head, size_t len);
int mcuboot_image_inspect(const struct image_source *source, struct image_info *out, struct err *e);

#endif
