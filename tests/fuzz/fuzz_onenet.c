/* First line: a topic of OneNET's, or a token; the rest: the message's body, or whom the token is for, as
 * product, device and secret, a line each. */
#include "fuzz.h"

#include "protocol/onenet.h"

static void check_event(const struct device_event *ev)
{
    assert(str_is_name(ev->product, sizeof ev->product) && str_is_name(ev->device, sizeof ev->device));
    assert(ev->percent >= -1 && ev->percent <= 100 && !ev->execution_id && !ev->job && !ev->file);
    assert(memchr(ev->detail, '\0', sizeof ev->detail));
    if (ev->kind == EVENT_INFORM)
        assert(str_is_text(ev->version, sizeof ev->version) && str_is_name(ev->module, sizeof ev->module));
    else
        assert(ev->kind == EVENT_PROGRESS || ev->kind == EVENT_ERROR || ev->kind == EVENT_REQUEST ||
               ev->kind == EVENT_HEARD);
}

static void check_message(const char *topic, const uint8_t *data, size_t size)
{
    struct device_event ev = {0};
    struct err e = {0};
    void *body = fuzz_copy(data, size);
    int rc = onenet_protocol.parse(topic, body, size, &ev, &e);
    if (rc)
        fuzz_check_failure(rc, &e);
    else
        check_event(&ev);
    device_event_clear(&ev);
    free(body);
}

/* Nothing is proven without a secret. */
static void check_token(const char *token, const uint8_t *data, size_t size)
{
    char *product = fuzz_text(&data, &size, '\n'), *device = fuzz_text(&data, &size, '\n');
    char *secret = fuzz_text(&data, &size, '\n');
    const struct login login = {.client_id = device, .username = product, .password = token};
    struct login_claim claim;
    if (onenet_protocol.login.claim(&login, &claim)) {
        assert(str_is_name(claim.product, sizeof claim.product));
        assert(str_is_name(claim.device, sizeof claim.device));
        assert(!onenet_token_proves(token, claim.product, claim.device, "", 0));
        bool later = onenet_token_proves(token, claim.product, claim.device, secret, 2000000000);
        assert(!later || onenet_token_proves(token, claim.product, claim.device, secret, 0));
    }
    free(secret);
    free(device);
    free(product);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first = fuzz_text(&data, &size, '\n');
    if (protocol_by_topic(first) == &onenet_protocol)
        check_message(first, data, size);
    else
        check_token(first, data, size);
    free(first);
    return 0;
}
