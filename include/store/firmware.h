/* firmware.h: rows of firmware. A row never changes; its bytes live in image/blob under sha256. */
#ifndef OTAD_STORE_FIRMWARE_H
#define OTAD_STORE_FIRMWARE_H

#include "base/digest.h"
#include "base/sign.h"
#include "base/str.h"
#include "base/version_range.h"
#include "store/db.h"

struct firmware {
    int64_t id;
    int64_t product_id;
    char product[PRODUCT_SIZE];
    char module[MODULE_SIZE];
    char version[VERSION_SIZE];
    char delta_from[VERSION_SIZE]; /* "" full */
    char requires[RANGE_SIZE];     /* the versions that it installs over; "" any */
    char filename[FILENAME_SIZE];
    uint64_t size;
    struct digests digests;
    char signature[SIGNATURE_TEXT_SIZE];
    char signed_by[SHA256_TEXT_SIZE]; /* the maker's key, by its fingerprint; "" otad's own */
    char image[8];                    /* "esp", "mcuboot", "" opaque */
    char image_version[33];
    char image_project[33];
    char image_chip[16];
    int64_t created_at_ms;
    int64_t withdrawn_at_ms; /* 0: not withdrawn */
};

/* Sets f->id. When the same product, module, version and delta_from is stored: with the same sha256 and
 * requires *existed is true and f is the stored row, with others ERR_CONFLICT names both. */
int firmware_insert(struct db *w, struct firmware *f, bool *existed, struct err *e);
int firmware_get(struct db *db, int64_t id, struct firmware *out, struct err *e);
/* Any row with these bytes, or one that has them as a further file (store/firmware_part): then as if that
 * were its file. */
int firmware_get_sha256(struct db *db, const char *sha256, struct firmware *out, struct err *e);
/* The newest row with this file name of a product that is public and enabled, by keys that it holds now. */
int firmware_get_public(struct db *db, const char *filename, struct firmware *out, struct err *e);
/* product NULL: all. Ordered by id. */
int firmware_list(struct db *db, const char *product, int64_t after_id, struct firmware out[], size_t cap,
                  size_t *n, struct err *e);
/* Withdraws it: no list, download or campaign has it any more, and its version may be stored anew. The row
 * stays when a campaign ever named it. ERR_CONFLICT while one that is not over does. *last: no other row has
 * these bytes. */
int firmware_delete(struct db *w, int64_t id, int64_t now_ms, bool *last, struct err *e);
/* A campaign that names it, or of which a device is at it, and that is not over: 1 and its id, 0 none. */
int firmware_live_campaign(struct db *db, int64_t id, int64_t *campaign_id, struct err *e);
/* ERR_CONFLICT when a file of it is signed by none of the keys that its product holds now, or by otad while
 * the product holds some: nothing new is to offer it. f->id and f->product are looked at. */
int firmware_check_signer(struct db *db, const struct firmware *f, struct err *e);
/* Whether some firmware has these bytes as one of its files. */
int firmware_known(struct db *db, const char *sha256, bool *known, struct err *e);

#endif
