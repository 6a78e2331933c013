/* MQTT file streams: requests and blocks in JSON and CBOR. */
#include "protocol/aws.h"
#include "protocol/cbor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T "$aws/things/aa/streams/otad-42/"

static int parse(const char *topic, const void *body, size_t len, struct device_event *ev, struct err *e)
{
    memset(ev, 0, sizeof *ev);
    return aws_protocol.parse(topic, body, len, ev, e);
}

/* ---- what is taken */

static const struct {
    const char *body;
    int64_t file;
    uint64_t offset;
    uint32_t block, count;
    const char *bitmap; /* hex */
} asked[] = {
    {"{\"s\": 1,\"f\": 1,\"l\": 4096,\"o\": 3,\"n\": 2}", 1, 3 * 4096, 4096, 2, ""},
    {"{\"f\":0,\"l\":256}", 0, 0, 256, 512, ""},
    {"{\"f\":255,\"l\":131072,\"o\":2147483647}", 255, 2147483647ull * 131072, 131072, 1, ""},
    {"{\"f\":\"0\",\"l\":\"256\",\"n\":\"98304\",}", 0, 0, 256, 512, ""},
    {"{\"f\":0,\"l\":32768,\"n\":5}", 0, 0, 32768, 4, ""},
    {"{\"f\":0,\"l\":100000,\"n\":2}", 0, 0, 100000, 1, ""},
    {"{\"f\":0,\"l\":256,\"n\":0}", 0, 0, 256, 512, ""},
    {"{\"c\":\"1\",\"s\":1,\"l\":256,\"f\":1,\"o\":20,\"n\":32,\"b\":\"0x130080\"}", 1, 20 * 256, 256, 32,
     "130080"},
    {"{\"f\":0,\"l\":256,\"b\":\"130080\"}", 0, 0, 256, 512, "130080"},
    {"{\"f\":0,\"l\":256,\"b\":\"0XFf0000\"}", 0, 0, 256, 512, "ff"},
    {"{\"f\":0,\"l\":256,\"b\":\"\"}", 0, 0, 256, 512, ""},
    {"{\"f\":0,\"l\":256,\"b\":null,\"s\":null}", 0, 0, 256, 512, ""},
};

static void check_request(const struct device_event *ev, size_t i)
{
    char bits[64];
    const struct file_request *f = ev->file;
    assert_int_equal(ev->kind, EVENT_FILE);
    assert_string_equal(ev->product, "");
    assert_string_equal(ev->device, "aa");
    assert_int_equal(f->op, FILE_BLOCKS);
    assert_true(f->by_execution);
    assert_int_equal(f->stream, 42);
    assert_int_equal(f->file, asked[i].file);
    assert_true(f->offset == asked[i].offset);
    assert_int_equal(f->block_bytes, asked[i].block);
    assert_int_equal(f->count, asked[i].count);
    hex_format(f->bitmap, f->bitmap_len, bits);
    assert_string_equal(bits, asked[i].bitmap);
}

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        struct device_event ev;
        struct err e;
        if (parse(T "get/json", asked[i].body, strlen(asked[i].body), &ev, &e) < 0)
            fail_msg("%s: %s", asked[i].body, e.text);
        check_request(&ev, i);
        device_event_clear(&ev);
    }
}

static size_t from_hex(const char *hex, unsigned char bytes[256])
{
    size_t len = strlen(hex) / 2;
    assert_true(len <= 256 && hex_parse(hex, bytes, len));
    return len;
}

/* As libraries were seen to send them. */
static const struct {
    const char *hex;
    int64_t file;
    uint64_t offset;
    uint32_t count;
    const char *bitmap;
} seen[] = {
    {"a6616363726479616601616c191000616f036162444d513d3d616e02", 1, 3 * 4096, 2, "4d513d3d"},
    {"a6616363726479616601616c191000616f036162444d513d3d616e01", 1, 3 * 4096, 1, "4d513d3d"},
    {"a6616363726479616601616c191000616f0061624107616e03", 1, 0, 3, "07"},
    {"bf616363726479616601616c191000616f0061624107616e03ff", 1, 0, 3, "07"},
};

