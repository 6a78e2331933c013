/* campaign.h: campaigns: making, looking, acting.
 *
 *   draft --start--> preparing --> running <--pause/resume--> paused --> (cancel) cancelled
 *                       (its executions are made in steps)        running --> completed when all are final
 * One mover: campaign_move, by a table of legal moves. */
#ifndef OTAD_ROLLOUT_CAMPAIGN_H
#define OTAD_ROLLOUT_CAMPAIGN_H

#include "base/str.h"
#include "base/version.h"
#include "model/words.h"
#include "rollout/rollout.h"
#include "store/db.h"

#include <stdio.h>

#define CAMPAIGN_NAME_SIZE    129
#define CAMPAIGN_FIRMWARE_MAX 16
#define CAMPAIGN_TARGET_SIZE  (64 * 1024)
#define CAMPAIGN_POLICY_SIZE  1024
#define CAMPAIGN_EXT_MAX      4096 /* bytes of ext_data */

/* Every key of a policy, its default, range and meaning: one table (rollout/policy.c), from which the
 * reference in docs/ is made. Spans in milliseconds. */
struct policy {
    int64_t offer_timeout_ms;    /* offer -> first sign of life */
    int64_t finish_timeout_ms;   /* first sign of life -> finished */
    int64_t health_hold_off_ms;  /* new version seen -> succeeded */
    int64_t rollback_confirm_ms; /* old version seen in installing -> rolled back */
    int64_t max_attempts;
    int64_t retry_after_ms; /* doubled with each attempt */
    unsigned retry_on;      /* bit 1 << enum reason */
    bool allow_downgrade;
};

struct campaign_spec { /* what POST /campaigns asks for */
    char name[CAMPAIGN_NAME_SIZE];
    int64_t firmware[CAMPAIGN_FIRMWARE_MAX]; /* in the order of the modules' updates */
    size_t firmware_count;
    char product[PRODUCT_SIZE]; /* target.product; "" takes the firmware's */
    const char *devices_json;   /* target.devices: JSON array of names, NULL all; borrowed */
    const char *tags_json;      /* target.tags: JSON object, NULL none; borrowed */
    const char *ext_data;       /* JSON object of texts for the devices, NULL none; borrowed */
    struct policy policy;
    bool draft;
};

struct campaign {
    int64_t id;
    char name[CAMPAIGN_NAME_SIZE];
    int64_t product_id;
    char product[PRODUCT_SIZE];
    enum campaign_state state;
    char state_reason[65];
    struct policy policy;
    int64_t prepared_to, late_success;
    int64_t created_at_ms, started_at_ms, finished_at_ms;
    int64_t revision;
    bool forced;                /* cancelled, and what is active ends too */
    enum version_scheme scheme; /* the product's */
};

struct campaign_counts {
    int64_t n[EXECUTION_STATES];
    int64_t total, final;
    int percent; /* of the campaign's executions that are final, rounded down; 0 while there are none */
};

void policy_defaults(struct policy *out);
/* An operator's JSON object over the defaults; ERR_INVALID names the key. object NULL: the defaults. */
struct json_t;
int policy_parse(const struct json_t *object, struct policy *out, struct err *e);
/* Of the JSON text in the store. */
int policy_load(const char *text, struct policy *out, struct err *e);
/* Every key with its value; the caller owns it. */
struct json_t *policy_json(const struct policy *p);
/* The reference of docs/, as a table. */
void policy_print(FILE *out);

/* Checks the spec against the store, inserts the campaign (preparing, or draft). ERR_INVALID names the field.
 */
int campaign_create(struct db *w, const struct campaign_spec *spec, int64_t now_ms, int64_t *id,
                    struct err *e);
int campaign_get(struct db *db, int64_t id, struct campaign *out, struct err *e);
int campaign_firmware_ids(struct db *db, int64_t id, int64_t out[CAMPAIGN_FIRMWARE_MAX], size_t *n,
                          struct err *e);
/* {"product":..,"devices":..,"tags":..} as JSON text; the caller frees. */
int campaign_target(struct db *db, int64_t id, char **text, struct err *e);
/* The JSON object of texts that the devices get beside the file, "" none; the caller frees. */
int campaign_ext_data(struct db *db, int64_t id, char **text, struct err *e);
/* state -1: all. Newest first, beginning before before_id (0: the newest). */
int campaign_list(struct db *db, int state, int64_t before_id, struct campaign out[], size_t cap, size_t *n,
                  struct err *e);
int campaign_counts(struct db *db, int64_t id, struct campaign_counts *out, struct err *e);

enum campaign_action {
    CAMPAIGN_START,
    CAMPAIGN_PAUSE,
    CAMPAIGN_RESUME,
    CAMPAIGN_CANCEL,
    CAMPAIGN_CANCEL_FORCE
};

/* ERR_CONFLICT when the state does not allow it. Cancel ends what is queued; force also what is active. Large
 * campaigns are cancelled in steps by the tick; they are cancelled at once for everyone who asks. */
int campaign_act(struct rollout *r, struct db *w, int64_t id, enum campaign_action action, const char *who,
                 int64_t now_ms, struct err *e);
/* The one mover of a campaign's state; one that runs is scanned for devices that are there. ERR_CONFLICT for
 * a move that its diagram does not have. */
int campaign_move(struct rollout *r, struct db *w, const struct campaign *c, enum campaign_state to,
                  const char *reason, bool forced, int64_t now_ms, struct err *e);
/* The tick looks at the campaign's queued devices from the first on, and offers to those that are there. */
void campaign_scan(struct rollout *r, int64_t campaign_id);
/* name and, of a draft or paused campaign, policy; revision must be the stored one. */
int campaign_update(struct db *w, struct campaign *c, struct err *e);

/* ---- executions as the interface shows them */
struct execution_view {
    int64_t id, campaign_id, device_id;
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    int wave;
    enum execution_state state;
    int percent, attempt;
    char reason[24];
    char detail[DETAIL_SIZE];
    int64_t due_at_ms, offered_at_ms, started_at_ms, finished_at_ms, updated_at_ms;
};
/* state -1: all. Ordered by device id, beginning after after_device_id. */
int execution_list(struct db *db, int64_t campaign_id, int state, int64_t after_device_id,
                   struct execution_view out[], size_t cap, size_t *n, struct err *e);
int execution_view_get(struct db *db, int64_t id, struct execution_view *out, struct err *e);
/* Before a device is deleted: its live executions become removed. Their rows stay, the counts stay true. */
int execution_remove_device(struct db *w, int64_t device_id, int64_t now_ms, struct err *e);
/* The executions of one device, newest first. */
int execution_list_device(struct db *db, int64_t device_id, int64_t before_id, struct execution_view out[],
                          size_t cap, size_t *n, struct err *e);

#endif
