/* device.h: rows of device, its tags and its modules' versions, and its timeline. */
#ifndef OTAD_STORE_DEVICE_H
#define OTAD_STORE_DEVICE_H

#include "base/seal.h"
#include "base/str.h"
#include "store/db.h"

#define TAG_KEY_SIZE   65
#define TAG_VALUE_SIZE 129
#define TAGS_MAX       32
#define MODULES_MAX    16

struct device {
    int64_t id;
    int64_t product_id;
    char product[PRODUCT_SIZE]; /* the product's key */
    char name[DEVICE_SIZE];
    unsigned char secret[SEALED_SIZE];
    size_t secret_len; /* 0: none of its own */
    bool enabled;
    bool paused;
    char pinned[VERSION_SIZE];   /* the only version it is offered; "" any */
    int64_t failures;            /* executions that ended badly in a row */
    int64_t quarantine_until_ms; /* 0 none; it may be over, and nobody has noticed yet */
    int64_t registered_at_ms;
    int64_t last_seen_at_ms;
    int64_t revision;
};

struct device_tag {
    char key[TAG_KEY_SIZE];
    char value[TAG_VALUE_SIZE];
};

struct device_module {
    char module[MODULE_SIZE];
    char version[VERSION_SIZE];
    bool assumed;
    int64_t reported_at_ms;
};

/* Sets d->id. ERR_CONFLICT when the product has a device of that name, or both it and another are products of
 * AWS and the other has one. */
int device_insert(struct db *w, struct device *d, struct err *e);
/* secret, enabled, paused, pinned; revision as in product_update. */
int device_update(struct db *w, struct device *d, struct err *e);
/* Its tags, modules and timeline go with it; its name moves to device_gone. The caller ends its executions
 * first (execution_remove_device). */
int device_delete(struct db *w, int64_t id, int64_t now_ms, struct err *e);
/* ERR_NOT_FOUND names product/name. */
int device_get(struct db *db, const char *product, const char *name, struct device *out, struct err *e);
/* The oldest device whose name is this MAC address, which is as str_mac makes it. ERR_NOT_FOUND names it. */
int device_get_mac(struct db *db, const char *product, const char *mac, struct device *out, struct err *e);
/* The thing of AWS of this name, which is one among all products. ERR_NOT_FOUND names it. */
int device_get_thing(struct db *db, const char *name, struct device *out, struct err *e);
int device_get_id(struct db *db, int64_t id, struct device *out, struct err *e);
int device_seen(struct db *w, int64_t id, int64_t at_ms, struct err *e);

/* How its executions end, which is no edit: the revision stays. A device that is gone is fine. */
int device_failures_set(struct db *w, int64_t id, int64_t failures, int64_t quarantine_until_ms,
                        struct err *e);
/* Whose quarantine has ended by now, the first to end first. */
int device_quarantined(struct db *db, int64_t now_ms, int64_t ids[], size_t cap, size_t *n, struct err *e);

/* NULL or 0 in a member: no filter. tag_value needs tag_key. */
struct device_filter {
    const char *product, *tag_key, *tag_value, *module, *version;
    int64_t seen_before_ms, seen_after_ms;
};
int device_list(struct db *db, const struct device_filter *filter, int64_t after_id, struct device out[],
                size_t cap, size_t *n, struct err *e);

/* Replaces all tags. */
int device_tags_set(struct db *w, int64_t id, const struct device_tag tags[], size_t n, struct err *e);
int device_tags_get(struct db *db, int64_t id, struct device_tag out[TAGS_MAX], size_t *n, struct err *e);

/* *changed: the version is another than before (the first counts). Writes nothing when the same one is
 * reported by the device again; an assumed one becomes a reported one. A device has MODULES_MAX modules: what
 * it says of one more is not taken, and changes nothing. */
int device_version_set(struct db *w, int64_t id, const char *module, const char *version, bool assumed,
                       int64_t at_ms, bool *changed, struct err *e);
/* "" when it never reported this module. */
int device_version_get(struct db *db, int64_t id, const char *module, char version[VERSION_SIZE],
                       struct err *e);
int device_modules_get(struct db *db, int64_t id, struct device_module out[MODULES_MAX], size_t *n,
                       struct err *e);

/* ---- timeline: one line for each thing that happened to a device. ids of 0 are null. */
struct timeline_line {
    int64_t id, at_ms, campaign_id, execution_id;
    char kind[24];
    char text[400];
};
int timeline_add(struct db *w, int64_t device_id, int64_t at_ms, const char *kind, int64_t campaign_id,
                 int64_t execution_id, struct err *e, const char *format, ...)
    __attribute__((format(printf, 8, 9)));
/* Newest first, beginning before before_id (0: the newest). */
int timeline_list(struct db *db, int64_t device_id, int64_t before_id, struct timeline_line out[], size_t cap,
                  size_t *n, struct err *e);

#endif