static void test_requests_in_cbor(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
        unsigned char bytes[256];
        char bits[64];
        struct device_event ev;
        struct err e;
        size_t len = from_hex(seen[i].hex, bytes);
        assert_int_equal(parse(T "get/cbor", bytes, len, &ev, &e), 0);
        assert_int_equal(ev.file->file, seen[i].file);
        assert_true(ev.file->offset == seen[i].offset);
        assert_int_equal(ev.file->block_bytes, 4096);
        assert_int_equal(ev.file->count, seen[i].count);
        hex_format(ev.file->bitmap, ev.file->bitmap_len, bits);
        assert_string_equal(bits, seen[i].bitmap);
        assert_string_equal(ev.reply.token, "rdy");
        device_event_clear(&ev);
    }
}

static const struct {
    const char *name;
    int64_t stream;
} names[] = {{"otad-42", 42},
             {"otad-9223372036854775807", INT64_MAX},
             {"otad-9223372036854775808", -1},
             {"otad-", -1},
             {"otad--1", -1},
             {"strm1", -1},
             {"42", -1}};

static void test_streams(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char topic[128] = "$aws/things/aa/streams/";
        struct device_event ev;
        struct err e;
        strcat(strcat(topic, names[i].name), "/describe/json");
        assert_int_equal(parse(topic, "{\"c\":\"t\"}", 9, &ev, &e), 0);
        assert_int_equal(ev.file->op, FILE_DESCRIBE);
        assert_true(ev.file->stream == names[i].stream);
        assert_string_equal(ev.reply.name, names[i].name);
        assert_string_equal(ev.reply.token, "t");
        device_event_clear(&ev);
    }
}

/* ---- what is refused */

#define LONG_BITMAP 12289

static const struct {
    const char *topic, *body, *code;
} refused[] = {
    {"get/json", "{", "InvalidJson"},
    {"get/json", "[]", "InvalidJson"},
    {"get/cbor", "{}", "InvalidCbor"},
    {"get/cbor", "", "InvalidCbor"},
    {"get/cbor", "\xa1\x61\x66\x5a\xff\xff\xff\xff", "InvalidCbor"},
    {"describe/cbor", "\xbf\x61\x63", "InvalidCbor"},
    {"get/xml", "{}", "InvalidTopic"},
    {"describe/xml", "{}", "InvalidTopic"},
    {"get/json", "{}", "InvalidRequest"},
    {"get/json", "{\"l\":256}", "InvalidRequest"},
    {"get/json", "{\"f\":0}", "InvalidRequest"},
    {"get/json", "{\"f\":256,\"l\":256}", "InvalidRequest"},
    {"get/json", "{\"f\":-1,\"l\":256}", "InvalidRequest"},
    {"get/json", "{\"f\":{},\"l\":256}", "InvalidRequest"},
    {"get/json", "{\"f\":0,\"l\":255}", "BlockSizeOutOfBounds"},
    {"get/json", "{\"f\":0,\"l\":0}", "BlockSizeOutOfBounds"},
    {"get/json", "{\"f\":0,\"l\":131073}", "BlockSizeOutOfBounds"},
    {"get/json", "{\"f\":0,\"l\":-256}", "BlockSizeOutOfBounds"},
    {"get/json", "{\"f\":0,\"l\":\"x\"}", "InvalidRequest"},
    {"get/json", "{\"f\":0,\"l\":256,\"o\":-1}", "OffsetOutOfBounds"},
    {"get/json", "{\"f\":0,\"l\":256,\"o\":2147483648}", "OffsetOutOfBounds"},
    {"get/json", "{\"f\":0,\"l\":256,\"n\":98305}", "BlockCountLimitExceeded"},
    {"get/json", "{\"f\":0,\"l\":256,\"n\":-1}", "BlockCountLimitExceeded"},
    {"get/json", "{\"f\":0,\"l\":256,\"s\":2}", "VersionMismatch"},
    {"get/json", "{\"f\":0,\"l\":256,\"b\":\"0x1\"}", "InvalidRequest"},
    {"get/json", "{\"f\":0,\"l\":256,\"b\":\"0xgg\"}", "InvalidRequest"},
    {"get/json", "{\"f\":0,\"l\":256,\"b\":\"0x0000\"}", "InvalidRequest"},
    {"get/json", "{\"f\":0,\"l\":256,\"b\":7}", "InvalidRequest"},
};

