/* dial.h: how to reach the broker, managed or foreign: where, with which name and password, with TLS or
 * without. */
#ifndef OTAD_MQTT_DIAL_H
#define OTAD_MQTT_DIAL_H

#include "config/settings.h"

#include <mosquitto.h>

/* Begins a connection; its CONNACK comes later. Gives up early when wake_fd becomes readable. */
int dial(struct mosquitto *client, const struct settings *s, int wake_fd, struct err *e);

/* What libmosquitto's number means; MOSQ_ERR_ERRNO means errno. */
const char *dial_reason(int rc);

#endif
