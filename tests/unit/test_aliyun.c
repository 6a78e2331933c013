#include "protocol/aliyun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PK      "a1TestPK001"
#define DN      "dev01"
#define TEXT_64 "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_."
#define MD5     "93230c3bde425a9d7984a594ac55ea1e"
#define SHA256  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static const char inform_topic[] = "/ota/device/inform/" PK "/" DN;
static const char progress_topic[] = "/ota/device/progress/" PK "/" DN;
static const char request_topic[] = "/ota/device/request/" PK "/" DN;
static const char get_topic[] = "/sys/" PK "/" DN "/thing/ota/firmware/get";
static const char get_reply_topic[] = "/sys/" PK "/" DN "/thing/ota/firmware/get_reply";
static const char download_topic[] = "/sys/" PK "/" DN "/thing/file/download";
static const char download_reply_topic[] = "/sys/" PK "/" DN "/thing/file/download_reply";
static const char upgrade_topic[] = "/ota/device/upgrade/" PK "/" DN;

static int parse(const char *topic, const char *body, struct device_event *ev)
{
    struct err e = {0};
    memset(ev, 0x5a, sizeof *ev);
    int rc = aliyun_protocol.parse(topic, body, strlen(body), ev, &e);
    if (rc < 0)
        assert_true(*e.text && -rc == (int)e.code);
    return rc;
}

/* ---- what devices say */

static const struct {
    const char *body, *module, *version; /* version NULL: refused */
} informs[] = {
    {"{\"id\":1, \"params\":{\"version\":\"1.0.0\"}}", "default", "1.0.0"},
    {"{\"id\":\"2\",\"params\":{\"version\":\"app-1.0.0\"}}", "default", "app-1.0.0"},
    {"{\"id\":0,\"params\":{\"version\":\"1.0.0\"}}", "default", "1.0.0"},
    {"{\"id\": \"1\",\"params\": {\"version\": \"1.0\",\"module\":\"MCU\"}}", "MCU", "1.0"},
    {"{\"id\":\"1\",\"params\":{\"version\":\"1\",\"module\":\"default\"}}", "default", "1"},
    {"{\"params\":{\"version\":\"1\",\"module\":\"\"}}", "default", "1"},
    {"{\"params\":{\"version\":\"1\",\"module\":null,},}", "default", "1"},
    {"{\"params\":{\"version\":7}}", "default", "7"},
    {"{\"params\":{\"version\":\"" TEXT_64 "\"}}\r\n", "default", TEXT_64},
    {"{\"params\":{\"version\":\"" TEXT_64 "x\"}}", NULL, NULL},
    {"{\"params\":{\"version\":\"1\",\"module\":\"" TEXT_64 "x\"}}", NULL, NULL},
    {"{\"params\":{\"version\":\"1\",\"module\":[]}}", NULL, NULL},
    {"{\"params\":{\"version\":\"\"}}", NULL, NULL},
    {"{\"params\":{\"version\":\"a\\nb\"}}", NULL, NULL},
    {"{\"params\":{\"version\":1.5}}", NULL, NULL},
    {"{\"params\":\"version\"}", NULL, NULL},
    {"{\"version\":\"1.0.0\"}", NULL, NULL},
    {"{}", NULL, NULL},
    {"", NULL, NULL},
    {"[]", NULL, NULL},
    {"{\"params\":{\"version\":\"1.0.0\"}", NULL, NULL},
};

static void test_informs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(informs); i++) {
        struct device_event ev;
        if ((parse(inform_topic, informs[i].body, &ev) == 0) != (informs[i].version != NULL))
            fail_msg("%s", informs[i].body);
        if (!informs[i].version)
            continue;
        assert_int_equal(ev.kind, EVENT_INFORM);
        assert_string_equal(ev.product, PK);
        assert_string_equal(ev.device, DN);
        assert_string_equal(ev.module, informs[i].module);
        assert_string_equal(ev.version, informs[i].version);
        assert_int_equal(ev.reply.form, 0);
    }
}

static const struct {
    const char *body;
    int kind; /* -1: refused */
    int what; /* percent, or the reason */
    const char *detail;
} steps[] = {
    {"{\"id\":4, \"params\":{\"step\":\"50\",\"desc\":\"\"}}", EVENT_PROGRESS, 50, ""},
    {"{\"id\":\"4\",\"params\":{\"step\":\"0\",\"desc\":\"Enter in downloading state\"}}", EVENT_PROGRESS, 0,
     "Enter in downloading state"},
    {"{\"params\":{\"step\":7,\"module\":\"MCU\"}}", EVENT_PROGRESS, 7, ""},
    {"{\"params\":{\"step\":\"100\",\"desc\":{}}}", EVENT_PROGRESS, 100, ""},
    {"{\"id\":\"123\",\"params\":{\"step\":\"-1\",\"desc\":\"OTA\xe5\x8d\x87\xe7\xba\xa7\"}}", EVENT_ERROR,
     REASON_UNKNOWN, "OTA\xe5\x8d\x87\xe7\xba\xa7"},
    {"{\"params\":{\"step\":\"-2\"}}", EVENT_ERROR, REASON_DOWNLOAD, ""},
    {"{\"params\":{\"step\":-3,\"desc\":\"a\\nb\"}}", EVENT_ERROR, REASON_VERIFY, "a b"},
    {"{\"params\":{\"step\":\"-4\"}}", EVENT_ERROR, REASON_FLASH, ""},
    {"{\"params\":{\"step\":\"-5\"}}", -1, 0, NULL},
    {"{\"params\":{\"step\":\"101\"}}", -1, 0, NULL},
    {"{\"params\":{\"step\":\"\"}}", -1, 0, NULL},
    {"{\"params\":{\"step\":\"half\"}}", -1, 0, NULL},
    {"{\"params\":{\"step\":true}}", -1, 0, NULL},
    {"{\"params\":{}}", -1, 0, NULL},
    {"{\"step\":1}", -1, 0, NULL},
    {"{\"params\":{\"step\":99999999999999999999}}", -1, 0, NULL},
};

