/* Campaigns: what is asked for is held against the store, and becomes rows. */
#include "rollout/campaign.h"

#include "base/json.h"
#include "rollout/damage.h"
#include "rollout/stream.h"
#include "store/firmware.h"
#include "store/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES                                                                     \
    (1u << EXECUTION_FAILED | 1u << EXECUTION_TIMED_OUT | 1u << EXECUTION_REJECTED | \
     1u << EXECUTION_ROLLED_BACK)

void campaign_spec_clear(struct campaign_spec *spec)
{
    target_clear(&spec->target);
    waves_clear(&spec->waves);
    free(spec->waves_text);
    free(spec->ext_data);
    spec->waves_text = spec->ext_data = NULL;
}

uint64_t campaign_salt(const struct campaign_spec *spec)
{
    return (uint64_t)spec->firmware[0];
}

/* Fills firmware's product, checks that the files belong together (one product, one file for a module). */
static int check_firmware(struct db *w, const struct campaign_spec *spec, struct product *product,
                          struct firmware files[], struct err *e)
{
    if (spec->firmware_count == 0)
        return err_field(e, ERR_INVALID, "firmware", "firmware must name at least one file");
    for (size_t i = 0; i < spec->firmware_count; i++) {
        long long id = (long long)spec->firmware[i];
        int rc = firmware_get(w, spec->firmware[i], &files[i], e);
        if (rc < 0 && rc != -ERR_NOT_FOUND)
            return rc;
        if (rc < 0 || files[i].withdrawn_at_ms)
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
        rc = damage_check_firmware(w, spec->firmware[i], e);
        if (rc < 0)
            return rc;
    }
    if (*spec->product && strcmp(spec->product, files[0].product) != 0)
        return err_field(e, ERR_INVALID, "target.product",
                         "the firmware is for product %s, the target says %s", files[0].product,
                         spec->product);
    return product_get_id(w, files[0].product_id, product, e);
}

static int insert_campaign(struct db *w, const struct campaign_spec *spec, int64_t product_id, int64_t now_ms,
                           int64_t *id, struct err *e)
{
    json_t *policy = policy_json(&spec->policy), *target = target_json(&spec->target);
    char *policy_text = json_text(policy), *target_text = json_text(target);
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_INSERT);
    bind_text(s, ":name", spec->name);
    bind_int(s, ":product_id", product_id);
    bind_text(s, ":state", campaign_state_word(spec->draft ? CAMPAIGN_DRAFT : CAMPAIGN_SCHEDULED));
    bind_text(s, ":target", target_text);
    bind_text(s, ":waves", spec->waves_text ? spec->waves_text : "[]");
    bind_text(s, ":policy", policy_text);
    bind_text(s, ":ext_data", spec->ext_data ? spec->ext_data : "");
    bind_int(s, ":dynamic", spec->target.dynamic);
    bind_int(s, ":salt", (int64_t)campaign_salt(spec));
    if (spec->target.source_id)
        bind_int(s, ":source_id", spec->target.source_id);
    bind_int(s, ":puts_back", spec->puts_back);
    bind_int(s, ":start_at_ms", spec->policy.start_at_ms);
    bind_int(s, ":end_at_ms", spec->policy.end_at_ms);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, NULL, e);
    if (rc == 0)
        *id = db_last_id(w);
    json_decref(policy);
    json_decref(target);
    free(policy_text);
    free(target_text);
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

/* Devices would refuse at their end what only the store remembers the signer of. */
static int check_signers(struct db *db, const struct firmware files[], size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = firmware_check_signer(db, &files[i], e);
    return rc;
}

static int check_target(struct db *db, const struct campaign_spec *spec, const struct product *product,
                        struct err *e)
{
    const struct seeker seeker = {
        .target = &spec->target, .product_id = product->id, .scheme = product->version_scheme};
    int rc = target_check(db, &seeker, e);
    return rc < 0 ? rc : waves_check(db, &spec->waves, e);
}

int campaign_check(struct db *db, const struct campaign_spec *spec, int64_t now_ms,
                   struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX], struct err *e)
{
    struct firmware files[CAMPAIGN_FIRMWARE_MAX];
    struct product product;
    int rc = check_firmware(db, spec, &product, files, e);
    if (rc == 0)
        rc = check_files(db, files, spec->firmware_count, e);
    if (rc == 0)
        rc = check_signers(db, files, spec->firmware_count, e);
    if (rc == 0)
        rc = policy_check_times(&spec->policy, now_ms, e);
    if (rc == 0)
        rc = check_target(db, spec, &product, e);
    for (size_t i = 0; rc == 0 && modules && i < spec->firmware_count; i++) {
        modules[i] =
            (struct campaign_module){.ord = (int)i, .firmware_id = files[i].id, .product_id = product.id};
        str_copy(modules[i].module, sizeof modules[i].module, files[i].module);
        str_copy(modules[i].version, sizeof modules[i].version, files[i].version);
    }
    return rc;
}

