/* source.h: what the readers of images share: the bytes of a file, and little-endian numbers in them. */
#ifndef OTAD_IMAGE_SOURCE_H
#define OTAD_IMAGE_SOURCE_H

#include "image/image.h"

/* All of len bytes. The caller has checked that the file has them, so an early end is the disk's fault and
 * not the image's: ERR_INTERNAL. */
int source_read(const struct image_source *source, uint64_t at, void *buf, size_t len, struct err *e);

uint16_t source_le16(const unsigned char *p);
uint32_t source_le32(const unsigned char *p);

#endif
