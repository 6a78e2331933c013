#include "device_private.h"

#include "base/log.h"
#include "chance.h"

#include <stdlib.h>
#include <string.h>

#define PAUSE_MS     1000
#define BROKEN_TRIES 8 /* transfers in a row without a byte, before the device gives up */

static void say_percent(struct device *d, int percent)
{
    device_say(d,
               &(struct wire_report){.kind = WIRE_PERCENT, .offer = &d->update->offer, .percent = percent});
}

/* What is answered is said once: until the answer comes, or the session ends. */
static void say_once(struct device *d, enum wire_kind kind, const struct wire_offer *offer)
{
    if (!d->asked)
        device_say(d, &(struct wire_report){.kind = kind, .offer = offer});
    d->asked = true;
}

void device_forget_update(struct device *d)
{
    if (!d->update)
        return;
    transfers_drop(d->env->transfers, &d->update->download);
    free(d->update);
    d->update = NULL;
}

static void give_up(struct device *d)
{
    device_forget_update(d);
    device_move(d, WORK_IDLE, -1);
}

static void fail(struct device *d, const char *word, const char *detail)
{
    device_say(d, &(struct wire_report){
                      .kind = WIRE_ERROR, .offer = &d->update->offer, .word = word, .detail = detail});
    give_up(d);
}

/* ---- an offer */

static void begin_download(struct device *d)
{
    device_move(d, WORK_DOWNLOADING, -1);
    if (*d->update->offer.stream)
        device_blocks_begin(d);
    else
        transfers_add(d->env->transfers, &d->update->download);
}

/* No others: a fleet's CPU is the digests of its files more than anything else. */
static unsigned digests_of(const struct wire_offer *offer)
{
    return (*offer->sha256 ? DIGEST_SHA256 : 0) | (*offer->md5 ? DIGEST_MD5 : 0);
}

static void plan_download(struct device *d)
{
    struct update *u = d->update;
    uint64_t size = u->offer.size;
    u->download =
        (struct download){.url = u->offer.url, .owner = d, .size = size, .digests = digests_of(&u->offer)};
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
    d->succeeded = false;
    device_count(d, TALLY_OFFERS);
    if (!d->offered_at_ms)
        d->offered_at_ms = d->env->now_ms;
    begin_download(d);
}

/* Invariant 2: the device has that version, or it is at this very offer. */
static void hear_again(struct device *d, const struct wire_offer *offer, bool same)
{
    bool own_word = d->env->wire->own_word;
    device_count(d, TALLY_REPEATED);
    if (same)
        d->update->offer.counter = offer->counter;
    if (same && own_word && d->work == WORK_CONFIRMING)
        say_once(d, WIRE_SUCCESS, &d->update->offer);
    else if (!d->update && own_word)
        say_once(d, WIRE_SUCCESS, offer);
    else
        d->inform_due = !d->update;
}

/* The server has begun something new: what was still to be confirmed is over. */
static void stop_confirming(struct device *d)
{
    device_forget_update(d);
    device_move(d, WORK_DONE, -1);
}

static void replace(struct device *d, const struct wire_offer *offer)
{
    if (offer->waits) {
        say_once(d, WIRE_REQUEST, NULL);
        return;
    }
    d->asked = false;
    if (d->update)
        give_up(d);
    take_offer(d, offer);
}

/* Invariant 2. */
static void consider(struct device *d, const struct wire_offer *offer)
{
    bool same = d->update && strcmp(d->update->offer.id, offer->id) == 0;
    bool running = strcmp(offer->version, d->version) == 0;
    if (strcmp(offer->module, d->env->options->module) != 0) {
        device_count_trouble(d, TALLY_BAD_OFFERS, "an offer for another module", offer->module);
        return;
    }
    if (d->work == WORK_CONFIRMING && d->env->wire->own_word && !same)
        stop_confirming(d);
    bool may_replace =
        d->work == WORK_IDLE || d->work == WORK_DOWNLOADING || d->work == WORK_PAUSED || d->work == WORK_DONE;
    if (same || (running && !d->update))
        hear_again(d, offer, same);
    else if (running || !may_replace)
        device_count(d, TALLY_REPEATED);
    else
        replace(d, offer);
}

/* ---- what else is heard */

/* Once an update, whichever way it came to be known. */
void device_succeeded(struct device *d)
{
    if (!d->succeeded)
        device_count(d, TALLY_SUCCEEDED);
    d->succeeded = true;
    if (!d->done_at_ms)
        d->done_at_ms = d->env->now_ms;
    if (d->work == WORK_CONFIRMING)
        stop_confirming(d);
}

/* Where the device's word counts and nothing is due, its word was taken: by a session that ended meanwhile.
 */
static void hear_nothing(struct device *d)
{
    device_count(d, TALLY_NOTHING_DUE);
    if (d->work == WORK_CONFIRMING && d->env->wire->own_word)
        device_succeeded(d);
}

static void hear_counter(struct device *d, int64_t counter)
{
    device_count(d, TALLY_REPORTS_REFUSED);
    if (!d->update)
        return;
    d->update->offer.counter = counter;
    if (d->work == WORK_CONFIRMING)
        say_once(d, WIRE_SUCCESS, &d->update->offer);
}

