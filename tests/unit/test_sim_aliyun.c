#include "sim_wire.h"

#define SECRET   "0123456789abcdef0123456789abcdef"
#define UPGRADE  "/ota/device/upgrade/a1TestPK001/dev01"
#define REPLY    "/sys/a1TestPK001/dev01/thing/ota/firmware/get_reply"
#define DOWNLOAD "/sys/a1TestPK001/dev01/thing/file/download_reply"

static const struct wire_habits HABITS = {.module = "default", .block_bytes = 10240};
static const struct wire_habits MCU = {.module = "MCU", .block_bytes = 256, .path = WIRE_PATH_MQTT};
static const struct wire_identity WHO = {
    .product = "a1TestPK001", .device = "dev01", .secret = SECRET, .habits = &HABITS};
static const struct wire_identity WHO_MCU = {
    .product = "a1TestPK001", .device = "dev01", .secret = SECRET, .habits = &MCU};

/* What the SDK 4.2.0 sent for these names and this secret. */
static void login_is_signed(void **state)
{
    struct wire_login login;
    struct err e;
    (void)state;
    assert_int_equal(wire_aliyun.login(&WHO, &login, &e), 0);
    assert_string_equal(login.username, "dev01&a1TestPK001");
    assert_string_equal(login.password, "68B71DF449BF0AC3E4D661B9B58E7982194F349022AA2A58AFBDC28FAD0670DC");
    assert_string_equal(login.client_id,
                        "a1TestPK001.dev01|timestamp=2524608000000,_ss=1,_v=sdk-c-4.2.0,securemode=2,"
                        "signmethod=hmacsha256,ext=3,_conn=tls_0|");
}

static void names_at_the_limit_fit(void **state)
{
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    struct wire_identity who = {.product = product, .device = device, .secret = SECRET};
    struct wire_login login;
    struct err e;
    (void)state;
    memset(product, 'p', sizeof product);
    memset(device, 'd', sizeof device);
    product[PRODUCT_SIZE - 1] = device[DEVICE_SIZE - 1] = '\0';
    assert_int_equal(wire_aliyun.login(&who, &login, &e), 0);
    assert_int_equal(strlen(login.username), PRODUCT_SIZE + DEVICE_SIZE - 1);
}

/* It subscribes to blocks, and to nothing else. */
static void filters(void **state)
{
    char topic[WIRE_TOPIC_SIZE];
    struct err e;
    (void)state;
    assert_int_equal(wire_topic(wire_aliyun.filters[0].pattern, &WHO, NULL, topic, &e), 0);
    assert_string_equal(topic, DOWNLOAD);
    assert_int_equal(wire_aliyun.filters[0].qos, 0);
    assert_null(wire_aliyun.filters[1].pattern);
}

