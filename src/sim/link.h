/* link.h: one device's MQTT session over libmosquitto, driven by its owner's epoll. libmosquitto's own loop
 * is never used: it ends for good at a descriptor of 1024 or above, and it wants a thread a device.
 *
 *   DOWN --link_connect--> OPENING --CONNACK--> UP --any end--> DOWN
 *
 * The owner hears of it through hooks; `down` comes exactly once for every link_connect that returned true.
 * Within a hook the owner may publish and subscribe, and nothing else. One thread. */
#ifndef OTAD_SIM_LINK_H
#define OTAD_SIM_LINK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mosquitto;

enum link_state { LINK_DOWN, LINK_OPENING, LINK_UP };

struct link_hooks {
    void (*up)(void *owner);
    void (*down)(void *owner, const char *why);    /* why NULL: link_leave */
    void (*refused)(void *owner, const char *why); /* a login or a subscription */
    void (*heard)(void *owner, const char *topic, const char *body, size_t len);
    void (*acknowledged)(void *owner, int message_id); /* of link_publish */
};

struct link_settings {     /* borrowed */
    const char *host, *ca; /* ca NULL: the system's */
    int port;
    bool plain;
    int epoll_fd; /* events come back with data.ptr = owner */
};

struct link_login { /* copied */
    const char *client_id;
    const char *username, *password; /* username "": neither is sent */
    const char *cert, *key;          /* files; NULL none */
};

struct parcel; /* a message that came */

struct link {
    const struct link_settings *settings;
    const struct link_hooks *hooks;
    void *owner;
    struct mosquitto *client;
    int64_t deadline_ms; /* OPENING: until when there must be a CONNACK */
    int fd;              /* in epoll; -1 none */
    uint32_t interest;
    enum link_state state;
    bool greeted; /* a CONNACK came, and hooks->up is still to be called */
    bool leaving;
    struct parcel *first, **end; /* what came and is not handed over yet, in order */
};

/* Makes the client; no connection yet. */
int link_open(struct link *l, const struct link_settings *settings, const struct link_hooks *hooks,
              void *owner, const struct link_login *login, struct err *e);
void link_close(struct link *l);

/* Begins to connect. False, and why, when it failed at once. Blocks for the resolver only. */
bool link_connect(struct link *l, int64_t now_ms, const char **why);
void link_ready(struct link *l, uint32_t events);
/* About once a second: keepalive, and the end of an attempt that takes too long. */
void link_tick(struct link *l, int64_t now_ms);

/* The message id, or -1 when there is no session. */
int link_publish(struct link *l, const char *topic, const void *body, size_t len, int qos);
bool link_subscribe(struct link *l, const char *topic, int qos);

void link_leave(struct link *l); /* DISCONNECT, as a device that reboots does */
void link_cut(struct link *l);   /* the connection dies without a word */

#endif