static void test_progress(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct device_event ev;
        int rc = parse(progress_topic, steps[i].body, &ev);
        if ((rc == 0) != (steps[i].kind >= 0))
            fail_msg("%s", steps[i].body);
        if (rc < 0)
            continue;
        assert_int_equal(ev.kind, steps[i].kind);
        assert_int_equal(ev.execution_id, 0);
        assert_string_equal(ev.detail, steps[i].detail);
        if (ev.kind == EVENT_ERROR) {
            assert_int_equal(ev.reason, steps[i].what);
        } else {
            assert_int_equal(ev.percent, steps[i].what);
            assert_int_equal(ev.state, EXECUTION_DOWNLOADING);
        }
    }
}

static void test_topics(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        int kind; /* -1: refused */
    } topics[] = {
        {inform_topic, EVENT_INFORM},
        {get_topic, EVENT_REQUEST},
        {request_topic, EVENT_REQUEST},
        {"/sys/" PK "/" DN "/thing/config/get", EVENT_HEARD},
        {"/sys/" PK "/" DN "/thing/deviceinfo/update", EVENT_HEARD},
        {"/sys/" PK "/" DN "/thing/config/set", -1},
        {"/ota/device/inform/" PK "/" DN "/x", -1},
        {"/ota/device/inform//" DN, -1},
        {"/ota/device/inform/a b/" DN, -1},
        {"/ota/device/inform/" PK "/..", -1},
        {"/ota/device/inform/" TEXT_64 "x/d", -1},
        {"/ota/device/upgrade/" PK "/" DN, -1},
        {"/sys/a&b/" DN "/thing/ota/firmware/get", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        struct device_event ev;
        int rc = parse(topics[i].topic, "{\"params\":{\"version\":\"1\",\"step\":1}}", &ev);
        if ((rc < 0 ? -1 : (int)ev.kind) != topics[i].kind)
            fail_msg("%s", topics[i].topic);
    }
    char *big = malloc(MESSAGE_MAX + 1);
    struct device_event ev;
    struct err e;
    memset(big, ' ', MESSAGE_MAX + 1);
    memcpy(big, "{\"params\":{\"version\":\"1\"}}", 26);
    assert_int_equal(aliyun_protocol.parse(inform_topic, big, MESSAGE_MAX, &ev, &e), 0);
    assert_int_equal(aliyun_protocol.parse(inform_topic, big, MESSAGE_MAX + 1, &ev, &e), -ERR_INVALID);
    free(big);
}

/* What otad itself said, where a broker brings it back. */
static void test_own_words(void **state)
{
    (void)state;
    struct device_event ev;
    assert_int_equal(parse(request_topic,
                           "{\"code\":\"1000\",\"data\":{},\"id\":1614762668146,\"message\":\"success\"}",
                           &ev),
                     0);
    assert_int_equal(ev.kind, EVENT_HEARD);
    assert_int_equal(ev.reply.form, 0);
    assert_int_equal(parse(request_topic, "{\"id\":3,\"params\":{\"version\":\"1\"}}", &ev), 0);
    assert_int_equal(ev.kind, EVENT_REQUEST);
    assert_int_equal(parse(request_topic, "", &ev), 0);
    assert_int_equal(ev.kind, EVENT_REQUEST);
}

/* ---- what they are told */

#define URL "https://ota.lan/firmware/ab?d=" PK "/" DN "&e=1&s=x"

static struct outgoing an_offer(void)
{
    return (struct outgoing){.protocol = "aliyun",
                             .product = PK,
                             .device = DN,
                             .now_ms = 1614762668146,
                             .offer = {.id = 42,
                                       .file = {.firmware_id = 12332,
                                                .number = 1,
                                                .version = "1.0.1",
                                                .module = "default",
                                                .filename = "a.bin",
                                                .size = 4064984,
                                                .digests = {.sha256 = SHA256, .md5 = MD5},
                                                .signature = "MEUC+/==",
                                                .url = URL}}};
}

static void check(const struct outgoing *what, const char *topic, const char *want)
{
    struct message all[MESSAGES_MAX];
    struct err e;
    size_t n = 9;
    assert_int_equal(aliyun_protocol.render(what, all, &n, &e), 0);
    assert_int_equal(n, want ? 1 : 0);
    if (!want)
        return;
    assert_string_equal(all[0].topic, topic);
    assert_string_equal(all[0].payload, want);
    assert_int_equal(all[0].len, strlen(want));
    assert_int_equal(all[0].qos, 1);
    assert_false(all[0].only_subscribed);
    message_clear(&all[0]);
}

