/* AWS IoT Jobs: what devices ask, and what is said to them, to the byte. */
#include "protocol/aws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define T        "$aws/things/aa:bb-01/"
#define NOW_MS   1700000000123LL
#define TOKEN_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int parse(const char *topic, const char *body, struct device_event *ev, struct err *e)
{
    memset(ev, 0, sizeof *ev);
    return aws_protocol.parse(topic, body, strlen(body), ev, e);
}

/* ---- requests that are taken */

static const struct {
    const char *topic, *body;
    enum job_op op;
    int64_t id, number, version, step_ms;
    const char *name, *token;
    bool with_state, with_document;
} requests[] = {
    {T "jobs/get", "{}", JOB_LIST, .name = "", .token = ""},
    {T "jobs/get", "", JOB_LIST, .name = "", .token = ""},
    {T "jobs/get", "{\"thingName\":\"thing1\",\"clientToken\":\"t1\"}", JOB_LIST, .name = "", .token = "t1"},
    {T "jobs/get", "{\"clientToken\":\"" TOKEN_64 "\"}", JOB_LIST, .name = "", .token = TOKEN_64},
    {T "jobs/get", "{\"clientToken\":7,}", JOB_LIST, .name = "", .token = "7"},
    {T "jobs/start-next", "{\"clientToken\":\"tok\"}", JOB_START_NEXT, .name = "", .token = "tok",
     .with_document = true},
    {T "jobs/start-next", "{\"stepTimeoutInMinutes\":1}", JOB_START_NEXT, .step_ms = 60000, .name = "",
     .token = "", .with_document = true},
    {T "jobs/$next/get", "{\"thingName\":\"thing1\",\"jobId\":\"$next\"}", JOB_DESCRIBE, .name = "$next",
     .token = "", .with_document = true},
    {T "jobs/42/get", "{\"includeJobDocument\":false,\"executionNumber\":2}", JOB_DESCRIBE, .id = 42,
     .number = 2, .name = "42", .token = ""},
    {T "jobs/j1/get", "{}", JOB_DESCRIBE, .id = -1, .name = "j1", .token = "", .with_document = true},
    {T "jobs/042/get", "{}", JOB_DESCRIBE, .id = -1, .name = "042", .token = "", .with_document = true},
    {T "jobs/9223372036854775808/get", "{}", JOB_DESCRIBE, .id = -1, .name = "9223372036854775808",
     .token = "", .with_document = true},
    {T "job/42/get", "{}", JOB_DESCRIBE, .id = 42, .name = "42", .token = "", .with_document = true},
    {T "jobs/42/update", "{\"status\":\"IN_PROGRESS\",\"expectedVersion\":\"2\"}", JOB_UPDATE, .id = 42,
     .version = 2, .name = "42", .token = ""},
    {T "job/42/update", "{\"status\":\"IN_PROGRESS\",\"expectedVersion\":3}", JOB_UPDATE, .id = 42,
     .version = 3, .name = "42", .token = ""},
    {T "jobs/42/update",
     "{\"status\":\"SUCCEEDED\",\"includeJobExecutionState\":true,\"includeJobDocument\":true,"
     "\"stepTimeoutInMinutes\":10080,\"executionNumber\":1,\"unknown\":[{}]}",
     JOB_UPDATE, .id = 42, .number = 1, .step_ms = 10080 * 60000LL, .name = "42", .token = "",
     .with_state = true, .with_document = true},
    {T "jobs/42/update", "{\"status\":\"IN_PROGRESS\",\"stepTimeoutInMinutes\":-1}", JOB_UPDATE, .id = 42,
     .step_ms = -1, .name = "42", .token = ""},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        struct device_event ev;
        struct err e;
        if (parse(requests[i].topic, requests[i].body, &ev, &e) < 0)
            fail_msg("%s %s: %s", requests[i].topic, requests[i].body, e.text);
        assert_int_equal(ev.kind, EVENT_JOB);
        assert_string_equal(ev.product, "");
        assert_string_equal(ev.device, "aa:bb-01");
        assert_int_equal(ev.job->op, requests[i].op);
        assert_int_equal(ev.execution_id, requests[i].id);
        assert_int_equal(ev.job->number, requests[i].number);
        assert_int_equal(ev.job->expected_version, requests[i].version);
        assert_int_equal(ev.job->step_timeout_ms, requests[i].step_ms);
        assert_int_equal(ev.job->with_state, requests[i].with_state);
        assert_int_equal(ev.job->with_document, requests[i].with_document);
        assert_string_equal(ev.reply.name, requests[i].name);
        assert_string_equal(ev.reply.token, requests[i].token);
        assert_true(ev.reply.form != 0);
        device_event_clear(&ev);
    }
}

