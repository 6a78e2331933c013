#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#include <string.h>

static void copies_that_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *want;
        bool fits;
    } rows[] = {
        {"abcd", 5, "abcd", true}, {"abcd", 4, "", false}, {"abcd", 1, "", false},
        {"", 1, "", true},         {NULL, 1, "", true},    {NULL, 5, "", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[8] = "~~~~~~~";
        assert_int_equal(str_copy(out, rows[i].size, rows[i].text), rows[i].fits);
        assert_string_equal(out, rows[i].want);
        assert_int_equal(out[rows[i].size], '~');
    }
}

static void names_by_their_letters(void **state)
{
    (void)state;
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@-";
    for (int c = 1; c < 256; c++) {
        char text[] = {'x', (char)c, '\0'};
        if (str_is_name(text, sizeof text) != (strchr(allowed, c) != NULL))
            fail_msg("byte %d", c);
    }
}

static void names_by_their_length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        bool want;
    } rows[] = {
        {"", 8, false},     {"a", 2, true},   {"a", 1, false},  {"abcdefg", 8, true}, {"abcdefgh", 8, false},
        {".", 8, false},    {"..", 8, false}, {"...", 8, true}, {".a", 8, true},      {"a/b", 8, false},
        {"../x", 8, false}, {"a+", 8, false}, {"#", 8, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (str_is_name(rows[i].text, rows[i].size) != rows[i].want)
            fail_msg("\"%s\" in %zu", rows[i].text, rows[i].size);
}

/* The character's length; 0 not printable. Around every border of RFC 3629's table. */
static const struct {
    const char *text;
    size_t want;
} characters[] = {
    {"", 0},
    {"\x01", 0},
    {"\n", 0},
    {"\x1f", 0},
    {" ", 1},
    {"~", 1},
    {"\x7f", 0},
    {"\x80", 0},
    {"\xbf", 0},
    {"\xc0\x80", 0},
    {"\xc1\xbf", 0},
    {"\xc2\x80", 0}, /* U+0080, the first of C1 */
    {"\xc2\x9b", 0}, /* begins an escape sequence in a terminal */
    {"\xc2\x9f", 0}, /* U+009F, the last of C1 */
    {"\xc2\xa0", 2},
    {"\xc2\xbf", 2},
    {"\xc2\xc0", 0},
    {"\xc3\x7f", 0},
    {"\xc3\x80", 2},
    {"\xdf\xbf", 2},
    {"\xdf\xc0", 0},
    {"\xc3", 0},
    {"\xe0\x9f\xbf", 0},
    {"\xe0\xa0\x80", 3},
    {"\xe1\x80\x80", 3},
    {"\xe1\x80\x7f", 0},
    {"\xe1\x80", 0},
    {"\xe2\x80\xa7", 3},
    {"\xe2\x80\xa8", 0}, /* U+2028 ends a line */
    {"\xe2\x80\xae", 0}, /* U+202E turns the line around */
    {"\xe2\x80\xaf", 3},
    {"\xe2\x81\xa5", 3},
    {"\xe2\x81\xa6", 0}, /* U+2066 to U+2069 likewise */
    {"\xe2\x81\xa9", 0},
    {"\xe2\x81\xaa", 3},
    {"\xec\xbf\xbf", 3},
    {"\xed\x9f\xbf", 3},
    {"\xed\xa0\x80", 0}, /* a surrogate */
    {"\xee\x80\x80", 3},
    {"\xef\xbf\xbf", 3},
    {"\xef\xbf\xc0", 0},
    {"\xf0\x8f\xbf\xbf", 0},
    {"\xf0\x90\x80\x80", 4},
    {"\xf0\x90\x80", 0},
    {"\xf0\x90\x80\xc0", 0},
    {"\xf1\x80\x80\x80", 4},
    {"\xf3\xbf\xbf\xbf", 4},
    {"\xf4\x8f\xbf\xbf", 4},
    {"\xf4\x90\x80\x80", 0},
    {"\xf5\x80\x80\x80", 0},
    {"\xff", 0},
};

static void printable_characters(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(characters); i++) {
        if (str_printable(characters[i].text) != characters[i].want)
            fail_msg("row %zu: %zu", i, str_printable(characters[i].text));
        if (*characters[i].text)
            assert_int_equal(str_is_text(characters[i].text, 8), characters[i].want > 0);
    }
}