static void test_https_push(void **state)
{
    (void)state;
    struct outgoing what = an_offer();
    check(&what, upgrade_topic,
          "{\"code\":\"1000\",\"data\":{\"size\":4064984,\"sign\":\"" MD5
          "\",\"version\":\"1.0.1\",\"url\":\"" URL "\",\"signMethod\":\"Md5\",\"md5\":\"" MD5
          "\"},\"id\":1614762668146,\"message\":\"success\"}");
    what.offer.transfer = TRANSFER_HTTPS;
    what.offer.sha256_sign = true;
    strcpy(what.offer.file.url, "https://ota.lan:8443/x");
    check(
        &what, upgrade_topic,
        "{\"code\":\"1000\",\"data\":{\"size\":4064984,\"sign\":\"" SHA256
        "\",\"version\":\"1.0.1\",\"url\":\"https://ota.lan:8443/x\",\"signMethod\":\"SHA256\",\"md5\":\"" MD5
        "\"},\"id\":1614762668146,\"message\":\"success\"}");
}

static const char mqtt_push[] =
    "{\"code\":\"1000\",\"data\":{\"size\":4252,\"streamId\":12332,\"sign\":\"" MD5
    "\",\"dProtocol\":\"mqtt\",\"version\":\"1.1\",\"signMethod\":\"Md5\",\"streamFileId\":1,\"md5\":\"" MD5
    "\"},\"id\":1614762668146,\"message\":\"success\"}";

static void test_mqtt_push(void **state)
{
    (void)state;
    struct outgoing what = an_offer();
    what.offer.transfer = TRANSFER_MQTT;
    what.offer.file.size = 4252;
    strcpy(what.offer.file.version, "1.1");
    check(&what, upgrade_topic, mqtt_push);
    strcpy(what.offer.file.module, "GATEWAY");
    check(
        &what, upgrade_topic,
        "{\"code\":\"1000\",\"data\":{\"size\":4252,\"streamId\":12332,\"module\":\"GATEWAY\",\"sign\":\"" MD5
        "\",\"dProtocol\":\"mqtt\",\"version\":\"1.1\",\"signMethod\":\"Md5\",\"streamFileId\":1,\"md5\":"
        "\"" MD5 "\"},\"id\":1614762668146,\"message\":\"success\"}");
}

/* The format that boards in the field give to sscanf, topic and body in one buffer. */
static void test_push_by_sscanf(void **state)
{
    (void)state;
    char text[1024], version[27] = "";
    int size = 0, stream = 0;
    snprintf(text, sizeof text, "%s%s", upgrade_topic, mqtt_push);
    assert_true(strlen(text) <= 511);
    assert_int_equal(
        sscanf(text,
               "/ota/device/upgrade/" PK "/" DN
               "{\"code\":\"1000\",\"data\":{\"size\":%d,\"streamId\":%d,\"sign\":\"%*32s\",\"dProtocol\":"
               "\"mqtt\",\"version\":\"%3s\",\"signMethod\":\"Md5\",\"streamFileId\":1,\"md5\":\"%*32s\"},"
               "\"id\":%*d,\"message\":\"success\"}",
               &size, &stream, version),
        3);
    assert_int_equal(size, 4252);
    assert_int_equal(stream, 12332);
    assert_string_equal(version, "1.1");
}

static void add_more(struct outgoing *what, size_t n)
{
    struct offer_more *more = calloc(1, sizeof *more + n * sizeof *more->file);
    assert_non_null(more);
    more->n = n;
    if (n)
        more->file[0] = what->offer.file;
    what->offer.more = more;
}

/* Every member, in the one order. */
static void test_whole_push(void **state)
{
    (void)state;
    struct outgoing what = an_offer();
    what.offer.digest_sign = true;
    strcpy(what.offer.file.module, "MCU");
    strcpy(what.offer.file.delta_from, "1.0.0");
    add_more(&what, 1);
    what.offer.more->ext_data = strdup("{\"_package_udi\":\"{\\\"z\\\":\\\"1/2\\\"}\",\"b\":\"2\"}");
    check(&what, upgrade_topic,
          "{\"code\":\"1000\",\"data\":{\"size\":4064984,\"digestsign\":\"MEUC+/"
          "==\",\"extData\":{\"_package_udi\":\"{\\\"z\\\":\\\"1/"
          "2\\\"}\",\"b\":\"2\"},\"module\":\"MCU\",\"sign\":"
          "\"" MD5 "\",\"version\":\"1.0.1\",\"isDiff\":1,\"url\":\"" URL
          "\",\"signMethod\":\"Md5\",\"md5\":\"" MD5 "\"},\"id\":1614762668146,\"message\":\"success\"}");
    what.offer.transfer = TRANSFER_MQTT;
    check(&what, upgrade_topic,
          "{\"code\":\"1000\",\"data\":{\"size\":4064984,\"streamId\":12332,\"digestsign\":\"MEUC+/"
          "==\",\"extData\":{\"_package_udi\":\"{\\\"z\\\":\\\"1/"
          "2\\\"}\",\"b\":\"2\"},\"module\":\"MCU\",\"sign\":"
          "\"" MD5 "\",\"dProtocol\":\"mqtt\",\"version\":\"1.0.1\",\"isDiff\":1,\"signMethod\":\"Md5\","
          "\"streamFileId\":1,\"md5\":\"" MD5 "\"},\"id\":1614762668146,\"message\":\"success\"}");
    outgoing_clear(&what);
}

