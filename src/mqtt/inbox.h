/* inbox.h: a batch of what devices said: collected from messages, stored by the writer in one transaction,
 * answered after it. The mqtt thread's alone. */
#ifndef OTAD_MQTT_INBOX_H
#define OTAD_MQTT_INBOX_H

#include "letter.h"
#include "rollout/rollout.h"

#define NONSENSE_SLOTS    1024
#define NONSENSE_EVERY_MS 60000

struct inbox {
    struct store *store;
    struct rollout *rollout;
    struct device_event *events;
    size_t n, cap;
    struct outgoing *replies; /* what the writer answers; owned */
    size_t reply_count, reply_cap;
    struct letters letters; /* to be sent after the next inbox_commit that goes well */
    int64_t now_ms;
    size_t from, to;                        /* the part that the writer is at */
    size_t stored, refused;                 /* while a batch that failed is gone through */
    char refusal[520];                      /* the first one's */
    int64_t nonsense_at_ms[NONSENSE_SLOTS]; /* when nonsense was last logged, by a hash of the device */
};

void inbox_init(struct inbox *in, struct store *store, struct rollout *rollout);
void inbox_free(struct inbox *in);

/* A device's message as an event, the caller's, and its protocol. NULL: it was not understood, which is
 * counted, logged once a minute and device, and answered where the protocol has a word for it; or nobody said
 * it. */
const struct protocol *inbox_read(struct inbox *in, const char *topic, const void *payload, size_t len,
                                  struct device_event *ev);
/* Takes the event over. */
void inbox_add(struct inbox *in, const struct device_event *ev);

/* Stores the batch and empties it; the answers join the letters. On failure nothing of it may be
 * acknowledged: it will come again. One event that the store refuses while it takes the others is dropped, or
 * it would come again for ever. */
int inbox_commit(struct inbox *in, struct err *e);

/* Forgets the batch and the letters. */
void inbox_clear(struct inbox *in);

#endif
