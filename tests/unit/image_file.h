/* image_file.h: images in memory for the tests of their readers. */
#ifndef OTAD_TESTS_UNIT_IMAGE_FILE_H
#define OTAD_TESTS_UNIT_IMAGE_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/image.h"

#include <errno.h>
#include <string.h>

#define FILE_MAX 65536

/* An image as a test makes it, and then spoils it. */
struct file {
    unsigned char bytes[FILE_MAX];
    size_t size;
    size_t checksum_at, hash_at; /* where a test wants to know; 0 without */
    uint64_t largest_read;
    bool fails;
};

static inline int64_t read_file(void *arg, uint64_t offset, void *buf, size_t len)
{
    struct file *f = arg;
    if (f->fails) {
        errno = EIO;
        return -1;
    }
    if (len > f->largest_read)
        f->largest_read = len;
    if (offset >= f->size)
        return 0;
    size_t part = f->size - offset < len ? f->size - (size_t)offset : len;
    part = part > 5000 ? 5000 : part; /* short reads are allowed */
    memcpy(buf, f->bytes + offset, part);
    return (int64_t)part;
}

static inline void put32(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

static inline void add(struct file *f, const void *bytes, size_t len)
{
    assert_true(f->size + len <= FILE_MAX);
    memcpy(f->bytes + f->size, bytes, len);
    f->size += len;
}

static inline void add_fill(struct file *f, unsigned char byte, size_t len)
{
    assert_true(f->size + len <= FILE_MAX);
    memset(f->bytes + f->size, byte, len);
    f->size += len;
}

static inline int inspect(struct file *f, struct image_info *info, struct err *e)
{
    struct image_source source = {.read = read_file, .arg = f, .size = f->size};
    return image_inspect(&source, info, e);
}

static inline void expect_refused(struct file *f, const char *sentence)
{
    struct image_info info;
    memset(&info, 0x5a, sizeof info);
    struct image_info untouched = info;
    struct err e = {0};
    assert_int_equal(inspect(f, &info, &e), -ERR_INVALID);
    assert_string_equal(e.field, "file");
    assert_string_equal(e.text, sentence);
    assert_memory_equal(&info, &untouched, sizeof info);
}

#endif
