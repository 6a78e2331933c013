/* campaign.h: campaigns: making, looking, acting.
 *
 *   draft --start--> scheduled --start_at--> preparing --> running <--> paused{operator threshold approval}
 *      |                 |        (its executions are      |   |           |
 *      |                 |         made in steps)          |   +-> completed when all are final
 *      +-----------------+-------------+-------------------+---------------+-> cancelled{operator threshold
 * end} One mover: campaign_move, by a table of legal moves. */
#ifndef OTAD_ROLLOUT_CAMPAIGN_H
#define OTAD_ROLLOUT_CAMPAIGN_H

#include "base/str.h"
#include "base/version.h"
#include "model/words.h"
#include "rollout/policy.h"
#include "rollout/rollout.h"
#include "rollout/target.h"
#include "rollout/wave.h"
#include "store/db.h"

#define CAMPAIGN_NAME_SIZE    129
#define CAMPAIGN_FIRMWARE_MAX 16
#define CAMPAIGN_EXT_MAX      4096 /* bytes of ext_data */
#define CAMPAIGN_REASON_SIZE  257

struct campaign_spec { /* what POST /campaigns asks for */
    char name[CAMPAIGN_NAME_SIZE];
    int64_t firmware[CAMPAIGN_FIRMWARE_MAX]; /* in the order of the modules' updates */
    size_t firmware_count;
    char product[PRODUCT_SIZE]; /* target.product; "" takes the firmware's */
    struct target target;       /* owned, as what follows: campaign_spec_clear */
    struct waves waves;
    char *waves_text; /* JSON as given, NULL none */
    char *ext_data;   /* JSON object of texts for the devices, NULL none */
    struct policy policy;
    bool draft;
    bool puts_back; /* each device of target.source_id to what it had before that campaign */
};

struct campaign {
    int64_t id;
    char name[CAMPAIGN_NAME_SIZE];
    int64_t product_id;
    char product[PRODUCT_SIZE];
    enum campaign_state state;
    char state_reason[CAMPAIGN_REASON_SIZE];
    char state_cause[16]; /* of paused and cancelled: operator, threshold, approval, end, damage */
    struct policy policy;
    int64_t prepared_to, devices_to, late_success;
    int64_t created_at_ms, started_at_ms, finished_at_ms;
    int64_t pruned_at_ms; /* since then its executions are not kept any more (rollout/retention) */
    int64_t revision;
    bool forced; /* cancelled, and what is active ends too */
    bool dynamic, puts_back;
    int64_t source_id; /* 0 none */
    uint64_t salt;
    enum version_scheme scheme; /* the product's */
};

struct campaign_counts {
    int64_t n[EXECUTION_STATES];
    int64_t total, final;
    int percent; /* of the campaign's executions that are final, rounded down; 0 while there are none */
};

void campaign_spec_clear(struct campaign_spec *spec);
/* Of the hashes that pick devices: its first firmware, so that a plan, its campaign and a larger one of the
 * same pick the same devices first. */
uint64_t campaign_salt(const struct campaign_spec *spec);
/* The modules of a campaign, in order. */
struct campaign_module {
    int ord;
    char module[MODULE_SIZE], version[VERSION_SIZE];
    int64_t firmware_id, product_id;
};

/* Checks the spec against the store: ERR_INVALID names the field. modules may be NULL. Reads only. */
int campaign_check(struct db *db, const struct campaign_spec *spec, int64_t now_ms,
                   struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX], struct err *e);
/* Checks, and inserts the campaign: draft, or scheduled for start_at, which may be at once. */
int campaign_create(struct db *w, const struct campaign_spec *spec, int64_t now_ms, int64_t *id,
                    struct err *e);
/* A campaign like that one for the devices for which it failed: what is final there stays so (invariant 1).
 * ERR_CONFLICT when there is none. */
int campaign_retry(struct db *w, int64_t id, int64_t now_ms, int64_t *new_id, struct err *e);
/* A campaign that puts the devices that this one had begun with back to the version each had. This one is
 * cancelled where it is not over; what it has begun ends first, and is put back after it. */
int campaign_rollback(struct rollout *r, struct db *w, int64_t id, const char *who, int64_t now_ms,
                      int64_t *new_id, struct err *e);
int campaign_get(struct db *db, int64_t id, struct campaign *out, struct err *e);
/* Of a campaign that puts back, the first so many. */
int campaign_firmware_ids(struct db *db, int64_t id, int64_t out[CAMPAIGN_FIRMWARE_MAX], size_t *n,
                          struct err *e);
