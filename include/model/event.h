/* event.h: what a device said and what otad answers, as plain values, the same for every protocol. A protocol
 * turns bytes into a device_event and an outgoing into bytes; the rollout turns one into the other. Values
 * are copied. */
#ifndef OTAD_MODEL_EVENT_H
#define OTAD_MODEL_EVENT_H

#include "base/digest.h"
#include "base/sign.h"
#include "base/str.h"
#include "model/words.h"

#include <stdbool.h>
#include <stdint.h>

#define DETAIL_SIZE 257
#define URL_SIZE    512

enum event_kind {
    EVENT_LOGIN,    /* the broker's plugin: a session began or ended; sessions says how many there are now */
    EVENT_READY,    /* the device has subscribed: it can hear an offer */
    EVENT_INFORM,   /* it reports the version of a module */
    EVENT_PROGRESS, /* it downloads (percent), or is in a later state */
    EVENT_ERROR,    /* this attempt failed: reason, detail */
    EVENT_REQUEST,  /* is anything due? */
};

struct device_event {
    enum event_kind kind;
    bool over_session; /* it came by the broker, so a session of the device is there */
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE];
    char module[MODULE_SIZE];   /* INFORM; "default" when the device names none */
    char version[VERSION_SIZE]; /* INFORM */
    int64_t execution_id;       /* PROGRESS, ERROR: the offer's id it echoes; 0 when it echoes none */
    enum execution_state state; /* PROGRESS: DOWNLOADING .. INSTALLING, or SUCCEEDED: its own word */
    int percent;                /* PROGRESS: 0..100, -1 when it says none */
    enum reason reason;         /* ERROR */
    char detail[DETAIL_SIZE];   /* the device's own words */
    unsigned sessions;          /* LOGIN */
};

struct offer {
    int64_t id; /* the execution */
    char version[VERSION_SIZE];
    char module[MODULE_SIZE];
    uint64_t size;
    struct digests digests;
    char signature[SIGNATURE_TEXT_SIZE];
    char url[URL_SIZE];
    char delta_from[VERSION_SIZE]; /* "" for a full file */
    int64_t expires_at_ms;
};

/* What goes to a device: an offer, or the word that nothing is due. */
struct outgoing {
    char protocol[16];
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE];
    bool nothing;
    struct offer offer;
};

#endif