/* ---- what an update means */

#define DETAILS(members) "\"statusDetails\":{" members "}"

static const struct {
    const char *body;
    enum execution_state state;
    int percent;
    enum reason reason;
    const char *detail, *details; /* NULL none */
} updates[] = {
    {"{\"status\":\"IN_PROGRESS\"}", EXECUTION_DOWNLOADING, -1, REASON_NONE, "", NULL},
    {"{\"status\":\"IN_PROGRESS\",\"statusDetails\":null}", EXECUTION_DOWNLOADING, -1, REASON_NONE, "", NULL},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("") "}", EXECUTION_DOWNLOADING, -1, REASON_NONE, "", "{}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS(" \"b\" : \"2\", \"a\":\"/\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"b\":\"2\",\"a\":\"/\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"1/3\"") "}", EXECUTION_DOWNLOADING, 33,
     REASON_NONE, "", "{\"receive\":\"1/3\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"3/3\"") "}", EXECUTION_DOWNLOADING, 100,
     REASON_NONE, "", "{\"receive\":\"3/3\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"4/3\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"receive\":\"4/3\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"0/0\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"receive\":\"0/0\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"-1/3\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"receive\":\"-1/3\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"1/\"") "}", EXECUTION_DOWNLOADING, -1, REASON_NONE,
     "", "{\"receive\":\"1/\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"receive\":\"1/99999999999999999999\"") "}",
     EXECUTION_DOWNLOADING, -1, REASON_NONE, "", "{\"receive\":\"1/99999999999999999999\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"progress\":\"50%\"") "}", EXECUTION_DOWNLOADING, 50,
     REASON_NONE, "", "{\"progress\":\"50%\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"percent\":\"7\"") "}", EXECUTION_DOWNLOADING, 7, REASON_NONE,
     "", "{\"percent\":\"7\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"progress\":\"101\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"progress\":\"101\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"progress\":\"50%%\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"progress\":\"50%%\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"progress\":\"downloading\"") "}", EXECUTION_DOWNLOADING, -1,
     REASON_NONE, "", "{\"progress\":\"downloading\"}"},
    {"{\"status\":\"IN_PROGRESS\"," DETAILS("\"self_test\":\"ready\",\"updatedBy\":\"0x90c00\"") "}",
     EXECUTION_INSTALLING, -1, REASON_NONE, "", "{\"self_test\":\"ready\",\"updatedBy\":\"0x90c00\"}"},
    {"{\"status\":\"SUCCEEDED\"," DETAILS("\"reason\":\"accepted v1.2.3\"") "}", EXECUTION_SUCCEEDED, -1,
     REASON_NONE, "", "{\"reason\":\"accepted v1.2.3\"}"},
    {"{\"status\":\"FAILED\"," DETAILS("\"reason\":\"rejected: 0x1\",\"x\":\"y\"") "}", EXECUTION_FAILED, -1,
     REASON_UNKNOWN, "rejected: 0x1", "{\"reason\":\"rejected: 0x1\",\"x\":\"y\"}"},
    {"{\"status\":\"FAILED\"," DETAILS("\"errorCode\":\"101\"") "}", EXECUTION_FAILED, -1, REASON_UNKNOWN,
     "{\"errorCode\":\"101\"}", "{\"errorCode\":\"101\"}"},
    {"{\"status\":\"FAILED\"}", EXECUTION_FAILED, -1, REASON_UNKNOWN, "", NULL},
    {"{\"status\":\"REJECTED\"," DETAILS("\"reason\":\"a\\nb\"") "}", EXECUTION_REJECTED, -1, REASON_REJECTED,
     "a b", "{\"reason\":\"a\\nb\"}"},
};

