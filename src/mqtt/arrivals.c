#include "arrivals.h"

#include "base/json.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64

void arrivals_free(struct arrivals *a)
{
    free(a->soon.ring);
    free(a->askers.ring);
    memset(a, 0, sizeof *a);
}

void arrivals_clear(struct arrivals *a)
{
    a->soon.n = a->askers.n = 0;
}

/* Of the device's name alone: a thing of AWS does not tell its product. Never 0, which marks one who is not
 * expected any more. */
static uint64_t hash_of(const char *device)
{
    uint64_t h = str_hash(device, strlen(device));
    return h ? h : 1;
}

static struct arrival *at(const struct arrival_line *a, size_t i)
{
    return &a->ring[(a->first + i) % a->cap];
}

static void say(struct inbox *in, enum event_kind kind, const char *product, const char *device,
                unsigned sessions)
{
    struct device_event ev = {.kind = kind, .percent = -1, .reason = REASON_NONE, .sessions = sessions};
    str_copy(ev.product, sizeof ev.product, product);
    str_copy(ev.device, sizeof ev.device, device);
    inbox_add(in, &ev);
}

/* Whoever was expected under that name is not any more; product "": in any product. */
static void forget_in(struct arrival_line *a, uint64_t who, const char *product, const char *device)
{
    for (size_t i = a->n; i-- > 0;) {
        struct arrival *waiting = at(a, i);
        if (waiting->who == who && (!*product || strcmp(waiting->product, product) == 0) &&
            strcmp(waiting->device, device) == 0)
            waiting->who = 0;
    }
}

static void forget(struct arrivals *a, const char *product, const char *device)
{
    uint64_t who = hash_of(device);
    forget_in(&a->soon, who, product, device);
    forget_in(&a->askers, who, product, device);
}

static bool grow(struct arrival_line *a)
{
    size_t cap = a->cap ? a->cap * 2 : CAP_MIN;
    struct arrival *ring = cap <= ARRIVALS_MAX ? malloc(cap * sizeof *ring) : NULL;
    if (!ring)
        return false;
    for (size_t i = 0; i < a->n; i++)
        ring[i] = *at(a, i);
    free(a->ring);
    a->ring = ring;
    a->cap = cap;
    a->first = 0;
    return true;
}

static void expect(struct arrival_line *a, struct inbox *in, const char *product, const char *device,
                   int64_t due_ms)
{
    if (a->n == a->cap && !grow(a)) {
        say(in, EVENT_READY, product, device, 0);
        return;
    }
    struct arrival *new = at(a, a->n++);
    new->who = hash_of(device);
    new->due_ms = due_ms;
    str_copy(new->product, sizeof new->product, product);
    str_copy(new->device, sizeof new->device, device);
}

static int read_message(const json_t *body, char product[PRODUCT_SIZE], char device[DEVICE_SIZE],
                        int64_t *sessions, char event[8], bool *asks, struct err *e)
{
    const struct json_field fields[] = {
        {"product", JSON_KIND_NAME, .out = product, .size = PRODUCT_SIZE, .required = true},
        {"device", JSON_KIND_NAME, .out = device, .size = DEVICE_SIZE, .required = true},
        {"sessions", JSON_KIND_INT, .out = sessions, .min = 0, .max = INT32_MAX, .required = true},
        {"event", JSON_KIND_NAME, .out = event, .size = 8, .required = true},
        {"asks", JSON_KIND_BOOL, .out = asks},
    };
    return json_read(body, fields, ARRAY_SIZE(fields), false, e);
}

void arrivals_take(struct arrivals *a, struct inbox *in, const void *payload, size_t len, int64_t now_ms)
{
    char product[PRODUCT_SIZE] = "", device[DEVICE_SIZE] = "", event[8] = "";
    int64_t sessions = 0;
    bool asks = false;
    struct err e;
    json_t *body = NULL;
    int rc = json_parse(payload, len, &body, &e);
    if (rc == 0)
        rc = read_message(body, product, device, &sessions, event, &asks, &e);
    if (body)
        json_decref(body);
    if (rc < 0) {
        log_warn("the broker's plugin says what otad does not understand: %s", e.text);
        return;
    }
    bool ready = strcmp(event, "ready") == 0, login = strcmp(event, "login") == 0;
    if (ready || sessions == 0)
        forget(a, product, device);
    say(in, ready ? EVENT_READY : EVENT_LOGIN, product, device, (unsigned)sessions);
    if (login && asks)
        expect(&a->askers, in, product, device, now_ms + ARRIVAL_ASKS_MS);
    else if (login)
        expect(&a->soon, in, product, device, now_ms + ARRIVAL_DELAY_MS);
}

void arrivals_answered(struct arrivals *a, const char *product, const char *device)
{
    forget(a, product, device);
}

static void take_due(struct arrival_line *a, struct inbox *in, int64_t now_ms)
{
    while (a->n > 0 && at(a, 0)->due_ms <= now_ms && in->n < ARRIVAL_BATCH_MAX) {
        const struct arrival *next = at(a, 0);
        if (next->who)
            say(in, EVENT_READY, next->product, next->device, 0);
        a->first = (a->first + 1) % a->cap;
        a->n--;
    }
}

void arrivals_due(struct arrivals *a, struct inbox *in, int64_t now_ms)
{
    take_due(&a->soon, in, now_ms);
    take_due(&a->askers, in, now_ms);
}

int64_t arrivals_next_ms(const struct arrivals *a)
{
    int64_t soon_ms = a->soon.n > 0 ? at(&a->soon, 0)->due_ms : -1;
    int64_t asker_ms = a->askers.n > 0 ? at(&a->askers, 0)->due_ms : -1;
    if (soon_ms < 0 || asker_ms < 0)
        return soon_ms < 0 ? asker_ms : soon_ms;
    return soon_ms < asker_ms ? soon_ms : asker_ms;
}
