#include "rollout/campaign.h"

#include "base/json.h"
#include "base/log.h"
#include "rollout/execution.h"
#include "rollout/stream.h"
#include "store/firmware.h"
#include "store/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(state) (1u << (state))

static const unsigned legal[CAMPAIGN_STATES] = {
    [CAMPAIGN_DRAFT] = BIT(CAMPAIGN_PREPARING) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_PREPARING] = BIT(CAMPAIGN_RUNNING) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_RUNNING] = BIT(CAMPAIGN_PAUSED) | BIT(CAMPAIGN_COMPLETED) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_PAUSED] = BIT(CAMPAIGN_RUNNING) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_CANCELLED] = BIT(CAMPAIGN_CANCELLED), /* by force, after a gentle one */
};

void campaign_scan(struct rollout *r, int64_t campaign_id)
{
    for (size_t i = 0; i < r->scans.n; i++)
        if (r->scans.at[i].campaign_id == campaign_id) {
            r->scans.at[i].after_device_id = 0;
            return;
        }
    /* a full table only delays: the devices get their offer when they come back or ask */
    if (r->scans.n < SCANS_MAX) {
        r->scans.at[r->scans.n].campaign_id = campaign_id;
        r->scans.at[r->scans.n++].after_device_id = 0;
    }
}

int campaign_move(struct rollout *r, struct db *w, const struct campaign *c, enum campaign_state to,
                  const char *reason, bool forced, int64_t now_ms, struct err *e)
{
    if (!(legal[c->state] & BIT(to)))
        return err_set(e, ERR_CONFLICT, "campaign %lld is %s and cannot become %s", (long long)c->id,
                       campaign_state_word(c->state), campaign_state_word(to));
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_MOVE);
    bind_int(s, ":id", c->id);
    bind_text(s, ":from", campaign_state_word(c->state));
    bind_text(s, ":to", campaign_state_word(to));
    bind_text(s, ":reason", reason);
    bind_int(s, ":forced", forced);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, NULL, e);
    if (rc == 0 && to == CAMPAIGN_RUNNING)
        campaign_scan(r, c->id);
    return rc;
}

/* Fills firmware's product, checks that the files belong together (one product, one file for a module). */
static int check_firmware(struct db *w, const struct campaign_spec *spec, struct product *product,
                          struct firmware files[], struct err *e)
{
    if (spec->firmware_count == 0)
        return err_field(e, ERR_INVALID, "firmware", "firmware must name at least one file");
    for (size_t i = 0; i < spec->firmware_count; i++) {
        long long id = (long long)spec->firmware[i];
        if (firmware_get(w, spec->firmware[i], &files[i], e) < 0 || files[i].withdrawn_at_ms)
            return err_field(e, ERR_INVALID, "firmware", "there is no firmware %lld", id);
        if (files[i].product_id != files[0].product_id)
            return err_field(e, ERR_INVALID, "firmware",
                             "firmware %lld is for product %s, firmware %lld for %s",
                             (long long)spec->firmware[0], files[0].product, id, files[i].product);
        if (*files[i].delta_from)
            return err_field(e, ERR_INVALID, "firmware",
                             "firmware %lld is a delta from %s: name the full file", id, files[i].delta_from);
        for (size_t k = 0; k < i; k++)
            if (strcmp(files[k].module, files[i].module) == 0)
                return err_field(e, ERR_INVALID, "firmware", "firmware %lld and %lld are both for module %s",
                                 (long long)spec->firmware[k], id, files[i].module);
    }
    if (*spec->product && strcmp(spec->product, files[0].product) != 0)
        return err_field(e, ERR_INVALID, "target.product",
                         "the firmware is for product %s, the target says %s", files[0].product,
                         spec->product);
    return product_get_id(w, files[0].product_id, product, e);
}

static int check_devices(struct db *w, const struct campaign_spec *spec, int64_t product_id, struct err *e)
{
    if (!spec->devices_json)
        return 0;
    struct stmt *s STMT_AUTO = db_stmt(w, Q_TARGET_UNKNOWN_DEVICE);
    bind_int(s, ":product_id", product_id);
    bind_text(s, ":devices", spec->devices_json);
    int rc = stmt_step(s, e);
    if (rc > 0)
        return err_field(e, ERR_INVALID, "target.devices", "there is no device \"%.128s\" of this product",
                         col_ptr(s, 0));
    return rc;
}

static char *target_text(const struct campaign_spec *spec)
{
    json_t *target = json_object();
    if (spec->devices_json)
        json_put(target, "devices", json_loads(spec->devices_json, 0, NULL));
    if (spec->tags_json)
        json_put(target, "tags", json_loads(spec->tags_json, 0, NULL));
    char *text = json_text(target);
    json_decref(target);
    return text;
}

