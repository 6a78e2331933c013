#include "protocol/onenet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_64 "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_."

/* ---- tokens */

#define KEY      "b25lbmV0LXRlc3Qta2V5LTAxMjM0NTY3ODlhYmNkZWY="
#define VERSION  "version=2018-10-31"
#define RES      "res=products%2F123ABC%2Fdevices%2Fdev01"
#define ET       "et=1893456000"
#define MD5      "method=md5&sign=p5xWD2%2B%2FHFDrQCd8hUx39A%3D%3D"
#define SHA1     "method=sha1&sign=bCBQfOdedOb63oDjwo4xYRbulsk%3D"
#define SHA256   "method=sha256&sign=pfcP%2FEQbL8QRC1oNzaJFC2dZRE6VhMbeCfSjl1awJM8%3D"
#define END_S    1893456000
#define LONG_256 TEXT_64 TEXT_64 TEXT_64 TEXT_64

/* The same key: res=products/123ABC; version 2022-05-01; another device; an account. */
#define OF_PRODUCT "method=md5&sign=qzEP6K593qUViGoJ9H4Low%3D%3D"
#define OF_2022    "method=sha1&sign=pCf5ImW8OEP%2FK4Qhp03dJbVUqMU%3D"
#define OF_OTHER   "method=md5&sign=UBhsNYYE9aL34uFQ4aGJEQ%3D%3D"
#define OF_USER    "method=md5&sign=Dt%2BfBeTS%2BioxqzwzfQkvZA%3D%3D"

static const struct {
    const char *token;
    bool proves;
} tokens[] = {
    {VERSION "&" RES "&" ET "&" MD5, true},
    {VERSION "&" RES "&" ET "&" SHA1, true},
    {VERSION "&" RES "&" ET "&" SHA256, true},
    {MD5 "&" ET "&" RES "&" VERSION, true},
    {ET "&" SHA256 "&" VERSION "&" RES, true},
    {VERSION "&res=products/123ABC/devices/dev01&" ET "&method=md5&sign=p5xWD2+/HFDrQCd8hUx39A==", true},
    {"version=2018%2D10%2d31&res=products%2f123ABC%2fdevices%2fdev01&" ET "&" MD5, true},
    {VERSION "&" RES "&" ET "&x=y&" MD5, true},
    {VERSION "&res=products%2F123ABC&" ET "&" OF_PRODUCT, true},
    {"version=2022-05-01&" RES "&" ET "&" OF_2022, true},
    {VERSION "&res=products%2F123ABC%2Fdevices%2Fdev02&" ET "&" OF_OTHER, false},
    {VERSION "&res=userid%2F1234&" ET "&" OF_USER, false},
    {"version=2018-10-32&" RES "&" ET "&" MD5, false},
    {"vversion=2018-10-31&" RES "&" ET "&" MD5, false},
    {VERSION "&" RES "&et=1893456001&" MD5, false},
    {VERSION "&" RES "&" ET "&method=sha1&sign=p5xWD2%2B%2FHFDrQCd8hUx39A%3D%3D", false},
    {VERSION "&" RES "&" ET "&method=sha512&sign=p5xWD2%2B%2FHFDrQCd8hUx39A%3D%3D", false},
    {VERSION "&" RES "&" ET "&method=md5&sign=p5xWD2%2B%2FHFDrQCd8hUx39B%3D%3D", false},
    {VERSION "&" RES "&" ET "&method=md5&sign=p5xWD2%2B%2FHFDrQCd8hUx39A", false},
    {VERSION "&" RES "&" ET "&method=md5&sign=", false},
    {VERSION "&" RES "&" ET "&method=md5", false},
    {VERSION "&" RES "&" ET "&" ET "&" MD5, false},
    {VERSION "&" RES "&" MD5, false},
    {RES "&" ET "&" MD5, false},
    {VERSION "&" ET "&" MD5, false},
    {VERSION "&" RES "&" ET "&method=md5&sign=p5xWD2%2B%2FHFDrQCd8hUx39A%3D%3", false},
    {VERSION "&" RES "&" ET "&method=md5&sign=p5xWD2%2B%2FHFDrQCd8hUx39A%3D%", false},
    {VERSION "&" RES "&" ET "&method=md5&sign=p5xWD2%2G%2FHFDrQCd8hUx39A%3D%3D", false},
    {VERSION "&" RES "%00&" ET "&" MD5, false},
    {VERSION "&" RES "&" ET "&method=md5&sign=" LONG_256, false},
    {VERSION "&res=" LONG_256 "&" ET "&" MD5, false},
    {" " VERSION "&" RES "&" ET "&" MD5, false},
    {VERSION "&" RES "&" ET "&" MD5 " ", false},
    {KEY, false},
    {"", false},
    {"&&&", false},
    {"%", false},
};

