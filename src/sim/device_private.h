/* device_private.h: between the files of device.h: device.c is who it is, its session and its words,
 * device_work.c what it does with an offer, device_blocks.c its file in blocks over that session. */
#ifndef OTAD_SIM_DEVICE_PRIVATE_H
#define OTAD_SIM_DEVICE_PRIVATE_H

#include "device.h"

struct update {
    struct wire_offer offer;
    struct download download; /* also of blocks: url is "" then */
    uint64_t drop_at;         /* bytes; the MQTT session dies there; 0 never */
    uint64_t tried_from;
    unsigned tries; /* transfers in a row that brought nothing */
    int step_pct, next_pct;
    int64_t block_at_ms;  /* blocks: when something is to be done about the next one; 0 nothing */
    unsigned block_tries; /* requests for it that stayed without an answer */
    bool block_asked;     /* it is asked for */
};

/* ---- device.c */

/* after_ms: when the state goes on by itself; -1 not by itself. */
void device_move(struct device *d, enum work to, int64_t after_ms);
void device_count(const struct device *d, enum tally_key key);
/* Thousands of devices meet the same trouble: the first one is told, all are counted. */
void device_count_trouble(const struct device *d, enum tally_key key, const char *what, const char *why);

/* Takes the message over. The message id, or -1 without a session. */
int device_send(struct device *d, struct wire_message *message);
int device_say(struct device *d, struct wire_report *report);
void device_inform(struct device *d);

/* ---- device_work.c */

void device_forget_update(struct device *d);
void device_hear(struct device *d, const struct wire_heard_from *from);
void device_succeeded(struct device *d);

/* ---- device_blocks.c */

void device_blocks_begin(struct device *d); /* from where the download is */
void device_blocks_take(struct device *d, const struct wire_block *block);
void device_blocks_none(struct device *d); /* the server has none */
void device_blocks_step(struct device *d);

static inline bool device_takes_blocks(const struct device *d)
{
    return d->work == WORK_DOWNLOADING && *d->update->offer.stream;
}

#endif
