/* psk.h: the key of a device that connects by TLS with a shared one. */
#ifndef OTAD_BROKER_PLUGIN_PSK_H
#define OTAD_BROKER_PLUGIN_PSK_H

#include "plugin.h"

/* Writes the key as hex for the broker; out has size bytes. False: there is none for this identity, and the
 * handshake fails. */
bool psk_find(struct plugin *p, const char *identity, char *out, size_t size);

/* The device has proved its login with this secret, the present one or the one before: its next handshake
 * begins with that. */
void psk_proven(struct plugin *p, const struct login_claim *names, bool old);

#endif
