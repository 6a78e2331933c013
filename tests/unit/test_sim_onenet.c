#include "sim_wire.h"

#define COMMAND "$sys/123ABC/dev01/cmd_exec"

static const struct wire_habits HABITS = {.module = "default", .next_version = "2.0.0"};
static const struct wire_identity WHO = {.product = "123ABC",
                                         .device = "dev01",
                                         .secret = "b25lbmV0LXRlc3Qta2V5LTAxMjM0NTY3ODlhYmNkZWY=",
                                         .habits = &HABITS};

/* The signatures were computed by other means, with Python's hmac. */
static void login_is_a_token(void **state)
{
    struct wire_identity common = WHO;
    struct wire_login login;
    struct err e;
    (void)state;
    common.common_secret = true;
    assert_int_equal(wire_onenet.login(&WHO, &login, &e), 0);
    assert_string_equal(login.client_id, "dev01");
    assert_string_equal(login.username, "123ABC");
    assert_string_equal(login.password, "version=2018-10-31&res=products%2F123ABC%2Fdevices%2Fdev01"
                                        "&et=4102444800&method=sha256&sign="
                                        "fX6LADEMeszWS5HiDCNrl4%2F12zTD2yYa7iElWet2SbI%3D");
    assert_int_equal(wire_onenet.login(&common, &login, &e), 0);
    assert_string_equal(login.password, "version=2018-10-31&res=products%2F123ABC"
                                        "&et=4102444800&method=sha256&sign="
                                        "IKsfIwx5eMXQ5vUiwFBbsvjH8X%2FFQg2SYM4ww%2BDMT3A%3D");
}

static void a_secret_that_is_no_key_is_the_password(void **state)
{
    struct wire_identity who = WHO;
    struct wire_login login;
    struct err e;
    (void)state;
    who.secret = "plain-secret";
    assert_int_equal(wire_onenet.login(&who, &login, &e), 0);
    assert_string_equal(login.password, "plain-secret");
}

static void names_at_the_limit_fit(void **state)
{
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    struct wire_identity who = {.product = product, .device = device, .secret = WHO.secret};
    struct wire_login login;
    struct err e;
    (void)state;
    memset(product, '@', sizeof product); /* three characters each where they are encoded */
    memset(device, '@', sizeof device);
    product[PRODUCT_SIZE - 1] = device[DEVICE_SIZE - 1] = '\0';
    assert_int_equal(wire_onenet.login(&who, &login, &e), -ERR_INVALID);
    memset(product, 'p', PRODUCT_SIZE - 1);
    memset(device, 'd', DEVICE_SIZE - 1);
    assert_int_equal(wire_onenet.login(&who, &login, &e), 0);
}

static void filters(void **state)
{
    char topic[WIRE_TOPIC_SIZE];
    struct err e;
    (void)state;
    assert_int_equal(wire_topic(wire_onenet.filters[0].pattern, &WHO, NULL, topic, &e), 0);
    assert_string_equal(topic, COMMAND);
    assert_int_equal(wire_onenet.filters[0].qos, 1);
    assert_null(wire_onenet.filters[1].pattern);
    assert_null(wire_onenet.ask);
}

static void reports_have_their_topics_and_bodies(void **state)
{
    static const struct wire_offer OFFER = {.id = "x"};
    static const char STATUS[] = "$sys/123ABC/dev01/upgrade/status";
    static const struct said ROWS[] = {
        {{.kind = WIRE_INFORM, .version = "1.0.0"},
         "$sys/123ABC/dev01/upload_info",
         "{\"version\":\"1.0.0\"}",
         1},
        {{.kind = WIRE_PERCENT, .offer = &OFFER, .percent = 50}, STATUS, "{\"progress\":50}", 1},
        {{.kind = WIRE_PERCENT, .offer = &OFFER, .percent = 100}, STATUS, "{\"progress\":99}", 1},
        {{.kind = WIRE_STATE, .offer = &OFFER, .word = "installing"}, STATUS, "{\"progress\":100}", 1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "verify"},
         STATUS,
         "{\"progress\":-1,\"msg\":\"verify\"}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "verify", .detail = "why"},
         STATUS,
         "{\"progress\":-1,\"msg\":\"why\"}",
         1},
        {{.kind = WIRE_REQUEST}, "$sys/123ABC/dev01/firmware/request", "{}", 1},
    };
    (void)state;
    check_said(&wire_onenet, &WHO, ROWS, ARRAY_SIZE(ROWS));
}

static const char UPGRADE[] =
    "{\"cmd\":\"upgrade_firmware\",\"params\":{\"url\":\"https://h/f\",\"md5\":\"" SIM_MD5
    "\",\"size\":9000}}";

static void an_upgrade_is_read_whole(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_onenet, &WHO, COMMAND, UPGRADE, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OFFER);
    assert_string_equal(heard.offer.id, SIM_MD5);
    assert_string_equal(heard.offer.version, "2.0.0");
    assert_string_equal(heard.offer.module, "default");
    assert_string_equal(heard.offer.url, "https://h/f");
    assert_string_equal(heard.offer.md5, SIM_MD5);
    assert_int_equal(heard.offer.size, 9000);
}

static void other_commands_are_left_alone(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_onenet, &WHO, COMMAND, "{\"cmd\":\"reboot\"}", &heard), 0);
    assert_int_equal(heard.kind, WIRE_OTHER);
    assert_int_equal(hear_text(&wire_onenet, &WHO, "$sys/123ABC/dev01/ota/inform", UPGRADE, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OTHER);
}

static void nonsense_is_refused(void **state)
{
    static const struct spoiled ROWS[] = {
        {"\"cmd\"", "\"c\""},          {"\"params\"", "\"p\""},  {"\"url\"", "\"uri\""},
        {"\"md5\"", "\"md\""},         {"\"size\"", "\"s\""},    {"9000", "0"},
        {"9000", "\"9000\""},          {"https://", "ftp://"},   {"abcdef\"", "abcdeF\""},
        {"\"md5\":\"0", "\"md5\":\""}, {"{\"cmd\"", "[\"cmd\""},
    };
    (void)state;
    check_spoiled(&wire_onenet, &WHO, COMMAND, UPGRADE, ROWS, ARRAY_SIZE(ROWS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_is_a_token),
        cmocka_unit_test(a_secret_that_is_no_key_is_the_password),
        cmocka_unit_test(names_at_the_limit_fit),
        cmocka_unit_test(filters),
        cmocka_unit_test(reports_have_their_topics_and_bodies),
        cmocka_unit_test(an_upgrade_is_read_whole),
        cmocka_unit_test(other_commands_are_left_alone),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("sim_onenet", tests, NULL, NULL);
}
