/* presence.h: otad is told of sessions that begin, end, and subscribe to their offers, by messages to its own
 * session: {"product":..,"device":..,"sessions":1,"event":"login"}, "logout" or "ready". sessions is how many
 * the device has now. */
#ifndef OTAD_BROKER_PLUGIN_PRESENCE_H
#define OTAD_BROKER_PLUGIN_PRESENCE_H

#include "plugin.h"

void presence_tell(const struct plugin *p, const struct login_claim *names, unsigned sessions,
                   const char *event);
/* That the session has begun, and whether its device is about to ask by itself. */
void presence_tell_login(const struct plugin *p, const struct session *s);

/* Of everybody who is there. */
void presence_tell_all(const struct plugin *p);

#endif
