#include "protocol/native.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT_64 "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_."

static int parse(const char *word, const char *body, struct device_event *ev, struct err *e)
{
    char topic[64] = "ota/thermo/aa-01/";
    strcat(topic, word);
    return native_protocol.parse(topic, body, strlen(body), ev, e);
}

/* ---- inform and request */

static const struct {
    const char *body, *module, *version; /* version NULL: refused */
} informs[] = {
    {"{\"version\":\"1.1.0\"}", "default", "1.1.0"},
    {"{\"version\":\"1.1.0\",\"module\":\"default\"}", "default", "1.1.0"},
    {"{ \"module\" : \"MCU\" , \"version\" : \"v\" , \"x\":[{}] }", "MCU", "v"},
    {"{\"version\":\"1\",\"module\":null}", "default", "1"},
    {"{\"version\":\"1\",\"module\":\"\"}", "default", "1"},
    {"{\"version\":\"" TEXT_64 "\"}", "default", TEXT_64},
    {"{\"version\":\"" TEXT_64 "x\"}", NULL, NULL},
    {"{\"version\":\"\"}", NULL, NULL},
    {"{\"version\":null}", NULL, NULL},
    {"{\"version\":1.1}", NULL, NULL},
    {"{\"version\":\"a\\nb\"}", NULL, NULL},
    {"{\"version\":\"1\",\"module\":7}", NULL, NULL},
    {"{\"module\":\"default\"}", NULL, NULL},
    {"{}", NULL, NULL},
    {"", NULL, NULL},
    {"[]", NULL, NULL},
    {"{\"version\":\"1\"} x", NULL, NULL},
    {"{\"version\":\"\xff\"}", NULL, NULL},
};

static void test_informs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(informs); i++) {
        struct device_event ev;
        struct err e;
        memset(&ev, 0x5a, sizeof ev);
        if ((parse("inform", informs[i].body, &ev, &e) == 0) != (informs[i].version != NULL))
            fail_msg("%s", informs[i].body);
        if (!informs[i].version)
            continue;
        assert_int_equal(ev.kind, EVENT_INFORM);
        assert_string_equal(ev.product, "thermo");
        assert_string_equal(ev.device, "aa-01");
        assert_string_equal(ev.module, informs[i].module);
        assert_string_equal(ev.version, informs[i].version);
    }
}

static void test_requests(void **state)
{
    (void)state;
    static const char *const good[] = {"", "{}", "{\"id\":1}", " { } "}, *const bad[] = {"{", "null", "\x01",
                                                                                         "{}}"};
    struct device_event ev;
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(parse("request", good[i], &ev, &e), 0);
        assert_int_equal(ev.kind, EVENT_REQUEST);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(parse("request", bad[i], &ev, &e) < 0);
}

/* ---- progress */

