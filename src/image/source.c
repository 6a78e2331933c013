#include "source.h"

#include <errno.h>
#include <inttypes.h>

int source_read(const struct image_source *source, uint64_t at, void *buf, size_t len, struct err *e)
{
    for (unsigned char *p = buf; len > 0;) {
        int64_t got = source->read(source->arg, at, p, len);
        if (got == 0)
            errno = EIO;
        if (got <= 0)
            return err_errno(e, "cannot read the file at offset %" PRIu64, at);
        at += (uint64_t)got;
        p += got;
        len -= (size_t)got;
    }
    return 0;
}

uint16_t source_le16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t source_le32(const unsigned char *p)
{
    return (uint32_t)source_le16(p) | (uint32_t)source_le16(p + 2) << 16;
}