static void expect_refusal(const char *verb, const char *body, size_t len, const char *code)
{
    char topic[128] = T, answer_topic[128] = T "rejected/", product[PRODUCT_SIZE], device[DEVICE_SIZE];
    struct device_event ev;
    struct message m = {0};
    struct err e;
    json_t *answer = NULL;
    bool cbor = strstr(verb, "cbor");
    strcat(topic, verb);
    strcat(answer_topic, cbor ? "cbor" : "json");
    if (parse(topic, body, len, &ev, &e) == 0)
        fail_msg("%s %s is taken", verb, body);
    assert_true(aws_protocol.refuse(topic, body, len, &e, 0, product, device, &m));
    assert_string_equal(m.topic, answer_topic);
    assert_string_equal(device, "aa");
    if (cbor)
        assert_int_equal(cbor_parse(m.payload, m.len, &answer, &e), 0);
    else
        assert_int_equal(json_parse(m.payload, m.len, &answer, &e), 0);
    if (strcmp(json_string_value(json_object_get(answer, "o")), code) != 0)
        fail_msg("%s %s: %s", verb, body, m.payload);
    assert_string_equal(json_string_value(json_object_get(answer, "code")), code);
    assert_non_null(json_string_value(json_object_get(answer, "m")));
    json_decref(answer);
    message_clear(&m);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        expect_refusal(refused[i].topic, refused[i].body, strlen(refused[i].body), refused[i].code);
}

static void test_long_bitmaps(void **state)
{
    (void)state;
    static char body[2 * LONG_BITMAP + 64] = "{\"f\":0,\"l\":256,\"b\":\"0x";
    size_t head = strlen(body), n = 2 * 12288;
    struct device_event ev;
    struct err e;
    memset(body + head, 'f', n + 2);
    strcpy(body + head + n, "\"}");
    assert_int_equal(parse(T "get/json", body, strlen(body), &ev, &e), 0);
    assert_int_equal(ev.file->bitmap_len, 12288);
    device_event_clear(&ev);
    strcpy(body + head + n, "ff\"}");
    expect_refusal("get/json", body, strlen(body), "BlockBitmapLimitExceeded");
}

/* ---- what is sent */

static struct device_event ask(const char *verb, const char *token)
{
    char topic[128] = T;
    json_t *body = json_object();
    struct device_event ev;
    struct err e;
    size_t len;
    strcat(topic, verb);
    json_put_int(body, "f", 1);
    json_put_int(body, "l", 256);
    if (token)
        json_put_text(body, "c", token);
    char *text = strstr(verb, "cbor") ? cbor_make(body, NULL, NULL, 0, &len) : json_text(body);
    assert_int_equal(parse(topic, text, strstr(verb, "cbor") ? len : strlen(text), &ev, &e), 0);
    free(text);
    json_decref(body);
    return ev;
}

static void expect_sent(struct message *m, const char *topic, const char *bytes, size_t len)
{
    assert_string_equal(m->topic, topic);
    assert_int_equal(m->len, len);
    assert_memory_equal(m->payload, bytes, len);
    assert_int_equal(m->qos, 0);
    assert_false(m->only_subscribed);
    message_clear(m);
}

