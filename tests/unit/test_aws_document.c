/* The job document, as both kinds of device find it in jobs/$next/get/accepted. */
#include "protocol/aws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MD5_A "0123456789abcdef0123456789abcdef"
#define MD5_B "fedcba9876543210fedcba9876543210"

struct two {
    struct offer_more more;
    struct offer_file file[2];
};

/* Two files: the whole device, and the chip beside it. */
static struct outgoing job(struct two *t, enum transfer transfer, const char *own)
{
    struct outgoing what = {.kind = OUTGOING_JOB, .now_ms = 1700000000000, .protocol = "aws", .device = "aa"};
    what.reply =
        (struct reply_to){.form = 5, .name = "42"}; /* job/42/get: the document is all of the answer */
    what.offer.id = what.job.id = 42;
    what.offer.transfer = transfer;
    memset(t, 0, sizeof *t);
    strcpy(t->more.product_name, "\xe6\xb8\xa9");
    strcpy(t->more.group, "north");
    t->more.job_document = own ? strdup(own) : NULL;
    t->more.n = 2;
    t->file[0] = (struct offer_file){.module = "default",
                                     .version = "1.1.0",
                                     .filename = "app.bin",
                                     .size = 1000,
                                     .digests = {.md5 = MD5_A},
                                     .signature = "c2ln",
                                     .url = "https://h:8443/firmware/aa?d=p/aa"};
    t->file[1] = t->file[0];
    t->file[1].index = 1;
    strcpy(t->file[1].module, "stm32");
    strcpy(t->file[1].filename, "mcu.bin");
    strcpy(t->file[1].digests.md5, MD5_B);
    what.offer.file = t->file[0];
    what.offer.more = &t->more;
    return what;
}

