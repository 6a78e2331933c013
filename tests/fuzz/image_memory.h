/* image_memory.h: a file in memory, for the readers of images. */
#ifndef OTAD_TESTS_FUZZ_IMAGE_MEMORY_H
#define OTAD_TESTS_FUZZ_IMAGE_MEMORY_H

#include "fuzz.h"

#include "base/str.h"
#include "image/image.h"

struct memory {
    const uint8_t *bytes;
    size_t size;
};

static inline int64_t memory_read(void *arg, uint64_t offset, void *buf, size_t len)
{
    const struct memory *m = arg;
    if (offset >= m->size)
        return 0;
    size_t part = m->size - (size_t)offset < len ? m->size - (size_t)offset : len;
    memcpy(buf, m->bytes + offset, part);
    return (int64_t)part;
}

/* Reads the whole image; whatever the bytes are, the texts it tells are texts and nothing else fails. */
static inline void fuzz_image(int (*inspect)(const struct image_source *, struct image_info *, struct err *),
                              const uint8_t *data, size_t size, struct image_info *info)
{
    struct memory memory = {data, size};
    struct image_source source = {.read = memory_read, .arg = &memory, .size = size};
    struct err e = {0};
    memset(info, 0, sizeof *info);
    int rc = inspect(&source, info, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
        assert(rc == -ERR_INVALID && info->kind == IMAGE_OPAQUE);
    }
    assert(strlen(info->version) < sizeof info->version && strlen(info->chip) < sizeof info->chip);
    assert(!*info->version || str_is_text(info->version, sizeof info->version));
    assert(!*info->project || str_is_text(info->project, sizeof info->project));
}

#endif
