#include "sim_wire.h"

#define BASE    "$aws/things/thing1/jobs/"
#define STREAMS "$aws/things/thing1/streams/otad-42/"

static const struct wire_habits HABITS = {.module = "default", .next_version = "9", .block_bytes = 4096};
static const struct wire_habits BY_MQTT = {.module = "stm32",
                                           .next_version = "9",
                                           .block_bytes = 4096,
                                           .path = WIRE_PATH_MQTT,
                                           .json_streams = true};
static const struct wire_identity WHO = {.product = "p", .device = "thing1", .habits = &HABITS};
static const struct wire_identity WHO_MQTT = {.product = "p", .device = "thing1", .habits = &BY_MQTT};

static void login_is_the_thing(void **state)
{
    struct wire_login login;
    struct err e;
    (void)state;
    assert_int_equal(wire_aws.login(&WHO, &login, &e), 0);
    assert_string_equal(login.client_id, "thing1");
    assert_string_equal(login.username, "");
    assert_string_equal(login.password, "");
    assert_true(wire_aws.certificate && wire_aws.own_word);
}

static void filters(void **state)
{
    static const char *const TOPICS[] = {BASE "notify-next", "$aws/things/thing1/streams/+/data/cbor",
                                         "$aws/things/thing1/streams/+/data/json"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(TOPICS); i++) {
        char topic[WIRE_TOPIC_SIZE];
        struct err e;
        assert_int_equal(wire_topic(wire_aws.filters[i].pattern, &WHO, NULL, topic, &e), 0);
        assert_string_equal(topic, TOPICS[i]);
        assert_int_equal(wire_aws.filters[i].qos, i == 0);
    }
    assert_null(wire_aws.filters[ARRAY_SIZE(TOPICS)].pattern);
}

static void reports_have_their_topics_and_bodies(void **state)
{
    static const struct wire_offer OFFER = {.id = "42", .version = "2.0.0", .counter = 3};
    static const struct said ROWS[] = {
        {{.kind = WIRE_INFORM, .version = "1.0.0"}, BASE "$next/get", "{\"clientToken\":\"thing1\"}", 1},
        {{.kind = WIRE_REQUEST}, BASE "start-next", "{\"clientToken\":\"thing1\"}", 1},
        {{.kind = WIRE_PERCENT, .offer = &OFFER, .percent = 35},
         BASE "42/update",
         "{\"status\":\"IN_PROGRESS\",\"expectedVersion\":\"3\",\"statusDetails\":{\"receive\":\"35/100\"},"
         "\"clientToken\":\"IN_PROGRESS\"}",
         0},
        {{.kind = WIRE_STATE, .offer = &OFFER, .word = "installing"},
         BASE "42/update",
         "{\"status\":\"IN_PROGRESS\",\"expectedVersion\":\"3\",\"statusDetails\":{\"self_test\":\"ready\"},"
         "\"clientToken\":\"IN_PROGRESS\"}",
         1},
        {{.kind = WIRE_ERROR, .offer = &OFFER, .word = "verify", .detail = "why"},
         BASE "42/update",
         "{\"status\":\"FAILED\",\"statusDetails\":{\"reason\":\"verify: why\"},"
         "\"clientToken\":\"FAILED\"}",
         1},
        {{.kind = WIRE_SUCCESS, .offer = &OFFER},
         BASE "42/update",
         "{\"status\":\"SUCCEEDED\",\"expectedVersion\":\"3\",\"statusDetails\":{\"reason\":\"accepted "
         "2.0.0\"},"
         "\"clientToken\":\"SUCCEEDED\"}",
         1},
    };
    (void)state;
    check_said(&wire_aws, &WHO, ROWS, ARRAY_SIZE(ROWS));
}

/* ---- jobs */

#define DOCUMENT                                                                                   \
    "{\"product\":\"p\",\"group\":\"\",\"firmware\":[{\"ota_type\":\"esp32\",\"url\":\"https://h/" \
    "a\",\"md5\":\"" SIM_MD5                                                                       \
    "\",\"version\":\"1.2.3\"},{\"ota_type\":\"stm32\",\"url\":\"https://h/b\",\"md5\":\"" SIM_MD5 \
    "\"}],\"afr_ota\":{\"protocols\":[\"MQTT\",\"HTTP\"],\"streamname\":\"otad-42\",\"files\":[{"  \
    "\"filepath\":\"/a\","                                                                         \
    "\"filesize\":25000,\"fileid\":0},{\"filepath\":\"/b\",\"filesize\":300,\"fileid\":1}]}}"
