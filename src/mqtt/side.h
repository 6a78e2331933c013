/* side.h: the MQTT side as the files of its thread see it. */
#ifndef OTAD_MQTT_SIDE_H
#define OTAD_MQTT_SIDE_H

#include "arrivals.h"
#include "drops.h"
#include "files.h"
#include "kicks.h"
#include "mqtt/mqtt.h"
#include "outbox.h"

#include <mosquitto.h>
#include <stdatomic.h>

struct mqtt {
    struct mqtt_env env;
    pthread_t thread;
    int wake_fd; /* eventfd: there is something to send, or the end has come */
    atomic_bool stopping;
    struct outbox outbox;
    struct kicks kicks;

    /* ---- the mqtt thread's */
    struct inbox inbox;
    struct arrivals arrivals;
    struct files files;
    struct drops drops;
    struct mosquitto *client; /* NULL between connections */
    bool connected;           /* the broker has accepted us */
    bool heard;               /* and has our subscriptions: what devices say reaches us */
    int last_wish;            /* the packet of ours whose acknowledgement says so */
    unsigned arrived;         /* packets libmosquitto has told us of */
    bool more;                /* the batch ended before the socket was empty */
    int64_t since_ms;         /* of this attempt */
    int64_t retry_ms;         /* the next one, monotonic */
    int64_t misc_ms;          /* keep-alive is looked at then */
    unsigned failures;        /* in a row */
    char trouble[400];        /* why the connection must end; "" it need not */
    char told[400];           /* what was last logged of it */
};

/* Whether the broker is our own, which has the plugin. */
static inline bool mqtt_is_managed(const struct mqtt *m)
{
    return m->env.settings->broker == BROKER_MANAGED;
}

#endif
