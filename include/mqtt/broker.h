/* broker.h: the managed broker: a mosquitto of our own as a child process. Its settings are written at each
 * start, from ours; it listens for devices with TLS, and for otad on a Unix socket in the data directory.
 * When it dies it is started again, after 1 to 30 seconds; when otad dies it ends too, storing what it holds.
 *
 * All functions are called by the main thread, because a child's wish to end with its parent is bound to the
 * thread that made it. Main reaps children and tells broker_reap. */
#ifndef OTAD_MQTT_BROKER_H
#define OTAD_MQTT_BROKER_H

#include "config/settings.h"

#include <stdbool.h>
#include <sys/types.h>

struct broker;

/* In the data directory: the socket for otad, and the folder that holds the broker's settings, what it
 * stores, and otad's password, which is a new one at each start. */
#define BROKER_SOCKET   "broker.sock"
#define BROKER_DIR      "mosquitto"
#define BROKER_PASSWORD "mosquitto/otad.password"
#define BROKER_USER     "otad"

/* The certificate and key are those that HTTPS serves, or of its two the one of RSA. ERR_INVALID when
 * mosquitto or its plugin is not there, or the data directory's path is too long for a socket; a port that is
 * taken is no failure: it is told, and tried again. */
int broker_start(const struct settings *settings, const char *cert_path, const char *key_path,
                 struct broker **out, struct err *e);

/* A child has ended. True when it was the broker. */
bool broker_reap(struct broker *b, pid_t pid, int status);

/* Once a second: starts it again when it is time. now_ms: monotonic. */
void broker_tick(struct broker *b, int64_t now_ms);

/* New connections get the certificate that is on disk now. */
void broker_reload(struct broker *b);

/* TERM, after five seconds KILL; frees b. */
void broker_stop(struct broker *b);

#endif
