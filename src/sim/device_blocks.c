#include "device_private.h"

#include <stdlib.h>

#define ANSWER_MS 10000 /* as the Link SDK waits */
#define ASKED_MAX 3     /* times for one block, before this transfer is given up */

static void ask(struct device *d)
{
    struct update *u = d->update;
    struct wire_message message;
    struct err e;
    u->block_asked = true;
    u->block_at_ms = d->env->now_ms + ANSWER_MS;
    if (d->env->wire->ask(&d->who, &u->offer, u->download.got, &message, &e) == 0)
        device_send(d, &message);
}

static void end(struct device *d, enum transfer_end how, const char *why)
{
    d->update->block_at_ms = 0;
    device_ended(d, how, why);
}

void device_blocks_begin(struct device *d)
{
    struct update *u = d->update;
    u->download.resumed = u->download.got > 0;
    u->block_tries = 0;
    ask(d);
}

/* Asks when the rate allows it. */
static void go_on(struct device *d, size_t len)
{
    int64_t rate = d->env->options->rate_bytes;
    if (rate == 0) {
        ask(d);
        return;
    }
    d->update->block_asked = false;
    d->update->block_at_ms = d->env->now_ms + (int64_t)len * 1000 / rate;
}

static size_t due(const struct device *d)
{
    uint64_t left = d->update->download.size - d->update->download.got;
    return left < d->env->habits.block_bytes ? (size_t)left : d->env->habits.block_bytes;
}

static void keep(struct download *f, const struct wire_block *block)
{
    if (!f->hash)
        f->hash = digester_begin_of(f->digests);
    digester_add(f->hash, block->bytes, block->len);
    f->got += block->len;
}

void device_blocks_take(struct device *d, const struct wire_block *block)
{
    struct update *u = d->update;
    if (!device_takes_blocks(d) || block->offset != u->download.got)
        return; /* asked for twice, or too late */
    if (block->len != due(d)) {
        end(d, TRANSFER_BROKEN, "a block of another length than asked for");
        return;
    }
    keep(&u->download, block);
    u->block_tries = 0;
    device_count(d, TALLY_BLOCKS);
    device_took(d, block->len);
    if (u->download.got == u->download.size) {
        end(d, TRANSFER_DONE, NULL);
    } else if (u->download.cut_at && u->download.got >= u->download.cut_at) {
        u->download.cut_at = 0;
        end(d, TRANSFER_CUT, NULL);
    } else {
        go_on(d, block->len);
    }
}

void device_blocks_none(struct device *d)
{
    if (device_takes_blocks(d))
        end(d, TRANSFER_BROKEN, "the server has no such block");
}

/* Without a session there is nobody to ask: the next session does. */
void device_blocks_step(struct device *d)
{
    struct update *u = d->update;
    if (!device_takes_blocks(d) || !u->block_at_ms || d->env->now_ms < u->block_at_ms || !d->online)
        return;
    if (u->block_asked) {
        device_count(d, TALLY_BLOCKS_AGAIN);
        u->block_tries++;
    }
    if (u->block_tries >= ASKED_MAX)
        end(d, TRANSFER_BROKEN, "no answer with the block");
    else
        ask(d);
}
