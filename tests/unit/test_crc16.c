#include "base/crc16.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As it is defined: bit by bit. */
static uint16_t slowly(const unsigned char *bytes, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
    }
    return (uint16_t)crc;
}

static void test_crc(void **state)
{
    (void)state;
    unsigned char bytes[1024];
    assert_int_equal(crc16_arc("", 0), 0);
    assert_int_equal(crc16_arc("123456789", 9), 0xbb3d);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t len = 0; len <= sizeof bytes; len++)
        assert_int_equal(crc16_arc(bytes, len), slowly(bytes, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crc)};
    return cmocka_run_group_tests_name("crc16", tests, NULL, NULL);
}
