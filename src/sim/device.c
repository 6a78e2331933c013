#include "device.h"

#include "base/log.h"
#include "chance.h"
#include "device_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MS     1000
#define BACKOFF_MAX_MS 30000
#define PATH_SIZE      512

static const char *const WORK_WORDS[] = {
#define WORK_WORD(id, word) [id] = word,
    WORK_TABLE(WORK_WORD)
#undef WORK_WORD
};
_Static_assert(WORKS <= WORK_STATES_MAX, "tally.h has a place for every state");

const char *work_word(enum work work)
{
    return WORK_WORDS[work];
}

/* ---- states */

#define BIT(work) (1U << (work))

static const unsigned MOVES[WORKS] = {
    [WORK_IDLE] = BIT(WORK_DOWNLOADING),
    [WORK_DOWNLOADING] = BIT(WORK_IDLE) | BIT(WORK_PAUSED) | BIT(WORK_INSTALLING),
    [WORK_PAUSED] = BIT(WORK_DOWNLOADING) | BIT(WORK_IDLE),
    [WORK_INSTALLING] = BIT(WORK_STUCK) | BIT(WORK_REBOOTING) | BIT(WORK_CONFIRMING),
    [WORK_REBOOTING] = BIT(WORK_CONFIRMING),
    [WORK_CONFIRMING] = BIT(WORK_DONE),
    [WORK_DONE] = BIT(WORK_DOWNLOADING),
};

void device_move(struct device *d, enum work to, int64_t after_ms)
{
    struct tally *t = d->env->tally;
    assert(MOVES[d->work] & BIT(to));
    atomic_fetch_sub_explicit(&t->in_work[d->work], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->in_work[to], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->moves, 1, memory_order_relaxed);
    d->work = to;
    d->work_at_ms = after_ms < 0 ? 0 : d->env->now_ms + after_ms;
}

void device_count(const struct device *d, enum tally_key key)
{
    tally_add(d->env->tally, key, 1);
}

void device_count_trouble(const struct device *d, enum tally_key key, const char *what, const char *why)
{
    if (tally_add(d->env->tally, key, 1) == 0)
        log_warn("%s/%s: %s: %s (others are only counted)", d->who.product, d->who.device, what, why);
}

/* ---- saying */

int device_send(struct device *d, struct wire_message *message)
{
    int id = link_publish(&d->link, message->topic, message->body, message->len, message->qos);
    free(message->body);
    return id;
}

int device_say(struct device *d, struct wire_report *report)
{
    struct wire_message message;
    struct err e;
    report->serial = ++d->serial;
    if (d->env->wire->say(&d->who, report, &message, &e)) {
        log_error("%s/%s: %s", d->who.product, d->who.device, e.text);
        return -1;
    }
    int id = device_send(d, &message);
    if (id >= 0 && d->update && report->offer == &d->update->offer)
        d->update->offer.counter++;
    return id;
}

void device_inform(struct device *d)
{
    d->inform_id = device_say(d, &(struct wire_report){.kind = WIRE_INFORM, .version = d->version});
}

/* ---- the session's hooks */

static void subscribe(struct device *d)
{
    char topic[WIRE_TOPIC_SIZE];
    struct err e;
    for (const struct wire_filter *f = d->env->wire->filters; f->pattern; f++)
        if (wire_topic(f->pattern, &d->who, NULL, topic, &e) || !link_subscribe(&d->link, topic, f->qos))
            log_error("%s/%s: cannot subscribe to %s", d->who.product, d->who.device, f->pattern);
}

static void on_up(void *owner)
{
    struct device *d = owner;
    d->connect_tries = 0;
    device_count(d, TALLY_SESSIONS);
    if (!d->was_online)
        device_count(d, TALLY_CONNECTED);
    d->online = d->was_online = true;
    d->asked = false;
    atomic_fetch_add_explicit(&d->env->tally->online, 1, memory_order_relaxed);
    subscribe(d);
    device_inform(d);
    if (device_takes_blocks(d))
        device_blocks_begin(d);
}

static int64_t backoff_ms(const struct device *d)
{
    int64_t span_ms = BACKOFF_MS << (d->connect_tries < 5 ? d->connect_tries : 5);
    return chance_about(d->luck, span_ms < BACKOFF_MAX_MS ? span_ms : BACKOFF_MAX_MS);
}