static void expect(enum transfer transfer, const char *own, const char *document)
{
    struct two t;
    struct outgoing what = job(&t, transfer, own);
    struct message m[MESSAGES_MAX];
    size_t n;
    struct err e;
    assert_int_equal(offsetof(struct two, file), offsetof(struct offer_more, file));
    assert_int_equal(aws_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_string_equal(m[0].topic, "$aws/things/aa/job/42/get/accepted");
    assert_string_equal(m[0].payload, document);
    message_clear(&m[0]);
    free(t.more.job_document);
}

#define URL "https://h:8443/firmware/aa?d=p/aa"
#define FIRMWARE                                                                                           \
    "\"firmware\":[{\"ota_type\":\"esp32\",\"url\":\"" URL "\",\"md5\":\"" MD5_A                           \
    "\",\"version\":\"1.1.0\",\"size\":1000},{\"ota_type\":\"stm32\",\"url\":\"" URL "\",\"md5\":\"" MD5_B \
    "\",\"version\":\"1.1.0\",\"size\":1000}]"
#define HTTP ",\"update_data_url\":\"" URL "\",\"auth_scheme\":\"aws.s3.presigned\""
#define AFR(path, id, cert, type, http)                                                   \
    "{\"filepath\":\"" path "\",\"filesize\":1000,\"fileid\":" id ",\"certfile\":\"" cert \
    "\",\"fileType\":" type http ",\"sig-sha256-ecdsa\":\"c2ln\"}"
#define FILES(http)                                           \
    "\"files\":[" AFR("app.bin", "0", "signing-key.pem", "0", \
                      http) "," AFR("mcu.bin", "1", "signing-key.pem", "0", http) "]"
#define WHO "{\"product\":\"\xe6\xb8\xa9\",\"group\":\"north\","

static void test_transfers(void **state)
{
    (void)state;
    expect(TRANSFER_AUTO, NULL,
           WHO FIRMWARE
           ",\"afr_ota\":{\"protocols\":[\"MQTT\",\"HTTP\"],\"streamname\":\"otad-42\"," FILES(HTTP) "}}");
    expect(TRANSFER_MQTT, NULL,
           WHO FIRMWARE ",\"afr_ota\":{\"protocols\":[\"MQTT\"],\"streamname\":\"otad-42\"," FILES("") "}}");
    expect(TRANSFER_HTTPS, NULL, WHO FIRMWARE ",\"afr_ota\":{\"protocols\":[\"HTTP\"]," FILES(HTTP) "}}");
}

static void test_own_members(void **state)
{
    (void)state;
    /* added, replaced in its place, taken away */
    expect(TRANSFER_MQTT, "{\"operation\":\"install\",\"group\":{\"a\":[1]},\"afr_ota\":null,\"none\":null}",
           "{\"product\":\"\xe6\xb8\xa9\",\"group\":{\"a\":[1]}," FIRMWARE ",\"operation\":\"install\"}");
    /* member by member, and what only the device's firmware knows into each file */
    expect(
        TRANSFER_MQTT,
        "{\"product\":null,\"firmware\":null,\"group\":null,\"afr_ota\":{\"certfile\":\"c.pem\",\"filepath\":"
        "\"/fw\",\"fileType\":2,\"x\":\"y\",\"streamname\":null}}",
        "{\"afr_ota\":{\"protocols\":[\"MQTT\"],\"files\":[" AFR("/fw", "0", "c.pem", "2", "") "," AFR(
            "/fw", "1", "c.pem", "2", "") "],\"x\":\"y\"}}");
    expect(TRANSFER_MQTT,
           "{\"product\":null,\"firmware\":null,\"group\":null,\"afr_ota\":{\"files\":7,\"certfile\":\"c\"}}",
           "{\"afr_ota\":{\"protocols\":[\"MQTT\"],\"streamname\":\"otad-42\",\"files\":7}}");
    /* a list of the operator's own, and what is to be in each file of it */
    expect(TRANSFER_MQTT,
           "{\"product\":null,\"firmware\":null,\"group\":null,\"afr_ota\":{\"files\":[7,{\"a\":1}],"
           "\"certfile\":\"c\"}}",
           "{\"afr_ota\":{\"protocols\":[\"MQTT\"],\"streamname\":\"otad-42\",\"files\":[7,{\"a\":1,"
           "\"certfile\":\"c\"}]}}");
    expect(TRANSFER_MQTT, "{\"product\":1,\"firmware\":2,\"group\":3,\"afr_ota\":\"no\"}",
           "{\"product\":1,\"group\":3,\"firmware\":2,\"afr_ota\":\"no\"}");
    expect(TRANSFER_MQTT, "not JSON",
           WHO FIRMWARE ",\"afr_ota\":{\"protocols\":[\"MQTT\"],\"streamname\":\"otad-42\"," FILES("") "}}");
}

/* An object inside the execution, not a text. */
static void test_in_an_execution(void **state)
{
    (void)state;
    struct two t;
    struct outgoing what = job(&t, TRANSFER_MQTT, "{\"firmware\":null,\"afr_ota\":null}");
    struct message m[MESSAGES_MAX];
    size_t n;
    struct err e;
    what.kind = OUTGOING_OFFER;
    what.reply = (struct reply_to){0};
    what.job.state = EXECUTION_OFFERED;
    what.job.number = what.job.version = 1;
    assert_int_equal(aws_protocol.render(&what, m, &n, &e), 0);
    assert_int_equal(n, 3);
    assert_string_equal(
        m[1].payload,
        "{\"timestamp\":1700000000,\"execution\":{\"jobId\":\"42\",\"thingName\":\"aa\",\"status\":"
        "\"QUEUED\",\"queuedAt\":0,\"lastUpdatedAt\":0,\"versionNumber\":1,\"executionNumber\":1,"
        "\"jobDocument\":{\"product\":\"\xe6\xb8\xa9\",\"group\":\"north\"}}}");
    for (size_t i = 0; i < n; i++)
        message_clear(&m[i]);
    free(t.more.job_document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers),
        cmocka_unit_test(test_own_members),
        cmocka_unit_test(test_in_an_execution),
    };
    return cmocka_run_group_tests_name("aws_document", tests, NULL, NULL);
}
