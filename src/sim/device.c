#include "device.h"

#include "base/log.h"
#include "chance.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MS     1000
#define BACKOFF_MAX_MS 30000
#define BROKEN_TRIES   8 /* transfers in a row without a byte, before the device gives up */

struct update {
    struct wire_offer offer;
    struct download download;
    uint64_t drop_at; /* bytes; the MQTT session dies there; 0 never */
    uint64_t tried_from;
    unsigned tries; /* transfers in a row that brought nothing */
    int step_pct, next_pct;
};

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

static void move(struct device *d, enum work to, int64_t after_ms)
{
    struct tally *t = d->env->tally;
    assert(MOVES[d->work] & BIT(to));
    atomic_fetch_sub_explicit(&t->in_work[d->work], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->in_work[to], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->moves, 1, memory_order_relaxed);
    d->work = to;
    d->work_at_ms = after_ms < 0 ? 0 : d->env->now_ms + after_ms;
}

static void count(const struct device *d, enum tally_key key)
{
    tally_add(d->env->tally, key, 1);
}

/* Thousands of devices meet the same trouble: the first one is told, all are counted. */
static void count_trouble(const struct device *d, enum tally_key key, const char *what, const char *why)
{
    if (tally_add(d->env->tally, key, 1) == 0)
        log_warn("%s/%s: %s: %s (others are only counted)", d->who.product, d->who.device, what, why);
}

/* ---- saying */

static int say(struct device *d, const struct wire_report *report)
{
    struct wire_message message;
    struct err e;
    if (d->env->wire->say(&d->who, report, &message, &e)) {
        log_error("%s/%s: %s", d->who.product, d->who.device, e.text);
        return -1;
    }
    int id = link_publish(&d->link, message.topic, message.body);
    free(message.body);
    return id;
}

static void inform(struct device *d)
{
    d->inform_id = say(d, &(struct wire_report){
                              .kind = WIRE_INFORM, .version = d->version, .module = d->env->options->module});
}

static void say_percent(struct device *d, int percent)
{
    say(d, &(struct wire_report){.kind = WIRE_PERCENT, .id = d->update->offer.id, .percent = percent});
}

static void forget_update(struct device *d)
{
    if (!d->update)
        return;
    transfers_drop(d->env->transfers, &d->update->download);
    free(d->update);
    d->update = NULL;
}

static void fail(struct device *d, const char *word, const char *detail)
{
    say(d,
        &(struct wire_report){.kind = WIRE_ERROR, .id = d->update->offer.id, .word = word, .detail = detail});
    forget_update(d);
    move(d, WORK_IDLE, -1);
}

/* ---- an offer */

static void plan_download(struct device *d)
{
    struct update *u = d->update;
    uint64_t size = u->offer.size;
    u->download = (struct download){.url = u->offer.url, .owner = d, .size = size};
    u->step_pct = 10 + (int)(chance(d->luck, CHANCE_STEP) % 11);
    if (d->will_cut && size > 1)
        u->download.cut_at = size * (25 + chance(d->luck, CHANCE_CUT_AT) % 51) / 100;
    if (d->will_drop)
        u->drop_at = size / 2;
    d->will_cut = false;
}

static void take_offer(struct device *d, const struct wire_offer *offer)
{
    d->update = calloc(1, sizeof *d->update);
    if (!d->update) {
        log_error("%s/%s: no memory for an offer", d->who.product, d->who.device);
        return;
    }
    d->update->offer = *offer;
    plan_download(d);
    count(d, TALLY_OFFERS);
    if (!d->offered_at_ms)
        d->offered_at_ms = d->env->now_ms;
    move(d, WORK_DOWNLOADING, -1);
    transfers_add(d->env->transfers, &d->update->download);
}

/* Invariant 2. */
static void consider(struct device *d, const struct wire_offer *offer)
{
    bool may_replace =
        d->work == WORK_IDLE || d->work == WORK_DOWNLOADING || d->work == WORK_PAUSED || d->work == WORK_DONE;
    bool same = d->update && strcmp(d->update->offer.id, offer->id) == 0;
    bool running = strcmp(offer->version, d->version) == 0;
    if (strcmp(offer->module, d->env->options->module) != 0) {
        count_trouble(d, TALLY_BAD_OFFERS, "an offer for another module", offer->module);
    } else if (same || running || !may_replace) {
        count(d, TALLY_REPEATED);
        d->inform_due = running && !d->update;
    } else {
        if (d->update) {
            forget_update(d);
            move(d, WORK_IDLE, -1);
        }
        take_offer(d, offer);
    }
}

