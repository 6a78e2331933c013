/* product.h: rows of product. Readers may use any connection, writers the writer's. */
#ifndef OTAD_STORE_PRODUCT_H
#define OTAD_STORE_PRODUCT_H

#include "base/seal.h"
#include "base/str.h"
#include "base/verify.h"
#include "base/version.h"
#include "model/event.h"
#include "store/db.h"

#define JOB_DOCUMENT_SIZE 4097

struct product {
    int64_t id;
    char key[PRODUCT_SIZE];
    char name[129];
    char protocol[16];
    bool enrolment_open;
    unsigned char enrolment_secret[SEALED_SIZE];
    size_t enrolment_secret_len; /* 0 none */
    bool public;
    bool enabled;
    bool strict_version;
    enum version_scheme version_scheme;
    char chip[16];
    int64_t max_image_bytes; /* 0 no limit */
    bool success_by_report;
    enum transfer transfer;
    bool sha256_sign;                       /* Aliyun's "sign" is the SHA-256, not the MD5 */
    bool digest_sign;                       /* and the signature goes beside it */
    char job_document[JOB_DOCUMENT_SIZE];   /* JSON object laid over AWS jobs' documents; "" none */
    char public_keys[MAKER_KEYS_TEXT_SIZE]; /* maker_keys_format; "" otad signs its firmware */
    int64_t created_at_ms;
    int64_t revision;
};

const char *transfer_word(enum transfer transfer);
int transfer_parse(const char *word); /* -1: none of them */

/* Sets p->id. ERR_CONFLICT when the key is taken. */
int product_insert(struct db *w, struct product *p, struct err *e);
/* Everything but id, key, created_at; p->revision must be the stored one (else ERR_PRECONDITION) and is
 * raised. */
int product_update(struct db *w, struct product *p, struct err *e);
/* Before a product's devices become things of AWS: ERR_CONFLICT names the first whose name is none that a
 * thing can have, or is the name of another product's thing. Looks at every device of the product. */
int product_check_things(struct db *db, int64_t id, struct err *e);
/* ERR_CONFLICT while it has devices, firmware or campaigns. */
int product_delete(struct db *w, int64_t id, struct err *e);
/* ERR_NOT_FOUND names the key. */
int product_get(struct db *db, const char *key, struct product *out, struct err *e);
int product_get_id(struct db *db, int64_t id, struct product *out, struct err *e);
/* Ordered by id, beginning after after_id, at most cap. */
int product_list(struct db *db, int64_t after_id, struct product out[], size_t cap, size_t *n, struct err *e);

#endif
