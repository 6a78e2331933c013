/* First line: a topic, the rest: the message's body. Or, where the first line is a client id with a bar: the
 * user name and the password follow, a line each. */
#include "fuzz.h"

#include "protocol/aliyun.h"

static void check_event(const struct device_event *ev)
{
    assert(str_is_name(ev->product, sizeof ev->product) && str_is_name(ev->device, sizeof ev->device));
    assert(ev->percent >= -1 && ev->percent <= 100);
    assert(memchr(ev->detail, '\0', sizeof ev->detail));
    assert(strlen(ev->reply.name) < TOKEN_SIZE && strlen(ev->reply.token) < TOKEN_SIZE);
    assert((ev->file != NULL) == (ev->kind == EVENT_FILE));
    if (ev->kind == EVENT_INFORM)
        assert(str_is_text(ev->version, sizeof ev->version) && str_is_text(ev->module, sizeof ev->module));
}

/* Two bytes of length, the JSON text, the bytes of the file and their CRC: no more and no less. */
static void check_answer(const struct message *m, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)m->payload;
    struct err e;
    json_t *head = NULL;
    size_t n = (size_t)p[0] << 8 | p[1];
    assert(m->len == 2 + n + bytes && m->qos == 0);
    assert(json_parse(m->payload + 2, n, &head, &e) == 0);
    assert(json_is_string(json_object_get(head, "id")));
    json_decref(head);
}

static void answer_block(const struct device_event *ev)
{
    static const char bytes[16] = "123456789abcdef";
    const struct file_block b = {
        .offset = ev->file->offset, .file_size = UINT32_MAX, .bytes = bytes, .len = sizeof bytes};
    struct message m = {0};
    struct err e;
    assert(ev->file->block_bytes >= 1 && ev->file->block_bytes <= 131072 && ev->file->count == 1);
    assert(aliyun_protocol.block(ev, &b, &m, &e) == 0);
    check_answer(&m, sizeof bytes + 2);
    message_clear(&m);
    for (int fault = FILE_UNKNOWN; fault <= FILE_UNREADABLE; fault++) {
        assert(aliyun_protocol.no_file(ev, (enum file_fault)fault, &m, &e) == 0);
        check_answer(&m, 0);
        message_clear(&m);
    }
}

static void answer_request(const struct device_event *ev)
{
    struct outgoing what = {.kind = OUTGOING_NOTHING, .now_ms = 1614762668146, .reply = ev->reply};
    struct message all[MESSAGES_MAX];
    struct err e;
    size_t n;
    str_copy(what.product, sizeof what.product, ev->product);
    str_copy(what.device, sizeof what.device, ev->device);
    assert(aliyun_protocol.render(&what, all, &n, &e) == 0 && n == 1);
    message_clear(&all[0]);
}

static void try_message(const char *topic, const uint8_t *data, size_t size)
{
    void *body = fuzz_copy(data, size);
    struct device_event ev = {0};
    struct err e = {0};
    struct message m = {0};
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    int rc = aliyun_protocol.parse(topic, body, size, &ev, &e);
    if (rc) {
        fuzz_check_failure(rc, &e);
        if (aliyun_protocol.refuse(topic, body, size, &e, 1, product, device, &m))
            check_answer(&m, 0);
        message_clear(&m);
    } else {
        check_event(&ev);
        if (ev.kind == EVENT_FILE)
            answer_block(&ev);
        if (ev.kind == EVENT_REQUEST)
            answer_request(&ev);
        device_event_clear(&ev);
    }
    free(body);
}

static void try_login(const char *client_id, const uint8_t *data, size_t size)
{
    char *username = fuzz_text(&data, &size, '\n'), *password = fuzz_text(&data, &size, '\n');
    const struct login login = {.client_id = client_id, .username = username, .password = password};
    struct login_claim claim;
    if (aliyun_protocol.login.claim(&login, &claim)) {
        assert(str_is_name(claim.product, sizeof claim.product) &&
               str_is_name(claim.device, sizeof claim.device));
        (void)aliyun_protocol.login.proven(&login, &claim, "0123456789abcdef", 0);
    }
    free(username);
    free(password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first = fuzz_text(&data, &size, '\n');
    if (strchr(first, '|'))
        try_login(first, data, size);
    else if (protocol_by_topic(first) == &aliyun_protocol)
        try_message(first, data, size);
    free(first);
    return 0;
}
