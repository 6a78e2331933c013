/* login.h: what somebody who says to be a device is held against: of its product and of itself, and nothing
 * else of what is known of them, since each poll begins with it. */
#ifndef OTAD_STORE_LOGIN_H
#define OTAD_STORE_LOGIN_H

#include "base/seal.h"
#include "store/db.h"

struct login_secret {
    unsigned char sealed[SEALED_SIZE];
    size_t len; /* 0: none */
};

struct login_row {
    int64_t product_id, device_id; /* device_id 0: not registered */
    bool product_enabled, enrolment_open, device_enabled;
    char protocol[16];
    struct login_secret enrolment, device;
};

/* ERR_NOT_FOUND when there is no such product. */
int login_get(struct db *db, const char *product, const char *device, struct login_row *out, struct err *e);

#endif