static void texts_by_their_length_and_end(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        bool want;
    } rows[] = {
        {"", 8, false},
        {"abcdefg", 8, true},
        {"abcdefgh", 8, false},
        {"\xc3\xa4", 3, true},
        {"\xc3\xa4", 2, false},
        {"a\xc3\xa4z", 8, true},
        {"a\xc3", 8, false},
        {"a\xc3z", 8, false},
        {"a\nb", 8, false},
        {"ab\xf0\x9f\x98", 8, false},
        {"ab\xf0\x9f\x98\x80", 8, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (str_is_text(rows[i].text, rows[i].size) != rows[i].want)
            fail_msg("row %zu", i);
}

static void cleaning_keeps_what_is_printable(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"a\nb\x7f"
         "c",
         "a?b?c"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"cut \xe2\x82", "cut ??"},
        {"\xc2\x9b[31m", "??[31m"},
        {"\xed\xa0\x80.", "???."},
        {"\xff\xc3\xa4", "?\xc3\xa4"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[64];
        assert_true(str_copy(text, sizeof text, rows[i].text));
        str_clean(text);
        assert_string_equal(text, rows[i].want);
    }
}

static void numbers_up_to_their_maximum(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        bool valid;
        uint64_t want;
    } rows[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"9", 0, false, 0},
        {"5", 5, true, 5},
        {"6", 5, false, 0},
        {"9", 5, false, 0},
        {"10", 5, false, 0},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"00065535", 65535, true, 65535},
        {"70000", 65535, false, 0},
        {"99", 100, true, 99},
        {"100", 100, true, 100},
        {"101", 100, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"18446744073709551614", UINT64_MAX - 1, true, UINT64_MAX - 1},
        {"18446744073709551615", UINT64_MAX - 1, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"184467440737095516150", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"+1", 9, false, 0},
        {"-1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"0x1", 9, false, 0},
        {"1a", 99, false, 0},
        {"1:", 99, false, 0},
        {"/", 99, false, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t value = 77;
        if (str_to_uint(rows[i].text, rows[i].max, &value) != rows[i].valid ||
            value != (rows[i].valid ? rows[i].want : 77))
            fail_msg("\"%s\" up to %llu", rows[i].text, (unsigned long long)rows[i].max);
    }
}

static void mac_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: none */
    } rows[] = {
        {"a0b1c2d3e4f5", "a0b1c2d3e4f5"},
        {"A0:B1:C2:D3:E4:F5", "a0b1c2d3e4f5"},
        {"a0-b1-C2-d3-e4-f5", "a0b1c2d3e4f5"},
        {"A0B1.C2D3.E4F5", "a0b1c2d3e4f5"},
        {"a0:b1-c2.d3e4f5", "a0b1c2d3e4f5"},
        {"000000000000", "000000000000"},
        {"a0b1c2d3e4f", NULL},
        {"a0b1c2d3e4f56", NULL},
        {"a0:b1:c2:d3:e4:f5:00", NULL},
        {"a0:b1:c2:d3:e4:g5", NULL},
        {"a0 b1 c2 d3 e4 f5", NULL},
        {"a0_b1_c2_d3_e4_f5", NULL},
        {"kitchen", NULL},
        {"::::::::::::", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char mac[MAC_SIZE] = "~";
        assert_int_equal(str_mac(rows[i].text, mac), rows[i].want != NULL);
        assert_string_equal(mac, rows[i].want ? rows[i].want : "");
    }
}

static void hex_both_ways(void **state)
{
    (void)state;
    unsigned char bytes[256], again[256];
    char text[513], upper[513];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    hex_format(bytes, sizeof bytes, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102", 6);
    assert_memory_equal(text + 506, "fdfeff", 6);
    assert_true(hex_parse(text, again, sizeof again));
    assert_memory_equal(again, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof text; i++)
        upper[i] = text[i] >= 'a' && text[i] <= 'f' ? (char)(text[i] - 'a' + 'A') : text[i];
    memset(again, 0, sizeof again);
    assert_true(hex_parse(upper, again, sizeof again));
    assert_memory_equal(again, bytes, sizeof bytes);
    hex_format("", 0, text);
    assert_string_equal(text, "");
}

static void hex_that_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",       "0",       "00",      "0011",   "00112g",
                                        "0011 2", "0x0011",  "00112/",  "00112:", "00112@",
                                        "00112`", "0011223", "00112233"};
    unsigned char bytes[3];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (hex_parse(wrong[i], bytes, sizeof bytes))
            fail_msg("%s", wrong[i]);
    assert_true(hex_parse("001122", bytes, sizeof bytes));
    assert_true(hex_parse("", bytes, 0));
}

