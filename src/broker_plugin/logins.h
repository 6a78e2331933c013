/* logins.h: who gets in, and what is so while they are there. */
#ifndef OTAD_BROKER_PLUGIN_LOGINS_H
#define OTAD_BROKER_PLUGIN_LOGINS_H

#include "plugin.h"

/* MOSQ_ERR_SUCCESS; MOSQ_ERR_AUTH, which the broker answers with "not authorised"; or MOSQ_ERR_UNKNOWN, upon
 * which it closes the connection without a word, and the device tries again. It has no other answers: "bad
 * user name or password" cannot be said. */
int logins_check(struct plugin *p, struct mosquitto *client, const char *username, const char *password);

/* A connection has ended; also one that ends between the check of its password and its CONNACK. */
void logins_ended(struct plugin *p, const struct mosquitto *client);

/* Ends the sessions of a device; of all devices of a product where device is "", of everybody where product
 * is
 * "" too. */
void logins_kick(struct plugin *p, const char *product, const char *device);

#endif