static const struct {
    const char *body;
    int kind; /* -1: refused */
    int64_t id;
    int percent;
    int what; /* the state of PROGRESS, the reason of ERROR */
    const char *detail;
} reports[] = {
    {"{\"id\":\"42\",\"percent\":35}", EVENT_PROGRESS, 42, 35, EXECUTION_DOWNLOADING, ""},
    {"{\"id\":42,\"percent\":\"35\"}", EVENT_PROGRESS, 42, 35, EXECUTION_DOWNLOADING, ""},
    {"{\"percent\":35.9,\"id\":null}", EVENT_PROGRESS, 0, 35, EXECUTION_DOWNLOADING, ""},
    {"{\"percent\":0}", EVENT_PROGRESS, 0, 0, EXECUTION_DOWNLOADING, ""},
    {"{\"percent\":100}", EVENT_PROGRESS, 0, 100, EXECUTION_DOWNLOADING, ""},
    {"{\"percent\":101}", -1, 0, 0, 0, NULL},
    {"{\"percent\":100.5}", -1, 0, 0, 0, NULL},
    {"{\"percent\":-1}", -1, 0, 0, 0, NULL},
    {"{\"percent\":-0.5}", -1, 0, 0, 0, NULL},
    {"{\"percent\":1e9}", -1, 0, 0, 0, NULL},
    {"{\"percent\":\"-1\"}", -1, 0, 0, 0, NULL},
    {"{\"percent\":\"\"}", -1, 0, 0, 0, NULL},
    {"{\"percent\":true}", -1, 0, 0, 0, NULL},
    {"{\"id\":\"9223372036854775807\",\"percent\":1}", EVENT_PROGRESS, INT64_MAX, 1, EXECUTION_DOWNLOADING,
     ""},
    {"{\"id\":\"9223372036854775808\",\"percent\":1}", -1, 0, 0, 0, NULL},
    {"{\"id\":\"x\",\"percent\":1}", -1, 0, 0, 0, NULL},
    {"{\"id\":-1,\"percent\":1}", -1, 0, 0, 0, NULL},
    {"{\"id\":{},\"percent\":1}", -1, 0, 0, 0, NULL},
    {"{\"id\":1e300,\"percent\":1}", -1, 0, 0, 0, NULL},
    {"{\"id\":\"7\",\"state\":\"downloading\"}", EVENT_PROGRESS, 7, -1, EXECUTION_DOWNLOADING, ""},
    {"{\"id\":\"7\",\"state\":\"downloaded\"}", EVENT_PROGRESS, 7, -1, EXECUTION_DOWNLOADED, ""},
    {"{\"state\":\"installing\",\"percent\":12}", EVENT_PROGRESS, 0, 12, EXECUTION_INSTALLING, ""},
    {"{\"state\":\"succeeded\"}", EVENT_PROGRESS, 0, -1, EXECUTION_SUCCEEDED, ""},
    {"{\"state\":\"rejected\",\"detail\":\"busy\"}", EVENT_ERROR, 0, -1, REASON_REJECTED, "busy"},
    {"{\"state\":\"failed\",\"detail\":\"d\"}", EVENT_ERROR, 0, -1, REASON_UNKNOWN, "d"},
    {"{\"state\":\"failed\",\"error\":\"flash\"}", EVENT_ERROR, 0, -1, REASON_FLASH, ""},
    {"{\"state\":\"testing\"}", -1, 0, 0, 0, NULL},
    {"{\"state\":\"\"}", -1, 0, 0, 0, NULL},
    {"{\"state\":3}", -1, 0, 0, 0, NULL},
    {"{\"error\":\"verify\",\"detail\":\"bad magic\"}", EVENT_ERROR, 0, -1, REASON_VERIFY, "bad magic"},
    {"{\"error\":\"rejected\"}", EVENT_ERROR, 0, -1, REASON_REJECTED, ""},
    {"{\"error\":\"server\",\"id\":\"8\"}", EVENT_ERROR, 8, -1, REASON_SERVER, ""},
    {"{\"error\":\"ESP_ERR_OTA\"}", EVENT_ERROR, 0, -1, REASON_UNKNOWN, "ESP_ERR_OTA"},
    {"{\"error\":\"ESP_ERR_OTA\",\"detail\":\"x\"}", EVENT_ERROR, 0, -1, REASON_UNKNOWN, "x"},
    {"{\"error\":\"timed_out\"}", EVENT_ERROR, 0, -1, REASON_UNKNOWN, "timed_out"},
    {"{\"error\":\"already_installed\"}", EVENT_ERROR, 0, -1, REASON_UNKNOWN, "already_installed"},
    {"{\"error\":\"flash\",\"detail\":{}}", EVENT_ERROR, 0, -1, REASON_FLASH, ""},
    {"{\"error\":\"flash\",\"detail\":\"a\\n\\u001b[1mb\\u007f\"}", EVENT_ERROR, 0, -1, REASON_FLASH,
     "a  [1mb "},
    {"{\"error\":\"\"}", -1, 0, 0, 0, NULL},
    {"{\"error\":7}", -1, 0, 0, 0, NULL},
    {"{\"id\":\"1\"}", -1, 0, 0, 0, NULL},
    {"{}", -1, 0, 0, 0, NULL},
    {"{\"percent\":1,\"percent\":2}", -1, 0, 0, 0, NULL},
};