#define EXECUTION                                                                           \
    "{\"timestamp\":1700000000,\"execution\":{\"jobId\":\"42\",\"status\":\"IN_PROGRESS\"," \
    "\"versionNumber\":2,"                                                                  \
    "\"executionNumber\":1,\"jobDocument\":" DOCUMENT "}}"

static void a_job_is_an_offer(void **state)
{
    static const char *const LEAVES[] = {"notify-next", "$next/get/accepted", "start-next/accepted"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(LEAVES); i++) {
        char topic[128];
        struct wire_heard heard;
        snprintf(topic, sizeof topic, BASE "%s", LEAVES[i]);
        assert_int_equal(hear_text(&wire_aws, &WHO, topic, EXECUTION, &heard), 0);
        assert_int_equal(heard.kind, WIRE_OFFER);
        assert_string_equal(heard.offer.id, "42");
        assert_int_equal(heard.offer.counter, 2);
        assert_false(heard.offer.waits);
        assert_string_equal(heard.offer.version, "1.2.3");
        assert_string_equal(heard.offer.module, "default");
        assert_string_equal(heard.offer.url, "https://h/a");
        assert_string_equal(heard.offer.stream, "");
        assert_string_equal(heard.offer.md5, SIM_MD5);
        assert_int_equal(heard.offer.size, 25000);
    }
}

static void a_module_has_its_file_in_the_stream(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aws, &WHO_MQTT, BASE "notify-next", EXECUTION, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OFFER);
    assert_string_equal(heard.offer.module, "stm32");
    assert_string_equal(heard.offer.version, "9");
    assert_string_equal(heard.offer.url, "");
    assert_string_equal(heard.offer.stream, "otad-42");
    assert_int_equal(heard.offer.file, 1);
    assert_int_equal(heard.offer.size, 300);
}

static void a_queued_job_waits_to_be_begun(void **state)
{
    static const char QUEUED[] =
        "{\"execution\":{\"jobId\":\"42\",\"status\":\"QUEUED\",\"versionNumber\":1,\"jobDocument\":" DOCUMENT
        "}}";
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aws, &WHO, BASE "notify-next", QUEUED, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OFFER);
    assert_true(heard.offer.waits);
}

static void nonsense_is_refused(void **state)
{
    static const struct spoiled ROWS[] = {
        {"\"42\"", "42"},
        {"\"jobId\"", "\"id\""},
        {"\"status\"", "\"s\""},
        {"\"versionNumber\":2", "\"versionNumber\":\"2\""},
        {"\"jobDocument\":{", "\"jobDocument\":[{"},
        {"\"jobDocument\"", "\"document\""},
        {"\"esp32\"", "\"esp8266\""},
        {"https://h/a", "ftp://h/a"},
        {"\"md5\":\"0", "\"md5\":\""},
        {"25000", "0"},
        {"25000", "\"25000\""},
        {"\"fileid\":0", "\"fileid\":256"},
        {"\"files\"", "\"file\""},
        {"\"afr_ota\"", "\"afr\""},
    };
    struct wire_heard heard;
    (void)state;
    check_spoiled(&wire_aws, &WHO, BASE "notify-next", EXECUTION, ROWS, ARRAY_SIZE(ROWS));
    assert_true(hear_text(&wire_aws, &WHO, BASE "$next/get/rejected", "{\"code\":\"InvalidJson\"}", &heard) <
                0);
}