static void test_updates(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(updates); i++) {
        struct device_event ev;
        struct err e;
        if (parse(T "jobs/42/update", updates[i].body, &ev, &e) < 0)
            fail_msg("%s: %s", updates[i].body, e.text);
        if (ev.state != updates[i].state || ev.percent != updates[i].percent ||
            ev.reason != updates[i].reason)
            fail_msg("%s: %d %d %d", updates[i].body, ev.state, ev.percent, ev.reason);
        assert_string_equal(ev.detail, updates[i].detail);
        if (updates[i].details)
            assert_string_equal(ev.job->details, updates[i].details);
        else
            assert_null(ev.job->details);
        device_event_clear(&ev);
    }
}

/* ---- refusals */

#define REJECTED(code) "{\"timestamp\":1700000000,\"code\":\"" code "\",\"message\":\""
#define TOKENED(code)  "{\"clientToken\":\"t\",\"timestamp\":1700000000,\"code\":\"" code "\",\"message\":\""

static const struct {
    const char *topic, *body, *answer_topic, *answer; /* as it begins; NULL: silence */
} refusals[] = {
    {T "jobs/get", "{", T "jobs/get/rejected", REJECTED("InvalidJson") "not valid JSON at line 1"},
    {T "jobs/get", "[]", T "jobs/get/rejected", REJECTED("InvalidJson") "a JSON object"},
    {T "jobs/get", "\xff", T "jobs/get/rejected", REJECTED("InvalidJson")},
    {T "jobs/get", "{\"clientToken\":\"" TOKEN_64 "x\"}", T "jobs/get/rejected",
     REJECTED("InvalidRequest") "clientToken must be a text of at most 64 bytes\"}"},
    {T "jobs/get", "{\"clientToken\":{}}", T "jobs/get/rejected", REJECTED("InvalidRequest")},
    {T "jobs/nonsense", "{}", T "jobs/nonsense/rejected",
     REJECTED("InvalidTopic") "the topic maps to no request\"}"},
    {T "jobs/42/delete", "{", T "jobs/42/delete/rejected", REJECTED("InvalidTopic")},
    {T "job/42/delete", "{}", T "job/42/delete/rejected", REJECTED("InvalidTopic")},
    {T "jobs/a.b/get", "{\"clientToken\":\"t\"}", T "jobs/a.b/get/rejected",
     TOKENED("InvalidRequest") "a job id is made of letters, digits, \\\"_\\\" and \\\"-\\\"\"}"},
    {T "jobs/" TOKEN_64 "x/get", "{}", T "jobs/" TOKEN_64 "x/get/rejected", REJECTED("InvalidRequest")},
    {T "jobs/42/get", "{\"clientToken\":\"t\",\"executionNumber\":0}", T "jobs/42/get/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/42/get", "{\"clientToken\":\"t\",\"includeJobDocument\":1}", T "jobs/42/get/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/start-next", "{\"clientToken\":\"t\",\"stepTimeoutInMinutes\":0}", T "jobs/start-next/rejected",
     TOKENED("InvalidRequest") "stepTimeoutInMinutes must be 1 to 10080, or -1\"}"},
    {T "jobs/start-next", "{\"clientToken\":\"t\",\"stepTimeoutInMinutes\":10081}",
     T "jobs/start-next/rejected", TOKENED("InvalidRequest")},
    {T "jobs/start-next", "{\"clientToken\":\"t\",\"stepTimeoutInMinutes\":-2}", T "jobs/start-next/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/start-next", "{\"clientToken\":\"t\",\"statusDetails\":[]}", T "jobs/start-next/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/42/update", "{\"clientToken\":\"t\"}", T "jobs/42/update/rejected",
     TOKENED("InvalidRequest") "status must be IN_PROGRESS, SUCCEEDED, FAILED or REJECTED\"}"},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"QUEUED\"}", T "jobs/42/update/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"CANCELED\"}", T "jobs/42/update/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"in_progress\"}", T "jobs/42/update/rejected",
     TOKENED("InvalidRequest")},
    {T "job/42/update", "{\"clientToken\":\"t\",\"status\":7}", T "job/42/update/rejected",
     TOKENED("InvalidRequest")},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"FAILED\",\"expectedVersion\":\"x\"}",
     T "jobs/42/update/rejected", TOKENED("InvalidRequest")},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"FAILED\",\"expectedVersion\":0}",
     T "jobs/42/update/rejected", TOKENED("InvalidRequest")},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"FAILED\"," DETAILS("\"a\":1") "}",
     T "jobs/42/update/rejected", TOKENED("InvalidRequest") "statusDetails must be texts"},
    {T "jobs/42/update", "{\"clientToken\":\"t\",\"status\":\"FAILED\"," DETAILS("\"\":\"\"") "}",
     T "jobs/42/update/rejected", TOKENED("InvalidRequest")},
    {"$aws/things/a.b/jobs/get", "{}", NULL, NULL}, /* no name that a thing can have */
    {"$aws/things//jobs/get", "{}", NULL, NULL},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        const char *topic = refusals[i].topic, *body = refusals[i].body;
        char product[PRODUCT_SIZE] = "?", device[DEVICE_SIZE] = "";
        struct device_event ev;
        struct message m = {0};
        struct err e = {0};
        assert_ptr_equal(protocol_by_topic(topic), &aws_protocol);
        if (parse(topic, body, &ev, &e) == 0)
            fail_msg("%s %s is taken", topic, body);
        bool answered = aws_protocol.refuse(topic, body, strlen(body), &e, NOW_MS, product, device, &m);
        if (answered != (refusals[i].answer != NULL))
            fail_msg("%s %s", topic, body);
        if (answered) {
            assert_string_equal(m.topic, refusals[i].answer_topic);
            if (strncmp(m.payload, refusals[i].answer, strlen(refusals[i].answer)) != 0)
                fail_msg("%s", m.payload);
            assert_int_equal(m.len, strlen(m.payload));
            assert_int_equal(m.qos, 1);
            assert_string_equal(product, "");
            assert_string_equal(device, "aa:bb-01");
        }
        message_clear(&m);
    }
}