static int insert_campaign(struct db *w, const struct campaign_spec *spec, int64_t product_id, int64_t now_ms,
                           int64_t *id, struct err *e)
{
    json_t *policy = policy_json(&spec->policy);
    char *policy_text = json_text(policy), *target = target_text(spec);
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_INSERT);
    bind_text(s, ":name", spec->name);
    bind_int(s, ":product_id", product_id);
    bind_text(s, ":state", campaign_state_word(spec->draft ? CAMPAIGN_DRAFT : CAMPAIGN_PREPARING));
    bind_text(s, ":target", target);
    bind_text(s, ":policy", policy_text);
    bind_text(s, ":ext_data", spec->ext_data ? spec->ext_data : "");
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, NULL, e);
    if (rc == 0)
        *id = db_last_id(w);
    json_decref(policy);
    free(policy_text);
    free(target);
    return rc;
}

/* More than an offer lists would never come to the devices. None is added once a campaign names them. */
static int check_files(struct db *w, const struct firmware files[], size_t n, struct err *e)
{
    int64_t total = 0;
    int rc = 1;
    for (size_t i = 0; i < n && rc > 0; i++) {
        struct stmt *s STMT_AUTO = db_stmt(w, Q_CAMPAIGN_MORE_FILES);
        bind_int(s, ":id", files[i].id);
        rc = stmt_step(s, e);
        total += rc > 0 ? 1 + col_int(s, 0) : 0;
    }
    if (rc < 0 || total <= STREAM_FILES_MAX)
        return rc < 0 ? rc : 0;
    return err_field(e, ERR_INVALID, "firmware",
                     "the firmware has %lld files together, and %d may be offered", (long long)total,
                     STREAM_FILES_MAX);
}

int campaign_create(struct db *w, const struct campaign_spec *spec, int64_t now_ms, int64_t *id,
                    struct err *e)
{
    struct firmware files[CAMPAIGN_FIRMWARE_MAX];
    struct product product;
    int rc = check_firmware(w, spec, &product, files, e);
    if (rc == 0)
        rc = check_files(w, files, spec->firmware_count, e);
    if (rc == 0)
        rc = check_devices(w, spec, product.id, e);
    if (rc == 0)
        rc = insert_campaign(w, spec, product.id, now_ms, id, e);
    for (size_t i = 0; i < spec->firmware_count && rc == 0; i++) {
        struct stmt *s = db_stmt(w, Q_CAMPAIGN_FIRMWARE_INSERT);
        bind_int(s, ":campaign_id", *id);
        bind_int(s, ":ord", (int64_t)i);
        bind_int(s, ":firmware_id", files[i].id);
        bind_text(s, ":module", files[i].module);
        rc = stmt_run(s, NULL, e);
    }
    return rc;
}

static int campaign_read(struct stmt *s, struct campaign *c, struct err *e)
{
    *c = (struct campaign){
        .id = col_int(s, 0),
        .product_id = col_int(s, 2),
        .state = (enum campaign_state)campaign_state_parse(col_ptr(s, 4)),
        .prepared_to = col_int(s, 7),
        .late_success = col_int(s, 8),
        .created_at_ms = col_int(s, 9),
        .started_at_ms = col_int(s, 10),
        .finished_at_ms = col_int(s, 11),
        .revision = col_int(s, 12),
        .forced = col_int(s, 13),
        .scheme = (enum version_scheme)version_scheme_parse(col_ptr(s, 14)),
    };
    col_text(s, 1, c->name, sizeof c->name);
    col_text(s, 3, c->product, sizeof c->product);
    col_text(s, 5, c->state_reason, sizeof c->state_reason);
    return policy_load(col_ptr(s, 6), &c->policy, e);
}

int campaign_get(struct db *db, int64_t id, struct campaign *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_GET);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no campaign %lld", (long long)id);
    return rc < 0 ? rc : campaign_read(s, out, e);
}

int campaign_list(struct db *db, int state, int64_t before_id, struct campaign out[], size_t cap, size_t *n,
                  struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_LIST);
    bind_int(s, ":before_id", before_id ? before_id : INT64_MAX);
    bind_text(s, ":state", state < 0 ? NULL : campaign_state_word((enum campaign_state)state));
    bind_int(s, ":cap", (int64_t)cap);
    int rc;
    for (*n = 0; (rc = stmt_step(s, e)) > 0; (*n)++)
        if ((rc = campaign_read(s, &out[*n], e)) < 0)
            return rc;
    return rc;
}