/* ---- the session's hooks */

static void on_up(void *owner)
{
    struct device *d = owner;
    char topic[WIRE_TOPIC_SIZE];
    struct err e;
    d->connect_tries = 0;
    count(d, TALLY_SESSIONS);
    if (!d->was_online)
        count(d, TALLY_CONNECTED);
    d->online = d->was_online = true;
    atomic_fetch_add_explicit(&d->env->tally->online, 1, memory_order_relaxed);
    if (d->env->wire->subscription(&d->who, topic, &e) || !link_subscribe(&d->link, topic))
        log_error("%s/%s: cannot subscribe to offers", d->who.product, d->who.device);
    inform(d);
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
        count_trouble(d, TALLY_LOST, "the session ended", why);
        connect_later(d);
    }
}

static void on_refused(void *owner, const char *why)
{
    count_trouble(owner, TALLY_REFUSED, "refused", why);
}

static void on_heard(void *owner, const char *body, size_t len)
{
    struct device *d = owner;
    struct wire_offer offer;
    struct err e;
    if (d->env->wire->hear(body, len, &offer, &e))
        count_trouble(d, TALLY_BAD_OFFERS, "an offer that makes no sense", e.text);
    else if (!offer.id[0])
        count(d, TALLY_NOTHING_DUE);
    else
        consider(d, &offer);
}

/* Invariant 3. */
static void on_acknowledged(void *owner, int message_id)
{
    struct device *d = owner;
    if (d->work != WORK_CONFIRMING || message_id != d->inform_id)
        return;
    count(d, TALLY_SUCCEEDED);
    if (!d->done_at_ms)
        d->done_at_ms = d->env->now_ms;
    forget_update(d);
    move(d, WORK_DONE, -1);
}

static const struct link_hooks HOOKS = {
    .up = on_up,
    .down = on_down,
    .refused = on_refused,
    .heard = on_heard,
    .acknowledged = on_acknowledged,
};

/* ---- the download's hooks */

void device_took(void *device, size_t len)
{
    struct device *d = device;
    struct update *u = d->update;
    struct tally *t = d->env->tally;
    int percent = (int)(u->download.got * 100 / u->download.size);
    int64_t none = 0;
    tally_add(t, TALLY_BYTES, len);
    atomic_compare_exchange_strong(&t->first_byte_at_ms, &none, d->env->now_ms);
    atomic_store_explicit(&t->last_byte_at_ms, d->env->now_ms, memory_order_relaxed);
    if (percent >= u->next_pct) {
        say_percent(d, percent);
        u->next_pct = percent - percent % u->step_pct + u->step_pct;
    }
    if (d->will_drop && u->drop_at && u->download.got >= u->drop_at) {
        d->will_drop = false;
        count(d, TALLY_MQTT_DROPS);
        link_cut(&d->link);
    }
}

static void verify(struct device *d)
{
    struct update *u = d->update;
    struct digests digests;
    digester_end(u->download.hash, &digests);
    u->download.hash = NULL;
    if (strcmp(digests.sha256, u->offer.sha256) != 0) {
        count_trouble(d, TALLY_DIGEST_ERRORS, "the file has another SHA-256", digests.sha256);
        fail(d, "verify", "SHA-256 differs");
        return;
    }
    count(d, TALLY_DOWNLOADS);
    if (d->will_fail) {
        d->will_fail = false;
        count(d, TALLY_FAILURES);
        fail(d, "verify", "simulated");
        return;
    }
    say(d, &(struct wire_report){.kind = WIRE_STATE, .id = u->offer.id, .word = "installing"});
    move(d, WORK_INSTALLING, chance_about(d->luck, d->env->options->install_ms));
}

static void download_broke(struct device *d, const char *why)
{
    struct update *u = d->update;
    count_trouble(d, TALLY_TRANSFER_ERRORS, "download", why);
    u->tries = u->download.got > u->tried_from ? 1 : u->tries + 1;
    u->tried_from = u->download.got;
    int64_t after_ms = chance_about(d->luck, BACKOFF_MS << (u->tries < 5 ? u->tries : 5));
    if (u->download.retry_after_ms > after_ms)
        after_ms = u->download.retry_after_ms;
    if (u->tries > BROKEN_TRIES)
        fail(d, "download", why);
    else
        move(d, WORK_PAUSED, after_ms);
}

