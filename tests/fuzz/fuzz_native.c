/* First line: a topic, the rest: the message's body. */
#include "fuzz.h"

#include "protocol/native.h"

static void check_event(const struct device_event *ev)
{
    assert(str_is_name(ev->product, sizeof ev->product) && str_is_name(ev->device, sizeof ev->device));
    assert(ev->kind <= EVENT_REQUEST && ev->execution_id >= 0);
    assert(ev->percent >= -1 && ev->percent <= 100);
    assert(memchr(ev->detail, '\0', sizeof ev->detail));
    if (ev->kind == EVENT_INFORM)
        assert(str_is_text(ev->version, sizeof ev->version) && str_is_text(ev->module, sizeof ev->module));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *topic = fuzz_text(&data, &size, '\n');
    void *body = fuzz_copy(data, size);
    if (protocol_by_topic(topic) == &native_protocol) {
        struct device_event ev = {0};
        struct err e = {0};
        int rc = native_protocol.parse(topic, body, size, &ev, &e);
        if (rc)
            fuzz_check_failure(rc, &e);
        else
            check_event(&ev);
        device_event_clear(&ev);
    }
    free(body);
    free(topic);
    return 0;
}