static void reports_have_their_topics_and_bodies(void **state)
{
    static const struct wire_offer OFFER = {.id = "x"};
    static const char INFORM[] = "/ota/device/inform/a1TestPK001/dev01",
                      PROGRESS[] = "/ota/device/progress/a1TestPK001/dev01";
    static const struct said ROWS[] = {
        {{.kind = WIRE_INFORM, .version = "1.0.0", .serial = 1},
         INFORM,
         "{\"id\":\"1\",\"params\":{\"version\":\"1.0.0\"}}",
         1},
        {{.kind = WIRE_PERCENT, .offer = &OFFER, .percent = 50, .serial = 4294967295},
         PROGRESS,
         "{\"id\":\"4294967295\",\"params\":{\"step\":\"50\",\"desc\":\"\"}}",
         0},
        {{.kind = WIRE_STATE, .offer = &OFFER, .word = "installing", .serial = 3},
         PROGRESS,
         "{\"id\":\"3\",\"params\":{\"step\":\"100\",\"desc\":\"\"}}",
         0},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "download", .serial = 4},
         PROGRESS,
         "{\"id\":\"4\",\"params\":{\"step\":\"-2\",\"desc\":\"\"}}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "verify", .detail = "why", .serial = 5},
         PROGRESS,
         "{\"id\":\"5\",\"params\":{\"step\":\"-3\",\"desc\":\"why\"}}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "flash", .serial = 6},
         PROGRESS,
         "{\"id\":\"6\",\"params\":{\"step\":\"-4\",\"desc\":\"\"}}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "power", .serial = 7},
         PROGRESS,
         "{\"id\":\"7\",\"params\":{\"step\":\"-1\",\"desc\":\"\"}}",
         1},
        {{.kind = WIRE_REQUEST, .serial = 8},
         "/sys/a1TestPK001/dev01/thing/ota/firmware/get",
         "{\"id\":\"8\",\"params\":{}}",
         0},
    };
    static const struct said MCU_ROWS[] = {
        {{.kind = WIRE_INFORM, .version = "1.0", .serial = 1},
         INFORM,
         "{\"id\":\"1\",\"params\":{\"version\":\"1.0\",\"module\":\"MCU\"}}",
         1},
        {{.kind = WIRE_REQUEST, .serial = 2},
         "/sys/a1TestPK001/dev01/thing/ota/firmware/get",
         "{\"id\":\"2\",\"params\":{\"module\":\"MCU\"}}",
         0},
    };
    (void)state;
    check_said(&wire_aliyun, &WHO, ROWS, ARRAY_SIZE(ROWS));
    check_said(&wire_aliyun, &WHO_MCU, MCU_ROWS, ARRAY_SIZE(MCU_ROWS));
}

/* The comma behind fileId is the SDK's own; the last block is as long as what is left. */
static void blocks_are_asked_for_as_the_sdk_does(void **state)
{
    static const struct wire_offer OFFER = {.stream = "7", .file = 1, .size = 25000};
    static const struct {
        uint64_t offset;
        const char *body;
    } ROWS[] = {
        {0, "{\"id\":\"0\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"default\",\"fileInfo\":{"
            "\"streamId\":7,"
            "\"fileId\":1,},\"fileBlock\":{\"size\":10240,\"offset\":0}}}"},
        {20480, "{\"id\":\"20480\",\"version\":\"1.0\",\"params\":{\"fileToken\":\"default\",\"fileInfo\":{"
                "\"streamId\":7,\"fileId\":1,},\"fileBlock\":{\"size\":4520,\"offset\":20480}}}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct wire_message message;
        struct err e;
        assert_int_equal(wire_aliyun.ask(&WHO, &OFFER, ROWS[i].offset, &message, &e), 0);
        assert_string_equal(message.topic, "/sys/a1TestPK001/dev01/thing/file/download");
        assert_string_equal(message.body, ROWS[i].body);
        assert_int_equal(message.len, strlen(ROWS[i].body));
        assert_int_equal(message.qos, 0);
        free(message.body);
    }
}

/* ---- upgrades, in the cloud's shape */

static const char BY_URL[] =
    "{\"code\":\"1000\",\"data\":{\"size\":4064984,\"sign\":\"" SIM_MD5
    "\",\"version\":\"1.0.1\",\"url\":\"https://h/f\",\"signMethod\":\"Md5\",\"md5\":\"" SIM_MD5
    "\"},\"id\":1614762668146,\"message\":\"success\"}";
static const char BY_STREAM[] =
    "{\"code\":\"1000\",\"data\":{\"size\":4252,\"streamId\":12332,\"module\":\"MCU\",\"sign\":\"" SIM_SHA
    "\",\"dProtocol\":\"mqtt\",\"version\":\"1.1\",\"signMethod\":\"SHA256\",\"streamFileId\":1,\"md5\":"
    "\"" SIM_MD5 "\"},\"id\":1695281536874,\"message\":\"success\"}";

static void an_upgrade_by_url(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aliyun, &WHO, UPGRADE, BY_URL, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OFFER);
    assert_string_equal(heard.offer.id, SIM_MD5);
    assert_string_equal(heard.offer.version, "1.0.1");
    assert_string_equal(heard.offer.module, "default");
    assert_string_equal(heard.offer.url, "https://h/f");
    assert_string_equal(heard.offer.stream, "");
    assert_string_equal(heard.offer.md5, SIM_MD5);
    assert_string_equal(heard.offer.sha256, "");
    assert_int_equal(heard.offer.size, 4064984);
}

