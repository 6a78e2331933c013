#include "protocol/aliyun.h"

#include "aliyun_private.h"
#include "protocol/liberal.h"

#include <string.h>

#define STEP_FAILED (-4) /* the least step; all below 0 are failures */

/* ---- what devices say */

/* "default" when the device names none. */
static int read_module(const json_t *params, char out[MODULE_SIZE], struct err *e)
{
    const json_t *module = liberal_member(params, "module");
    str_copy(out, MODULE_SIZE, "default");
    if (module && (!liberal_text(module, out, MODULE_SIZE) || (*out && !str_is_text(out, MODULE_SIZE))))
        return err_set(e, ERR_INVALID, "module must be 1 to %d bytes of text", MODULE_SIZE - 1);
    if (!*out)
        str_copy(out, MODULE_SIZE, "default");
    return 0;
}

static int read_inform(const json_t *body, struct device_event *ev, struct err *e)
{
    const json_t *params = liberal_member(body, "params");
    ev->kind = EVENT_INFORM;
    if (!liberal_text(liberal_member(params, "version"), ev->version, sizeof ev->version) ||
        !str_is_text(ev->version, sizeof ev->version))
        return err_set(e, ERR_INVALID, "params.version must be 1 to %d bytes of text", VERSION_SIZE - 1);
    return read_module(params, ev->module, e);
}

/* 100 is all of the download, and no success. */
static int read_progress(const json_t *body, struct device_event *ev, struct err *e)
{
    static const enum reason reasons[] = {
        [1] = REASON_UNKNOWN, [2] = REASON_DOWNLOAD, [3] = REASON_VERIFY, [-STEP_FAILED] = REASON_FLASH};
    const json_t *params = liberal_member(body, "params");
    int64_t step;
    if (!liberal_int(liberal_member(params, "step"), STEP_FAILED, 100, &step))
        return err_set(e, ERR_INVALID, "params.step must be a number from %d to 100", STEP_FAILED);
    liberal_detail(ev->detail, json_string_value(liberal_member(params, "desc")));
    ev->kind = step < 0 ? EVENT_ERROR : EVENT_PROGRESS;
    if (step < 0) {
        ev->reason = reasons[-step];
        return 0;
    }
    ev->state = EXECUTION_DOWNLOADING;
    ev->percent = (int)step;
    return 0;
}

static int read_get(const json_t *body, struct device_event *ev, struct err *e)
{
    const json_t *params = liberal_member(body, "params");
    ev->kind = EVENT_REQUEST;
    ev->reply.form = ALIYUN_GET;
    aliyun_plain(liberal_member(body, "id"), ev->reply.token, sizeof ev->reply.token);
    return liberal_member(params, "module") ? read_module(params, ev->reply.name, e) : 0;
}

/* What is said and what is answered has one topic here: a broker without our plugin brings otad its own
 * answers. */
static int read_legacy(const json_t *body, struct device_event *ev, struct err *e)
{
    (void)e;
    ev->kind = EVENT_HEARD;
    if (liberal_member(body, "code"))
        return 0;
    ev->kind = EVENT_REQUEST;
    ev->reply.form = ALIYUN_LEGACY;
    aliyun_plain(liberal_member(body, "id"), ev->reply.token, sizeof ev->reply.token);
    return 0;
}

static int read_heard(const json_t *body, struct device_event *ev, struct err *e)
{
    (void)body;
    (void)e;
    ev->kind = EVENT_HEARD;
    return 0;
}

enum { INFORM, PROGRESS, LEGACY, GET, DOWNLOAD, CONFIG, DEVICE_INFO, KINDS };

static const char *const filters[KINDS + 1] = {[INFORM] = "/ota/device/inform/+/+",
                                               [PROGRESS] = "/ota/device/progress/+/+",
                                               [LEGACY] = "/ota/device/request/+/+",
                                               [GET] = "/sys/+/+/thing/ota/firmware/get",
                                               [DOWNLOAD] = "/sys/+/+/thing/file/download",
                                               [CONFIG] = "/sys/+/+/thing/config/get",
                                               [DEVICE_INFO] = "/sys/+/+/thing/deviceinfo/update"};

static liberal_reader *const readers[KINDS] = {
    [INFORM] = read_inform,    [PROGRESS] = read_progress,        [LEGACY] = read_legacy,
    [GET] = read_get,          [DOWNLOAD] = aliyun_read_download, [CONFIG] = read_heard,
    [DEVICE_INFO] = read_heard};

/* Which of the topics it is, and whose; KINDS when it is none that a device can have. */
static size_t read_topic(const char *topic, char product[PRODUCT_SIZE], char device[DEVICE_SIZE])
{
    size_t kind = 0, at = strncmp(topic, "/sys/", 5) == 0 ? 2 : 4;
    while (kind < KINDS && !topic_matches(filters[kind], topic))
        kind++;
    return topic_level(topic, at, product, PRODUCT_SIZE) && topic_level(topic, at + 1, device, DEVICE_SIZE) &&
                   str_is_name(product, PRODUCT_SIZE) && str_is_name(device, DEVICE_SIZE)
               ? kind
               : KINDS;
}

static int aliyun_parse(const char *topic, const void *payload, size_t len, struct device_event *ev,
                        struct err *e)
{
    struct device_event found = {.percent = -1, .reason = REASON_NONE};
    size_t kind = read_topic(topic, found.product, found.device);
    if (kind == KINDS)
        return err_set(e, ERR_INVALID, "no topic of a device");
    return liberal_read(payload, len, readers[kind], &found, ev, e);
}

/* Only who asks for a block has to hear of it: devices wait for the answer. */
static bool aliyun_refuse(const char *topic, const void *payload, size_t len, const struct err *why,
                          int64_t now_ms, char product[PRODUCT_SIZE], char device[DEVICE_SIZE],
                          struct message *out)
{
    struct err e;
    (void)why;
    (void)now_ms;
    return read_topic(topic, product, device) == DOWNLOAD &&
           aliyun_refuse_download(payload, len, product, device, out, &e) == 0;
}

/* ---- the row */

/* Beside its updates a device may use what the platform has for its data: otad does not listen there. */
static const char *const published[] = {"/ota/device/inform/%p/%d",
                                        "/ota/device/progress/%p/%d",
                                        "/ota/device/request/%p/%d",
                                        "/sys/%p/%d/#",
                                        "/%p/%d/user/#",
                                        "/shadow/update/%p/%d",
                                        "/ext/ntp/%p/%d/#",
                                        "/ext/session/%p/%d/#",
                                        NULL};
static const char *const heard[] = {
    "/ota/device/upgrade/%p/%d", "/ota/device/request/%p/%d", "/sys/%p/%d/#",         "/%p/%d/user/#",
    "/shadow/get/%p/%d",         "/ext/ntp/%p/%d/#",          "/ext/session/%p/%d/#", NULL};
/* What is due comes with the answer to its inform, or a moment after the login of a device that says nothing,
 * as it does from the platform. Devices subscribe just before they inform, and boards that begin their
 * download anew with every push would get two. */
static const char *const offers[] = {NULL};
static const char *const blocks[] = {"/sys/%p/%d/thing/file/download", NULL};

const struct protocol aliyun_protocol = {
    .name = "aliyun",
    .filters = filters,
    .login = {.one_session = true, .asks = true, .claim = aliyun_claim, .proven = aliyun_proven},
    .topics = {published, heard, heard, offers, blocks},
    .parse = aliyun_parse,
    .refuse = aliyun_refuse,
    .render = aliyun_render,
    .block = aliyun_block,
    .no_file = aliyun_no_file,
};
