/* A device about itself, by HTTPS: the same events as by MQTT. */
#include "api.h"

#include "http/auth.h"
#include "http/route.h"
#include "protocol/native.h"

/* The route takes operators too, since every token may ask what a device may; but here "itself" must be one.
 */
static int device_event(const struct request *r, enum event_kind kind, struct device_event *ev, struct err *e)
{
    char product[PRODUCT_SIZE];
    const char *device = auth_device(&r->caller, product);
    if (!*device)
        return err_set(e, ERR_FORBIDDEN, "this is for devices, about themselves");
    *ev = (struct device_event){.kind = kind, .percent = -1};
    str_copy(ev->product, sizeof ev->product, product);
    str_copy(ev->device, sizeof ev->device, device);
    return 0;
}

static int read_poll(const struct request *r, struct device_event *ev, struct err *e)
{
    const char *module = request_query(r, "module"), *version = request_query(r, "version");
    int rc = device_event(r, version ? EVENT_INFORM : EVENT_REQUEST, ev, e);
    if (rc)
        return rc;
    if (module && !str_is_name(module, sizeof ev->module))
        return err_field(e, ERR_INVALID, "module", "module must be 1 to %d of A-Z a-z 0-9 _ . : @ -",
                         MODULE_SIZE - 1);
    if (version && !str_is_text(version, sizeof ev->version))
        return err_field(e, ERR_INVALID, "version", "version must be 1 to %d bytes of text",
                         VERSION_SIZE - 1);
    str_copy(ev->module, sizeof ev->module, module ? module : "default");
    str_copy(ev->version, sizeof ev->version, version);
    return 0;
}

static void answer(struct request *r, struct outgoing *what)
{
    reply_nothing(r);
    if (what->kind == OUTGOING_OFFER)
        reply_json(r, native_offer_json(&what->offer));
    outgoing_clear(what);
}

static int answer_event(struct request *r, struct db *w, const struct device_event *ev, struct err *e)
{
    struct outgoing what;
    int rc = api_tell(r, w, ev, &what, e);
    if (rc == 0)
        answer(r, &what);
    return rc;
}

/* Nothing is due, or the same answer again: neither is a write. */
static int poll_reader(struct request *r, struct db *db, const struct device_event *ev, struct err *e)
{
    struct polled said = {.offer = {.kind = OUTGOING_NOTHING}};
    struct rollout *rollout = r->env->rollout;
    int64_t id = r->caller.device_id;
    int rc = id ? rollout_poll(rollout, db, id, ev->module, ev->version, r->now_ms, &said, e) : 0;
    if (rc)
        return rc;
    if (!said.idle && said.offer.kind != OUTGOING_OFFER)
        return request_to_writer(r);
    presence_touch(rollout->presence, id, r->now_ms);
    answer(r, &said.offer);
    return 0;
}

int api_self_offer(struct request *r, struct db *db, struct err *e)
{
    struct device_event ev;
    int rc = read_poll(r, &ev, e);
    if (rc)
        return rc;
    return r->on_writer ? answer_event(r, db, &ev, e) : poll_reader(r, db, &ev, e);
}

int api_self_report(struct request *r, struct db *db, struct err *e)
{
    struct device_event ev;
    struct outgoing answer;
    int rc = device_event(r, EVENT_PROGRESS, &ev, e);
    if (rc)
        return rc;
    if (!r->body)
        return err_set(e, ERR_BAD_REQUEST, "the body is empty, a JSON object is expected");
    rc = native_report_parse(r->body, &ev, e);
    if (rc == 0)
        rc = api_tell(r, db, &ev, &answer, e);
    if (rc)
        return rc;
    outgoing_clear(&answer);
    reply_nothing(r);
    return 0;
}
