/* plugin.h: what the plugin's files share. The broker has one thread, which runs all of this: one read of the
 * store at a login, and nothing slow anywhere else.
 *
 * otad's own session has the client id "otad". Only the user "otad", over the Unix socket, with the password
 * that otad wrote at its start, gets it; so the id alone tells otad's session from a device's, in the
 * broker's offline sessions too. */
#ifndef OTAD_BROKER_PLUGIN_PLUGIN_H
#define OTAD_BROKER_PLUGIN_PLUGIN_H

#include "base/nets.h"
#include "base/throttle.h"
#include "lookup.h"
#include "sessions.h"

/* mosquitto_plugin.h needs it before */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <time.h>

#define OTAD      "otad"
#define PSK_TURNS 256

struct plugin {
    mosquitto_plugin_id_t *id;
    struct seal seal;
    char secret[SECRET_SIZE];
    struct lookup *lookup;
    struct sessions sessions;
    struct throttle *throttle; /* of failed logins */
    struct nets trusted_nets;  /* which it does not hold for */
    const void *otad;          /* its connection, NULL while it is away */
    bool served;               /* otad's session is there, and keeps what devices say while otad is away */
    bool reloading;            /* the broker asks again about everybody it knows */
    bool psk_old[PSK_TURNS]; /* whether the next handshake of the devices here is tried with the old secret */
    time_t minute;
    unsigned logged, unlogged;
};

/* ---- say.c */

/* A line in the broker's log, of which a minute has so many: a broken fleet would fill the disk. */
void plugin_complain(struct plugin *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sends a copy of the bytes to one session, whether it subscribed or not. */
void plugin_send(const char *client_id, const char *topic, const void *bytes, size_t len, int qos);

#endif