static void answers_say_what_became_of_a_report(void **state)
{
    static const struct {
        const char *leaf, *body;
        enum wire_heard_kind kind;
        int64_t counter;
    } ROWS[] = {
        {"notify-next", "{\"timestamp\":1}", WIRE_NOTHING, 0},
        {"$next/get/accepted", "{\"clientToken\":\"t\",\"timestamp\":1}", WIRE_NOTHING, 0},
        {"42/update/accepted", "{\"clientToken\":\"SUCCEEDED\",\"timestamp\":1}", WIRE_TAKEN, 0},
        {"42/update/accepted", "{\"clientToken\":\"IN_PROGRESS\",\"timestamp\":1}", WIRE_OTHER, 0},
        {"42/update/accepted", "{\"timestamp\":1}", WIRE_OTHER, 0},
        {"42/update/rejected",
         "{\"code\":\"VersionMismatch\",\"message\":\"m\",\"executionState\":{\"versionNumber\":7}}",
         WIRE_COUNTER, 7},
        {"42/update/rejected", "{\"code\":\"VersionMismatch\",\"message\":\"m\"}", WIRE_REFUSED, 0},
        {"42/update/rejected", "{\"code\":\"TerminalStateReached\",\"message\":\"m\"}", WIRE_REFUSED, 0},
        {"notify", "{\"timestamp\":1,\"jobs\":{}}", WIRE_OTHER, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        char topic[128];
        struct wire_heard heard;
        snprintf(topic, sizeof topic, BASE "%s", ROWS[i].leaf);
        assert_int_equal(hear_text(&wire_aws, &WHO, topic, ROWS[i].body, &heard), 0);
        assert_int_equal(heard.kind, ROWS[i].kind);
        assert_int_equal(heard.counter, ROWS[i].counter);
    }
}

static void another_things_topic_is_nothing(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aws, &WHO, "$aws/things/thing2/jobs/notify-next", EXECUTION, &heard), 0);
    assert_int_equal(heard.kind, WIRE_OTHER);
}

/* ---- streams */

static void blocks_are_asked_for(void **state)
{
    static const struct wire_offer OFFER = {.stream = "otad-42", .file = 1, .size = 25000};
    static const char JSON[] = "{\"s\":1,\"f\":1,\"l\":4096,\"o\":3,\"n\":1}";
    struct wire_message message;
    struct err e;
    char hex[128];
    (void)state;
    assert_int_equal(wire_aws.ask(&WHO, &OFFER, 3 * 4096, &message, &e), 0);
    hex_format(message.body, message.len, hex);
    assert_string_equal(message.topic, STREAMS "get/cbor");
    assert_string_equal(hex, "a6616363726479616601616c191000616f0361624101616e01");
    assert_int_equal(message.qos, 0);
    free(message.body);
    assert_int_equal(wire_aws.ask(&WHO_MQTT, &OFFER, 3 * 4096, &message, &e), 0);
    assert_string_equal(message.topic, STREAMS "get/json");
    assert_int_equal(message.len, strlen(JSON));
    assert_memory_equal(message.body, JSON, message.len);
    free(message.body);
}

/* Large numbers take as many bytes as they need. */
static void a_late_block_is_asked_for(void **state)
{
    static const struct wire_habits WIDE = {.module = "default", .block_bytes = 131072};
    const struct wire_identity who = {.product = "p", .device = "thing1", .habits = &WIDE};
    const struct wire_offer offer = {.stream = "otad-42", .file = 200, .size = UINT64_MAX};
    struct wire_message message;
    struct err e;
    char hex[128];
    (void)state;
    assert_int_equal(wire_aws.ask(&who, &offer, (uint64_t)300 * 131072, &message, &e), 0);
    hex_format(message.body, message.len, hex);
    assert_string_equal(hex, "a6616363726479616618c8616c1a00020000616f19012c61624101616e01");
    free(message.body);
}

static size_t bytes_of(const char *hex, unsigned char out[64])
{
    assert_true(hex_parse(hex, out, strlen(hex) / 2));
    return strlen(hex) / 2;
}

static void blocks_come_as_cbor(void **state)
{
    static const char *const ROWS[] = {
        "a4616601616903616c04617044deadbeef",             /* as the library accepts it */
        "bf616601616903616c04617044deadbeefff",           /* a map of no given length */
        "a5616601616903616c04617044deadbeef616363726479", /* with the token */
        "a46166016169190003616c1a00000004617044deadbeef", /* numbers that are longer than they need be */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        unsigned char body[64];
        struct wire_heard heard;
        size_t len = bytes_of(ROWS[i], body);
        assert_int_equal(hear(&wire_aws, &WHO, STREAMS "data/cbor", body, len, &heard), 0);
        assert_int_equal(heard.kind, WIRE_BLOCK);
        assert_int_equal(heard.block.offset, 3 * 4096);
        assert_int_equal(heard.block.len, 4);
        assert_memory_equal(heard.block.bytes, "\xde\xad\xbe\xef", 4);
        for (size_t less = 0; less < len; less++) {
            unsigned char *exact = malloc(less ? less : 1); /* a sanitizer sees a byte too many */
            assert_non_null(exact);
            memcpy(exact, body, less);
            assert_true(hear(&wire_aws, &WHO, STREAMS "data/cbor", exact, less, &heard) < 0);
            free(exact);
        }
    }
}

