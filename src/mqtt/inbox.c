#include "inbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/board.h"
#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN      64
#define REFUSALS_MAX 8 /* so many in a row and nothing stored: it is not the events */

void inbox_init(struct inbox *in, struct store *store, struct rollout *rollout)
{
    memset(in, 0, sizeof *in);
    in->store = store;
    in->rollout = rollout;
}

static void drop_events(struct inbox *in)
{
    for (size_t i = 0; i < in->n; i++)
        device_event_clear(&in->events[i]);
    in->n = 0;
}

static void drop_replies(struct inbox *in, size_t from)
{
    while (in->reply_count > from)
        outgoing_clear(&in->replies[--in->reply_count]);
}

void inbox_clear(struct inbox *in)
{
    drop_events(in);
    drop_replies(in, 0);
    letters_clear(&in->letters);
}

void inbox_free(struct inbox *in)
{
    inbox_clear(in);
    letters_free(&in->letters);
    free(in->events);
    free(in->replies);
}

void inbox_add(struct inbox *in, const struct device_event *ev)
{
    if (in->n == in->cap) {
        in->cap = in->cap ? in->cap * 2 : CAP_MIN;
        in->events = reallocarray(in->events, in->cap, sizeof *in->events);
        if (!in->events)
            abort();
    }
    in->events[in->n++] = *ev;
}

/* ---- nonsense */

/* Of the topic without its last level: that is the device, in every protocol we have. */
static uint64_t device_of(const char *topic)
{
    const char *end = strrchr(topic, '/');
    return str_hash(topic, end ? (size_t)(end - topic) : strlen(topic));
}

/* At most one line a minute for each slot: a fleet gone mad fills no disk. */
static void log_nonsense(struct inbox *in, const char *topic, const struct err *e)
{
    int64_t now_ms = clock_mono_ms(), *last_ms = &in->nonsense_at_ms[device_of(topic) % NONSENSE_SLOTS];
    if (*last_ms && now_ms - *last_ms < NONSENSE_EVERY_MS)
        return;
    *last_ms = now_ms;
    log_warn("a message on %.200s was not understood: %s", topic, e->text);
}

static void refuse(struct inbox *in, const struct protocol *protocol, const char *topic, const void *payload,
                   size_t len, const struct err *why)
{
    char product[PRODUCT_SIZE] = "", device[DEVICE_SIZE] = "";
    struct message m = {0};
    if (protocol->refuse && protocol->refuse(topic, payload, len, why, clock_wall_ms(), product, device, &m))
        letters_add(&in->letters, product, device, &m);
    else
        message_clear(&m);
}

const struct protocol *inbox_read(struct inbox *in, const char *topic, const void *payload, size_t len,
                                  struct device_event *ev)
{
    struct err e;
    const struct protocol *protocol = protocol_by_topic(topic);
    if (!protocol)
        return NULL;
    board_count(BOARD_MQTT_REPORTS, 1);
    if (protocol->parse(topic, payload, len, ev, &e) < 0) {
        board_count(BOARD_MQTT_BAD, 1);
        log_nonsense(in, topic, &e);
        refuse(in, protocol, topic, payload, len, &e);
        return NULL;
    }
    ev->over_session = true;
    return ev->kind == EVENT_ECHO ? NULL : protocol;
}

/* ---- storing */

/* On the writer's thread: events from .. to. A part that fails is undone, so its replies are too. */
static int run_part(struct db *w, void *arg, struct err *e)
{
    struct inbox *in = arg;
    size_t before = in->reply_count;
    int rc = 0;
    for (size_t i = in->from; i < in->to && rc == 0; i++) {
        size_t sends = 0;
        rc = rollout_event(in->rollout, w, &in->events[i], in->now_ms, &in->replies[in->reply_count], &sends,
                           e);
        if (rc == 0)
            in->reply_count += sends;
    }
    if (rc < 0)
        drop_replies(in, before);
    return rc;
}

static int store_part(struct inbox *in, size_t from, size_t to, struct err *e)
{
    size_t before = in->reply_count;
    in->from = from;
    in->to = to;
    int rc = store_write(in->store, run_part, in, e);
    if (rc < 0)
        drop_replies(in, before); /* the commit may fail after the part went well */
    return rc;
}

/* The store's trouble, not an event's. */
static bool is_store_trouble(const struct inbox *in, int rc)
{
    return rc == -ERR_NO_SPACE || rc == -ERR_BUSY || (in->stored == 0 && in->refused >= REFUSALS_MAX);
}

/* Halves what fails until the event that is to blame is alone. */
static int store_halves(struct inbox *in, size_t from, size_t to, struct err *e)
{
    int rc = store_part(in, from, to, e);
    if (rc == 0) {
        in->stored += to - from;
        return 0;
    }
    if (is_store_trouble(in, rc))
        return rc;
    if (to - from == 1) {
        const struct device_event *ev = &in->events[from];
        if (in->refused++ == 0)
            snprintf(in->refusal, sizeof in->refusal, "%s/%s: %s", ev->product, ev->device, e->text);
        return 0;
    }
    size_t middle = from + (to - from) / 2;
    rc = store_halves(in, from, middle, e);
    return rc < 0 ? rc : store_halves(in, middle, to, e);
}

static void make_room_for_replies(struct inbox *in)
{
    if (in->reply_cap >= in->n * ROLLOUT_SENDS_MAX)
        return;
    free(in->replies);
    in->reply_cap = in->cap * ROLLOUT_SENDS_MAX;
    in->replies = calloc(in->reply_cap, sizeof *in->replies);
    if (!in->replies)
        abort();
}

static void render_replies(struct inbox *in)
{
    for (size_t i = 0; i < in->reply_count; i++)
        letters_render(&in->letters, &in->replies[i]);
    in->reply_count = 0;
}

int inbox_commit(struct inbox *in, struct err *e)
{
    in->stored = in->refused = 0;
    if (in->n == 0)
        return 0;
    make_room_for_replies(in);
    in->now_ms = clock_wall_ms();
    int rc = store_halves(in, 0, in->n, e);
    drop_events(in);
    if (rc == 0 && in->stored == 0)
        rc = -(int)e->code;
    if (rc < 0)
        drop_replies(in, 0);
    else if (in->refused > 0)
        log_error("%zu reports that cannot be stored are dropped, of %s", in->refused, in->refusal);
    render_replies(in);
    return rc;
}
