/* old_secret.h: a secret that was replaced and is good for a while yet. Each device and each product has one
 * at most; a change of the secret voids it (triggers of sql/005_guard.sql), whoever makes it, so that it is
 * kept after the change. */
#ifndef OTAD_STORE_OLD_SECRET_H
#define OTAD_STORE_OLD_SECRET_H

#include "base/seal.h"
#include "store/db.h"

struct old_secret {
    unsigned char sealed[SEALED_SIZE]; /* as the present one is, for the same owner */
    size_t len;                        /* 0: there is none that is good */
    int64_t until_ms;
};

int old_secret_of_device(struct db *db, int64_t device_id, int64_t now_ms, struct old_secret *out,
                         struct err *e);
int old_secret_of_product(struct db *db, int64_t product_id, int64_t now_ms, struct old_secret *out,
                          struct err *e);

int old_secret_keep_device(struct db *w, int64_t device_id, const struct old_secret *old, struct err *e);
int old_secret_keep_product(struct db *w, int64_t product_id, const struct old_secret *old, struct err *e);

/* Forgets those that are good no more; of devices' at most 5000, the next hour takes the rest. */
int old_secrets_forget(struct db *w, int64_t now_ms, struct err *e);

#endif
