/* sessions.h: who is connected, in memory: sessions by client id, and how many each device has. The broker
 * has one connection a client id; a second one with the same id takes the first one's place, and the end of
 * the first comes after the beginning of the second, so a session's end counts only when it is that of the
 * connection that holds the id. For one thread. */
#ifndef OTAD_BROKER_PLUGIN_SESSIONS_H
#define OTAD_BROKER_PLUGIN_SESSIONS_H

#include "base/str.h"
#include "table.h"

#define WHO_SIZE       (PRODUCT_SIZE + DEVICE_SIZE) /* "product/device" */
#define CLIENT_ID_SIZE 513

struct visitor { /* a device that has a session */
    char who[WHO_SIZE];
    unsigned sessions;
};

struct session {
    const void *client; /* the broker's connection: an identity, never looked into */
    char client_id[CLIENT_ID_SIZE];
    struct visitor *visitor;
    bool ready; /* it has subscribed to its offers */
};

struct sessions {
    struct table by_client_id; /* struct session */
    struct table by_who;       /* struct visitor */
};

/* The session that now begins, or NULL when the id belongs to another device's session, is too long, or for
 * want of memory. */
const struct session *sessions_begin(struct sessions *s, const void *client, const char *client_id,
                                     const char *who);

/* The connection's session, or NULL. */
struct session *sessions_find(const struct sessions *s, const void *client, const char *client_id);

/* True when it was a session: who is its device and *left how many sessions that still has. */
bool sessions_end(struct sessions *s, const void *client, const char *client_id, char who[WHO_SIZE],
                  unsigned *left);

void sessions_free(struct sessions *s);

#endif
