#include "image/image.h"

#include "base/str.h"

#include <string.h>

static const struct {
    const char *name;
    bool (*matches)(const unsigned char *head, size_t len);
    int (*inspect)(const struct image_source *source, struct image_info *out, struct err *e);
} kinds[IMAGE_KINDS] = {
    [IMAGE_OPAQUE] = {"opaque", NULL, NULL},
    [IMAGE_ESP] = {"esp", esp_image_matches, esp_image_inspect},
    [IMAGE_MCUBOOT] = {"mcuboot", mcuboot_image_matches, mcuboot_image_inspect},
};

const char *image_kind_name(enum image_kind kind)
{
    return kinds[kind].name;
}

/* What the file has of its first bytes; -1 when reading fails. */
static int64_t read_head(const struct image_source *source, unsigned char head[IMAGE_HEAD_BYTES])
{
    size_t have = 0;
    while (have < IMAGE_HEAD_BYTES) {
        int64_t got = source->read(source->arg, have, head + have, IMAGE_HEAD_BYTES - have);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (int64_t)have;
}

int image_inspect(const struct image_source *source, struct image_info *out, struct err *e)
{
    unsigned char head[IMAGE_HEAD_BYTES];
    int64_t len = read_head(source, head);
    if (len < 0)
        return err_errno(e, "cannot read the file");
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].matches && kinds[i].matches(head, (size_t)len))
            return kinds[i].inspect(source, out, e);
    *out = (struct image_info){.kind = IMAGE_OPAQUE};
    return 0;
}
