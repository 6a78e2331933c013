/* The simulator is no part of the library: its pure files are taken in whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/sim/chance.h"
#include "../../src/sim/wire_native.c"

#include <stdlib.h>

static const struct wire_identity WHO = {.product = "thermo", .device = "aa-01", .secret = "s3cret"};

static void login_is_product_and_device(void **state)
{
    struct wire_login login;
    struct err e;
    char topic[WIRE_TOPIC_SIZE];
    (void)state;
    assert_int_equal(wire_native.login(&WHO, &login, &e), 0);
    assert_string_equal(login.username, "thermo/aa-01");
    assert_string_equal(login.client_id, "thermo/aa-01");
    assert_string_equal(login.password, "s3cret");
    assert_int_equal(wire_native.subscription(&WHO, topic, &e), 0);
    assert_string_equal(topic, "ota/thermo/aa-01/offer");
}

static void names_at_the_limit_fit(void **state)
{
    char product[PRODUCT_SIZE], device[DEVICE_SIZE], secret[WIRE_LOGIN_SIZE + 1];
    struct wire_identity who = {.product = product, .device = device, .secret = secret};
    struct wire_login login;
    struct err e;
    (void)state;
    memset(product, 'p', sizeof product);
    memset(device, 'd', sizeof device);
    memset(secret, 's', sizeof secret);
    product[PRODUCT_SIZE - 1] = device[DEVICE_SIZE - 1] = secret[WIRE_LOGIN_SIZE - 1] = '\0';
    assert_int_equal(wire_native.login(&who, &login, &e), 0);
    assert_int_equal(strlen(login.username), PRODUCT_SIZE + DEVICE_SIZE - 1);
    secret[WIRE_LOGIN_SIZE - 1] = 's';
    secret[WIRE_LOGIN_SIZE] = '\0';
    assert_int_equal(wire_native.login(&who, &login, &e), -ERR_INVALID);
}

static void reports_have_their_topics_and_bodies(void **state)
{
    static const struct {
        struct wire_report report;
        const char *topic, *body;
    } ROWS[] = {
        {{.kind = WIRE_INFORM, .version = "1.1.0", .module = "default"},
         "ota/thermo/aa-01/inform",
         "{\"version\":\"1.1.0\",\"module\":\"default\"}"},
        {{.kind = WIRE_PERCENT, .id = "42", .percent = 35},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"percent\":35}"},
        {{.kind = WIRE_STATE, .id = "42", .word = "installing"},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"state\":\"installing\"}"},
        {{.kind = WIRE_ERROR, .id = "42", .word = "verify"},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"error\":\"verify\"}"},
        {{.kind = WIRE_ERROR, .id = "42", .word = "verify", .detail = "a \"b\""},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"error\":\"verify\",\"detail\":\"a \\\"b\\\"\"}"},
        {{.kind = WIRE_REQUEST}, "ota/thermo/aa-01/request", "{}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct wire_message message;
        struct err e;
        assert_int_equal(wire_native.say(&WHO, &ROWS[i].report, &message, &e), 0);
        assert_string_equal(message.topic, ROWS[i].topic);
        assert_string_equal(message.body, ROWS[i].body);
        free(message.body);
    }
}

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char OFFER[] =
    "{\"id\":\"42\",\"version\":\"1.2.0\",\"module\":\"default\",\"size\":5,\"sha256\":\"" SHA
    "\",\"md5\":\"x\",\"signature\":\"y\",\"url\":\"https://h/f\",\"delta_from\":null,"
    "\"expires_at\":null,\"later\":[1]}";

static void an_offer_is_read_whole(void **state)
{
    struct wire_offer offer;
    struct err e;
    (void)state;
    assert_int_equal(wire_native.hear(OFFER, sizeof OFFER - 1, &offer, &e), 0);
    assert_string_equal(offer.id, "42");
    assert_string_equal(offer.version, "1.2.0");
    assert_string_equal(offer.module, "default");
    assert_string_equal(offer.url, "https://h/f");
    assert_string_equal(offer.sha256, SHA);
    assert_int_equal(offer.size, 5);
}

static void nothing_due_has_no_id(void **state)
{
    static const char *const ROWS[] = {"{\"id\":null}", "{}", "{\"id\":null,\"size\":-1}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct wire_offer offer = {.id = "old"};
        struct err e;
        assert_int_equal(wire_native.hear(ROWS[i], strlen(ROWS[i]), &offer, &e), 0);
        assert_string_equal(offer.id, "");
    }
}

/* Each row spoils one piece of OFFER. */
static void nonsense_is_refused(void **state)
{
    static const struct {
        const char *good, *bad;
    } ROWS[] = {
        {"\"42\"", "42"},
        {"\"42\"", "\"4/2\""},
        {"\"size\":5", "\"size\":0"},
        {"\"size\":5", "\"size\":-1"},
        {"\"size\":5", "\"size\":\"5\""},
        {"\"sha256\":\"0", "\"sha256\":\""},
        {"\"sha256\":\"0", "\"sha256\":\"00"},
        {"abcdef\"", "abcdeF\""},
        {"abcdef\"", "abcdeg\""},
        {"https://", "ftp://"},
        {"https://", "file:///"},
        {"\"url\"", "\"uri\""},
        {"\"version\"", "\"v\""},
        {"\"module\"", "\"m\""},
        {"{\"id\"", "[\"id\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        char body[sizeof OFFER + 16];
        struct wire_offer offer = {.id = "old"};
        struct err e;
        const char *at = strstr(OFFER, ROWS[i].good);
        assert_non_null(at);
        int len = snprintf(body, sizeof body, "%.*s%s%s", (int)(at - OFFER), OFFER, ROWS[i].bad,
                           at + strlen(ROWS[i].good));
        assert_true(wire_native.hear(body, (size_t)len, &offer, &e) < 0);
        assert_string_equal(offer.id, "old");
    }
    struct wire_offer offer;
    struct err e;
    assert_true(wire_native.hear(NULL, 0, &offer, &e) < 0);
}

/* The same seed decides the same way; the share is about what was asked for; questions are unrelated. */
static void chance_can_be_repeated(void **state)
{
    int cut = 0, both = 0;
    (void)state;
    for (uint64_t number = 1; number <= 10000; number++) {
        uint64_t luck = chance_begin(7, number);
        assert_int_equal(luck, chance_begin(7, number));
        assert_false(chance_happens(luck, CHANCE_CUT, 0));
        assert_true(chance_happens(luck, CHANCE_CUT, 100));
        cut += chance_happens(luck, CHANCE_CUT, 20);
        both += chance_happens(luck, CHANCE_CUT, 20) && chance_happens(luck, CHANCE_FAIL, 20);
        assert_in_range(chance_about(luck, 1000), 750, 1250);
    }
    assert_in_range(cut, 1850, 2150);
    assert_in_range(both, 320, 480);
    assert_true(chance_begin(7, 1) != chance_begin(8, 1) && chance_begin(7, 1) != chance_begin(7, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_is_product_and_device),
        cmocka_unit_test(names_at_the_limit_fit),
        cmocka_unit_test(reports_have_their_topics_and_bodies),
        cmocka_unit_test(an_offer_is_read_whole),
        cmocka_unit_test(nothing_due_has_no_id),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(chance_can_be_repeated),
    };
    return cmocka_run_group_tests_name("sim_wire", tests, NULL, NULL);
}