static void test_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
        if (onenet_token_proves(tokens[i].token, "123ABC", "dev01", KEY, END_S - 1) != tokens[i].proves)
            fail_msg("%s", tokens[i].token);
}

static void test_whose_token(void **state)
{
    (void)state;
    static const char token[] = VERSION "&" RES "&" ET "&" MD5;
    static const char wide[] = VERSION "&res=products%2F123ABC&" ET "&" OF_PRODUCT;
    assert_false(onenet_token_proves(token, "123ABC", "dev01", KEY, END_S));
    assert_true(onenet_token_proves(token, "123ABC", "dev01", KEY, 0));
    assert_false(onenet_token_proves(token, "123ABC", "dev0", KEY, 0));
    assert_false(onenet_token_proves(token, "123ABC", "dev011", KEY, 0));
    assert_false(onenet_token_proves(token, "123AB", "dev01", KEY, 0));
    assert_true(onenet_token_proves(wide, "123ABC", "another", KEY, 0));
    assert_false(onenet_token_proves(wide, "123ABD", "another", KEY, 0));
    assert_false(
        onenet_token_proves(token, "123ABC", "dev01", "c25lbmV0LXRlc3Qta2V5LTAxMjM0NTY3ODlhYmNkZWY=", 0));
    assert_false(onenet_token_proves(token, "123ABC", "dev01", "no base64", 0));
    assert_false(onenet_token_proves(token, "123ABC", "dev01", "", 0));
}

/* Every byte of a token counts. */
static void test_changed_tokens(void **state)
{
    (void)state;
    static const char token[] = "version=2018-10-31&res=products/123ABC/devices/dev01&et=1893456000&" SHA256;
    char changed[sizeof token];
    for (size_t i = 0; i < sizeof token - 1; i++) {
        memcpy(changed, token, sizeof token);
        changed[i] ^= 1;
        if (onenet_token_proves(changed, "123ABC", "dev01", KEY, 0))
            fail_msg("%s", changed);
    }
}

/* ---- logins */

static const struct {
    const char *client_id, *username;
    bool shaped;
} logins[] = {
    {"dev01", "123ABC", true}, {"dev01", "p/d", false},      {"a b", "123ABC", false},
    {"dev01", "d&p", false},   {"dev01", "", false},         {"", "123ABC", false},
    {NULL, "123ABC", false},   {"dev01", NULL, false},       {TEXT_64, TEXT_64, true},
    {"d", TEXT_64 "x", false}, {TEXT_64 TEXT_64, "p", true}, {TEXT_64 TEXT_64 "x", "p", false},
};

static void test_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(logins); i++) {
        const struct login login = {.client_id = logins[i].client_id, .username = logins[i].username};
        struct login_claim claim;
        bool shaped = onenet_protocol.login.claim(&login, &claim);
        assert_int_equal(shaped, logins[i].shaped);
        assert_true(protocol_by_login(&login, &claim) == &onenet_protocol || !shaped);
        if (shaped) {
            assert_string_equal(claim.product, logins[i].username);
            assert_string_equal(claim.device, logins[i].client_id);
        }
    }
    assert_true(onenet_protocol.login.one_session);
}

static bool proven(const char *password, int64_t now_s)
{
    const struct login login = {.client_id = "dev01", .username = "123ABC", .password = password};
    const struct login_claim claim = {.product = "123ABC", .device = "dev01"};
    return onenet_protocol.login.proven(&login, &claim, KEY, now_s);
}

