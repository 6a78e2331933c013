/* rules.h: who may use which topic. Pure functions of a login name and a topic; the name was proved at login.
 */
#ifndef OTAD_BROKER_PLUGIN_RULES_H
#define OTAD_BROKER_PLUGIN_RULES_H

#include "sessions.h"

#include <stdint.h>

#define PAYLOAD_MAX 65536

/* "product/device" with two good names and no other slash. */
bool rules_split(const char *username, char product[PRODUCT_SIZE], char device[DEVICE_SIZE]);

/* A device's reports: its own inform, progress and request; never retained, never too long. */
bool rules_may_publish(const char *who, const char *topic, bool retain, uint32_t len);

/* What is delivered to it: its own offer. */
bool rules_may_hear(const char *who, const char *topic);

/* Filters below its own ota/product/device/, wildcards or not; what they deliver is judged by rules_may_hear.
 */
bool rules_may_subscribe(const char *who, const char *filter);

/* Whether the filter, which it may subscribe to, brings its offers. */
bool rules_is_offer(const char *who, const char *filter);

#endif
