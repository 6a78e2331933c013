/* certificate.h: devices' certificates by their serial numbers: which were made here for whom, and which are
 * revoked. One without a row was made before there were rows, or elsewhere, and is as good as its signature.
 */
#ifndef OTAD_STORE_CERTIFICATE_H
#define OTAD_STORE_CERTIFICATE_H

#include "base/pki_client.h"
#include "store/db.h"

struct certificate_row {
    int64_t id;
    char serial[PKI_CLIENT_SERIAL_SIZE];
    int64_t device_id;     /* of a device, or of one that is gone */
    int64_t issued_at_ms;  /* 0: not made here */
    int64_t ends_at_ms;    /* 0: not made here */
    int64_t revoked_at_ms; /* 0: good */
};

/* One that was made just now. */
int certificate_insert(struct db *w, const struct certificate_row *row, struct err *e);

/* ERR_NOT_FOUND names the serial. */
int certificate_get(struct db *db, const char *serial, struct certificate_row *out, struct err *e);

/* Whether the device may use it: ERR_UNAUTHORIZED when it is revoked, or was made for another device or for
 * one of the same name that is gone. */
int certificate_check(struct db *db, const char *serial, int64_t device_id, struct err *e);

/* Of the device's, or one without a row. *changed: it was good until now. ERR_NOT_FOUND when it is another
 * device's. */
int certificate_revoke(struct db *w, const char *serial, int64_t device_id, int64_t now_ms, bool *changed,
                       struct err *e);

/* The device's, newest first, beginning before before_id (0: the newest). */
int certificate_list(struct db *db, int64_t device_id, int64_t before_id, struct certificate_row out[],
                     size_t cap, size_t *n, struct err *e);

/* Forgets some of those that ended before: their own dates refuse them. Not those that were revoked. */
#define CERTIFICATE_LISTED_MS (30 * 86400000LL) /* after their end */
int certificate_forget(struct db *w, int64_t before_ms, struct err *e);

#endif