void device_ended(void *device, enum transfer_end end, const char *why)
{
    struct device *d = device;
    const struct download *download = &d->update->download;
    if (download->resumed)
        count(d, TALLY_RESUMED);
    if (download->restarted)
        count(d, TALLY_RESTARTED);
    switch (end) {
    case TRANSFER_DONE:
        verify(d);
        break;
    case TRANSFER_CUT:
        count(d, TALLY_CUT);
        move(d, WORK_PAUSED, chance_about(d->luck, BACKOFF_MS));
        break;
    case TRANSFER_BROKEN:
        download_broke(d, why);
        break;
    case TRANSFER_REFUSED:
        count_trouble(d, TALLY_TRANSFER_ERRORS, "download", why);
        fail(d, "download", why);
        break;
    }
}

/* ---- going on by itself */

static void installed(struct device *d)
{
    const struct options *o = d->env->options;
    if (d->will_never) {
        count(d, TALLY_NEVER);
        move(d, WORK_STUCK, -1);
    } else if (o->reboot) {
        d->connect_at_ms = INT64_MAX;
        move(d, WORK_REBOOTING, chance_about(d->luck, o->reboot_ms));
        link_leave(&d->link);
    } else {
        str_copy(d->version, sizeof d->version, d->update->offer.version);
        move(d, WORK_CONFIRMING, -1);
        inform(d);
    }
}

static void booted(struct device *d)
{
    str_copy(d->version, sizeof d->version, d->update->offer.version);
    d->connect_at_ms = d->env->now_ms;
    move(d, WORK_CONFIRMING, -1);
}

void device_step(struct device *d)
{
    if (!d->work_at_ms || d->env->now_ms < d->work_at_ms)
        return;
    switch (d->work) {
    case WORK_PAUSED:
        move(d, WORK_DOWNLOADING, -1);
        transfers_add(d->env->transfers, &d->update->download);
        break;
    case WORK_INSTALLING:
        installed(d);
        break;
    case WORK_REBOOTING:
        booted(d);
        break;
    default:
        break;
    }
}

void device_tick(struct device *d)
{
    link_tick(&d->link, d->env->now_ms);
}

/* ---- connecting, making, ending */

bool device_wants_connection(const struct device *d)
{
    return d->link.state == LINK_DOWN && d->connect_at_ms <= d->env->now_ms;
}

void device_connect(struct device *d)
{
    const char *why;
    if (link_connect(&d->link, d->env->now_ms, &why))
        return;
    count_trouble(d, TALLY_LOST, "cannot connect", why);
    connect_later(d);
}

void device_ready(struct device *d, uint32_t events)
{
    link_ready(&d->link, events);
    if (d->inform_due)
        inform(d);
    d->inform_due = false;
}

void device_leave(struct device *d)
{
    d->connect_at_ms = INT64_MAX;
    link_leave(&d->link);
}

int device_open(struct device *d, struct device_env *env, const struct wire_identity *who, uint64_t number,
                struct err *e)
{
    const struct options *o = env->options;
    struct wire_login login;
    *d = (struct device){
        .env = env, .who = *who, .luck = chance_begin((uint64_t)o->seed, number), .inform_id = -1};
    d->will_cut = chance_happens(d->luck, CHANCE_CUT, o->drop_pct);
    d->will_drop = chance_happens(d->luck, CHANCE_DROP, o->mqtt_drop_pct);
    d->will_fail = chance_happens(d->luck, CHANCE_FAIL, o->fail_pct);
    d->will_never = chance_happens(d->luck, CHANCE_NEVER, o->never_pct);
    if (!str_copy(d->version, sizeof d->version, o->version))
        return err_set(e, ERR_INVALID, "the version is too long");
    int rc = env->wire->login(who, &login, e);
    if (rc == 0)
        rc = link_open(&d->link, env->link, &HOOKS, d, login.client_id, login.username, login.password, e);
    if (rc)
        return rc;
    count(d, TALLY_DEVICES);
    atomic_fetch_add_explicit(&env->tally->in_work[WORK_IDLE], 1, memory_order_relaxed);
    return 0;
}

void device_close(struct device *d)
{
    forget_update(d);
    link_close(&d->link);
}
