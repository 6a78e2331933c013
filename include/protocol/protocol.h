/* protocol.h: the device protocols: each turns topics and bodies into events, and what is to be said into
 * messages; and knows who logs in how and may use which topic. Pure functions: no sockets, no SQL, no clock.
 * One row a protocol in protocol.c; adding one is adding its file and its row. Thread-safe: constant tables.
 *
 * What comes in is bytes from outside: any length, any content. */
#ifndef OTAD_PROTOCOL_PROTOCOL_H
#define OTAD_PROTOCOL_PROTOCOL_H

#include "base/err.h"
#include "base/json.h"
#include "model/event.h"
#include "protocol/login.h"
#include "protocol/topic.h"

#define MESSAGE_MAX  65536 /* bytes of a device's message that are looked at; a longer one is nonsense */
#define MESSAGES_MAX 4     /* that one thing to say may become */

struct message {
    char topic[TOPIC_SIZE];
    char *payload; /* owned: message_clear frees it */
    size_t len;
    int qos;              /* at most; a session that did not subscribe gets 0 */
    bool only_subscribed; /* not for sessions that did not subscribe to topic */
};

/* Bytes of a file on their way to a device. */
struct file_block {
    uint64_t index;     /* of the request's blocks, from the start of the file where they divide it evenly */
    uint64_t offset;    /* bytes, in the file */
    uint64_t file_size; /* bytes */
    const void *bytes;
    size_t len;
};

enum file_fault {
    FILE_UNKNOWN,    /* no such stream, not this device's, or no such file in it */
    FILE_PAST_END,   /* the offset is at the file's end or behind it */
    FILE_UNREADABLE, /* ours: the bytes cannot be read now */
};

struct protocol {
    const char *name;           /* as in product.protocol */
    const char *const *filters; /* what otad subscribes to, NULL at the end */
    bool success_by_report;     /* what a product of it gets for `success` unless it says otherwise */
    struct login_rules login;
    struct topic_rules topics;

    /* topic matched one of the filters. ERR_INVALID or ERR_BAD_REQUEST with a sentence for what was not
     * understood. *ev is zeroed by the callee, and the caller clears it; nothing is owned on failure. */
    int (*parse)(const char *topic, const void *payload, size_t len, struct device_event *ev, struct err *e);

    /* The protocol's own word for a message that parse refused with why: true when *out, which the caller
     * clears, is to be sent to *product and *device. NULL: it has none. */
    bool (*refuse)(const char *topic, const void *payload, size_t len, const struct err *why, int64_t now_ms,
                   char product[PRODUCT_SIZE], char device[DEVICE_SIZE], struct message *out);

    /* What is to be said, as messages in their order, which the caller clears; *n 0: this protocol says
     * nothing there. */
    int (*render)(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n, struct err *e);

    /* Answers to EVENT_FILE; all NULL where the protocol has none. *out with payload NULL: silence. */
    int (*block)(const struct device_event *ev, const struct file_block *b, struct message *out,
                 struct err *e);
    int (*describe)(const struct device_event *ev, const uint64_t sizes[], size_t n, struct message *out,
                    struct err *e);
    int (*no_file)(const struct device_event *ev, enum file_fault fault, struct message *out, struct err *e);
};

/* The rows by index; NULL after the last. */
const struct protocol *protocol_at(size_t i);
/* NULL when there is none of that name, or none with a filter that matches topic. */
const struct protocol *protocol_by_name(const char *name);
const struct protocol *protocol_by_topic(const char *topic);

/* Whose login it is, by its shape: the protocol, and the names it claims. NULL: nobody's. Nothing is proven
 * yet. */
const struct protocol *protocol_by_login(const struct login *login, struct login_claim *out);

void message_clear(struct message *m);
/* Puts it on the topic that the pattern (protocol/topic.h) is for the device; ERR_INTERNAL when that is too
 * long. */
int message_address(const char *pattern, const char *product, const char *device, struct message *out,
                    struct err *e);
/* The body takes over as a message's payload. */
void message_json(struct message *m, json_t *body);

#endif