static int insert_all(struct db *w, const struct campaign_spec *spec, const struct campaign_module modules[],
                      int64_t now_ms, int64_t *id, struct err *e)
{
    int rc = insert_campaign(w, spec, modules[0].product_id, now_ms, id, e);
    /* what puts devices back has the files that they had, which come with its rows */
    for (size_t i = 0; i < spec->firmware_count && rc == 0 && !spec->puts_back; i++) {
        struct stmt *s = db_stmt(w, Q_CAMPAIGN_FIRMWARE_INSERT);
        bind_int(s, ":campaign_id", *id);
        bind_int(s, ":ord", (int64_t)i);
        bind_int(s, ":firmware_id", modules[i].firmware_id);
        bind_text(s, ":module", modules[i].module);
        rc = stmt_run(s, NULL, e);
    }
    return rc < 0 ? rc : waves_insert(w, *id, &spec->waves, e);
}

int campaign_create(struct db *w, const struct campaign_spec *spec, int64_t now_ms, int64_t *id,
                    struct err *e)
{
    struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX];
    int rc = campaign_check(w, spec, now_ms, modules, e);
    return rc < 0 ? rc : insert_all(w, spec, modules, now_ms, id, e);
}

/* ---- campaigns that follow another */

/* Like c, for its devices; with its files in their order. */
static int follow(struct db *db, const struct campaign *c, unsigned states, struct campaign_spec *out,
                  struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX], struct err *e)
{
    size_t n = 0;
    int64_t origin_id = 0;
    if (c->pruned_at_ms)
        return err_set(e, ERR_CONFLICT,
                       "campaign %lld ended long ago, and how it ended for each device is not kept any more",
                       (long long)c->id);
    *out = (struct campaign_spec){.policy = c->policy};
    out->policy.start_at_ms = out->policy.end_at_ms = 0;
    out->policy.confirm = CONFIRM_NONE; /* who asks for it has said yes */
    out->target = (struct target){.percent = 100, .source_id = c->id, .source_states = states};
    int rc = waves_parse(NULL, 100, &out->waves, e);
    if (rc == 0)
        rc = campaign_origin(db, c, &origin_id, e);
    if (rc == 0)
        rc = campaign_modules(db, origin_id, modules, &n, e);
    out->firmware_count = n;
    for (size_t i = 0; i < n; i++)
        out->firmware[i] = modules[i].firmware_id;
    return rc;
}

int campaign_retry(struct db *w, int64_t id, int64_t now_ms, int64_t *new_id, struct err *e)
{
    struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX];
    struct campaign_counts counts;
    struct campaign_spec spec = {0};
    struct campaign c;
    int64_t failures = 0;
    int rc = campaign_get(w, id, &c, e);
    if (rc == 0)
        rc = campaign_counts(w, id, -1, &counts, e);
    for (int state = 0; rc == 0 && state < EXECUTION_STATES; state++)
        failures += FAILURES & 1u << state ? counts.n[state] : 0;
    if (rc == 0 && failures == 0)
        rc = err_set(e, ERR_CONFLICT, "campaign %lld has failed for no device", (long long)id);
    if (rc == 0 && c.puts_back)
        rc = err_set(e, ERR_CONFLICT, "campaign %lld puts devices back: roll back campaign %lld once more",
                     (long long)id, (long long)c.source_id);
    if (rc == 0)
        rc = follow(w, &c, FAILURES, &spec, modules, e);
    if (rc == 0) {
        snprintf(spec.name, sizeof spec.name, "%.100s, once more", c.name);
        rc = campaign_ext_data(w, id, &spec.ext_data, e);
    }
    if (rc == 0)
        rc = campaign_create(w, &spec, now_ms, new_id, e);
    campaign_spec_clear(&spec);
    return rc;
}

/* What that campaign has begun ends first, and is put back after it: a device in the midst of an update would
 * not hear that it is called off. */
int campaign_rollback(struct rollout *r, struct db *w, int64_t id, const char *who, int64_t now_ms,
                      int64_t *new_id, struct err *e)
{
    struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX];
    struct campaign_spec spec = {0};
    struct campaign c;
    int rc = campaign_get(w, id, &c, e);
    if (rc == 0 &&
        (c.state == CAMPAIGN_DRAFT || c.state == CAMPAIGN_SCHEDULED || c.state == CAMPAIGN_PREPARING))
        rc = err_set(e, ERR_CONFLICT, "campaign %lld is %s and has changed no device", (long long)id,
                     campaign_state_word(c.state));
    if (rc == 0 && (c.state == CAMPAIGN_RUNNING || c.state == CAMPAIGN_PAUSED))
        rc = campaign_act(r, w, id, CAMPAIGN_CANCEL, who, now_ms, e);
    if (rc == 0)
        rc = follow(w, &c, ~0u, &spec, modules, e);
    if (rc == 0) {
        policy_defaults(&spec.policy);
        spec.policy.allow_downgrade = true;
        spec.puts_back = true;
        snprintf(spec.name, sizeof spec.name, "%.100s, put back", c.name);
        rc = insert_all(w, &spec, modules, now_ms, new_id, e);
    }
    campaign_spec_clear(&spec);
    return rc;
}