static void an_upgrade_in_blocks(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aliyun, &WHO_MCU, REPLY, BY_STREAM, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OFFER);
    assert_string_equal(heard.offer.module, "MCU");
    assert_string_equal(heard.offer.url, "");
    assert_string_equal(heard.offer.stream, "12332");
    assert_int_equal(heard.offer.file, 1);
    assert_string_equal(heard.offer.sha256, SIM_SHA);
    assert_string_equal(heard.offer.md5, "");
    assert_int_equal(heard.offer.size, 4252);
    /* by URL alone it cannot, and by MQTT alone it must not */
    assert_true(hear_text(&wire_aliyun, &WHO_MCU, UPGRADE, BY_URL, &heard) < 0);
}

static void nothing_is_due_without_data(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aliyun, &WHO, REPLY,
                               "{\"code\":\"1000\",\"data\":{},\"id\":1,\"message\":\"success\"}", &heard),
                     0);
    assert_int_equal(heard.kind, WIRE_NOTHING);
    assert_int_equal(hear_text(&wire_aliyun, &WHO, "/sys/a1TestPK001/dev01/thing/config/push", "{", &heard),
                     0);
    assert_int_equal(heard.kind, WIRE_OTHER);
}

static void what_the_sdk_ignores_is_refused(void **state)
{
    static const struct spoiled ROWS[] = {
        {"\"1000\"", "1000"},
        {"\"1000\"", "\"200\""},
        {"success", "succes"},
        {"Md5\"", "MD5\""},
        {"\"Md5\"", "\"SHA256\""},
        {"\"sign\":\"0", "\"sign\":\""},
        {"abcdef\",\"version", "abcdeF\",\"version"},
        {"\"size\":4064984", "\"size\":\"4064984\""},
        {"\"size\":4064984", "\"size\":0"},
        {"\"version\":", "\"v\":"},
        {"\"url\":", "\"uri\":"},
        {"https://", "ftp://"},
        {"\"data\":{", "\"data\":[{"},
    };
    (void)state;
    check_spoiled(&wire_aliyun, &WHO, UPGRADE, BY_URL, ROWS, ARRAY_SIZE(ROWS));
}

/* ---- blocks */

/* A reply as the cloud writes it: the checksum of "123456789" is BB3D. Its length, in out. */
static size_t reply(char out[256], const char *json, const char *bytes, const char *crc)
{
    size_t len = strlen(json), n = strlen(bytes);
    out[0] = (char)(len >> 8);
    out[1] = (char)len;
    memcpy(out + 2, json, len);
    memcpy(out + 2 + len, bytes, n);
    memcpy(out + 2 + len + n, crc, 2);
    return 2 + len + n + 2;
}

#define HEAD                                                                                        \
    "{\"code\":200,\"data\":{\"bOffset\":10240,\"fileLength\":10249,\"bSize\":9},\"id\":\"10240\"," \
    "\"message\":\""                                                                                \
    "success\"}"

static void a_block_is_taken_out_of_its_reply(void **state)
{
    char body[256];
    struct wire_heard heard;
    size_t len = reply(body, HEAD, "123456789", "\x3d\xbb");
    (void)state;
    assert_int_equal(hear(&wire_aliyun, &WHO, DOWNLOAD, body, len, &heard), 0);
    assert_int_equal(heard.kind, WIRE_BLOCK);
    assert_int_equal(heard.block.offset, 10240);
    assert_int_equal(heard.block.len, 9);
    assert_memory_equal(heard.block.bytes, "123456789", 9);
}