static void test_passwords(void **state)
{
    (void)state;
    assert_true(proven(KEY, END_S));
    assert_true(proven(VERSION "&" RES "&" ET "&" SHA1, END_S - 1));
    assert_false(proven(VERSION "&" RES "&" ET "&" SHA1, END_S));
    assert_false(proven("b25lbmV0LXRlc3Qta2V5LTAxMjM0NTY3ODlhYmNkZWY", 0));
    assert_false(proven("", 0));
    assert_false(proven(NULL, 0));
}

/* ---- what devices say */

static const struct {
    const char *rest, *body;
    int kind; /* -1: refused */
    int percent, state;
    const char *text; /* the version of INFORM, the detail of the others */
    const char *module;
} reports[] = {
    {"upload_info", "{\"version\":\"v1.1.0\"}", EVENT_INFORM, -1, 0, "v1.1.0", "default"},
    {"upload_info", "{\"fw_version\":\"1\",}", EVENT_INFORM, -1, 0, "1", "default"},
    {"upload_info", "{\"firmware_version\":\"1\"}", EVENT_INFORM, -1, 0, "1", "default"},
    {"upload_info", "{\"f_version\":\"V2\"}", EVENT_INFORM, -1, 0, "V2", "default"},
    {"upload_info", "{\"s_version\":\"V3\"}", EVENT_INFORM, -1, 0, "V3", "default"},
    {"upload_info", "{\"s_version\":\"V3\",\"f_version\":\"V2\"}", EVENT_INFORM, -1, 0, "V2", "default"},
    {"upload_info", "{\"version\":null,\"fw_version\":\"4\"}", EVENT_INFORM, -1, 0, "4", "default"},
    {"upload_info", "{\"version\":7}", EVENT_INFORM, -1, 0, "7", "default"},
    {"upload_info", "{\"version\":1.25}", EVENT_INFORM, -1, 0, "1.25", "default"},
    {"upload_info", "{\"version\":0.1}", EVENT_INFORM, -1, 0, "0.1", "default"},
    {"upload_info", "{\"version\":\"1\",\"module\":\"mcu\"}", EVENT_INFORM, -1, 0, "1", "mcu"},
    {"upload_info", "{\"id\":\"1\",\"version\":\"1.0\",\"params\":{\"version\":\"9\"}}", EVENT_INFORM, -1, 0,
     "9", "default"},
    {"upload_info", "{\"id\":\"1\",\"version\":\"1.0\",\"params\":{\"rssi\":-60}}", EVENT_HEARD, -1, 0, "",
     ""},
    {"upload_info", "{\"status\":\"online\"}", EVENT_HEARD, -1, 0, "", ""},
    {"upload_info", "{}", EVENT_HEARD, -1, 0, "", ""},
    {"upload_info", "", EVENT_HEARD, -1, 0, "", ""},
    {"upload_info", "{\"version\":\"" TEXT_64 "\"}", EVENT_INFORM, -1, 0, TEXT_64, "default"},
    {"upload_info", "{\"version\":\"" TEXT_64 "x\"}", -1, 0, 0, NULL, NULL},
    {"upload_info", "{\"version\":\"\"}", -1, 0, 0, NULL, NULL},
    {"upload_info", "{\"version\":[]}", -1, 0, 0, NULL, NULL},
    {"upload_info", "{\"version\":true}", -1, 0, 0, NULL, NULL},
    {"upload_info", "{\"version\":\"a\\nb\"}", -1, 0, 0, NULL, NULL},
    {"upload_info", "{\"version\":\"1\",\"module\":\"a/b\"}", -1, 0, 0, NULL, NULL},
    {"upload_info", "v1.1.0", -1, 0, 0, NULL, NULL},
    {"firmware/request", "", EVENT_REQUEST, -1, 0, "", NULL},
    {"firmware/request", "{\"version\":\"1\"}", EVENT_REQUEST, -1, 0, "", NULL},
    {"firmware/request", "{", -1, 0, 0, NULL, NULL},
    {"ota/inform_reply", "{\"id\":\"42\",\"code\":200,\"msg\":\"success\"}", EVENT_HEARD, -1, 0, "", NULL},
    {"ota/inform_reply", "{\"id\":\"42\",\"code\":200,\"message\":\"success\",\"data\":{}}\r\n", EVENT_HEARD,
     -1, 0, "", NULL},
    {"upgrade/status", "{\"progress\":0}", EVENT_PROGRESS, 0, EXECUTION_DOWNLOADING, "", NULL},
    {"upgrade/status", "{\"progress\":75}", EVENT_PROGRESS, 75, EXECUTION_DOWNLOADING, "", NULL},
    {"upgrade/status", "{\"progress\":\"75\"}", EVENT_PROGRESS, 75, EXECUTION_DOWNLOADING, "", NULL},
    {"upgrade/status", "{\"progress\":99}", EVENT_PROGRESS, 99, EXECUTION_DOWNLOADING, "", NULL},
    {"upgrade/status", "{\"progress\":100}", EVENT_PROGRESS, 100, EXECUTION_INSTALLING, "", NULL},
    {"upgrade/status", "{\"progress\":100,\"status\":\"success\"}", EVENT_PROGRESS, 100, EXECUTION_INSTALLING,
     "success", NULL},
    {"upgrade/status", "{\"params\":{\"progress\":3}}", EVENT_PROGRESS, 3, EXECUTION_DOWNLOADING, "", NULL},
    {"upgrade/status", "{\"progress\":-1}", EVENT_ERROR, -1, REASON_UNKNOWN, "", NULL},
    {"upgrade/status", "{\"progress\":\"-1\",\"msg\":\"failed\"}", EVENT_ERROR, -1, REASON_UNKNOWN, "failed",
     NULL},
    {"upgrade/status", "{\"progress\":-1,\"status\":\"ESP_FAIL\"}", EVENT_ERROR, -1, REASON_UNKNOWN,
     "ESP_FAIL", NULL},
    {"upgrade/status", "{\"progress\":-2}", -1, 0, 0, NULL, NULL},
    {"upgrade/status", "{\"progress\":101}", -1, 0, 0, NULL, NULL},
    {"upgrade/status", "{\"progress\":\"\"}", -1, 0, 0, NULL, NULL},
    {"upgrade/status", "{\"progress\":null}", -1, 0, 0, NULL, NULL},
    {"upgrade/status", "{}", -1, 0, 0, NULL, NULL},
    {"upgrade/status", "[1]", -1, 0, 0, NULL, NULL},
    {"cmd_exec", "{}", -1, 0, 0, NULL, NULL},
    {"ota/inform", "{}", -1, 0, 0, NULL, NULL},
    {"upload_info/x", "{}", -1, 0, 0, NULL, NULL},
    {"upload_inf", "{}", -1, 0, 0, NULL, NULL},
    {"", "{}", -1, 0, 0, NULL, NULL},
};