/* RFC 4648 10, and bytes that use the last letters of both alphabets */
static const struct {
    const char *bytes;
    size_t len;
    const char *standard, *url;
} base64_rows[] = {
    {"", 0, "", ""},
    {"f", 1, "Zg==", "Zg"},
    {"fo", 2, "Zm8=", "Zm8"},
    {"foo", 3, "Zm9v", "Zm9v"},
    {"foob", 4, "Zm9vYg==", "Zm9vYg"},
    {"fooba", 5, "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", 6, "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", 3, "+/+/", "-_-_"},
    {"\0\0\0", 3, "AAAA", "AAAA"},
    {"\xff", 1, "/w==", "_w"},
    {"\xff\xff", 2, "//8=", "__8"},
};

static void base64_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(base64_rows); i++) {
        char text[BASE64_SIZE(6)];
        unsigned char bytes[6];
        base64_format(base64_rows[i].bytes, base64_rows[i].len, text);
        assert_string_equal(text, base64_rows[i].standard);
        assert_int_equal(base64_parse(text, bytes, base64_rows[i].len), base64_rows[i].len);
        assert_memory_equal(bytes, base64_rows[i].bytes, base64_rows[i].len);
        if (base64_rows[i].len > 0)
            assert_int_equal(base64_parse(text, bytes, base64_rows[i].len - 1), -1);
        base64url_format(base64_rows[i].bytes, base64_rows[i].len, text);
        assert_string_equal(text, base64_rows[i].url);
    }
}

static void base64_sizes(void **state)
{
    (void)state;
    unsigned char bytes[100];
    for (size_t len = 0; len < sizeof bytes; len++) {
        char text[BASE64_SIZE(sizeof bytes)];
        unsigned char again[sizeof bytes];
        bytes[len] = (unsigned char)(len * 37 + 11);
        base64_format(bytes, len, text);
        assert_int_equal(strlen(text) + 1, BASE64_SIZE(len));
        assert_int_equal(base64_parse(text, again, sizeof again), len);
        assert_memory_equal(again, bytes, len);
    }
}

static void base64_that_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Z",    "Zg",    "Zg=",       "Zm9",  "Zg==Zg==", "Zg==\n", "====", "Z===",     "=AAA",    "Zm=v",
        "Z=9v", "Zm9v=", "Zm9vYg==A", "-_-_", "Zm 9v",    "Zh==",   "Zm9=", "Zm9vYh==", "Zm9\xc3", "Zm9*",
    };
    unsigned char bytes[16];
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        if (base64_parse(wrong[i], bytes, sizeof bytes) != -1)
            fail_msg("%s", wrong[i]);
}

static void url_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"AZaz09-._~", "AZaz09-._~"},
        {"a b", "a%20b"},
        {"a/b?c&d=e#f", "a%2Fb%3Fc%26d%3De%23f"},
        {"%2F", "%252F"},
        {"thermo:1@x", "thermo%3A1%40x"},
        {"\xc3\xa4\xff", "%C3%A4%FF"},
        {"\n\x7f", "%0A%7F"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t size = strlen(rows[i].want) + 1;
        char out[64];
        memset(out, '~', sizeof out);
        assert_true(url_encode(rows[i].text, out, size));
        assert_string_equal(out, rows[i].want);
        assert_int_equal(out[size], '~');
        if (size > 1) {
            memset(out, '~', sizeof out);
            assert_false(url_encode(rows[i].text, out, size - 1));
            assert_int_equal(out[size - 1], '~');
        }
    }
}

/* FNV-1a's published 64-bit values, then the mix. */
static void test_hash(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t fnv;
    } table[] = {{"", 0xcbf29ce484222325u}, {"a", 0xaf63dc4c8601ec8cu}, {"foobar", 0x85944171f73967e8u}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        assert_true(str_hash(table[i].text, strlen(table[i].text)) == (table[i].fnv ^ table[i].fnv >> 32));
    assert_true(str_hash("foobar!", 6) == str_hash("foobar", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(copies_that_fit),
        cmocka_unit_test(names_by_their_letters),
        cmocka_unit_test(names_by_their_length),
        cmocka_unit_test(printable_characters),
        cmocka_unit_test(texts_by_their_length_and_end),
        cmocka_unit_test(cleaning_keeps_what_is_printable),
        cmocka_unit_test(numbers_up_to_their_maximum),
        cmocka_unit_test(mac_addresses),
        cmocka_unit_test(hex_both_ways),
        cmocka_unit_test(hex_that_is_none),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_sizes),
        cmocka_unit_test(base64_that_is_none),
        cmocka_unit_test(url_encoding),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
