#include "http/peer.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct peer v4(const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
    return peer_of((const struct sockaddr *)&a);
}

static struct peer v6(const char *text)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, text, &a.sin6_addr), 1);
    return peer_of((const struct sockaddr *)&a);
}

static void test_text(void **state)
{
    static const char *const sixes[] = {"fd00::7", "::1", "2001:db8::1:2"};
    char text[PEER_TEXT_SIZE];
    struct peer p = v4("192.168.0.7");
    (void)state;
    peer_format(&p, text);
    assert_string_equal(text, "192.168.0.7");
    for (size_t i = 0; i < sizeof sixes / sizeof *sixes; i++) {
        p = v6(sixes[i]);
        peer_format(&p, text);
        assert_string_equal(text, sixes[i]);
        assert_false(peer_is_none(&p));
    }
}

/* A listener for both families says it in IPv6's words. */
static void test_ipv4_by_either_family_is_one(void **state)
{
    struct peer a = v4("10.1.2.3"), b = v6("::ffff:10.1.2.3");
    char text[PEER_TEXT_SIZE];
    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
    peer_format(&b, text);
    assert_string_equal(text, "10.1.2.3");
}

static void test_none(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct peer none[] = {peer_of(NULL), peer_of((const struct sockaddr *)&a)};
    char text[PEER_TEXT_SIZE] = "x";
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_true(peer_is_none(&none[i]));
        peer_format(&none[i], text);
        assert_string_equal(text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_ipv4_by_either_family_is_one),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
