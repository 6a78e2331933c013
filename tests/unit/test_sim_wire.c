#include "sim_wire.h"

#include "../../src/sim/chance.h"

static const struct wire_habits HABITS = {.module = "default"};
static const struct wire_identity WHO = {
    .product = "thermo", .device = "aa-01", .secret = "s3cret", .habits = &HABITS};
#define TOPIC "ota/thermo/aa-01/offer"

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
    assert_int_equal(wire_topic(wire_native.filters[0].pattern, &WHO, NULL, topic, &e), 0);
    assert_string_equal(topic, TOPIC);
    assert_int_equal(wire_native.filters[0].qos, 1);
    assert_null(wire_native.filters[1].pattern);
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

static void topics_are_patterns(void **state)
{
    static const struct {
        const char *pattern, *topic;
    } ROWS[] = {
        {"a/%p/%d", "a/thermo/aa-01"},
        {"%d/%x/%x", "aa-01/extra/extra"},
        {"%p", "thermo"},
        {"%/%z", "%/%z"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        char topic[WIRE_TOPIC_SIZE];
        struct err e;
        assert_int_equal(wire_topic(ROWS[i].pattern, &WHO, "extra", topic, &e), 0);
        assert_string_equal(topic, ROWS[i].topic);
    }
}

static void topics_that_do_not_fit_are_refused(void **state)
{
    char pattern[WIRE_TOPIC_SIZE + 1] = "", topic[WIRE_TOPIC_SIZE];
    struct err e;
    (void)state;
    memset(pattern, 'x', WIRE_TOPIC_SIZE);
    assert_int_equal(wire_topic(pattern, &WHO, NULL, topic, &e), -ERR_INVALID);
    pattern[WIRE_TOPIC_SIZE - 1] = '\0';
    assert_int_equal(wire_topic(pattern, &WHO, NULL, topic, &e), 0);
    memcpy(pattern + WIRE_TOPIC_SIZE - 3, "%d", 3);
    assert_int_equal(wire_topic(pattern, &WHO, NULL, topic, &e), -ERR_INVALID);
}

static void protocols_have_names(void **state)
{
    (void)state;
    assert_ptr_equal(wire_by_name("native"), &wire_native);
    assert_ptr_equal(wire_by_name("aliyun"), &wire_aliyun);
    assert_ptr_equal(wire_by_name("onenet"), &wire_onenet);
    assert_ptr_equal(wire_by_name("aws"), &wire_aws);
    assert_null(wire_by_name("nativ"));
    assert_null(wire_by_name(""));
}

static void reports_have_their_topics_and_bodies(void **state)
{
    static const struct wire_offer OFFER = {.id = "42"};
    static const struct said ROWS[] = {
        {{.kind = WIRE_INFORM, .version = "1.1.0"},
         "ota/thermo/aa-01/inform",
         "{\"version\":\"1.1.0\",\"module\":\"default\"}",
         1},
        {{.kind = WIRE_PERCENT, .offer = &OFFER, .percent = 35},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"percent\":35}",
         1},
        {{.kind = WIRE_STATE, .offer = &OFFER, .word = "installing"},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"state\":\"installing\"}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "verify"},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"error\":\"verify\"}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "verify", .detail = "a \"b\""},
         "ota/thermo/aa-01/progress",
         "{\"id\":\"42\",\"error\":\"verify\",\"detail\":\"a \\\"b\\\"\"}",
         1},
        {{.kind = WIRE_REQUEST}, "ota/thermo/aa-01/request", "{}", 1},
    };
    (void)state;
    check_said(&wire_native, &WHO, ROWS, ARRAY_SIZE(ROWS));
}

static const char OFFER[] =
    "{\"id\":\"42\",\"version\":\"1.2.0\",\"module\":\"default\",\"size\":5,\"sha256\":\"" SIM_SHA
    "\",\"md5\":\"x\",\"signature\":\"y\",\"url\":\"https://h/f\",\"delta_from\":null,"
    "\"expires_at\":null,\"later\":[1]}";

static void an_offer_is_read_whole(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_native, &WHO, TOPIC, OFFER, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OFFER);
    assert_string_equal(heard.offer.id, "42");
    assert_string_equal(heard.offer.version, "1.2.0");
    assert_string_equal(heard.offer.module, "default");
    assert_string_equal(heard.offer.url, "https://h/f");
    assert_string_equal(heard.offer.sha256, SIM_SHA);
    assert_string_equal(heard.offer.md5, "");
    assert_string_equal(heard.offer.stream, "");
    assert_int_equal(heard.offer.size, 5);
}

static void nothing_due_has_no_id(void **state)
{
    static const char *const ROWS[] = {"{\"id\":null}", "{}", "{\"id\":null,\"size\":-1}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct wire_heard heard;
        assert_int_equal(hear_text(&wire_native, &WHO, TOPIC, ROWS[i], &heard), 0);
        assert_int_equal(heard.kind, WIRE_NOTHING);
    }
}

static void nonsense_is_refused(void **state)
{
    static const struct spoiled ROWS[] = {
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
    struct wire_heard heard;
    (void)state;
    check_spoiled(&wire_native, &WHO, TOPIC, OFFER, ROWS, ARRAY_SIZE(ROWS));
    assert_true(hear(&wire_native, &WHO, TOPIC, NULL, 0, &heard) < 0);
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
        cmocka_unit_test(login_is_product_and_device), cmocka_unit_test(names_at_the_limit_fit),
        cmocka_unit_test(topics_are_patterns),         cmocka_unit_test(topics_that_do_not_fit_are_refused),
        cmocka_unit_test(protocols_have_names),        cmocka_unit_test(reports_have_their_topics_and_bodies),
        cmocka_unit_test(an_offer_is_read_whole),      cmocka_unit_test(nothing_due_has_no_id),
        cmocka_unit_test(nonsense_is_refused),         cmocka_unit_test(chance_can_be_repeated),
    };
    return cmocka_run_group_tests_name("sim_wire", tests, NULL, NULL);
}
