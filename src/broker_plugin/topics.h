/* topics.h: who may use which topic. Each session uses its own device's, as its protocol has them. */
#ifndef OTAD_BROKER_PLUGIN_TOPICS_H
#define OTAD_BROKER_PLUGIN_TOPICS_H

#include "plugin.h"

/* What a device may say at once. A message that is longer than MESSAGE_MAX is nonsense, but one of a device's
 * own cloud still gets that cloud's own answer: AWS takes 128 KiB. */
#define PAYLOAD_MAX 131072

bool topics_may(struct plugin *p, const struct mosquitto_evt_acl_check *wish);

#endif
