/* lookup.h: what the store knows of who wants to log in. One read by its indexes, over a read-only connection
 * of the plugin's own. It never waits for more than 50 ms, because the whole broker waits with it. For one
 * thread. */
#ifndef OTAD_BROKER_PLUGIN_LOOKUP_H
#define OTAD_BROKER_PLUGIN_LOOKUP_H

#include "base/seal.h"
#include "protocol/login.h"

struct lookup;

struct credentials {
    struct login_claim names; /* with the product, where the claim had none */
    bool product_enabled;
    bool open;  /* devices that are not known may enrol */
    bool known; /* the device is registered; then: */
    bool device_enabled;
    bool revoked;                     /* the certificate that was shown, or it is another device's */
    char secret[SECRET_SIZE];         /* the device's own; "" none */
    char product_secret[SECRET_SIZE]; /* the product's for enrolment; "" none */
    char old_secret[SECRET_SIZE], old_product_secret[SECRET_SIZE]; /* replaced, and good yet; "" none */
};

/* Keeps the path: the store is opened at the first login, and again after it could not be read. */
struct lookup *lookup_open(const char *store_path, const struct seal *seal);
void lookup_close(struct lookup *l);

/* Of the device that the claim names, in a product of that protocol; a claim without a product is found by
 * its device's name alone. serial: of the certificate that was shown, "" none. *out holds secrets: the caller
 * wipes it with credentials_wipe. ERR_UNAUTHORIZED when there is no such product, or its protocol is another;
 * anything else is the store's trouble. */
int lookup_find(struct lookup *l, const char *protocol, const struct login_claim *claim, const char *serial,
                struct credentials *out, struct err *e);
void credentials_wipe(struct credentials *c);

#endif