static void cbor_that_lies_is_refused(void **state)
{
    static const char *const ROWS[] = {
        "a4616601616903616c05617044deadbeef",                 /* l is not p's length */
        "a4616601616903616c04617045deadbeef",                 /* p goes beyond the end */
        "a4616601616903616c0461705bffffffffffffffffdeadbeef", /* by far */
        "a4616601616903616c04617044deadbeef00",               /* something behind it */
        "a3616601616903616c04",                               /* no p */
        "a3616601616c04617044deadbeef",                       /* no i */
        "a4616601616923616c04617044deadbeef",                 /* i below 0 */
        "a461660161691bffffffffffffffff616c04617044deadbeef", /* i beyond all */
        "a4616601616903616c04617064deadbeef",                 /* p as text */
        "84616601616903616c04617044deadbeef",                 /* an array */
        "a461660161698103616c04617044deadbeef",               /* an array within */
        "bb0000000000000004616601616903616c04617044deadbe",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        unsigned char body[64];
        struct wire_heard heard = {.kind = WIRE_TAKEN};
        size_t len = bytes_of(ROWS[i], body);
        assert_true(hear(&wire_aws, &WHO, STREAMS "data/cbor", body, len, &heard) < 0);
        assert_int_equal(heard.kind, WIRE_TAKEN);
    }
}

static const char BLOCK[] = "{\"f\":1,\"i\":3,\"l\":4,\"p\":\"3q2+7w==\"}";

static void blocks_come_as_json(void **state)
{
    static const struct spoiled ROWS[] = {
        {"\"l\":4", "\"l\":5"}, {"\"i\":3", "\"i\":-1"}, {"\"i\"", "\"x\""},
        {"\"p\"", "\"x\""},     {"7w==", "7w="},         {"\"p\":\"3q2+7w==\"", "\"p\":4"},
    };
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aws, &WHO_MQTT, STREAMS "data/json", BLOCK, &heard), 0);
    assert_int_equal(heard.kind, WIRE_BLOCK);
    assert_int_equal(heard.block.offset, 3 * 4096);
    assert_int_equal(heard.block.len, 4);
    assert_memory_equal(heard.block.bytes, "\xde\xad\xbe\xef", 4);
    check_spoiled(&wire_aws, &WHO_MQTT, STREAMS "data/json", BLOCK, ROWS, ARRAY_SIZE(ROWS));
}

/* A block that is longer than was asked for has no room. */
static void a_block_too_long_is_refused(void **state)
{
    static const struct wire_habits NARROW = {.module = "default", .block_bytes = 3};
    const struct wire_identity who = {.product = "p", .device = "thing1", .habits = &NARROW};
    struct wire_heard heard;
    (void)state;
    assert_true(hear_text(&wire_aws, &who, STREAMS "data/json", BLOCK, &heard) < 0);
}

static void a_refused_block_is_none(void **state)
{
    struct wire_heard heard;
    (void)state;
    assert_int_equal(hear_text(&wire_aws, &WHO, STREAMS "rejected/cbor", "\xa1", &heard), 0);
    assert_int_equal(heard.kind, WIRE_NO_BLOCK);
    assert_int_equal(hear_text(&wire_aws, &WHO, STREAMS "description/json", "{}", &heard), 0);
    assert_int_equal(heard.kind, WIRE_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_is_the_thing),
        cmocka_unit_test(filters),
        cmocka_unit_test(reports_have_their_topics_and_bodies),
        cmocka_unit_test(a_job_is_an_offer),
        cmocka_unit_test(a_module_has_its_file_in_the_stream),
        cmocka_unit_test(a_queued_job_waits_to_be_begun),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(answers_say_what_became_of_a_report),
        cmocka_unit_test(another_things_topic_is_nothing),
        cmocka_unit_test(blocks_are_asked_for),
        cmocka_unit_test(a_late_block_is_asked_for),
        cmocka_unit_test(blocks_come_as_cbor),
        cmocka_unit_test(cbor_that_lies_is_refused),
        cmocka_unit_test(blocks_come_as_json),
        cmocka_unit_test(a_block_too_long_is_refused),
        cmocka_unit_test(a_refused_block_is_none),
    };
    return cmocka_run_group_tests_name("sim_aws", tests, NULL, NULL);
}
