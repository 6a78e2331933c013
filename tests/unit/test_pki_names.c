#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pki.h"
#include "base/str.h"

#include <string.h>
#include <unistd.h>

#define LABEL_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define NAME_253 \
    LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"

static void names_in_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"localhost", "localhost"},
        {"OTA.Example.COM", "ota.example.com"},
        {"a", "a"},
        {"my_host", "my_host"},
        {"0123456789ab", "0123456789ab"},
        {"4829103847", "4829103847"},
        {"a.4b", "a.4b"},
        {"127.0.0.1", "127.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::1", "::1"},
        {"FD00:0:0::2", "fd00::2"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {LABEL_63, LABEL_63},
        {NAME_253, NAME_253},
        {NAME_253 "j", NULL},
        {LABEL_63 "l", NULL},
        {"", NULL},
        {".", NULL},
        {".a", NULL},
        {"a.", NULL},
        {"a..b", NULL},
        {"-a", NULL},
        {"a-", NULL},
        {"a.-b", NULL},
        {"a b", NULL},
        {"a,DNS:b", NULL},
        {"a\n", NULL},
        {"*.example.com", NULL},
        {"[::1]", NULL},
        {"fe80::1%eth0", NULL},
        {"256.1.1.1", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4.5", NULL},
        {"host:8443", NULL},
        {"m\xc3\xbcller", NULL},
    };
    _Static_assert(sizeof NAME_253 == 254, "as its name says");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pki_names names = {0};
        bool added = pki_names_add(&names, rows[i].name);
        if (added != (rows[i].want != NULL) || names.n != (added ? 1u : 0u))
            fail_msg("%s", rows[i].name);
        if (added)
            assert_string_equal(names.name[0], rows[i].want);
    }
}

static void names_are_added_once(void **state)
{
    (void)state;
    static const char *const list[] = {"b", "a", "B", "::1", "0::1", "a", "127.0.0.1", "A"};
    struct pki_names names = {0};
    for (size_t i = 0; i < ARRAY_SIZE(list); i++)
        assert_true(pki_names_add(&names, list[i]));
    assert_int_equal(names.n, 4);
    assert_string_equal(names.name[0], "b");
    assert_string_equal(names.name[1], "a");
    assert_string_equal(names.name[2], "::1");
    assert_string_equal(names.name[3], "127.0.0.1");
}

static bool has_name(const struct pki_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], name) == 0)
            return true;
    return false;
}

static void names_of_this_machine(void **state)
{
    (void)state;
    struct pki_names names = {0}, own = {0};
    char host[256] = "";
    pki_names_of_machine(&names);
    assert_true(has_name(&names, "localhost"));
    assert_true(has_name(&names, "127.0.0.1"));
    assert_true(has_name(&names, "::1"));
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    if (pki_names_add(&own, host))
        assert_true(has_name(&names, own.name[0]));
    for (size_t i = 0; i < names.n; i++) {
        assert_int_not_equal(strncmp(names.name[i], "fe80:", 5), 0);
        assert_int_not_equal(strncmp(names.name[i], "169.254.", 8), 0);
    }
    assert_true(names.n <= PKI_NAMES_MAX - 8);
    size_t before = names.n;
    pki_names_of_machine(&names);
    assert_int_equal(names.n, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_one_spelling),
        cmocka_unit_test(names_are_added_once),
        cmocka_unit_test(names_of_this_machine),
    };
    return cmocka_run_group_tests_name("pki_names", tests, NULL, NULL);
}
