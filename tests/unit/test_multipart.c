#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "http/multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_BYTES 5000

/* Every byte tells its place. */
static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 31 + i / 256 * 7);
}

static int make_file(void)
{
    unsigned char bytes[FILE_BYTES];
    for (size_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = byte_at(i);
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, sizeof bytes), FILE_BYTES);
    return fd;
}

static size_t add_text(char *out, size_t n, const char *text)
{
    memcpy(out + n, text, strlen(text));
    return n + strlen(text);
}

/* The body as RFC 9110 14.6 shows it, made the simple way. */
static size_t expected(const struct range parts[], size_t n, char *out)
{
    char text[200];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        len = add_text(out, len, i ? "\r\n--limit\r\n" : "--limit\r\n");
        len = add_text(out, len, "Content-Type: application/octet-stream\r\n");
        snprintf(text, sizeof text, "Content-Range: bytes %d-%d/%d\r\n\r\n", (int)parts[i].first,
                 (int)parts[i].end - 1, FILE_BYTES);
        len = add_text(out, len, text);
        for (uint64_t k = parts[i].first; k < parts[i].end; k++)
            out[len++] = (char)byte_at((size_t)k);
    }
    return add_text(out, len, "\r\n--limit--\r\n");
}

static const struct range parts[] = {{4999, 5000}, {0, 1}, {100, 2100}, {2200, 2300}};

static void reads_any_piece_at_any_place(void **state)
{
    static char want[3 * FILE_BYTES], got[3 * FILE_BYTES];
    struct multipart m;
    int fd = make_file();
    size_t len = expected(parts, ARRAY_SIZE(parts), want);
    (void)state;
    multipart_plan(&m, parts, ARRAY_SIZE(parts), FILE_BYTES, "limit");
    assert_int_equal(m.length, len);
    for (size_t piece = 1; piece < len + 2; piece = piece < 64 ? piece + 1 : piece * 3) {
        size_t at = 0;
        for (ssize_t n; (n = multipart_read(&m, fd, at, got + at, piece)) > 0; at += (size_t)n)
            assert_true((size_t)n <= piece);
        assert_int_equal(at, len);
        assert_memory_equal(got, want, len);
    }
    for (size_t at = 0; at < len; at++) {
        size_t n = len - at < 3 ? len - at : 3;
        assert_int_equal(multipart_read(&m, fd, at, got, 3), n);
        assert_memory_equal(got, want + at, n);
    }
    assert_int_equal(multipart_read(&m, fd, len, got, 3), 0);
    close(fd);
}

static void notices_a_file_that_was_cut(void **state)
{
    char got[4096];
    struct multipart m;
    int fd = make_file();
    (void)state;
    assert_int_equal(ftruncate(fd, 2250), 0);
    multipart_plan(&m, parts + 3, 1, FILE_BYTES, "limit");
    assert_int_equal(multipart_read(&m, fd, 0, got, strlen(m.head[0]) + 50), strlen(m.head[0]) + 50);
    assert_int_equal(multipart_read(&m, fd, 0, got, strlen(m.head[0]) + 51), -1);
    close(fd);
}

static void holds_the_largest_numbers(void **state)
{
    const struct range huge = {UINT64_MAX - 2, UINT64_MAX - 1};
    struct multipart m;
    (void)state;
    multipart_plan(&m, &huge, 1, UINT64_MAX, "123456789012345678901234");
    assert_non_null(
        strstr(m.head[0], "bytes 18446744073709551613-18446744073709551613/18446744073709551615\r\n\r\n"));
    assert_string_equal(m.head[1], "\r\n--123456789012345678901234--\r\n");
    assert_int_equal(m.length, strlen(m.head[0]) + 1 + strlen(m.head[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_any_piece_at_any_place),
        cmocka_unit_test(notices_a_file_that_was_cut),
        cmocka_unit_test(holds_the_largest_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