static void test_files(void **state)
{
    (void)state;
    struct outgoing what = an_offer();
    add_more(&what, 3);
    struct offer_file *second = &what.offer.more->file[1], *other = &what.offer.more->file[2];
    *second = *other = what.offer.file;
    second->number = 2;
    second->size = 16;
    strcpy(second->filename, "b.bin");
    strcpy(second->digests.md5, "0123456789abcdef0123456789abcdef");
    strcpy(second->url, "https://ota.lan/firmware/cd");
    other->firmware_id = 12333; /* the next module's: not now */
    check(&what, upgrade_topic,
          "{\"code\":\"1000\",\"data\":{\"size\":4065000,\"files\":[{\"fileSize\":4064984,\"fileName\":\"a."
          "bin\","
          "\"fileUrl\":\"" URL "\",\"fileMd5\":\"" MD5 "\",\"fileSign\":\"" MD5
          "\"},{\"fileSize\":16,\"fileName\":\"b.bin\",\"fileUrl\":\"https://ota.lan/firmware/"
          "cd\",\"fileMd5\":\"0123456789abcdef0123456789abcdef\",\"fileSign\":"
          "\"0123456789abcdef0123456789abcdef\"}],\"version\":\"1.0.1\",\"signMethod\":\"Md5\"},\"id\":"
          "1614762668146,\"message\":\"success\"}");
    strcpy(second->url, "https://ota.lan:8443/firmware/cd"); /* one that not all can use: all go in blocks */
    check(&what, upgrade_topic,
          "{\"code\":\"1000\",\"data\":{\"size\":4065000,\"streamId\":12332,\"files\":[{\"fileSize\":4064984,"
          "\"fileName\":\"a.bin\",\"streamFileId\":1,\"fileMd5\":\"" MD5 "\",\"fileSign\":\"" MD5
          "\"},{\"fileSize\":16,\"fileName\":\"b.bin\",\"streamFileId\":2,\"fileMd5\":"
          "\"0123456789abcdef0123456789abcdef\",\"fileSign\":\"0123456789abcdef0123456789abcdef\"}],"
          "\"dProtocol\":\"mqtt\",\"version\":\"1.0.1\",\"signMethod\":\"Md5\"},\"id\":1614762668146,"
          "\"message\":"
          "\"success\"}");
    outgoing_clear(&what);
}

