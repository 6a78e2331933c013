#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "http/guard.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 70

/* Header fields as one text: "Name: value\n", each value without the blank behind the colon. */
struct head {
    char text[16 * 1024];
    struct guard_header field[FIELDS_MAX];
    size_t n;
};

static void parse(const char *text, struct head *h)
{
    assert_true(str_copy(h->text, sizeof h->text, text));
    h->n = 0;
    for (char *rest = h->text, *line; (line = strsep(&rest, "\n")) && *line;) {
        char *colon = strchr(line, ':');
        assert_non_null(colon);
        *colon = '\0';
        char *value = colon[1] == ' ' ? colon + 2 : colon + 1;
        assert_true(h->n < FIELDS_MAX);
        h->field[h->n++] = (struct guard_header){line, value, strlen(line), strlen(value)};
    }
}

static int check(const char *method, const char *version, const char *text, struct framing *f)
{
    struct err e;
    struct head *h = malloc(sizeof *h);
    assert_non_null(h);
    parse(text, h);
    struct guard_request r = {method, version, h->field, h->n};
    int rc = guard_check(&r, f, &e);
    free(h);
    return rc;
}

static void refuses(void **state)
{
    static const struct {
        const char *method, *version, *text;
        enum err_code code;
    } rows[] = {
        {"TRACE", "HTTP/1.1", "Host: a\n", ERR_METHOD},
        {"CONNECT", "HTTP/1.1", "Host: a\n", ERR_METHOD},
        {"OPTIONS", "HTTP/1.1", "Host: a\n", ERR_METHOD},
        {"get", "HTTP/1.1", "Host: a\n", ERR_METHOD},
        {"G@T", "HTTP/1.1", "Host: a\n", ERR_METHOD},
        {"", "HTTP/1.1", "Host: a\n", ERR_METHOD},
        {"GET", "HTTP/2.0", "Host: a\n", ERR_BAD_REQUEST},
        {"GET", "", "Host: a\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: \n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.0", "Host: \n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nhost: a\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 2\ncontent-length: 2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 2, 2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: +2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: -2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 0x2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 2 2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: \n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length : 2\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 9223372036854775808\n", ERR_TOO_LARGE},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 18446744073709551616\n", ERR_TOO_LARGE},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 00000000000000000000000000000000000001\n",
         ERR_TOO_LARGE},
        {"PUT", "HTTP/1.1", "Host: a\nContent-Length: 2\nTransfer-Encoding: chunked\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nTransfer-Encoding: gzip\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nTransfer-Encoding: xchunked\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nTransfer-Encoding: chunkedx\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nTransfer-Encoding: gzip, chunked\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n",
         ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.0", "Transfer-Encoding: chunked\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nTransfer-Encoding: \n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nX : b\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nX\t: b\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\n: b\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nX(: b\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nX: b\rc\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nX: b\x01\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nX: b\x7f\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nAuthorization: a\nauthorization: b\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nRange: bytes=0-1\nRange: bytes=2-3\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nContent-Type: a\nContent-Type: a\n", ERR_BAD_REQUEST},
        {"GET", "HTTP/1.1", "Host: a\nIdempotency-Key: a\nIdempotency-Key: a\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nX-Signature: a\nX-Signature: b\n", ERR_BAD_REQUEST},
        {"PUT", "HTTP/1.1", "Host: a\nX-Content-SHA256: a\nx-content-sha256: a\n", ERR_BAD_REQUEST},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct framing f;
        if (check(rows[i].method, rows[i].version, rows[i].text, &f) != -(int)rows[i].code)
            fail_msg("%s %s %s", rows[i].method, rows[i].version, rows[i].text);
    }
}

static void takes(void **state)
{
    static const struct {
        const char *method, *version, *text;
        struct framing framing;
    } rows[] = {
        {"GET", "HTTP/1.1", "Host: a\n", {0}},
        {"GET", "HTTP/1.0", "X: y\n", {0}},
        {"HEAD", "HTTP/1.0", "Host: a\n", {0}},
        {"PATCH", "HTTP/1.1", "Host: a\nContent-Length: 0\n", {.has_length = true}},
        {"DELETE", "HTTP/1.1", "hOST: a\ncONTENT-lENGTH: 17 \t\n", {.has_length = true, .length = 17}},
        {"PUT",
         "HTTP/1.1",
         "Host: a\nContent-Length: 9223372036854775807\n",
         {.has_length = true, .length = INT64_MAX}},
        {"POST", "HTTP/1.1", "Host: a\nTransfer-Encoding: Chunked \n", {.chunked = true}},
        {"POST",
         "HTTP/1.1",
         "Host: a\nContent-Length: 1\nExpect: 100-Continue\n",
         {.has_length = true, .length = 1, .expects_continue = true}},
        {"POST", "HTTP/1.1", "Host: a\nExpect: 200-ok\n", {0}},
        {"GET", "HTTP/1.1", "Host: a\nAccept: a\nAccept: b\nX: a\tb\xc3\xa4\n", {0}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct framing f;
        assert_int_equal(check(rows[i].method, rows[i].version, rows[i].text, &f), 0);
        assert_int_equal(f.chunked, rows[i].framing.chunked);
        assert_int_equal(f.has_length, rows[i].framing.has_length);
        assert_int_equal(f.length, rows[i].framing.length);
        assert_int_equal(f.expects_continue, rows[i].framing.expects_continue);
    }
}

static void counts_fields(void **state)
{
    char text[1024] = "Host: a\n";
    struct framing f;
    (void)state;
    for (size_t i = 1; i < GUARD_HEADERS_MAX; i++)
        strcat(text, "X: y\n");
    assert_int_equal(check("GET", "HTTP/1.1", text, &f), 0);
    strcat(text, "X: y\n");
    assert_int_equal(check("GET", "HTTP/1.1", text, &f), -ERR_HEADERS_TOO_LARGE);
}

/* "Host: a" and "X: ..." with their line ends, as they came: 9 and 5 bytes beside the value. */
static void counts_bytes(void **state)
{
    char text[GUARD_HEAD_BYTES_MAX + 64] = "Host: a\nX: ";
    size_t start = strlen(text), fill = GUARD_HEAD_BYTES_MAX - 9 - 5;
    struct framing f;
    (void)state;
    memset(text + start, 'v', fill);
    strcpy(text + start + fill, "\n");
    assert_int_equal(check("GET", "HTTP/1.1", text, &f), 0);
    strcpy(text + start + fill, "v\n");
    assert_int_equal(check("GET", "HTTP/1.1", text, &f), -ERR_HEADERS_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(takes),
        cmocka_unit_test(counts_fields),
        cmocka_unit_test(counts_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
