/* mqtt.h: the MQTT side's front door, for main. One thread holds the connection to the broker: it reads a
 * batch of what devices say, has the writer store it in one transaction, lets the acknowledgements out only
 * after the commit, and then sends what is due, with a window of unacknowledged messages.
 *
 * What is queued here is lost with the connection, on purpose: after the next one the broker says who is
 * there, and the rollout offers again what is due. */
#ifndef OTAD_MQTT_MQTT_H
#define OTAD_MQTT_MQTT_H

#include "config/settings.h"
#include "image/blob.h"
#include "rollout/rollout.h"
#include "store/db.h"

/* Must outlive the struct mqtt. */
struct mqtt_env {
    const struct settings *settings;
    struct store *store;
    struct rollout *rollout;
    struct blobs *blobs;
    /* looks at a file that cannot be read; may be NULL */
    void (*suspect)(void *arg, const char *sha256);
    void *suspect_arg;
    void (*wake)(void); /* mqtt_room, which was 0, is not any more; may be NULL */
};

struct mqtt;

/* Starts the thread, which connects, and connects again for ever. Fails only for want of memory or threads,
 * or when the settings cannot be used at all. */
int mqtt_start(const struct mqtt_env *env, struct mqtt **out, struct err *e);

/* Sends what is queued for at most two seconds, disconnects, ends the thread and frees m. The store must
 * still run. */
void mqtt_stop(struct mqtt *m);

/* Queues what is to be said to devices, and clears it. -1 while the broker is away: then it is dropped. Any
 * thread. */
int mqtt_send(struct mqtt *m, struct outgoing out[], size_t n);

/* How many more messages mqtt_send should be given now; 0 while the broker is away. Any thread. */
size_t mqtt_room(struct mqtt *m);

/* Ends the sessions of a device, or of all devices of a product where device is "": now, or as soon as the
 * broker is back. Who may still log in will do so. A foreign broker is not asked. Any thread. */
void mqtt_end_sessions(struct mqtt *m, const char *product, const char *device);

#endif
