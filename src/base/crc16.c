#include "base/crc16.h"

#include <pthread.h>

#define STEP 8 /* bytes at a time: one by one, each would wait for the one before it */

/* table[k][v]: the remainder of the byte v with k zeros behind it. */
static uint16_t table[STEP][256];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (unsigned v = 0; v < 256; v++) {
        unsigned crc = v;
        for (int k = 0; k < STEP; k++) {
            for (int bit = 0; bit < 8; bit++)
                crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
            table[k][v] = (uint16_t)crc;
        }
    }
}

uint16_t crc16_arc(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    unsigned crc = 0;
    pthread_once(&filled, fill);
    for (; len >= STEP; p += STEP, len -= STEP)
        crc = (unsigned)(table[7][p[0] ^ (crc & 255)] ^ table[6][p[1] ^ crc >> 8] ^ table[5][p[2]] ^
                         table[4][p[3]] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]]);
    for (; len > 0; p++, len--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return (uint16_t)crc;
}
