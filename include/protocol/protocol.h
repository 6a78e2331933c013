/* protocol.h: the device protocols: each turns topics and bodies into events, and what is to be sent into a
 * message. Pure functions: no sockets, no SQL, no clock. One row a protocol in protocol.c; adding one is
 * adding its file and its row. Thread-safe: constant tables. */
#ifndef OTAD_PROTOCOL_PROTOCOL_H
#define OTAD_PROTOCOL_PROTOCOL_H

#include "model/event.h"
#include "protocol/topic.h"

#define MESSAGE_MAX 65536 /* bytes of a device's message that are looked at; a longer one is nonsense */

struct message {
    char topic[TOPIC_SIZE];
    char *payload; /* owned: message_clear frees it */
    size_t len;
    int qos;
};

struct protocol {
    const char *name;           /* as in product.protocol */
    const char *const *filters; /* what otad subscribes to, NULL at the end */

    /* topic matched one of the filters. Bytes from outside: any length, any content. ERR_INVALID or
     * ERR_BAD_REQUEST with a sentence for what was not understood. */
    int (*parse)(const char *topic, const void *payload, size_t len, struct device_event *ev, struct err *e);

    /* Fills *out, which the caller clears. */
    int (*offer)(const struct outgoing *what, struct message *out, struct err *e);
};

/* The rows by index; NULL after the last. */
const struct protocol *protocol_at(size_t i);
/* NULL when there is none of that name, or none with a filter that matches topic. */
const struct protocol *protocol_by_name(const char *name);
const struct protocol *protocol_by_topic(const char *topic);

void message_clear(struct message *m);

#endif