static void test_details_that_are_too_long(void **state)
{
    (void)state;
    static const struct {
        size_t key, value, pairs;
        bool taken;
    } rows[] = {{128, 1024, 1, true},
                {129, 1, 1, false},
                {1, 1025, 1, false},
                {8, 1024, 15, true},
                {8, 1024, 16, false}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_t *details = json_object(), *body = json_object();
        char key[132] = "", value[1028] = "";
        struct device_event ev;
        struct err e;
        memset(value, 'v', rows[i].value);
        for (size_t n = 0; n < rows[i].pairs; n++) {
            memset(key, 'k', rows[i].key);
            key[0] = (char)('a' + n);
            json_put_text(details, key, value);
        }
        json_put_text(body, "status", "IN_PROGRESS");
        json_put(body, "statusDetails", details);
        char *text = json_text(body);
        assert_int_equal(parse(T "jobs/1/update", text, &ev, &e) == 0, rows[i].taken);
        device_event_clear(&ev);
        free(text);
        json_decref(body);
    }
}

static void test_too_long_a_message(void **state)
{
    (void)state;
    char *body = malloc(MESSAGE_MAX + 2), product[PRODUCT_SIZE], device[DEVICE_SIZE];
    struct device_event ev = {0};
    struct message m = {0};
    struct err e;
    memset(body, ' ', MESSAGE_MAX + 2);
    assert_int_equal(aws_protocol.parse(T "jobs/get", body, MESSAGE_MAX, &ev, &e), 0);
    device_event_clear(&ev);
    assert_true(aws_protocol.parse(T "jobs/get", body, MESSAGE_MAX + 1, &ev, &e) < 0);
    assert_true(aws_protocol.refuse(T "jobs/get", body, MESSAGE_MAX + 1, &e, NOW_MS, product, device, &m));
    assert_non_null(strstr(m.payload, "\"code\":\"InvalidRequest\""));
    message_clear(&m);
    free(body);
}

/* Without the plugin a broker brings our own words back. */
static void test_echoes(void **state)
{
    (void)state;
    static const char *const echoes[] = {
        "jobs/notify",       "jobs/notify-next",         "jobs/get/accepted",
        "jobs/get/rejected", "jobs/start-next/accepted", "jobs/start-next/rejected"};
    for (size_t i = 0; i < ARRAY_SIZE(echoes); i++) {
        char topic[64] = T;
        struct device_event ev;
        struct err e;
        strcat(topic, echoes[i]);
        assert_int_equal(parse(topic, "\xff whatever", &ev, &e), 0);
        assert_int_equal(ev.kind, EVENT_ECHO);
    }
    assert_null(protocol_by_topic(T "jobs/42/get/accepted"));
    assert_null(protocol_by_topic(T "jobs/42/update/rejected"));
    assert_null(protocol_by_topic(T "job/notify"));
    assert_null(protocol_by_topic(T "streams/otad-1/data/cbor"));
    assert_null(protocol_by_topic(T "shadow/update"));
}