static void test_auto(void **state)
{
    (void)state;
    char long_url[URL_SIZE] = "https://ota.lan/";
    memset(long_url + strlen(long_url), 'x', ALIYUN_URL_MAX - strlen(long_url));
    assert_true(aliyun_url_suits(long_url));
    strcat(long_url, "x");
    static const struct {
        const char *url;
        uint64_t size;
        bool https;
    } rows[] = {
        {"https://ota.lan/x", 1, true},
        {"http://ota.lan/a:b", UINT64_C(1) << 40, true},
        {"https://ota.lan:443/x", 1, false},
        {"https://[::1]/x", 1, false},
        {"https://ota.lan:8443/x", ALIYUN_BLOCKS_FILE_MAX, false},
        {"https://ota.lan:8443/x", ALIYUN_BLOCKS_FILE_MAX + 1, true},
        {NULL, 1, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct outgoing what = an_offer();
        struct message all[MESSAGES_MAX];
        struct err e;
        size_t n;
        strcpy(what.offer.file.url, rows[i].url ? rows[i].url : long_url);
        what.offer.file.size = rows[i].size;
        assert_int_equal(aliyun_protocol.render(&what, all, &n, &e), 0);
        assert_int_equal(strstr(all[0].payload, "\"url\":") != NULL, rows[i].https);
        assert_int_equal(strstr(all[0].payload, "\"dProtocol\":\"mqtt\"") == NULL, rows[i].https);
        message_clear(&all[0]);
    }
    assert_false(aliyun_url_suits(""));
}

/* ---- answers to those who ask */

static void test_replies(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *body, *reply, *id;
    } asks[] = {
        {get_topic, "{\"id\":7,\"params\":{}}", get_reply_topic, "7"},
        {get_topic, "{\"id\":\"4294967295\",\"version\":\"1.0\",\"params\":{\"module\":\"default\"}}",
         get_reply_topic, "4294967295"},
        {get_topic, "{\"id\":\"007\"}", get_reply_topic, "7"},
        {get_topic, "{\"id\":\"a7\"}", get_reply_topic, "1614762668146"},
        {get_topic, "{\"params\":{}}", get_reply_topic, "1614762668146"},
        {get_topic, "{\"id\":-1}", get_reply_topic, "1614762668146"},
        {request_topic, "{\"id\":3,\"params\":{\"version\":\"1.0\"}}", request_topic, "3"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
        struct device_event ev;
        struct outgoing what = an_offer();
        char want[1024];
        assert_int_equal(parse(asks[i].topic, asks[i].body, &ev), 0);
        assert_int_equal(ev.kind, EVENT_REQUEST);
        what.reply = ev.reply;
        snprintf(want, sizeof want,
                 "{\"code\":\"1000\",\"data\":{\"size\":4064984,\"sign\":\"%s\",\"version\":\"1.0.1\","
                 "\"url\":\"%s\","
                 "\"signMethod\":\"Md5\",\"md5\":\"%s\"},\"id\":%s,\"message\":\"success\"}",
                 MD5, URL, MD5, asks[i].id);
        check(&what, asks[i].reply, want);
        what.kind = OUTGOING_NOTHING;
        snprintf(want, sizeof want, "{\"code\":\"1000\",\"data\":{},\"id\":%s,\"message\":\"success\"}",
                 asks[i].id);
        check(&what, asks[i].reply, want);
        what.reply.form = 0;
        check(&what, NULL, NULL); /* nobody asked */
        what.kind = OUTGOING_JOB;
        check(&what, NULL, NULL);
    }
}

/* What is for another module than the one that was asked for comes as a push. */
static void test_reply_for_another_module(void **state)
{
    (void)state;
    struct device_event ev;
    struct outgoing what = an_offer();
    struct message all[MESSAGES_MAX];
    struct err e;
    size_t n;
    assert_int_equal(parse(get_topic, "{\"id\":9,\"params\":{\"module\":\"MCU\"}}", &ev), 0);
    what.reply = ev.reply;
    assert_int_equal(aliyun_protocol.render(&what, all, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_string_equal(all[0].topic, get_reply_topic);
    assert_string_equal(all[0].payload, "{\"code\":\"1000\",\"data\":{},\"id\":9,\"message\":\"success\"}");
    assert_string_equal(all[1].topic, upgrade_topic);
    assert_non_null(strstr(all[1].payload, "\"id\":1614762668146"));
    message_clear(&all[0]);
    message_clear(&all[1]);
    strcpy(what.offer.file.module, "MCU");
    assert_int_equal(aliyun_protocol.render(&what, all, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(all[0].topic, get_reply_topic);
    message_clear(&all[0]);
}

/* ---- files in blocks */

#define ASK(stream, file, size, offset)                                                                 \
    "{\"id\":\"1\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"default\",\"fileInfo\":{"            \
    "\"streamId\":" stream ",\"fileId\":" file ",},\"fileBlock\":{\"size\":" size ",\"offset\":" offset \
    "}}}"

static const struct {
    const char *body;
    int64_t stream, file; /* stream -1: refused */
    uint64_t offset;
    uint32_t bytes;
    const char *token, *id;
} downloads[] = {
    {ASK("7", "1", "10240", "0"), 7, 1, 0, 10240, "default", "1"},
    {"{\"id\": \"1\",\"params\": {\"fileInfo\":{\"streamId\": 12332,\"fileId\": 1},\"fileBlock\":{\"size\": "
     "256,\"offset\": 512},\"module\":\"MCU\"}}",
     12332, 1, 512, 256, "", "1"},
    {ASK("\"7\"", "\"2\"", "\"256\"", "\"1\""), 7, 2, 1, 256, "default", "1"},
    {ASK("7", "1", "131072", "16777216"), 7, 1, 16777216, 131072, "default", "1"},
    {ASK("7", "1", "131073", "0"), 7, 1, 0, 131072, "default", "1"},
    {ASK("7", "1", "4294967296", "0"), 7, 1, 0, 131072, "default", "1"},
    {ASK("7", "1", "100", "0"), 7, 1, 0, 100, "default", "1"}, /* never more than there is room for */
    {ASK("7", "1", "1", "0"), 7, 1, 0, 1, "default", "1"},
    {ASK("7", "1", "0", "0"), 7, 1, 0, 256, "default", "1"},
    {ASK("7", "1", "-1", "0"), 7, 1, 0, 256, "default", "1"},
    {ASK("9223372036854775807", "-9", "256", "9223372036854775807"), INT64_MAX, -9, INT64_MAX, 256, "default",
     "1"},
    {"{\"id\":5,\"params\":{\"fileToken\":\"0123456789abcdefX\",\"fileInfo\":{\"streamId\":7},\"fileBlock\":{"
     "\"offset\":3}}}",
     7, 1, 3, 256, "0123456789abcdef", "5"},
    {"{\"id\":\"a\\\"\\\\ \\u00e9\\nb\",\"params\":{\"fileToken\":\"\\\"},\",\"fileInfo\":{\"streamId\":7},"
     "\"fileBlock\":{\"offset\":3}}}",
     7, 1, 3, 256, "},", "ab"},
    {ASK("7", "1", "256", "-1"), -1, 0, 0, 0, NULL, NULL},
    {ASK("-7", "1", "256", "0"), -1, 0, 0, 0, NULL, NULL},
    {ASK("\"x\"", "1", "256", "0"), -1, 0, 0, 0, NULL, NULL},
    {ASK("9223372036854775808", "1", "256", "0"), -1, 0, 0, 0, NULL, NULL},
    {"{\"id\":\"1\",\"params\":{\"fileBlock\":{\"size\":256,\"offset\":0}}}", -1, 0, 0, 0, NULL, NULL},
    {"{}", -1, 0, 0, 0, NULL, NULL},
    {"{\"id\":\"1\",\"params\":{", -1, 0, 0, 0, NULL, NULL},
};

static void test_downloads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(downloads); i++) {
        struct device_event ev;
        int rc = parse(download_topic, downloads[i].body, &ev);
        if ((rc == 0) != (downloads[i].stream >= 0))
            fail_msg("%s", downloads[i].body);
        if (rc < 0)
            continue;
        assert_int_equal(ev.kind, EVENT_FILE);
        assert_int_equal(ev.file->op, FILE_BLOCKS);
        assert_false(ev.file->by_execution);
        assert_true(ev.file->stream == downloads[i].stream && ev.file->file == downloads[i].file);
        assert_true(ev.file->offset == downloads[i].offset);
        assert_int_equal(ev.file->block_bytes, downloads[i].bytes);
        assert_int_equal(ev.file->count, 1);
        assert_int_equal(ev.file->bitmap_len, 0);
        assert_string_equal(ev.reply.name, downloads[i].token);
        assert_string_equal(ev.reply.token, downloads[i].id);
        device_event_clear(&ev);
    }
}

static void check_answer(struct message *m, const char *head, const void *bytes, size_t len)
{
    size_t n = strlen(head);
    assert_string_equal(m->topic, download_reply_topic);
    assert_int_equal(m->qos, 0);
    assert_int_equal(m->len, 2 + n + len);
    assert_int_equal((unsigned char)m->payload[0], n >> 8);
    assert_int_equal((unsigned char)m->payload[1], n & 255);
    assert_memory_equal(m->payload + 2, head, n);
    if (len)
        assert_memory_equal(m->payload + 2 + n, bytes, len);
    message_clear(m);
}

static struct message block_of(const char *id, const char *token, const struct file_block *b)
{
    struct device_event ev = {.kind = EVENT_FILE, .product = PK, .device = DN};
    struct message m = {0};
    struct err e;
    strcpy(ev.reply.token, id);
    strcpy(ev.reply.name, token);
    assert_int_equal(aliyun_protocol.block(&ev, b, &m, &e), 0);
    return m;
}

/* The check value of CRC-16/ARC, low byte first. */
static void test_block(void **state)
{
    (void)state;
    const struct file_block b = {.offset = 0, .file_size = 5092, .bytes = "123456789", .len = 9};
    struct message m = block_of("1", "", &b);
    check_answer(
        &m,
        "{\"code\":200,\"data\":{\"bOffset\":0,\"fileLength\":5092,\"bSize\":9},\"id\":\"1\",\"message\":"
        "\"success\"}",
        "123456789\x3d\xbb", 11);
    m = block_of("", "default", &b);
    check_answer(
        &m,
        "{\"code\":200,\"data\":{\"fileToken\":\"default\",\"bOffset\":0,\"fileLength\":5092,\"bSize\":9},"
        "\"id\":\"0\",\"message\":\"success\"}",
        "123456789\x3d\xbb", 11);
}

static void test_block_by_sscanf(void **state)
{
    (void)state;
    const struct file_block b = {.offset = 4864, .file_size = 5092, .bytes = "123456789", .len = 9};
    struct message m = block_of("20", "", &b);
    char text[128] = {0};
    int offset = 0, size = 0;
    memcpy(text, m.payload + 2, (unsigned char)m.payload[1]);
    assert_int_equal(sscanf(text,
                            "{\"code\":200,\"data\":{\"bOffset\":%d,\"fileLength\":%*d,\"bSize\":%d},\"id\":"
                            "\"%*d\",\"message\":\"success\"}",
                            &offset, &size),
                     2);
    assert_int_equal(offset, 4864);
    assert_int_equal(size, 9);
    message_clear(&m);
}

/* Clients copy the text into 128 bytes. */
static void test_heads_stay_short(void **state)
{
    (void)state;
    static unsigned char bytes[131072];
    const struct file_block b = {
        .offset = 16646144, .file_size = 16777216, .bytes = bytes, .len = sizeof bytes};
    struct message m = block_of("4294967295", "", &b);
    size_t n = (size_t)((unsigned char)m.payload[0] << 8 | (unsigned char)m.payload[1]);
    assert_int_equal(n, 115);
    assert_int_equal(m.len, 2 + 115 + sizeof bytes + 2);
    assert_int_equal(m.payload[m.len - 1], 0); /* the CRC of zeros */
    assert_int_equal(m.payload[m.len - 2], 0);
    message_clear(&m);
    m = block_of(TEXT_64, "", &b);
    assert_int_equal((unsigned char)m.payload[1], 126);
    assert_non_null(memmem(m.payload, 130, "\"id\":\"abcdefghijklmnopqrstu\",\"message\":\"success\"}", 48));
    message_clear(&m);
    /* what the platform allows is never cut: an id of 10 digits beside a token of 16 characters */
    m = block_of("4294967295", "0123456789abcdef", &b);
    assert_int_equal((unsigned char)m.payload[1], 146);
    assert_non_null(memmem(m.payload, 150, "\"4294967295\",\"message\":\"success\"}", 32));
    message_clear(&m);
    m = block_of("42949672951", "0123456789abcdef", &b);
    assert_int_equal((unsigned char)m.payload[1], 146);
    message_clear(&m);
}

static void test_faults(void **state)
{
    (void)state;
    static const char *const heads[] = {
        [FILE_UNKNOWN] =
            "{\"code\":404,\"data\":{},\"id\":\"12\",\"message\":\"no such file for this device\",\"msg\":"
            "\"no such file for this device\"}",
        [FILE_PAST_END] =
            "{\"code\":416,\"data\":{},\"id\":\"12\",\"message\":\"offset is past the end\",\"msg\":"
            "\"offset is past the end\"}",
        [FILE_UNREADABLE] =
            "{\"code\":500,\"data\":{},\"id\":\"12\",\"message\":\"the file cannot be read now\","
            "\"msg\":\"the file cannot be read now\"}"};
    struct device_event ev = {.kind = EVENT_FILE, .product = PK, .device = DN, .reply = {.token = "12"}};
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        struct message m = {0};
        struct err e;
        assert_int_equal(aliyun_protocol.no_file(&ev, (enum file_fault)i, &m, &e), 0);
        check_answer(&m, heads[i], NULL, 0);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *body, *id; /* id NULL: silence */
    } rows[] = {
        {download_topic, "{\"id\":\"12\",\"params\":{}}", "12"},
        {download_topic, "{\"id\":\"12\",\"params\":{", "0"},
        {download_topic, "", "0"},
        {inform_topic, "{", NULL},
        {get_topic, "{", NULL},
        {"/sys/a b/" DN "/thing/file/download", "{", NULL},
    };
    const struct err why = {.code = ERR_INVALID, .text = "no"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char product[PRODUCT_SIZE], device[DEVICE_SIZE], want[200];
        struct message m = {0};
        bool said = aliyun_protocol.refuse(rows[i].topic, rows[i].body, strlen(rows[i].body), &why, 1,
                                           product, device, &m);
        assert_int_equal(said, rows[i].id != NULL);
        if (!said)
            continue;
        assert_string_equal(product, PK);
        assert_string_equal(device, DN);
        snprintf(want, sizeof want,
                 "{\"code\":400,\"data\":{},\"id\":\"%s\",\"message\":\"the request is not "
                 "understood\",\"msg\":\"the "
                 "request is not understood\"}",
                 rows[i].id);
        assert_true(strlen(want) <= 126);
        check_answer(&m, want, NULL, 0);
    }
}

/* ---- logging in */

#define SECRET "0123456789abcdef0123456789abcdef"
#define CID    PK "." DN "|"
#define TS     "timestamp=2524608000000"

static const struct {
    const char *client_id, *username, *password;
    int verdict; /* 2: in; 1: it claims to be the device, no more; 0: not Aliyun's shape, or another's */
} logins[] = {
    {CID TS ",_ss=1,_v=sdk-c-4.2.0,securemode=3,signmethod=hmacsha256,ext=3,_conn=tcp_0|", DN "&" PK,
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC", 2},
    {CID TS ",_ss=1,_v=sdk-c-4.1.0,securemode=2,signmethod=hmacsha256,ext=3,|", DN "&" PK,
     "68b71df449bf0ac3e4d661b9b58e7982194f349022aa2a58afbdc28fad0670dc", 2},
    {CID "signmethod=hmacsha1," TS ",lan=NodeJS|", DN "&" PK, "99551385ACE25912E133D8C758F639D21EDC91B1", 2},
    {CID TS ",signmethod=hmacmd5|", DN "&" PK, "3B00CD2458EA53BBCB34115619982616", 2},
    {CID TS "|", DN "&" PK, "3B00CD2458EA53BBCB34115619982616", 2},
    {CID "securemode=3,signmethod=hmacsha256|", DN "&" PK,
     "C1B43EB64FA7D6D27D294C44C2D0B133042E19F68C25167024B3A5D4FBABF8DB", 2},
    {CID "securemode=3,signmethod=hmacsha1|", DN "&" PK, "E86B05C00DBF05DD0196877C2A05D8F27D997F83", 2},
    {CID "signmethod=hmacmd5,securemode=-2|", DN "&" PK, "AC5BEEA8552B378D15FC8E7B3E58703C", 2},
    {PK "." DN, DN "&" PK, "AC5BEEA8552B378D15FC8E7B3E58703C", 2},
    {PK "." DN "||", DN "&" PK, "AC5BEEA8552B378D15FC8E7B3E58703C", 2},
    {DN "|securemode=3,signmethod=hmacsha1|", DN "&" PK, "5886A79AD5D1260AEE98F7C0CFF2DC7D887C6672", 2},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK,
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DD", 1},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK,
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670D", 1},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK,
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC0", 1},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK,
     "C1B43EB64FA7D6D27D294C44C2D0B133042E19F68C25167024B3A5D4FBABF8DB", 1}, /* without the time */
    {CID "signmethod=hmacsha256|", DN "&" PK,
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC", 1},
    {CID TS ",signmethod=hmacsha512|", DN "&" PK, "3B00CD2458EA53BBCB34115619982616", 1},
    {CID TS ",signmethod=|", DN "&" PK, "3B00CD2458EA53BBCB34115619982616", 1},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK, "", 1},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK, NULL, 1},
    {CID TS ",signmethod=hmacsha256|", DN "&" PK, SECRET, 1},
    /* replayed under another name */
    {CID TS ",signmethod=hmacsha256|", "dev02&" PK,
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC", 0},
    {CID TS ",signmethod=hmacsha256|", DN "&other",
     "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC", 0},
    {CID, PK "/" DN, SECRET, 0},
    {CID, "&" PK, SECRET, 0},
    {CID, DN "&", SECRET, 0},
    {CID, DN "&" PK "&x", SECRET, 0},
    {CID, DN, SECRET, 0},
    {CID, "", SECRET, 0},
    {CID, NULL, SECRET, 0},
    {NULL, DN "&" PK, SECRET, 0},
};

static void test_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(logins); i++) {
        const struct login login = {
            .client_id = logins[i].client_id, .username = logins[i].username, .password = logins[i].password};
        struct login_claim claim;
        int verdict = 0;
        if (aliyun_protocol.login.claim(&login, &claim) && strcmp(claim.product, PK) == 0 &&
            strcmp(claim.device, DN) == 0)
            verdict = aliyun_protocol.login.proven(&login, &claim, SECRET, 0) ? 2 : 1;
        if (verdict != logins[i].verdict)
            fail_msg("login %zu: %d instead of %d", i, verdict, logins[i].verdict);
        if (verdict == 2)
            assert_false(aliyun_protocol.login.proven(&login, &claim, SECRET "x", 0));
    }
    assert_true(aliyun_protocol.login.one_session);
    assert_false(aliyun_protocol.login.certificate);
}

