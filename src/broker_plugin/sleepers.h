/* sleepers.h: what sessions that the broker keeps (clean session 0) had subscribed to when their devices
 * left: they come back without subscribing again. So many are remembered, those that left last; the broker
 * itself remembers nothing of them that a plugin could read, and after its own restart there are none here.
 * For one thread. */
#ifndef OTAD_BROKER_PLUGIN_SLEEPERS_H
#define OTAD_BROKER_PLUGIN_SLEEPERS_H

#include "subscriptions.h"
#include "table.h"

#define SLEEPERS_MAX 10000

struct sleeper;

struct sleepers {              /* zeroed: none */
    struct table by_client_id; /* struct sleeper */
    struct sleeper *oldest, *newest;
};

/* Takes the subscriptions over. who is "product/device". */
void sleepers_keep(struct sleepers *s, const char *client_id, const char *who, struct subscriptions *subs);

/* Forgets the session, and gives what it had to *out, which was empty. False when it is not known, or was
 * another device's. */
bool sleepers_wake(struct sleepers *s, const char *client_id, const char *who, struct subscriptions *out);

void sleepers_free(struct sleepers *s);

#endif
