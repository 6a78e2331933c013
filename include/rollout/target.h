/* target.h: which devices a campaign is for. A target is compiled once, from what the operator gave or the
 * store holds, into values that two kinds of prepared statements take as parameters: one that leads (the
 * narrowest index: names, one tag, another campaign's devices, else the product's), and one that asks a
 * single device the rest. So whoever makes a plan, makes the rows, or asks why, asks the same. */
#ifndef OTAD_ROLLOUT_TARGET_H
#define OTAD_ROLLOUT_TARGET_H

#include "base/err.h"
#include "base/str.h"
#include "base/version.h"
#include "base/version_range.h"
#include "store/db.h"

struct target {
    char *devices;          /* owned JSON, as all of them; NULL: no such condition. Array of names */
    char *equal;            /* object: tags with these values */
    char *unequal;          /* object: not with these; who lacks the tag is in */
    char *present, *absent; /* arrays of keys */
    char lead_key[65], lead_value[129]; /* of equal, one that the lead may take; "" none */
    char version[RANGE_SIZE];           /* of the campaign's first module; "" any */
    int64_t percent;                    /* 1..100, by a hash of the device */
    bool dynamic;                       /* takes in who comes later */
    int64_t source_id;                  /* only devices of this campaign; 0 none */
    unsigned source_states;             /* whose execution there is in one of these: bit 1 << state */
};

struct json_t;
/* {"product":..,"devices":..,"tags":{"site":"A","rack!":"3","gps":true,"beta":false},"version":..,"percent":..,
 * "dynamic":..,"campaign":..,"states":[..]}; product is handed out. ERR_INVALID names the field. The caller
 * clears *out. */
int target_parse(const struct json_t *object, struct target *out, char product[PRODUCT_SIZE], struct err *e);
/* As the store has it, which is as target_json makes it. */
int target_load(const char *text, struct target *out, struct err *e);
struct json_t *target_json(const struct target *t);
void target_copy(struct target *out, const struct target *t);
void target_clear(struct target *t);

/* Where a device's place is found: constant while a campaign lives. */
struct seeker {
    const struct target *target;
    int64_t product_id;
    enum version_scheme scheme;
    char module[MODULE_SIZE]; /* whose version the target asks for */
    uint64_t salt;
};

/* What of it cannot be: names and tags that nobody has, a version range that its scheme does not have, a
 * campaign that is not there. ERR_INVALID names the field. */
int target_check(struct db *db, const struct seeker *s, struct err *e);

/* The next devices that the lead finds, after after_id up to to_id, in the order of their ids; target_has has
 * yet to be asked. */
int target_next(struct db *db, const struct seeker *s, int64_t after_id, int64_t to_id, int64_t ids[],
                size_t cap, size_t *n, struct err *e);

/* What the answer hangs on: the first that is not so. */
enum membership { IS_MEMBER, NOT_TARGETED, NOT_IN_PERCENT, NOT_IN_VERSION };
int target_has(struct db *db, const struct seeker *s, int64_t device_id, const char *version,
               enum membership *out, struct err *e);

/* Uniform in 0 .. INT64_MAX - 1, the same whenever it is asked. */
int64_t device_hash(uint64_t salt, int64_t device_id);
/* Hashes below it are so many hundredths of per cent of all; 10000: all of them. */
int64_t hash_below(int64_t hundredths);

/* Whether the device has all these tags: JSON object as target.equal. */
int device_has_tags(struct db *db, int64_t device_id, const char *tags, bool *has, struct err *e);

#endif