static void test_reports(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
        char topic[64] = "$sys/123ABC/dev01/";
        struct device_event ev;
        struct err e;
        memset(&ev, 0x5a, sizeof ev);
        strcat(topic, reports[i].rest);
        int rc = onenet_protocol.parse(topic, reports[i].body, strlen(reports[i].body), &ev, &e);
        if ((rc == 0) != (reports[i].kind >= 0))
            fail_msg("%s %s", topic, reports[i].body);
        if (rc < 0)
            continue;
        assert_int_equal(ev.kind, reports[i].kind);
        assert_string_equal(ev.product, "123ABC");
        assert_string_equal(ev.device, "dev01");
        assert_int_equal(ev.percent, reports[i].percent);
        assert_int_equal(ev.execution_id, 0);
        assert_int_equal(ev.reply.form != 0, ev.kind == EVENT_REQUEST);
        assert_string_equal(ev.kind == EVENT_INFORM ? ev.version : ev.detail, reports[i].text);
        if (ev.kind == EVENT_INFORM)
            assert_string_equal(ev.module, reports[i].module);
        if (ev.kind == EVENT_PROGRESS)
            assert_int_equal(ev.state, reports[i].state);
        if (ev.kind == EVENT_ERROR)
            assert_int_equal(ev.reason, reports[i].state);
    }
}