static void test_reports(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
        struct device_event ev;
        struct err e;
        if ((parse("progress", reports[i].body, &ev, &e) == 0) != (reports[i].kind >= 0))
            fail_msg("%s", reports[i].body);
        if (reports[i].kind < 0) {
            assert_true(e.code == ERR_INVALID || e.code == ERR_BAD_REQUEST);
            continue;
        }
        assert_int_equal(ev.kind, reports[i].kind);
        assert_int_equal(ev.execution_id, reports[i].id);
        assert_int_equal(ev.percent, reports[i].percent);
        assert_int_equal(ev.kind == EVENT_ERROR ? (int)ev.reason : (int)ev.state, reports[i].what);
        assert_string_equal(ev.detail, reports[i].detail);
    }
}

static void test_report_leaves_the_rest(void **state)
{
    (void)state;
    struct device_event ev = {.product = "p", .device = "d", .module = "m"}, before;
    struct err e;
    json_error_t fault;
    json_t *good = json_loads("{\"id\":5,\"percent\":6}", 0, &fault),
           *bad = json_loads("{\"id\":5}", 0, &fault);
    assert_int_equal(native_report_parse(good, &ev, &e), 0);
    assert_string_equal(ev.product, "p");
    assert_string_equal(ev.device, "d");
    assert_string_equal(ev.module, "m");
    before = ev;
    assert_int_equal(native_report_parse(bad, &ev, &e), -ERR_INVALID);
    assert_memory_equal(&ev, &before, sizeof ev);
    json_decref(good);
    json_decref(bad);
}

/* Cut after `before` bytes of ASCII and a character of several bytes that just fits, or just does not. */
static void test_detail_is_cut_between_characters(void **state)
{
    (void)state;
    static const struct {
        size_t ascii;
        const char *character;
        size_t want;
    } cuts[] = {
        {DETAIL_SIZE - 1, "", DETAIL_SIZE - 1},
        {DETAIL_SIZE, "", DETAIL_SIZE - 1},
        {DETAIL_SIZE - 3, "\xc3\xa9", DETAIL_SIZE - 1},
        {DETAIL_SIZE - 2, "\xc3\xa9", DETAIL_SIZE - 2},
        {DETAIL_SIZE - 2, "\xf0\x9f\x98\x80", DETAIL_SIZE - 2},
        {DETAIL_SIZE - 4, "\xf0\x9f\x98\x80", DETAIL_SIZE - 4},
        {DETAIL_SIZE - 5, "\xf0\x9f\x98\x80", DETAIL_SIZE - 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        char body[600] = "{\"error\":\"boot\",\"detail\":\"";
        struct device_event ev;
        struct err e;
        size_t n = strlen(body);
        for (size_t k = 0; k < cuts[i].ascii; k++)
            body[n++] = (char)('a' + k % 26);
        strcpy(body + n, cuts[i].character);
        strcat(body, "\"}");
        assert_int_equal(parse("progress", body, &ev, &e), 0);
        assert_int_equal(strlen(ev.detail), cuts[i].want);
        assert_memory_equal(ev.detail, strstr(body, "abc"), cuts[i].want);
    }
}

/* ---- hostile bytes and topics */

static void test_hostile_topics(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "ota",
                                      "ota/thermo/aa-01",
                                      "ota/thermo/aa-01/inform/x",
                                      "ota/thermo/aa-01/offer",
                                      "ota//aa-01/inform",
                                      "ota/thermo//inform",
                                      "ota/thermo/./inform",
                                      "ota/thermo/../inform",
                                      "ota/thermo/a b/inform",
                                      "ota/thermo/+/inform",
                                      "ota/#/aa/inform",
                                      "ota/thermo/aa-01/",
                                      "ota/" TEXT_64 "x/aa/inform",
                                      "ota/p/" TEXT_64 TEXT_64 "x/inform",
                                      "ota/thermo/aa-01/progressprogressprogress"};
    struct device_event ev;
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (native_protocol.parse(bad[i], "{\"version\":\"1\"}", 15, &ev, &e) != -ERR_INVALID)
            fail_msg("%s", bad[i]);
    assert_int_equal(native_protocol.parse("ota/" TEXT_64 "/" TEXT_64 TEXT_64 "/inform",
                                           "{\"version\":\"1\"}", 15, &ev, &e),
                     0);
}

