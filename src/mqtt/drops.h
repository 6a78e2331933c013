/* drops.h: how many messages the broker has dropped, which it acknowledges all the same: one whose queue for
 * otad is full tells the device that its report has arrived. The number is the broker's own, from $SYS, and
 * counts from its start; what was dropped while otad was away is in it. A broker forgets a number that has
 * not changed for a minute: otad that comes back later than that hears it with the next change. The mqtt
 * thread's alone. */
#ifndef OTAD_SRC_MQTT_DROPS_H
#define OTAD_SRC_MQTT_DROPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DROPS_TOPIC   "$SYS/broker/publish/messages/dropped"
#define DROPS_SAID_MS 60000 /* between two lines in the log */

struct drops {
    int64_t value;        /* the broker's last one */
    int64_t said;         /* what of it the log has heard */
    int64_t said_ms;      /* when, monotonic */
    int wish;             /* the packet that asked for it */
    bool asked, answered; /* on this connection */
    bool unwanted;        /* a foreign broker has ended a connection over it: it is not asked again */
};

/* A number has come. True when it is another one. */
bool drops_take(struct drops *d, const void *payload, size_t len, int64_t now_ms);

/* What the board is to say of a broker that is well. */
void drops_text(const struct drops *d, char *out, size_t size);

/* The connection is over. */
void drops_close(struct drops *d, bool foreign);

#endif
