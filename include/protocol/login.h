/* login.h: how devices log in at the broker, one set of rules a protocol. Pure functions. */
#ifndef OTAD_PROTOCOL_LOGIN_H
#define OTAD_PROTOCOL_LOGIN_H

#include "base/seal.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct login { /* as it came; NULL where nothing came */
    const char *client_id, *username, *password;
    const char *common_name;         /* of the client certificate that the broker has verified */
    const char *common_name_product; /* the product that certificate names; "" or NULL none */
};

struct login_claim {
    char product[PRODUCT_SIZE]; /* "": a thing of AWS: its name alone says who it is */
    char device[DEVICE_SIZE];
};

struct login_rules {
    bool one_session;   /* a second login of a device ends the first */
    bool base64_secret; /* secrets are keys in base64: those made here are so too */
    /* A device says or asks something as soon as it is in: what is due is its answer, and an offer unasked
     * comes only to one that keeps silent for a while. */
    bool asks;
    bool certificate; /* a claim is its own proof: the broker has verified the certificate it is made of */

    /* Whether the login has this protocol's shape; then whose it claims to be. */
    bool (*claim)(const struct login *login, struct login_claim *out);
    /* Whether the secret, the device's own or its product's enrolment secret, proves it. Constant time over
     * the secret. now_s: seconds since 1970. */
    bool (*proven)(const struct login *login, const struct login_claim *claim, const char *secret,
                   int64_t now_s);
};

#endif
