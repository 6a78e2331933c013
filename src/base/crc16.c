#include "base/crc16.h"

/* Of each half byte: a table of 16 fits one cache line. */
static const uint16_t table[16] = {0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401,
                                   0xa001, 0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801, 0x4400};

uint16_t crc16_arc(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return (uint16_t)crc;
}