static void test_hostile_topics(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "$sys",
                                      "$sys/p",
                                      "$sys/p/d",
                                      "$sys/p/d/",
                                      "$sys//d/upload_info",
                                      "$sys/p//upload_info",
                                      "$sys/p/+/upload_info",
                                      "$sys/p/a b/upload_info",
                                      "$sys/../d/upload_info",
                                      "$sys/" TEXT_64 "x/d/upload_info",
                                      "$sys/p/" TEXT_64 TEXT_64 "x/upload_info"};
    struct device_event ev;
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (onenet_protocol.parse(bad[i], "{}", 2, &ev, &e) != -ERR_INVALID)
            fail_msg("%s", bad[i]);
    char *body = malloc(MESSAGE_MAX + 1);
    memset(body, ' ', MESSAGE_MAX + 1);
    assert_int_equal(onenet_protocol.parse("$sys/p/d/upload_info", body, MESSAGE_MAX, &ev, &e), 0);
    assert_int_equal(onenet_protocol.parse("$sys/p/d/upload_info", body, MESSAGE_MAX + 1, &ev, &e),
                     -ERR_INVALID);
    free(body);
}

/* ---- what they are told */

static const struct outgoing some_offer = {
    .protocol = "onenet",
    .product = "123ABC",
    .device = "dev01",
    .offer = {.id = 42,
              .campaign_id = 7,
              .file = {.version = "V2",
                       .module = "default",
                       .size = 9000,
                       .digests = {.sha256 = "ab01", .sha1 = "cd02", .md5 = "ef03"},
                       .url = "https://ota.lan:8443/firmware/ab01?d=123ABC/dev01&e=1&s=x"}}};

static void check_message(struct message *m, const char *topic, const char *want)
{
    assert_string_equal(m->topic, topic);
    assert_string_equal(m->payload, want);
    assert_int_equal(m->len, strlen(want));
    assert_int_equal(m->qos, 1);
    assert_true(m->only_subscribed);
    message_clear(m);
}

static void test_offers(void **state)
{
    (void)state;
    static const char command[] = "{\"cmd\":\"upgrade_firmware\",\"params\":{\"url\":\"https://ota.lan:8443/"
                                  "firmware/ab01?d=123ABC/dev01"
                                  "&e=1&s=x\",\"md5\":\"ef03\",\"size\":9000}}";
    struct outgoing what = some_offer;
    struct message m[MESSAGES_MAX];
    struct err e;
    size_t n = 9;
    assert_int_equal(onenet_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 2);
    check_message(&m[0], "$sys/123ABC/dev01/cmd_exec", command);
    check_message(&m[1], "$sys/123ABC/dev01/ota/inform", "{\"id\":\"42\",\"version\":\"1.0\"}");
    what.reply.form = 1;
    assert_int_equal(onenet_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 1);
    check_message(&m[0], "$sys/123ABC/dev01/cmd_exec", command);
    what.kind = OUTGOING_NOTHING;
    assert_int_equal(onenet_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 1);
    check_message(&m[0], "$sys/123ABC/dev01/cmd_exec", "{\"cmd\":\"none\",\"params\":{}}");
    what.reply.form = 0;
    assert_int_equal(onenet_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 0);
    what.kind = OUTGOING_JOB;
    assert_int_equal(onenet_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 0);
}

/* ---- topics */

