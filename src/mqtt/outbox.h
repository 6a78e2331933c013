/* outbox.h: what waits to be sent to devices: a ring in memory that any thread may add to, and the count of
 * what was sent and is not yet acknowledged. It is empty and takes nothing while the broker is away. */
#ifndef OTAD_MQTT_OUTBOX_H
#define OTAD_MQTT_OUTBOX_H

#include "letter.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define OUTBOX_WINDOW 1000  /* messages sent and not yet acknowledged */
#define OUTBOX_ROOM   2000  /* what those who can wait may fill it to: main asks mqtt_room */
#define OUTBOX_LEAST  500   /* less room is none: a transaction for a few offers costs as much as for many */
#define OUTBOX_MAX    65536 /* what answers to devices may fill it to; more of them are dropped */

struct outbox {
    pthread_mutex_t lock; /* of all below */
    bool open;
    struct letter *ring;
    size_t cap, first, n;
    size_t unacknowledged;
    bool wanted; /* somebody asked for room, and there was none */
};

void outbox_init(struct outbox *o);
void outbox_free(struct outbox *o);

/* The broker is there; it is away: what waits is dropped. */
void outbox_open(struct outbox *o);
void outbox_close(struct outbox *o);

/* Takes over what the letters own. False while it is closed: then all are dropped; what does not fit is too,
 * *dropped says how many. */
bool outbox_add(struct outbox *o, struct letter letters[], size_t n, size_t *dropped);

/* The next letter while the window has room, the caller's now; it counts as sent. */
bool outbox_take(struct outbox *o, struct letter *out);

/* n messages count as sent (n < 0: were acknowledged, or could not be sent after all). */
void outbox_sent(struct outbox *o, int n);

/* For those who can wait. */
size_t outbox_room(struct outbox *o);
/* Half of it is free, and there was none when it was last asked for: true once. */
bool outbox_is_roomy(struct outbox *o);
/* Queued or not yet acknowledged. */
size_t outbox_waiting(struct outbox *o);

#endif