/* ---- what is said */

static void expect(const struct outgoing *what, const char *topics[], const char *bodies[], size_t n)
{
    struct message m[MESSAGES_MAX];
    size_t made = 0;
    struct err e;
    assert_int_equal(aws_protocol.render(what, m, &made, &e), 0);
    assert_int_equal(made, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(m[i].topic, topics[i]);
        assert_string_equal(m[i].payload, bodies[i]);
        assert_int_equal(m[i].len, strlen(m[i].payload));
        assert_int_equal(m[i].qos, 1);
        assert_int_equal(m[i].only_subscribed, strstr(m[i].topic, "/job/notify") != NULL);
        message_clear(&m[i]);
    }
}

static void expect_one(const struct outgoing *what, const char *topic, const char *body)
{
    expect(what, &topic, &body, 1);
}

static struct outgoing saying(enum outgoing_kind kind, enum execution_state state)
{
    struct outgoing what = {.kind = kind, .now_ms = NOW_MS, .protocol = "aws", .device = "aa:bb-01"};
    what.job = (struct device_job){.id = 42,
                                   .state = state,
                                   .queued_at_ms = 1699999000999,
                                   .updated_at_ms = 1699999100000,
                                   .number = 1,
                                   .version = 1};
    if (state != EXECUTION_OFFERED) {
        what.job.started_at_ms = 1699999050000;
        what.job.version = 3;
    }
    return what;
}

/* The answer to a request, as the parser noted where it is to go. */
static struct outgoing answer(const char *topic, enum execution_state state, enum job_verdict verdict)
{
    struct outgoing what = saying(OUTGOING_JOB, state);
    struct device_event ev;
    struct err e;
    assert_int_equal(parse(topic, "{\"clientToken\":\"t\",\"status\":\"FAILED\"}", &ev, &e), 0);
    what.reply = ev.reply;
    what.verdict = verdict;
    device_event_clear(&ev);
    return what;
}

#define HEAD "{\"clientToken\":\"t\",\"timestamp\":1700000000"
#define SHORT                                                                                       \
    "{\"jobId\":\"42\",\"queuedAt\":1699999000,\"lastUpdatedAt\":1699999100,\"executionNumber\":1," \
    "\"versionNumber\":1}"
#define BEGUN                                                                                          \
    "{\"jobId\":\"42\",\"queuedAt\":1699999000,\"startedAt\":1699999050,\"lastUpdatedAt\":1699999100," \
    "\"executionNumber\":1,\"versionNumber\":3}"
#define QUEUED                                                                                    \
    "{\"jobId\":\"42\",\"thingName\":\"aa:bb-01\",\"status\":\"QUEUED\",\"queuedAt\":1699999000," \
    "\"lastUpdatedAt\":1699999100,\"versionNumber\":1,\"executionNumber\":1}"

static void test_notices(void **state)
{
    (void)state;
    const char *topics[] = {T "jobs/notify", T "jobs/notify-next", T "job/notify"};
    struct outgoing what = saying(OUTGOING_OFFER, EXECUTION_OFFERED);
    expect(&what, topics,
           (const char *[]){"{\"timestamp\":1700000000,\"jobs\":{\"QUEUED\":[" SHORT "]}}",
                            "{\"timestamp\":1700000000,\"execution\":" QUEUED "}",
                            "{\"timestamp\":\"1700000000\",\"job_id\":\"42\"}"},
           3);
    /* one that it is at is no change of its list */
    what = saying(OUTGOING_OFFER, EXECUTION_DOWNLOADING);
    expect_one(&what, T "job/notify", "{\"timestamp\":\"1700000000\",\"job_id\":\"42\"}");
    what = saying(OUTGOING_NOTHING, EXECUTION_OFFERED);
    expect(&what, topics,
           (const char *[]){"{\"timestamp\":1700000000,\"jobs\":{}}", "{\"timestamp\":1700000000}"}, 2);
}

