/* wire.h: how one device protocol says things: topics and bodies behind a table of functions, so that a
 * protocol is one file (wire_native.c) and devices know none of them. Pure functions: no sockets, no clock.
 *
 * All return 0 or a negative error code (base/err.h) and write their outputs only on success. */
#ifndef OTAD_SIM_WIRE_H
#define OTAD_SIM_WIRE_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_TOPIC_SIZE 256
#define WIRE_LOGIN_SIZE 256
#define WIRE_ID_SIZE    65
#define WIRE_URL_SIZE   1025

struct wire_identity { /* borrowed texts */
    const char *product, *device, *secret;
};

struct wire_login {
    char client_id[WIRE_LOGIN_SIZE];
    char username[WIRE_LOGIN_SIZE];
    char password[WIRE_LOGIN_SIZE];
};

enum wire_kind { WIRE_INFORM, WIRE_PERCENT, WIRE_STATE, WIRE_ERROR, WIRE_REQUEST };

/* What a device says; the fields that its kind does not use are NULL and 0. Borrowed texts. */
struct wire_report {
    enum wire_kind kind;
    const char *version, *module; /* INFORM */
    const char *id;               /* of the offer: PERCENT, STATE, ERROR */
    int percent;                  /* PERCENT */
    const char *word;             /* STATE: "installing"; ERROR: the reason */
    const char *detail;           /* ERROR; may be NULL */
};

struct wire_message {
    char topic[WIRE_TOPIC_SIZE];
    char *body; /* the caller frees */
};

/* id "" means that nothing is due; the other fields are then not set. */
struct wire_offer {
    char id[WIRE_ID_SIZE];
    char version[VERSION_SIZE];
    char module[MODULE_SIZE];
    char url[WIRE_URL_SIZE];
    char sha256[65]; /* lower-case hex */
    uint64_t size;   /* bytes; never 0 */
};

struct wire {
    const char *name;
    int (*login)(const struct wire_identity *who, struct wire_login *out, struct err *e);
    int (*subscription)(const struct wire_identity *who, char topic[WIRE_TOPIC_SIZE], struct err *e);
    int (*say)(const struct wire_identity *who, const struct wire_report *report, struct wire_message *out,
               struct err *e);
    int (*hear)(const char *body, size_t len, struct wire_offer *out, struct err *e);
};

extern const struct wire wire_native;

#endif
