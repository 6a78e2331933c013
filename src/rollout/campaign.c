#include "rollout/campaign.h"

#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(state) (1u << (state))

static const unsigned legal[CAMPAIGN_STATES] = {
    [CAMPAIGN_DRAFT] = BIT(CAMPAIGN_SCHEDULED) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_SCHEDULED] = BIT(CAMPAIGN_PREPARING) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_PREPARING] = BIT(CAMPAIGN_RUNNING) | BIT(CAMPAIGN_PAUSED) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_RUNNING] = BIT(CAMPAIGN_PAUSED) | BIT(CAMPAIGN_COMPLETED) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_PAUSED] = BIT(CAMPAIGN_RUNNING) | BIT(CAMPAIGN_CANCELLED),
    [CAMPAIGN_CANCELLED] = BIT(CAMPAIGN_CANCELLED), /* by force, after a gentle one */
};

int campaign_move(struct db *w, const struct campaign *c, enum campaign_state to,
                  const struct campaign_change *change, int64_t now_ms, struct err *e)
{
    if (!(legal[c->state] & BIT(to)))
        return err_set(e, ERR_CONFLICT, "campaign %lld is %s and cannot become %s", (long long)c->id,
                       campaign_state_word(c->state), campaign_state_word(to));
    int64_t changed = 0;
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_MOVE);
    bind_int(s, ":id", c->id);
    bind_text(s, ":from", campaign_state_word(c->state));
    bind_text(s, ":to", campaign_state_word(to));
    bind_text(s, ":cause", change && change->cause ? change->cause : "");
    bind_text(s, ":reason", change && change->reason ? change->reason : "");
    bind_int(s, ":forced", change && change->forced);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, &changed, e);
    if (rc == 0 && changed != 1)
        rc = err_set(e, ERR_INTERNAL, "campaign %lld is not %s any more", (long long)c->id,
                     campaign_state_word(c->state));
    if (rc == 0)
        log_info("campaign %lld \"%s\" is %s%s%s", (long long)c->id, c->name, campaign_state_word(to),
                 change && change->reason ? ": " : "", change && change->reason ? change->reason : "");
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
        .dynamic = col_int(s, 16),
        .puts_back = col_int(s, 17),
        .source_id = col_int(s, 18),
        .salt = (uint64_t)col_int(s, 19),
        .devices_to = col_int(s, 20),
        .pruned_at_ms = col_int(s, 21),
    };
    col_text(s, 1, c->name, sizeof c->name);
    col_text(s, 3, c->product, sizeof c->product);
    col_text(s, 5, c->state_reason, sizeof c->state_reason);
    col_text(s, 15, c->state_cause, sizeof c->state_cause);
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

int campaign_modules(struct db *db, int64_t id, struct campaign_module out[CAMPAIGN_FIRMWARE_MAX], size_t *n,
                     struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_MODULES);
    bind_int(s, ":id", id);
    int rc = 0;
    for (*n = 0; *n < CAMPAIGN_FIRMWARE_MAX && (rc = stmt_step(s, e)) > 0; (*n)++) {
        struct campaign_module *m = &out[*n];
        m->ord = (int)col_int(s, 0);
        col_text(s, 1, m->module, sizeof m->module);
        m->firmware_id = col_int(s, 2);
        col_text(s, 3, m->version, sizeof m->version);
        m->product_id = col_int(s, 4);
    }
    return rc < 0 ? rc : 0;
}

int campaign_origin(struct db *db, const struct campaign *c, int64_t *id, struct err *e)
{
    struct campaign at = *c;
    int rc = 0;
    while (rc == 0 && at.puts_back)
        rc = campaign_get(db, at.source_id, &at, e);
    *id = at.id;
    return rc;
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

int campaign_waves_text(struct db *db, int64_t id, char **text, struct err *e)
{
    return own_text(db, Q_CAMPAIGN_WAVES, id, text, e);
}

int campaign_ext_data(struct db *db, int64_t id, char **text, struct err *e)
{
    return own_text(db, Q_CAMPAIGN_EXT_DATA, id, text, e);
}

int campaign_counts(struct db *db, int64_t id, int wave, struct campaign_counts *out, struct err *e)
{
    struct campaign_counts counts = {0};
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_COUNTS);
    bind_int(s, ":id", id);
    if (wave >= 0)
        bind_int(s, ":wave", wave);
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

int campaign_update(struct db *w, struct campaign *c, struct err *e)
{
    int64_t changed = 0;
    json_t *policy = policy_json(&c->policy);
    char *text = json_text(policy);
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_UPDATE);
    bind_int(s, ":id", c->id);
    bind_text(s, ":name", c->name);
    bind_text(s, ":policy", text);
    bind_int(s, ":start_at_ms", c->policy.start_at_ms);
    bind_int(s, ":end_at_ms", c->policy.end_at_ms);
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