/* A proof is of the names it was made for: another device with the same secret cannot use it. */
static void test_replayed_login(void **state)
{
    (void)state;
    const struct login login = {.client_id = CID TS ",signmethod=hmacsha256|",
                                .username = "dev02&" PK,
                                .password =
                                    "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC"};
    struct login_claim claim;
    assert_true(aliyun_protocol.login.claim(&login, &claim));
    assert_string_equal(claim.device, "dev02");
    assert_false(aliyun_protocol.login.proven(&login, &claim, SECRET, 0));
}

/* No id before the bar, as esp-aliyun has it, and one too long to be signed. */
static void test_odd_client_ids(void **state)
{
    (void)state;
    char *huge = malloc(70000);
    memset(huge, 'x', 69999);
    huge[69999] = '\0';
    struct login login = {.client_id = "|" TS ",signmethod=hmacsha256|",
                          .username = DN "&" PK,
                          .password = "B88123F87C0AB4F1940C28645D602EFA7ABF7AA9567DF81B0165B556CB7A33AA"};
    struct login_claim claim;
    assert_true(aliyun_protocol.login.claim(&login, &claim));
    assert_true(aliyun_protocol.login.proven(&login, &claim, SECRET, 0));
    login.client_id = huge;
    assert_false(aliyun_protocol.login.proven(&login, &claim, SECRET, 0));
    huge[0] = '|';
    assert_false(aliyun_protocol.login.proven(&login, &claim, SECRET, 0));
    free(huge);
}

