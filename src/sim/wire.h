/* wire.h: how one device protocol says and hears things: topics and bodies behind a table, so that a protocol
 * is one file (wire_native.c) and devices know none of them. Each speaks as the clients in the field do, with
 * their habits. Pure functions: no sockets, no clock.
 *
 * All return 0 or a negative error code (base/err.h) and write their outputs only on success. */
#ifndef OTAD_SIM_WIRE_H
#define OTAD_SIM_WIRE_H

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_TOPIC_SIZE 384
#define WIRE_LOGIN_SIZE 512
#define WIRE_ID_SIZE    65
#define WIRE_URL_SIZE   1025
#define WIRE_NAME_SIZE  65

#define WIRE_BLOCK_MIN 256
#define WIRE_BLOCK_MAX 131072

enum wire_path { WIRE_PATH_AUTO, WIRE_PATH_HTTPS, WIRE_PATH_MQTT };

struct wire_habits { /* of all devices; borrowed texts */
    const char *module;
    const char *next_version; /* what an offer that names no version brings */
    enum wire_path path;      /* AUTO: by HTTPS where the offer has a URL */
    uint32_t block_bytes;     /* asked for at a time, over MQTT */
    bool json_streams;        /* AWS: blocks as JSON, not as CBOR */
};

struct wire_identity { /* borrowed texts */
    const char *product, *device;
    const char *secret; /* NULL: a certificate is all it has */
    bool common_secret; /* it is the product's, the same for all of its devices */
    const struct wire_habits *habits;
};

struct wire_login {
    char client_id[WIRE_LOGIN_SIZE];
    char username[WIRE_LOGIN_SIZE]; /* "": none, and no password */
    char password[WIRE_LOGIN_SIZE];
};

struct wire_offer {
    char id[WIRE_ID_SIZE]; /* tells it from others; not every protocol has one, so it may be the file's digest
                            */
    char version[VERSION_SIZE];
    char module[MODULE_SIZE];
    char url[WIRE_URL_SIZE];       /* "": in blocks */
    char stream[WIRE_NAME_SIZE];   /* "": by url; else where the blocks come from */
    int64_t file;                  /* of the stream */
    char sha256[SHA256_TEXT_SIZE]; /* lower-case hex; "" not said. One of the two is there */
    char md5[MD5_TEXT_SIZE];
    uint64_t size;   /* bytes; never 0 */
    int64_t counter; /* AWS: what the next report expects; its owner adds 1 with every report */
    bool waits;      /* AWS: WIRE_REQUEST begins it, and brings it again */
};

/* SUCCESS is said where own_word is set, as soon as the new version runs. */
enum wire_kind { WIRE_INFORM, WIRE_PERCENT, WIRE_STATE, WIRE_ERROR, WIRE_REQUEST, WIRE_SUCCESS };
#define WIRE_KINDS (WIRE_SUCCESS + 1)

/* What a device says; the fields that its kind does not use are NULL and 0. Borrowed. */
struct wire_report {
    enum wire_kind kind;
    const char *version;            /* INFORM */
    const struct wire_offer *offer; /* PERCENT, STATE, ERROR, SUCCESS */
    int percent;                    /* PERCENT */
    const char *word;               /* STATE: "installing"; ERROR: the reason */
    const char *detail;             /* ERROR; may be NULL */
    uint32_t serial;                /* of all that this device says */
};

struct wire_message {
    char topic[WIRE_TOPIC_SIZE];
    char *body; /* the caller frees */
    size_t len;
    int qos;
};

enum wire_heard_kind {
    WIRE_OTHER,    /* nothing that matters to a device */
    WIRE_NOTHING,  /* nothing is due */
    WIRE_OFFER,    /* offer */
    WIRE_BLOCK,    /* block */
    WIRE_NO_BLOCK, /* the server has no such block for this device */
    WIRE_TAKEN,    /* SUCCESS was taken */
    WIRE_COUNTER,  /* a report was refused: counter is what it should have expected */
    WIRE_REFUSED,  /* a report was refused for good */
};

struct wire_block { /* bytes are borrowed from the body or from scratch */
    uint64_t offset;
    const void *bytes;
    size_t len;
};

struct wire_heard {
    enum wire_heard_kind kind;
    struct wire_offer offer;
    struct wire_block block;
    int64_t counter;
};

struct wire_heard_from { /* what came in; borrowed */
    const char *topic;
    const char *body;
    size_t len;
    unsigned char *scratch; /* of habits->block_bytes, for blocks that are not in the body as they are */
};

struct wire_filter {
    const char *pattern; /* as wire_topic has them; NULL at the end */
    int qos;
};

struct wire {
    const char *name;
    const struct wire_filter *filters; /* subscribed to at the begin of each session */
    bool certificate;                  /* a client certificate is the login */
    bool own_word; /* success: TAKEN upon SUCCESS. Without: PUBACK of the new version's INFORM */
    int (*login)(const struct wire_identity *who, struct wire_login *out, struct err *e);
    int (*say)(const struct wire_identity *who, const struct wire_report *report, struct wire_message *out,
               struct err *e);
    /* For the block at offset. NULL: no files over MQTT. */
    int (*ask)(const struct wire_identity *who, const struct wire_offer *offer, uint64_t offset,
               struct wire_message *out, struct err *e);
    /* out->kind tells which of its fields are set. */
    int (*hear)(const struct wire_identity *who, const struct wire_heard_from *from, struct wire_heard *out,
                struct err *e);
};

extern const struct wire wire_native, wire_aliyun, wire_onenet, wire_aws;

/* NULL: there is none of that name. */
const struct wire *wire_by_name(const char *name);

/* ---- for the protocols */

/* The pattern with %p as the product, %d as the device and %x as extra, which may be NULL. */
int wire_topic(const char *pattern, const struct wire_identity *who, const char *extra,
               char topic[WIRE_TOPIC_SIZE], struct err *e);
bool wire_topic_is(const char *topic, const char *pattern, const struct wire_identity *who);

/* The object becomes the body. Takes it over. */
void wire_body(struct wire_message *out, json_t *object);

/* Chooses between what the offer has of url and stream as the device's habits want it, and checks the rest.
 */
int wire_offer_check(const struct wire_identity *who, struct wire_offer *offer, struct err *e);

#endif