static void connect_later(struct device *d)
{
    d->connect_at_ms = d->env->now_ms + backoff_ms(d);
    d->connect_tries++;
}

static void on_down(void *owner, const char *why)
{
    struct device *d = owner;
    d->inform_id = -1;
    if (d->online)
        atomic_fetch_sub_explicit(&d->env->tally->online, 1, memory_order_relaxed);
    d->online = false;
    if (why) {
        device_count_trouble(d, TALLY_LOST, "the session ended", why);
        connect_later(d);
    }
}

static void on_refused(void *owner, const char *why)
{
    device_count_trouble(owner, TALLY_REFUSED, "refused", why);
}

static void on_heard(void *owner, const char *topic, const char *body, size_t len)
{
    struct device *d = owner;
    device_hear(d, &(struct wire_heard_from){topic, body, len, d->env->scratch});
}

/* Invariant 3. */
static void on_acknowledged(void *owner, int message_id)
{
    struct device *d = owner;
    if (d->work == WORK_CONFIRMING && message_id == d->inform_id && !d->env->wire->own_word)
        device_succeeded(d);
}

static const struct link_hooks HOOKS = {
    .up = on_up,
    .down = on_down,
    .refused = on_refused,
    .heard = on_heard,
    .acknowledged = on_acknowledged,
};

/* ---- connecting */

void device_tick(struct device *d)
{
    link_tick(&d->link, d->env->now_ms);
}

bool device_wants_connection(const struct device *d)
{
    return d->link.state == LINK_DOWN && d->connect_at_ms <= d->env->now_ms;
}

void device_connect(struct device *d)
{
    const char *why;
    if (link_connect(&d->link, d->env->now_ms, &why))
        return;
    device_count_trouble(d, TALLY_LOST, "cannot connect", why);
    connect_later(d);
}

void device_ready(struct device *d, uint32_t events)
{
    link_ready(&d->link, events);
    if (d->inform_due)
        device_inform(d);
    d->inform_due = false;
}

void device_leave(struct device *d)
{
    d->connect_at_ms = INT64_MAX;
    link_leave(&d->link);
}

/* ---- making, ending */

static int open_link(struct device *d, struct err *e)
{
    const char *certs = d->env->wire->certificate ? d->env->options->certs : NULL;
    char cert[PATH_SIZE], key[PATH_SIZE];
    struct wire_login login;
    int rc = d->env->wire->login(&d->who, &login, e);
    if (rc < 0)
        return rc;
    int n = certs ? snprintf(cert, sizeof cert, "%s/%s.pem", certs, d->who.device) : 0;
    int m = certs ? snprintf(key, sizeof key, "%s/%s.key", certs, d->who.device) : 0;
    if (n < 0 || n >= PATH_SIZE || m < 0 || m >= PATH_SIZE)
        return err_set(e, ERR_INVALID, "--certs is too long");
    struct link_login as = {.client_id = login.client_id,
                            .username = login.username,
                            .password = login.password,
                            .cert = certs ? cert : NULL,
                            .key = certs ? key : NULL};
    rc = link_open(&d->link, d->env->link, &HOOKS, d, &as, e);
    return rc < 0 && certs ? err_wrap(e, "%s", cert) : rc;
}

int device_open(struct device *d, struct device_env *env, const struct wire_identity *who, uint64_t number,
                struct err *e)
{
    const struct options *o = env->options;
    *d = (struct device){
        .env = env, .who = *who, .luck = chance_begin((uint64_t)o->seed, number), .inform_id = -1};
    d->who.habits = &env->habits;
    d->will_cut = chance_happens(d->luck, CHANCE_CUT, o->drop_pct);
    d->will_drop = chance_happens(d->luck, CHANCE_DROP, o->mqtt_drop_pct);
    d->will_fail = chance_happens(d->luck, CHANCE_FAIL, o->fail_pct);
    d->will_never = chance_happens(d->luck, CHANCE_NEVER, o->never_pct);
    if (!str_copy(d->version, sizeof d->version, o->version))
        return err_set(e, ERR_INVALID, "the version is too long");
    int rc = open_link(d, e);
    if (rc)
        return rc;
    device_count(d, TALLY_DEVICES);
    atomic_fetch_add_explicit(&env->tally->in_work[WORK_IDLE], 1, memory_order_relaxed);
    return 0;
}

void device_close(struct device *d)
{
    device_forget_update(d);
    link_close(&d->link);
}
