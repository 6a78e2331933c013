/* subscriptions.h: what one session has subscribed to, and with which QoS the broker granted it: the broker
 * does not say. For one thread. */
#ifndef OTAD_BROKER_PLUGIN_SUBSCRIPTIONS_H
#define OTAD_BROKER_PLUGIN_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Of one session; Aliyun takes as many of a device, AWS 50. One that is refused is seen by the device, in its
 * SUBACK; one that was forgotten would not be. */
#define SUBSCRIPTIONS_MAX 100

struct subscription {
    char *filter; /* owned */
    int qos;
};

struct subscriptions { /* zeroed: none */
    struct subscription *at;
    size_t n, cap;
};

/* Adds, or replaces the QoS. False when there are too many, or for want of memory. A filter that is longer
 * than any topic of ours is taken, and not kept. */
bool subscriptions_add(struct subscriptions *s, const char *filter, int qos);
void subscriptions_remove(struct subscriptions *s, const char *filter);

/* The best QoS that a filter which matches topic was granted; -1 when none matches. */
int subscriptions_granted(const struct subscriptions *s, const char *topic);

void subscriptions_free(struct subscriptions *s);

#endif
