/* arrivals.h: what the broker's plugin says of who comes and goes, as events. A device that has logged in is
 * offered what is due when it subscribes, reports or asks, or 300 ms after its login when it does nothing of
 * that (its session may be an old one, with its subscriptions): not at once, since small devices cannot take
 * a message that is glued to their CONNACK. Where devices ask by themselves (login_rules.asks) they get 3 s
 * for it: told twice they would begin twice. The mqtt thread's alone. */
#ifndef OTAD_MQTT_ARRIVALS_H
#define OTAD_MQTT_ARRIVALS_H

#include "inbox.h"

#define ARRIVAL_DELAY_MS  300
#define ARRIVAL_ASKS_MS   3000
#define ARRIVAL_BATCH_MAX 1000
#define ARRIVALS_MAX      32768 /* more at once are offered at once */

struct arrival {
    uint64_t who; /* hash; 0: it has become ready, or left */
    int64_t due_ms;
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE];
};

struct arrival_line { /* a queue: every delay in it is the same */
    struct arrival *ring;
    size_t cap, first, n;
};

struct arrivals {
    struct arrival_line soon, askers;
};

void arrivals_free(struct arrivals *a);

/* The link is down: nobody is expected. */
void arrivals_clear(struct arrivals *a);

/* A message of the plugin: {"product":"p","device":"d","sessions":1,"event":"login"}, with
 * "asks":true where its devices ask by themselves; or "ready", or "logout". */
void arrivals_take(struct arrivals *a, struct inbox *in, const void *payload, size_t len, int64_t now_ms);

/* The device has said what is answered with whatever is due: it is not expected any more. There are devices
 * that begin their download anew with every offer, and cannot take two. product "": a thing of AWS. */
void arrivals_answered(struct arrivals *a, const char *product, const char *device);

/* Adds the EVENT_READY of those whose time has come, until the batch has ARRIVAL_BATCH_MAX events: a fleet
 * that comes back at once must not make one long transaction. */
void arrivals_due(struct arrivals *a, struct inbox *in, int64_t now_ms);

/* When the next one is due, monotonic; -1: none. */
int64_t arrivals_next_ms(const struct arrivals *a);

#endif