/* The server has ended it: nobody waits for the rest. */
static void hear_refusal(struct device *d)
{
    device_count_trouble(d, TALLY_REPORTS_REFUSED, "a report", "it was refused");
    if (d->work == WORK_DOWNLOADING || d->work == WORK_PAUSED)
        give_up(d);
    else if (d->work == WORK_CONFIRMING)
        stop_confirming(d);
}

void device_hear(struct device *d, const struct wire_heard_from *from)
{
    struct wire_heard heard;
    struct err e;
    if (d->env->wire->hear(&d->who, from, &heard, &e)) {
        device_count_trouble(d, TALLY_BAD_OFFERS, "a message that makes no sense", e.text);
        return;
    }
    if (heard.kind == WIRE_NOTHING || heard.kind >= WIRE_TAKEN)
        d->asked = false;
    switch (heard.kind) {
    case WIRE_OTHER:
        break;
    case WIRE_NOTHING:
        hear_nothing(d);
        break;
    case WIRE_OFFER:
        consider(d, &heard.offer);
        break;
    case WIRE_BLOCK:
        device_blocks_take(d, &heard.block);
        break;
    case WIRE_NO_BLOCK:
        device_blocks_none(d);
        break;
    case WIRE_TAKEN:
        if (d->work == WORK_CONFIRMING || d->work == WORK_DONE)
            device_succeeded(d);
        break;
    case WIRE_COUNTER:
        hear_counter(d, heard.counter);
        break;
    case WIRE_REFUSED:
        hear_refusal(d);
        break;
    }
}

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
        device_count(d, TALLY_MQTT_DROPS);
        link_cut(&d->link);
    }
}

/* By every digest that the offer has. */
static bool is_whole(struct device *d)
{
    const struct wire_offer *offer = &d->update->offer;
    struct digests digests;
    digester_end(d->update->download.hash, &digests);
    d->update->download.hash = NULL;
    if ((!*offer->sha256 || strcmp(digests.sha256, offer->sha256) == 0) &&
        (!*offer->md5 || strcmp(digests.md5, offer->md5) == 0))
        return true;
    device_count_trouble(d, TALLY_DIGEST_ERRORS, "the file has another digest", digests.sha256);
    return false;
}

static void verify(struct device *d)
{
    if (!is_whole(d)) {
        fail(d, "verify", "the digest differs");
        return;
    }
    device_count(d, TALLY_DOWNLOADS);
    if (d->will_fail) {
        d->will_fail = false;
        device_count(d, TALLY_FAILURES);
        fail(d, "verify", "simulated");
        return;
    }
    device_say(d,
               &(struct wire_report){.kind = WIRE_STATE, .offer = &d->update->offer, .word = "installing"});
    device_move(d, WORK_INSTALLING, chance_about(d->luck, d->env->options->install_ms));
}

static void download_broke(struct device *d, const char *why)
{
    struct update *u = d->update;
    device_count_trouble(d, TALLY_TRANSFER_ERRORS, "download", why);
    u->tries = u->download.got > u->tried_from ? 1 : u->tries + 1;
    u->tried_from = u->download.got;
    int64_t after_ms = chance_about(d->luck, PAUSE_MS << (u->tries < 5 ? u->tries : 5));
    if (u->download.retry_after_ms > after_ms)
        after_ms = u->download.retry_after_ms;
    if (u->tries > BROKEN_TRIES)
        fail(d, "download", why);
    else
        device_move(d, WORK_PAUSED, after_ms);
}

void device_ended(void *device, enum transfer_end end, const char *why)
{
    struct device *d = device;
    const struct download *download = &d->update->download;
    if (download->resumed)
        device_count(d, TALLY_RESUMED);
    if (download->restarted)
        device_count(d, TALLY_RESTARTED);
    switch (end) {
    case TRANSFER_DONE:
        verify(d);
        break;
    case TRANSFER_CUT:
        device_count(d, TALLY_CUT);
        device_move(d, WORK_PAUSED, chance_about(d->luck, PAUSE_MS));
        break;
    case TRANSFER_BROKEN:
        download_broke(d, why);
        break;
    case TRANSFER_REFUSED:
        device_count_trouble(d, TALLY_TRANSFER_ERRORS, "download", why);
        fail(d, "download", why);
        break;
    }
}

/* ---- going on by itself */

static void runs_new_version(struct device *d)
{
    str_copy(d->version, sizeof d->version, d->update->offer.version);
    device_move(d, WORK_CONFIRMING, -1);
}

static void installed(struct device *d)
{
    const struct options *o = d->env->options;
    if (d->will_never) {
        device_count(d, TALLY_NEVER);
        device_move(d, WORK_STUCK, -1);
    } else if (o->reboot) {
        d->connect_at_ms = INT64_MAX;
        device_move(d, WORK_REBOOTING, chance_about(d->luck, o->reboot_ms));
        link_leave(&d->link);
    } else {
        runs_new_version(d);
        if (d->env->wire->own_word)
            say_once(d, WIRE_SUCCESS, &d->update->offer);
        else
            device_inform(d);
    }
}

static void booted(struct device *d)
{
    d->connect_at_ms = d->env->now_ms;
    runs_new_version(d);
}

static void work_step(struct device *d)
{
    switch (d->work) {
    case WORK_PAUSED:
        begin_download(d);
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

void device_step(struct device *d)
{
    if (d->work_at_ms && d->env->now_ms >= d->work_at_ms)
        work_step(d);
    device_blocks_step(d);
}