/* ---- topics of a device */

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        bool publish, hear;
    } rows[] = {
        {inform_topic, true, false},
        {progress_topic, true, false},
        {request_topic, true, true},
        {get_topic, true, true},
        {download_topic, true, true},
        {upgrade_topic, false, true},
        {download_reply_topic, true, true},
        {"/sys/" PK "/" DN "/thing/event/property/post", true, true},
        {"/sys/" PK "/" DN "/rrpc/request/+", true, true},
        {"/" PK "/" DN "/user/get", true, true},
        {"/ext/ntp/" PK "/" DN "/request", true, true},
        {"/ota/device/inform/" PK "/dev02", false, false},
        {"/ota/device/upgrade/" PK "/+", false, false},
        {"/ota/device/upgrade/+/+", false, false},
        {"/sys/" PK "/dev02/thing/file/download", false, false},
        {"/sys/" PK "/+/thing/file/download_reply", false, false},
        {"/sys/#", false, false},
        {"/" PK "/dev02/user/get", false, false},
        {"/" PK "/" DN "/other", false, false},
        {"#", false, false},
        {"ota/" PK "/" DN "/inform", false, false},
    };
    const struct topic_rules *t = &aliyun_protocol.topics;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(topic_fits(t->publish, rows[i].topic, PK, DN), rows[i].publish);
        assert_int_equal(topic_fits(t->hear, rows[i].topic, PK, DN), rows[i].hear);
        assert_int_equal(topic_fits(t->subscribe, rows[i].topic, PK, DN), rows[i].hear);
    }
    assert_false(topic_brings(upgrade_topic, t->offers, PK, DN)); /* the inform that follows brings it */
    assert_false(topic_brings(download_reply_topic, t->offers, PK, DN));
}

