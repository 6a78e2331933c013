/* lookup.h: may this device log in? One read of the store by its primary keys, over a read-only connection of
 * the plugin's own. It never waits for more than 50 ms, because the whole broker waits with it. For one
 * thread. */
#ifndef OTAD_BROKER_PLUGIN_LOOKUP_H
#define OTAD_BROKER_PLUGIN_LOOKUP_H

#include "base/seal.h"

#include <stdbool.h>

struct lookup;

/* Keeps the path: the store is opened at the first login, and again after it could not be read. */
struct lookup *lookup_open(const char *store_path, const struct seal *seal);
void lookup_close(struct lookup *l);

/* 0 when the password is the device's own secret, or the product's enrolment secret while enrolment is open.
 * ERR_UNAUTHORIZED says why not, for the log; anything else is the store's trouble. Names are good ones. */
int lookup_check(struct lookup *l, const char *product, const char *device, const char *password,
                 struct err *e);

#endif