static void test_hostile_sizes(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    char *body = malloc(size);
    struct device_event ev;
    struct err e;
    memset(body, '[', size);
    assert_int_equal(native_protocol.parse("ota/p/d/inform", body, size, &ev, &e), -ERR_INVALID);
    assert_int_equal(native_protocol.parse("ota/p/d/inform", body, MESSAGE_MAX, &ev, &e), -ERR_BAD_REQUEST);
    memset(body, ' ', size);
    memcpy(body, "{\"version\":\"1\"}", 15);
    assert_int_equal(native_protocol.parse("ota/p/d/inform", body, MESSAGE_MAX, &ev, &e), 0);
    assert_int_equal(native_protocol.parse("ota/p/d/inform", body, MESSAGE_MAX + 1, &ev, &e), -ERR_INVALID);
    for (size_t i = 0; i < 512; i++)
        body[i] = (char)(i * 7);
    assert_true(native_protocol.parse("ota/p/d/progress", body, 512, &ev, &e) < 0);
    free(body);
}

/* ---- what is said to devices */

static const struct outgoing some_offer = {
    .protocol = "native",
    .product = "thermo",
    .device = "aa-01",
    .offer = {.id = 42,
              .expires_at_ms = 1796090400123,
              .file = {.version = "1.2.0",
                       .module = "default",
                       .size = 1048576,
                       .digests = {.sha256 = "ab01", .sha1 = "cd02", .md5 = "ef03"},
                       .signature = "MEUC+/==",
                       .url = "https://ota.lan:8443/firmware/ab01?d=thermo/aa-01&e=1&s=x"}}};

static void check_offer(const struct outgoing *what, const char *want)
{
    struct message all[MESSAGES_MAX];
    struct err e;
    size_t n = 9;
    assert_int_equal(native_protocol.render(what, all, &n, &e), 0);
    assert_int_equal(n, 1);
    struct message m = all[0];
    assert_string_equal(m.topic, "ota/thermo/aa-01/offer");
    assert_string_equal(m.payload, want);
    assert_int_equal(m.len, strlen(want));
    assert_int_equal(m.qos, 1);
    message_clear(&m);
    assert_null(m.payload);
}