static void test_topics(void **state)
{
    (void)state;
    const struct topic_rules *t = &onenet_protocol.topics;
    assert_true(topic_fits(t->publish, "$sys/p/d/upgrade/status", "p", "d"));
    assert_true(topic_fits(t->publish, "$sys/p/d/firmware/request", "p", "d"));
    assert_false(topic_fits(t->publish, "$sys/p/e/upgrade/status", "p", "d"));
    assert_false(topic_fits(t->publish, "$sys/p/d/cmd_exec", "p", "d"));
    assert_true(topic_fits(t->subscribe, "$sys/p/d/cmd_exec", "p", "d"));
    assert_true(topic_fits(t->subscribe, "$sys/p/d/#", "p", "d"));
    assert_true(topic_fits(t->subscribe, "$sys/p/d/thing/property/#", "p", "d"));
    assert_false(topic_fits(t->subscribe, "$sys/p/+/cmd_exec", "p", "d"));
    assert_false(topic_fits(t->subscribe, "$sys/#", "p", "d"));
    assert_true(topic_brings("$sys/p/d/cmd_exec", t->offers, "p", "d"));
    assert_true(topic_brings("$sys/p/d/ota/inform", t->offers, "p", "d"));
    assert_true(topic_brings("$sys/p/d/#", t->offers, "p", "d"));
    assert_false(topic_brings("$sys/p/d/thing/property/#", t->offers, "p", "d"));
    assert_ptr_equal(protocol_by_topic("$sys/p/d/ota/inform_reply"), &onenet_protocol);
    assert_null(protocol_by_topic("$sys/p/d/cmd_exec"));
    assert_ptr_equal(protocol_by_name("onenet"), &onenet_protocol);
}

/* ---- the numbers of fuse-ota */

static const struct {
    int step, kind, state, reason, percent;
} steps[] = {
    {0, EVENT_PROGRESS, EXECUTION_DOWNLOADING, REASON_NONE, 0},
    {1, EVENT_PROGRESS, EXECUTION_DOWNLOADING, REASON_NONE, 1},
    {99, EVENT_PROGRESS, EXECUTION_DOWNLOADING, REASON_NONE, 99},
    {100, EVENT_PROGRESS, EXECUTION_DOWNLOADED, REASON_NONE, 100},
    {101, EVENT_PROGRESS, EXECUTION_DOWNLOADED, REASON_NONE, -1},
    {102, EVENT_ERROR, 0, REASON_SPACE, -1},
    {103, EVENT_ERROR, 0, REASON_SPACE, -1},
    {104, EVENT_ERROR, 0, REASON_DOWNLOAD, -1},
    {105, EVENT_ERROR, 0, REASON_POWER, -1},
    {106, EVENT_ERROR, 0, REASON_DOWNLOAD, -1},
    {107, EVENT_ERROR, 0, REASON_DOWNLOAD, -1},
    {201, EVENT_PROGRESS, EXECUTION_SUCCEEDED, REASON_NONE, -1},
    {202, EVENT_ERROR, 0, REASON_POWER, -1},
    {203, EVENT_ERROR, 0, REASON_SPACE, -1},
    {204, EVENT_ERROR, 0, REASON_INCOMPATIBLE, -1},
    {205, EVENT_ERROR, 0, REASON_VERIFY, -1},
    {206, EVENT_ERROR, 0, REASON_FLASH, -1},
    {207, EVENT_ERROR, 0, REASON_UNKNOWN, -1},
    {208, EVENT_ERROR, 0, REASON_EXPIRED, -1},
};

static void test_steps(void **state)
{
    (void)state;
    static const int64_t none[] = {-1, 108, 109, 200, 209, 1000, INT64_MAX, INT64_MIN};
    struct device_event ev;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        assert_true(onenet_step(steps[i].step, &ev));
        assert_int_equal(ev.kind, steps[i].kind);
        assert_int_equal(ev.reason, steps[i].reason);
        assert_int_equal(ev.percent, steps[i].percent);
        if (ev.kind == EVENT_PROGRESS)
            assert_int_equal(ev.state, steps[i].state);
    }
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        assert_false(onenet_step(none[i], &ev));
}

static void test_status(void **state)
{
    (void)state;
    static const char want[EXECUTION_STATES + 1] = "111233345555666";
    for (int i = 0; i < EXECUTION_STATES; i++)
        assert_int_equal(onenet_status((enum execution_state)i), want[i] - '0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),         cmocka_unit_test(test_whose_token),
        cmocka_unit_test(test_changed_tokens), cmocka_unit_test(test_logins),
        cmocka_unit_test(test_passwords),      cmocka_unit_test(test_reports),
        cmocka_unit_test(test_hostile_topics), cmocka_unit_test(test_offers),
        cmocka_unit_test(test_topics),         cmocka_unit_test(test_steps),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests_name("onenet", tests, NULL, NULL);
}
