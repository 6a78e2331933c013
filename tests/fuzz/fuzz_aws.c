/* First line: a topic, the rest: the message's body. What is taken is answered, and what is not is refused.
 */
#include "fuzz.h"

#include "protocol/aws.h"
#include "protocol/cbor.h"

/* An answer is for the thing that asked, and what it says can be read. */
static void check_answer(const struct message *m, const char *thing)
{
    size_t n = strlen("$aws/things/");
    struct err e;
    json_t *body = NULL;
    assert(strncmp(m->topic + n, thing, strlen(thing)) == 0 && m->topic[n + strlen(thing)] == '/');
    if (topic_matches("$aws/things/+/streams/+/+/cbor", m->topic))
        assert(cbor_parse(m->payload, m->len, &body, &e) == 0);
    else
        assert(json_parse(m->payload, m->len, &body, &e) == 0);
    json_decref(body);
}

static void check_event(const struct device_event *ev)
{
    assert(aws_is_thing(ev->device) && !*ev->product);
    assert(ev->percent >= -1 && ev->percent <= 100);
    assert(memchr(ev->detail, '\0', sizeof ev->detail));
    assert((ev->file != NULL) == (ev->kind == EVENT_FILE) && (ev->job != NULL) == (ev->kind == EVENT_JOB));
    if (ev->job && ev->job->details)
        assert(*ev->job->details == '{');
}

static void answer_file(const struct device_event *ev)
{
    static const uint64_t sizes[] = {0, UINT32_MAX};
    struct file_block b = {.bytes = "0123456789abcdef", .len = 16};
    const struct file_request *f = ev->file;
    struct message m = {0};
    struct err e;
    if (f->op == FILE_BLOCKS) {
        assert(f->block_bytes >= 256 && f->count >= 1 && (uint64_t)f->count * f->block_bytes <= 131072);
        b.index = f->offset / f->block_bytes;
        assert(aws_protocol.block(ev, &b, &m, &e) == 0);
    } else {
        assert(aws_protocol.describe(ev, sizes, 2, &m, &e) == 0);
    }
    check_answer(&m, ev->device);
    message_clear(&m);
    for (int fault = FILE_UNKNOWN; fault <= FILE_UNREADABLE; fault++) {
        assert(aws_protocol.no_file(ev, (enum file_fault)fault, &m, &e) == 0);
        check_answer(&m, ev->device);
        message_clear(&m);
    }
}

static void answer_job(const struct device_event *ev)
{
    struct offer_more more = {.job_details = ev->job->details};
    for (int verdict = JOB_ACCEPTED; verdict <= JOB_OTHER_VERSION; verdict++) {
        struct outgoing what = {
            .kind = OUTGOING_JOB, .verdict = (enum job_verdict)verdict, .reply = ev->reply};
        struct message all[MESSAGES_MAX];
        struct err e;
        size_t n;
        str_copy(what.device, sizeof what.device, ev->device);
        what.job.id = what.offer.id = 42;
        what.with_state = true;
        what.offer.more = &more;
        assert(aws_protocol.render(&what, all, &n, &e) == 0 && n == 1);
        check_answer(&all[0], ev->device);
        message_clear(&all[0]);
    }
}

static void try_message(const char *topic, const void *body, size_t size)
{
    struct device_event ev = {0};
    struct err e = {0};
    struct message m = {0};
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    int rc = aws_protocol.parse(topic, body, size, &ev, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
        if (aws_protocol.refuse(topic, body, size, &e, 1, product, device, &m))
            check_answer(&m, device);
        message_clear(&m);
        return;
    }
    check_event(&ev);
    if (ev.kind == EVENT_FILE)
        answer_file(&ev);
    if (ev.kind == EVENT_JOB)
        answer_job(&ev);
    device_event_clear(&ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *topic = fuzz_text(&data, &size, '\n');
    void *body = fuzz_copy(data, size);
    if (protocol_by_topic(topic) == &aws_protocol)
        try_message(topic, body, size);
    free(body);
    free(topic);
    return 0;
}