int campaign_firmware_ids(struct db *db, int64_t id, int64_t out[CAMPAIGN_FIRMWARE_MAX], size_t *n,
                          struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_FIRMWARE_IDS);
    bind_int(s, ":id", id);
    int rc;
    for (*n = 0; *n < CAMPAIGN_FIRMWARE_MAX && (rc = stmt_step(s, e)) > 0; (*n)++)
        out[*n] = col_int(s, 0);
    return rc < 0 ? rc : 0;
}

/* The one text of the query's row, the caller's. */
static int own_text(struct db *db, enum query query, int64_t id, char **text, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, query);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no campaign %lld", (long long)id);
    if (rc < 0)
        return rc;
    *text = strdup(col_ptr(s, 0));
    if (!*text)
        abort();
    return 0;
}

int campaign_target(struct db *db, int64_t id, char **text, struct err *e)
{
    return own_text(db, Q_CAMPAIGN_TARGET, id, text, e);
}

int campaign_ext_data(struct db *db, int64_t id, char **text, struct err *e)
{
    return own_text(db, Q_CAMPAIGN_EXT_DATA, id, text, e);
}

int campaign_counts(struct db *db, int64_t id, struct campaign_counts *out, struct err *e)
{
    struct campaign_counts counts = {0};
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_COUNTS);
    bind_int(s, ":id", id);
    int rc;
    while ((rc = stmt_step(s, e)) > 0) {
        int64_t state = col_int(s, 0), n = col_int(s, 1);
        if (state < 0 || state >= EXECUTION_STATES)
            return err_set(e, ERR_INTERNAL, "the counts of campaign %lld hold an unknown state",
                           (long long)id);
        counts.n[state] = n;
        counts.total += n;
        counts.final += execution_is_final((enum execution_state)state) ? n : 0;
    }
    if (rc < 0)
        return rc;
    counts.percent = counts.total ? (int)(counts.final * 100 / counts.total) : 0;
    *out = counts;
    return 0;
}

int campaign_act(struct rollout *r, struct db *w, int64_t id, enum campaign_action action, const char *who,
                 int64_t now_ms, struct err *e)
{
    static const struct {
        enum campaign_state to;
        bool forced;
        const char *verb;
        unsigned from;
    } acts[] = {
        [CAMPAIGN_START] = {CAMPAIGN_PREPARING, false, "started", BIT(CAMPAIGN_DRAFT)},
        [CAMPAIGN_PAUSE] = {CAMPAIGN_PAUSED, false, "paused", BIT(CAMPAIGN_RUNNING)},
        [CAMPAIGN_RESUME] = {CAMPAIGN_RUNNING, false, "resumed", BIT(CAMPAIGN_PAUSED)},
        [CAMPAIGN_CANCEL] = {CAMPAIGN_CANCELLED, false, "cancelled", ~0u},
        [CAMPAIGN_CANCEL_FORCE] = {CAMPAIGN_CANCELLED, true, "cancelled", ~0u},
    };
    struct campaign c;
    char reason[64];
    int rc = campaign_get(w, id, &c, e);
    if (rc < 0)
        return rc;
    bool nothing_new = c.state == CAMPAIGN_CANCELLED && (c.forced || !acts[action].forced);
    if (!(acts[action].from & BIT(c.state)) || nothing_new)
        return err_set(e, ERR_CONFLICT, "campaign %lld is %s and cannot be %s", (long long)id,
                       campaign_state_word(c.state), acts[action].verb);
    snprintf(reason, sizeof reason, "%s by %.40s", acts[action].verb, who);
    rc = campaign_move(r, w, &c, acts[action].to, reason, acts[action].forced, now_ms, e);
    if (rc == 0)
        log_info("campaign %lld \"%s\": %s", (long long)id, c.name, reason);
    return rc;
}

int campaign_update(struct db *w, struct campaign *c, struct err *e)
{
    int64_t changed = 0;
    json_t *policy = policy_json(&c->policy);
    char *text = json_text(policy);
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_UPDATE);
    bind_int(s, ":id", c->id);
    bind_text(s, ":name", c->name);
    bind_text(s, ":policy", text);
    bind_int(s, ":revision", c->revision);
    int rc = stmt_run(s, &changed, e);
    json_decref(policy);
    free(text);
    if (rc == 0 && changed == 0)
        return err_set(e, ERR_PRECONDITION, "campaign %lld was changed meanwhile", (long long)c->id);
    if (rc == 0)
        c->revision++;
    return rc;
}
