/* api.h: what the api_*.c files share: reading bodies, secrets, tags and pages in one way. */
#ifndef OTAD_HTTP_API_H
#define OTAD_HTTP_API_H

#include "base/seal.h"
#include "http/request.h"
#include "rollout/campaign.h"
#include "store/device.h"
#include "store/firmware.h"
#include "store/product.h"

/* Of the request's JSON body, which must be there; strict. */
int api_read(const struct request *r, const struct json_field fields[], size_t n, struct err *e);

/* After a change that may give the tick something to do. */
void api_wake(const struct request *r);

/* Whether these reports and questions of the device change nothing and have no offer for an answer: most have
 * none. Then nothing needs to be written; that the device was heard is kept in memory. False on the writer.
 */
int api_idle(const struct request *r, struct db *db, int64_t device_id, const struct device_event ev[],
             size_t n, bool *idle, struct err *e);
/* Tells the rollout, on the writer. *answer: the offer, which the caller clears, or OUTGOING_NOTHING. */
int api_tell(const struct request *r, struct db *w, const struct device_event *ev, struct outgoing *answer,
             struct err *e);

/* n rows of size bytes, zeroed; the caller frees. Never NULL. */
void *api_rows(size_t n, size_t size);

/* ---- secrets: 8 to 128 bytes of text without a colon, which divides name and secret in HTTP's Basic */
#define API_SECRET_BYTES_MIN 8
/* 256 random bits in base64url, or in the alphabet that the devices of this protocol decode. */
void api_secret_make(const char *protocol, char secret[SECRET_SIZE]);
int api_secret_check(const char *field, const char *secret, struct err *e);
/* Seals for the store: out is SEALED_SIZE bytes. */
int api_secret_seal(const struct request *r, const char *purpose, const char *owner, const char *secret,
                    unsigned char out[SEALED_SIZE], size_t *len, struct err *e);
/* The same for a device: d->product, d->name and d->secret. */
int api_device_seal(const struct request *r, struct device *d, const char *secret, struct err *e);

/* {"site": "A"}: names as keys, text or nothing as values. ERR_INVALID names the key under field. */
int api_tags_read(const json_t *object, const char *field, struct device_tag out[TAGS_MAX], size_t *n,
                  struct err *e);
int api_tag_check(const char *key, const char *value, const char *field, struct err *e);

/* A key that must be a product's; ERR_INVALID names the field "product". */
int api_product(struct db *db, const char *key, struct product *out, struct err *e);

/* Firmware as the interface shows it; api_firmware_whole with the list of its files. */
json_t *api_firmware_json(const struct firmware *f);
int api_firmware_whole(struct db *db, const struct firmware *f, json_t **out, struct err *e);
/* PUT /firmware with part_of. */
int api_firmware_part_put(struct request *r, struct db *db, struct err *e);
/* A text of ours that stands in what devices of the product read; ERR_INVALID where they would misread it. */
int api_push_word(const struct product *p, const char *field, const char *text, struct err *e);

/* A new device's name must be one that its product's protocol can have; ERR_INVALID names the field "name".
 */
int api_name_check(const struct product *p, const char *name, struct err *e);

/* A state's word in the query; -1 without one. */
int api_state_read(const struct request *r, int (*parse)(const char *word), int *out, struct err *e);

/* A campaign as the interface shows it in lists; whole, with its waves; as the reply of those that change
 * one, and of those that make one. */
int api_campaign_json(struct db *db, const struct campaign *c, json_t **out, struct err *e);
int api_campaign_whole(struct db *db, const struct campaign *c, json_t **out, struct err *e);
int api_campaign_reply(struct request *r, struct db *db, int64_t id, struct err *e);
int api_campaign_made(struct request *r, struct db *w, int64_t id, struct err *e);
/* The reply of a dry run: what the campaign would do. Looks at every device of its target. */
int api_plan(struct request *r, struct db *db, const struct campaign_spec *spec, struct err *e);

json_t *api_execution_json(const struct execution_view *x);
/* The reply is the whole list as CSV, beginning after that device. */
int api_executions_csv(struct request *r, struct db *db, int64_t campaign_id,
                       const struct execution_filter *f, int64_t after, struct err *e);

#endif