int campaign_modules(struct db *db, int64_t id, struct campaign_module out[CAMPAIGN_FIRMWARE_MAX], size_t *n,
                     struct err *e);
/* Whose modules it is about: its own id, or where it puts back, that of the campaign at which this began. */
int campaign_origin(struct db *db, const struct campaign *c, int64_t *id, struct err *e);
/* As target_json and the request had it, as JSON text; the caller frees. */
int campaign_target(struct db *db, int64_t id, char **text, struct err *e);
int campaign_waves_text(struct db *db, int64_t id, char **text, struct err *e);
/* The JSON object of texts that the devices get beside the file, "" none; the caller frees. */
int campaign_ext_data(struct db *db, int64_t id, char **text, struct err *e);
/* state -1: all. Newest first, beginning before before_id (0: the newest). */
int campaign_list(struct db *db, int state, int64_t before_id, struct campaign out[], size_t cap, size_t *n,
                  struct err *e);
/* wave -1: of all of them, and of what has none. */
int campaign_counts(struct db *db, int64_t id, int wave, struct campaign_counts *out, struct err *e);

enum campaign_action {
    CAMPAIGN_START,
    CAMPAIGN_PAUSE,
    CAMPAIGN_RESUME,
    CAMPAIGN_ADVANCE, /* the next wave starts now; ERR_CONFLICT when there is none */
    CAMPAIGN_CANCEL,
    CAMPAIGN_CANCEL_FORCE
};

/* ERR_CONFLICT when the state does not allow it. Cancel ends what is queued; force also what is active. Large
 * campaigns are cancelled in steps by the tick; they are cancelled at once for everyone who asks. */
int campaign_act(struct rollout *r, struct db *w, int64_t id, enum campaign_action action, const char *who,
                 int64_t now_ms, struct err *e);
/* Wave n starts: its executions are queued by the tick. */
int wave_begin(struct db *w, int64_t id, int wave, int64_t now_ms, struct err *e);
/* They are, up to this device; INT64_MAX all of them. */
int wave_queued(struct db *w, int64_t id, int64_t to_id, struct err *e);
/* The one mover of a campaign's state. ERR_CONFLICT for a move that its diagram does not have. */
struct campaign_change {
    const char *cause, *reason; /* NULL "" */
    bool forced;
};
int campaign_move(struct db *w, const struct campaign *c, enum campaign_state to,
                  const struct campaign_change *change, int64_t now_ms, struct err *e);
/* name and, of a draft, scheduled or paused campaign, policy; revision must be the stored one. */
int campaign_update(struct db *w, struct campaign *c, struct err *e);

/* ---- executions as the interface shows them */
struct execution_view {
    int64_t id, campaign_id, device_id;
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    int wave; /* NO_WAVE: over when it was made */
    enum execution_state state;
    int percent, attempt;
    char reason[24];
    char detail[DETAIL_SIZE];
    int64_t due_at_ms, offered_at_ms, started_at_ms, finished_at_ms, updated_at_ms;
};
/* Ordered by device id, beginning after after_device_id. */
struct execution_filter {
    int state;    /* -1: all */
    bool by_wave; /* only those of wave, which may be NO_WAVE */
    int wave;
};
int execution_list(struct db *db, int64_t campaign_id, const struct execution_filter *f,
                   int64_t after_device_id, struct execution_view out[], size_t cap, size_t *n,
                   struct err *e);
int execution_view_get(struct db *db, int64_t id, struct execution_view *out, struct err *e);
/* Before a device is deleted: its live executions become removed. Their rows stay, the counts stay true. */
int execution_remove_device(struct db *w, int64_t device_id, int64_t now_ms, struct err *e);
/* How a campaign's executions ended badly: alike in reason, version before and, where tag_key is not NULL,
 * the value of that tag; what is most comes first. */
struct failure_group {
    enum execution_state state;
    char reason[24], from_version[VERSION_SIZE], tag[129], detail[DETAIL_SIZE];
    int64_t devices;
    char example[DEVICE_SIZE]; /* one of them, and its own words in detail */
};
int campaign_failures(struct db *db, int64_t campaign_id, const char *tag_key, struct failure_group out[],
                      size_t cap, size_t *n, struct err *e);
/* The executions of one device, newest first. */
int execution_list_device(struct db *db, int64_t device_id, int64_t before_id, struct execution_view out[],
                          size_t cap, size_t *n, struct err *e);

#endif