static void test_lists(void **state)
{
    (void)state;
    struct outgoing what = answer(T "jobs/get", EXECUTION_OFFERED, JOB_ACCEPTED);
    expect_one(&what, T "jobs/get/accepted", HEAD ",\"inProgressJobs\":[],\"queuedJobs\":[" SHORT "]}");
    what = answer(T "jobs/get", EXECUTION_INSTALLING, JOB_ACCEPTED);
    expect_one(&what, T "jobs/get/accepted", HEAD ",\"inProgressJobs\":[" BEGUN "],\"queuedJobs\":[]}");
    what.job.id = 0;
    what.reply.token[0] = '\0';
    expect_one(&what, T "jobs/get/accepted",
               "{\"timestamp\":1700000000,\"inProgressJobs\":[],\"queuedJobs\":[]}");
}

static void test_descriptions(void **state)
{
    (void)state;
    static char details[] = "{\"self_test\":\"ready\"}";
    struct offer_more more = {.job_details = details};
    struct outgoing what = answer(T "jobs/$next/get", EXECUTION_OFFERED, JOB_ACCEPTED);
    expect_one(&what, T "jobs/$next/get/accepted", HEAD ",\"execution\":" QUEUED "}");
    what = answer(T "jobs/42/get", EXECUTION_INSTALLING, JOB_ACCEPTED);
    what.offer.more = &more;
    expect_one(&what, T "jobs/42/get/accepted",
               HEAD
               ",\"execution\":{\"jobId\":\"42\",\"thingName\":\"aa:bb-01\",\"status\":\"IN_PROGRESS\","
               "\"statusDetails\":{\"self_test\":\"ready\"},\"queuedAt\":1699999000,\"startedAt\":1699999050,"
               "\"lastUpdatedAt\":1699999100,\"versionNumber\":3,\"executionNumber\":1}}");
    what = answer(T "jobs/start-next", EXECUTION_OFFERED, JOB_ACCEPTED);
    what.job.id = 0;
    expect_one(&what, T "jobs/start-next/accepted", HEAD "}");
    what = answer(T "job/42/get", EXECUTION_OFFERED, JOB_ACCEPTED);
    expect_one(&what, T "job/42/get/accepted", "{}");
}

static void test_answers_to_updates(void **state)
{
    (void)state;
    static char details[] = "{\"a\":\"b\"}";
    struct offer_more more = {.job_details = details};
    struct outgoing what = answer(T "jobs/42/update", EXECUTION_SUCCEEDED, JOB_ACCEPTED);
    expect_one(&what, T "jobs/42/update/accepted", HEAD "}");
    what.with_state = true;
    expect_one(&what, T "jobs/42/update/accepted",
               HEAD ",\"executionState\":{\"status\":\"SUCCEEDED\",\"versionNumber\":3}}");
    what = answer(T "job/42/update", EXECUTION_DOWNLOADED, JOB_ACCEPTED);
    what.with_state = true;
    what.offer.more = &more;
    expect_one(&what, T "job/42/update/accepted",
               HEAD ",\"executionState\":{\"status\":\"IN_PROGRESS\",\"statusDetails\":{\"a\":\"b\"},"
                    "\"versionNumber\":3}}");
}