static void test_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *token, *topic, *bytes;
        size_t len;
    } rows[] = {
        {"get/cbor", NULL, T "data/cbor",
         "\xa4\x61\x66\x01\x61\x69\x03\x61\x6c\x04\x61\x70\x44\xde\xad\xbe\xef", 17},
        {"get/cbor", "rdy", T "data/cbor",
         "\xa5\x61\x63\x63rdy\x61\x66\x01\x61\x69\x03\x61\x6c\x04\x61\x70\x44\xde\xad\xbe\xef", 23},
        {"get/json", NULL, T "data/json", "{\"f\":1,\"i\":3,\"l\":4,\"p\":\"3q2+7w==\"}", 34},
        {"get/json", "rdy", T "data/json", "{\"c\":\"rdy\",\"f\":1,\"i\":3,\"l\":4,\"p\":\"3q2+7w==\"}", 44},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct device_event ev = ask(rows[i].verb, rows[i].token);
        struct file_block b = {
            .index = 3, .offset = 768, .file_size = 772, .bytes = "\xde\xad\xbe\xef", .len = 4};
        struct message m = {0};
        struct err e;
        assert_int_equal(aws_protocol.block(&ev, &b, &m, &e), 0);
        expect_sent(&m, rows[i].topic, rows[i].bytes, rows[i].len);
        device_event_clear(&ev);
    }
}

static void test_a_large_block(void **state)
{
    (void)state;
    unsigned char *bytes = malloc(131072);
    struct device_event ev = ask("get/json", NULL);
    struct file_block b = {.index = 0, .file_size = 131072, .bytes = bytes, .len = 131072};
    struct message m = {0};
    struct err e;
    memset(bytes, 0, 131072);
    assert_int_equal(aws_protocol.block(&ev, &b, &m, &e), 0);
    assert_int_equal(m.len, strlen("{\"f\":1,\"i\":0,\"l\":131072,\"p\":\"\"}") + 174764);
    message_clear(&m);
    device_event_clear(&ev);
    free(bytes);
}

static void test_descriptions(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {131072, 51200};
    struct device_event ev = ask("describe/json", "t");
    struct message m = {0};
    struct err e;
    assert_int_equal(aws_protocol.describe(&ev, sizes, 2, &m, &e), 0);
    static const char json[] =
        "{\"c\":\"t\",\"s\":1,\"d\":\"otad-42\",\"r\":[{\"f\":0,\"z\":131072},{\"f\":1,\"z\":51200}]}";
    expect_sent(&m, T "description/json", json, strlen(json));
    device_event_clear(&ev);
    ev = ask("describe/cbor", NULL);
    assert_int_equal(aws_protocol.describe(&ev, sizes, 1, &m, &e), 0);
    expect_sent(&m, T "description/cbor",
                "\xa3\x61\x73\x01\x61\x64\x67otad-42\x61\x72\x81\xa2\x61\x66\x00\x61\x7a\x1a\x00\x02\x00\x00",
                28);
    device_event_clear(&ev);
}

static void test_no_file(void **state)
{
    (void)state;
    static const struct {
        enum file_fault fault;
        const char *code;
    } rows[] = {{FILE_UNKNOWN, "ResourceNotFound"},
                {FILE_PAST_END, "OffsetOutOfBounds"},
                {FILE_UNREADABLE, "InternalError"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct device_event ev = ask("get/cbor", "t");
        struct message m = {0};
        struct err e;
        json_t *body;
        assert_int_equal(aws_protocol.no_file(&ev, rows[i].fault, &m, &e), 0);
        assert_string_equal(m.topic, T "rejected/cbor");
        assert_int_equal(cbor_parse(m.payload, m.len, &body, &e), 0);
        assert_string_equal(json_string_value(json_object_get(body, "o")), rows[i].code);
        assert_string_equal(json_string_value(json_object_get(body, "code")), rows[i].code);
        assert_string_equal(json_string_value(json_object_get(body, "c")), "t");
        assert_string_equal(json_string_value(json_object_get(body, "clientToken")), "t");
        json_decref(body);
        message_clear(&m);
        device_event_clear(&ev);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),      cmocka_unit_test(test_requests_in_cbor),
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_long_bitmaps),  cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_a_large_block), cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests_name("aws_stream", tests, NULL, NULL);
}