static void test_offers(void **state)
{
    (void)state;
    struct outgoing what = some_offer;
    check_offer(
        &what,
        "{\"id\":\"42\",\"version\":\"1.2.0\",\"module\":\"default\",\"size\":1048576,\"sha256\":\"ab01\","
        "\"md5\":\"ef03\",\"signature\":\"MEUC+/==\","
        "\"url\":\"https://ota.lan:8443/firmware/ab01?d=thermo/aa-01&e=1&s=x\",\"delta_from\":null,"
        "\"expires_at\":\"2026-12-01T02:00:00.123Z\"}");
    strcpy(what.offer.file.delta_from, "1.1.0");
    struct message all[MESSAGES_MAX];
    struct err e;
    size_t n = 9;
    assert_int_equal(native_protocol.render(&what, all, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_non_null(strstr(all[0].payload, "\"delta_from\":\"1.1.0\",\"expires_at\""));
    message_clear(&all[0]);
    what.kind = OUTGOING_NOTHING;
    assert_int_equal(native_protocol.render(&what, all, &n, &e), 0);
    assert_int_equal(n, 0); /* nobody asked */
    what.reply.form = 1;
    check_offer(&what, "{\"id\":null}");
}

/* ---- logging in */

static const struct {
    const char *username, *product, *device; /* product NULL: not its shape */
} names[] = {
    {"p/d", "p", "d"},
    {"thermo/aa:bb-01@x_.", "thermo", "aa:bb-01@x_."},
    {TEXT_64 "/" TEXT_64 TEXT_64, TEXT_64, TEXT_64 TEXT_64},
    {TEXT_64 "x/d", NULL, NULL},
    {"p/" TEXT_64 TEXT_64 "x", NULL, NULL},
    {NULL, NULL, NULL},
    {"", NULL, NULL},
    {"/", NULL, NULL},
    {"p/", NULL, NULL},
    {"/d", NULL, NULL},
    {"p", NULL, NULL},
    {"p/d/e", NULL, NULL},
    {"p//d", NULL, NULL},
    {"p/+", NULL, NULL},
    {"#/d", NULL, NULL},
    {"p/..", NULL, NULL},
    {"./d", NULL, NULL},
    {"p/d\n", NULL, NULL},
    {"p/\xc3\xa9", NULL, NULL},
};

static void test_claims(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct login login = {.client_id = "x", .username = names[i].username, .password = "secret"};
        struct login_claim claim = {0};
        bool native = protocol_by_login(&login, &claim) == &native_protocol;
        if (native != (names[i].product != NULL))
            fail_msg("%s", names[i].username);
        if (native) {
            assert_string_equal(claim.product, names[i].product);
            assert_string_equal(claim.device, names[i].device);
        }
    }
}

static void test_proofs(void **state)
{
    (void)state;
    const struct login_claim claim = {"p", "d"};
    static const struct {
        const char *password;
        bool proven;
    } cases[] = {{"secret", true},   {"Secret", false}, {"secre", false},
                 {"secrets", false}, {"", false},       {NULL, false}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct login login = {.client_id = "x", .username = "p/d", .password = cases[i].password};
        assert_int_equal(native_protocol.login.proven(&login, &claim, "secret", 0), cases[i].proven);
    }
}

/* ---- topics */

static const struct {
    const char *topic;
    bool publish, hear, subscribe, is_offer;
} topics[] = {
    {"ota/p/d1/inform", true, false, true, false},
    {"ota/p/d1/progress", true, false, true, false},
    {"ota/p/d1/request", true, false, true, false},
    {"ota/p/d1/offer", false, true, true, true},
    {"ota/p/d1/+", false, false, true, true},
    {"ota/p/d1/#", false, false, true, true},
    {"ota/p/d1/offer/#", false, false, true, true},
    {"ota/p/d1/+/#", false, false, true, true},
    {"ota/p/d1/informs", false, false, true, false},
    {"ota/p/d1/inform/x", false, false, true, false},
    {"ota/p/d1/offer/x", false, false, true, false},
    {"ota/p/d1/", false, false, true, false},
    {"ota/p/d1", false, false, false, false},
    {"ota/p/d10/inform", false, false, false, false},
    {"ota/p/d/inform", false, false, false, false},
    {"ota/p/d2/inform", false, false, false, false},
    {"ota/p/d2/offer", false, false, false, false},
    {"ota/q/d1/offer", false, false, false, false},
    {"ota/p/+/offer", false, false, false, false},
    {"ota/+/d1/offer", false, false, false, false},
    {"ota/p/#", false, false, false, false},
    {"#", false, false, false, false},
    {"+/p/d1/offer", false, false, false, false},
    {"$share/g/ota/p/d1/offer", false, false, false, false},
    {"/ota/p/d1/offer", false, false, false, false},
    {"OTA/p/d1/offer", false, false, false, false},
    {"$otad/v1/presence", false, false, false, false},
    {"$CONTROL/otad/v1", false, false, false, false},
    {"", false, false, false, false},
};

static void test_topics(void **state)
{
    (void)state;
    const struct topic_rules *rules = &native_protocol.topics;
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
        if (topic_fits(rules->publish, topics[i].topic, "p", "d1") != topics[i].publish ||
            topic_fits(rules->hear, topics[i].topic, "p", "d1") != topics[i].hear ||
            topic_fits(rules->subscribe, topics[i].topic, "p", "d1") != topics[i].subscribe ||
            (topics[i].subscribe && topic_brings(topics[i].topic, rules->offers, "p", "d1")) !=
                topics[i].is_offer)
            fail_msg("%s", topics[i].topic);
}

static void test_table(void **state)
{
    (void)state;
    assert_ptr_equal(protocol_by_name("native"), &native_protocol);
    assert_null(protocol_by_name("nativ"));
    assert_null(protocol_by_name(""));
    assert_ptr_equal(protocol_by_topic("ota/p/d/request"), &native_protocol);
    assert_null(protocol_by_topic("ota/p/d/offer"));
    assert_null(protocol_by_topic("$otad/v1/presence"));
    const struct protocol *p;
    for (size_t i = 0; (p = protocol_at(i)); i++)
        assert_ptr_equal(protocol_by_name(p->name), p);
    assert_null(protocol_at(99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_informs),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_report_leaves_the_rest),
        cmocka_unit_test(test_detail_is_cut_between_characters),
        cmocka_unit_test(test_hostile_topics),
        cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
