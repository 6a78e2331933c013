/* sessions.h: who is connected, in memory: sessions by client id, and those that each device has. The broker
 * has one connection a client id; a second one with the same id takes the first one's place, and the end of
 * the first comes after the beginning of the second, so a session's end counts only when it is that of the
 * connection that holds the id. For one thread. */
#ifndef OTAD_BROKER_PLUGIN_SESSIONS_H
#define OTAD_BROKER_PLUGIN_SESSIONS_H

#include "pace.h"
#include "protocol/protocol.h"
#include "sleepers.h"

#define WHO_SIZE       (PRODUCT_SIZE + DEVICE_SIZE) /* "product/device" */
#define CLIENT_ID_SIZE 513

struct visitor { /* a device that has a session */
    struct login_claim names;
    char who[WHO_SIZE];
    bool thing;            /* a thing of AWS: "/device" finds it too */
    struct session *first; /* of its sessions */
    unsigned sessions;
};

struct session {
    const void *client; /* the broker's connection: an identity, never looked into */
    char client_id[CLIENT_ID_SIZE];
    struct visitor *visitor;
    struct session *next; /* of the same visitor's */
    const struct protocol *protocol;
    struct subscriptions subs;
    struct pace blocks; /* that it asks for */
    bool unsure;        /* the broker may have kept the session, and what it had subscribed to is not known */
    bool ready;         /* it has subscribed to its offers */
};

struct sessions {
    struct table by_client_id; /* struct session */
    struct table by_who;       /* struct visitor */
    struct sleepers sleepers;
};

/* A connection that has proved whose it is. */
struct arrival {
    const void *client;
    const char *client_id;
    const struct protocol *protocol;
    struct login_claim names;
    bool clean; /* nothing of an earlier session is kept */
};

/* The session that now begins, or NULL when the id belongs to another device's session, is too long, or for
 * want of memory. */
struct session *sessions_begin(struct sessions *s, const struct arrival *a);

/* The session that has to end before this one can begin: another device's, under a client id that is the
 * newcomer's own name and not its holder's. OneNET's devices and things of AWS have no other id, so that
 * whoever took it first would keep them out. NULL: there is none. */
const struct session *sessions_squatter(const struct sessions *s, const struct arrival *a);

/* The connection's session, or NULL. */
struct session *sessions_find(const struct sessions *s, const void *client, const char *client_id);

/* The device "product/device", or the thing "/device"; NULL when it has no session. */
const struct visitor *sessions_visitor(const struct sessions *s, const char *who);

/* The session's end; keep: its subscriptions are remembered for when it comes back. */
void sessions_end(struct sessions *s, struct session *old, bool keep);

void sessions_free(struct sessions *s);

#endif