static void test_table(void **state)
{
    (void)state;
    struct login login = {.client_id = CID, .username = DN "&" PK, .password = "x"};
    struct login_claim claim;
    assert_ptr_equal(protocol_by_name("aliyun"), &aliyun_protocol);
    assert_ptr_equal(protocol_by_topic(download_topic), &aliyun_protocol);
    assert_ptr_equal(protocol_by_login(&login, &claim), &aliyun_protocol);
    assert_true(aliyun_is_member("sign") && aliyun_is_member("fileSign"));
    assert_false(aliyun_is_member("Sign") || aliyun_is_member("") || aliyun_is_member("signs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_informs),         cmocka_unit_test(test_progress),
        cmocka_unit_test(test_topics),          cmocka_unit_test(test_own_words),
        cmocka_unit_test(test_https_push),      cmocka_unit_test(test_mqtt_push),
        cmocka_unit_test(test_push_by_sscanf),  cmocka_unit_test(test_whole_push),
        cmocka_unit_test(test_files),           cmocka_unit_test(test_auto),
        cmocka_unit_test(test_replies),         cmocka_unit_test(test_reply_for_another_module),
        cmocka_unit_test(test_downloads),       cmocka_unit_test(test_block),
        cmocka_unit_test(test_block_by_sscanf), cmocka_unit_test(test_heads_stay_short),
        cmocka_unit_test(test_faults),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_logins),          cmocka_unit_test(test_replayed_login),
        cmocka_unit_test(test_odd_client_ids),  cmocka_unit_test(test_rules),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests_name("aliyun", tests, NULL, NULL);
}