/* The reply of the notes, 102 bytes, byte for byte. */
static void the_vector_is_read(void **state)
{
    static const char HEX[] = "00597b226964223a2231222c22636f6465223a3230302c2264617461223a7b2266696c65546f6b"
                              "656e223a2264656661756c7422"
                              "2c2266696c654c656e677468223a392c22624f6666736574223a302c226253697a65223a397d7d"
                              "3132333435363738393dbb";
    unsigned char body[102];
    struct wire_heard heard;
    (void)state;
    assert_true(hex_parse(HEX, body, sizeof body));
    body[9] = '0'; /* the id is the offset that was asked for */
    assert_int_equal(hear(&wire_aliyun, &WHO, DOWNLOAD, body, sizeof body, &heard), 0);
    assert_int_equal(heard.kind, WIRE_BLOCK);
    assert_memory_equal(heard.block.bytes, "123456789", 9);
    body[9] = '1';
    assert_true(hear(&wire_aliyun, &WHO, DOWNLOAD, body, sizeof body, &heard) < 0);
}

static void broken_blocks_are_refused(void **state)
{
    static const struct {
        const char *json, *bytes, *crc;
    } ROWS[] = {
        {HEAD, "123456789", "\xbb\x3d"},
        {HEAD, "123456780", "\x3d\xbb"},
        {HEAD, "12345678", "\x3d\xbb"},
        {HEAD, "1234567890", "\x3d\xbb"},
        {"{}", "123456789", "\x3d\xbb"},
        {"", "123456789", "\x3d\xbb"},
        {"{\"code\":200,\"id\":\"0\"}", "123456789", "\x3d\xbb"},
    };
    struct wire_heard heard = {.kind = WIRE_TAKEN};
    char body[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        size_t len = reply(body, ROWS[i].json, ROWS[i].bytes, ROWS[i].crc);
        assert_true(hear(&wire_aliyun, &WHO, DOWNLOAD, body, len, &heard) < 0);
    }
    size_t len = reply(body, HEAD, "123456789", "\x3d\xbb");
    for (size_t less = 0; less < len; less++) {
        char *exact = malloc(less ? less : 1); /* a sanitizer sees a byte too many */
        assert_non_null(exact);
        memcpy(exact, body, less);
        assert_true(hear(&wire_aliyun, &WHO, DOWNLOAD, exact, less, &heard) < 0);
        free(exact);
    }
    assert_int_equal(heard.kind, WIRE_TAKEN);
}

static void a_refused_block_is_none(void **state)
{
    char body[256];
    struct wire_heard heard;
    size_t len = reply(body, "{\"code\":404,\"id\":\"0\",\"msg\":\"unknown\"}", "", "\0");
    (void)state;
    assert_int_equal(hear(&wire_aliyun, &WHO, DOWNLOAD, body, len - 2, &heard), 0);
    assert_int_equal(heard.kind, WIRE_NO_BLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_is_signed),
        cmocka_unit_test(names_at_the_limit_fit),
        cmocka_unit_test(filters),
        cmocka_unit_test(reports_have_their_topics_and_bodies),
        cmocka_unit_test(blocks_are_asked_for_as_the_sdk_does),
        cmocka_unit_test(an_upgrade_by_url),
        cmocka_unit_test(an_upgrade_in_blocks),
        cmocka_unit_test(nothing_is_due_without_data),
        cmocka_unit_test(what_the_sdk_ignores_is_refused),
        cmocka_unit_test(a_block_is_taken_out_of_its_reply),
        cmocka_unit_test(the_vector_is_read),
        cmocka_unit_test(broken_blocks_are_refused),
        cmocka_unit_test(a_refused_block_is_none),
    };
    return cmocka_run_group_tests_name("sim_aliyun", tests, NULL, NULL);
}