static const struct {
    enum job_verdict verdict;
    enum execution_state state;
    const char *code, *status; /* NULL: without executionState */
} verdicts[] = {
    {JOB_UNKNOWN, EXECUTION_OFFERED, "ResourceNotFound", NULL},
    {JOB_TERMINAL, EXECUTION_FAILED, "TerminalStateReached", NULL},
    {JOB_OTHER_VERSION, EXECUTION_DOWNLOADING, "VersionMismatch", "IN_PROGRESS"},
    {JOB_BAD_STATE, EXECUTION_SUCCEEDED, "InvalidStateTransition", "SUCCEEDED"},
    {JOB_BAD_STATE, EXECUTION_TESTING, "InvalidStateTransition", "SUCCEEDED"},
    {JOB_BAD_STATE, EXECUTION_FAILED, "InvalidStateTransition", "FAILED"},
    {JOB_BAD_STATE, EXECUTION_ROLLED_BACK, "InvalidStateTransition", "FAILED"},
    {JOB_BAD_STATE, EXECUTION_TIMED_OUT, "InvalidStateTransition", "TIMED_OUT"},
    {JOB_BAD_STATE, EXECUTION_REJECTED, "InvalidStateTransition", "REJECTED"},
    {JOB_BAD_STATE, EXECUTION_CANCELLED, "InvalidStateTransition", "CANCELED"},
    {JOB_BAD_STATE, EXECUTION_SUPERSEDED, "InvalidStateTransition", "CANCELED"},
    {JOB_BAD_STATE, EXECUTION_REMOVED, "InvalidStateTransition", "REMOVED"},
};

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
        struct outgoing what = answer(T "jobs/42/update", verdicts[i].state, verdicts[i].verdict);
        struct message m[MESSAGES_MAX];
        json_t *body;
        size_t n;
        struct err e;
        assert_int_equal(aws_protocol.render(&what, m, &n, &e), 0);
        assert_int_equal(n, 1);
        assert_string_equal(m[0].topic, T "jobs/42/update/rejected");
        assert_int_equal(json_parse(m[0].payload, m[0].len, &body, &e), 0);
        assert_string_equal(json_string_value(json_object_get(body, "clientToken")), "t");
        assert_string_equal(json_string_value(json_object_get(body, "code")), verdicts[i].code);
        const json_t *shown = json_object_get(body, "executionState");
        if (verdicts[i].status)
            assert_string_equal(json_string_value(json_object_get(shown, "status")), verdicts[i].status);
        else
            assert_null(shown);
        json_decref(body);
        message_clear(&m[0]);
    }
}

/* ---- logins and topics */

static void test_logins(void **state)
{
    (void)state;
    struct login_claim claim;
    struct login by_cert = {
        .client_id = "x", .username = "?SDK=NodeJSv2&Version=1.0", .common_name = "aa:bb-01"};
    assert_ptr_equal(protocol_by_login(&by_cert, &claim), &aws_protocol);
    assert_string_equal(claim.device, "aa:bb-01");
    assert_string_equal(claim.product, "");
    by_cert.common_name_product = "thermo";
    assert_ptr_equal(protocol_by_login(&by_cert, &claim), &aws_protocol);
    assert_string_equal(claim.product, "thermo");
    static const char *const no[] = {"", "a.b", "a/b", "a b", "a+b", "#", TOKEN_64 TOKEN_64 "x"};
    for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
        struct login login = {.common_name = no[i]};
        assert_false(aws_protocol.login.claim(&login, &claim));
    }
    struct login none = {.username = "thermo/kitchen", .password = "x"};
    assert_false(aws_protocol.login.claim(&none, &claim));
    assert_true(aws_protocol.login.certificate && aws_protocol.login.one_session);
    assert_false(aws_protocol.login.proven(&by_cert, &claim, "", 0));
    assert_true(aws_is_thing(TOKEN_64 TOKEN_64));
}

static void test_topics(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        bool own, ready;
    } rows[] = {
        {T "jobs/notify-next", true, false},
        {T "jobs/notify", true, false},
        {T "job/notify", true, true},
        {T "jobs/#", true, false},
        {T "jobs/+", true, false},
        {T "job/#", true, true},
        {T "jobs/$next/get/accepted", true, false},
        {T "jobs/+/get/accepted", true, false},
        {T "streams/+/data/cbor", true, false},
        {T "shadow/name/x/update/delta", true, false},
        {"$aws/things/aa:bb-02/jobs/notify-next", false, false},
        {"$aws/things/+/job/notify", false, true},
        {"$aws/things/#", false, true},
        {"$aws/events/#", false, false},
        {"ota/p/aa:bb-01/offer", false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct topic_rules *rules = &aws_protocol.topics;
        const char *topic = rows[i].topic;
        assert_int_equal(topic_fits(rules->subscribe, topic, "p", "aa:bb-01"), rows[i].own);
        assert_int_equal(topic_fits(rules->publish, topic, "p", "aa:bb-01"), rows[i].own);
        assert_int_equal(topic_fits(rules->hear, topic, "p", "aa:bb-01"), rows[i].own);
        assert_int_equal(topic_brings(topic, rules->offers, "p", "aa:bb-01"), rows[i].ready);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_updates),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_details_that_are_too_long),
        cmocka_unit_test(test_too_long_a_message),
        cmocka_unit_test(test_echoes),
        cmocka_unit_test(test_notices),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_answers_to_updates),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_topics),
    };
    return cmocka_run_group_tests_name("aws", tests, NULL, NULL);
}
