/* A campaign as the interface shows it. */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>

/* JSON of the store, which is ours; the text is taken over. */
static int stored_json(char *text, const char *what, int64_t id, json_t **out, struct err *e)
{
    json_t *value = json_loads(text, 0, NULL);
    free(text);
    if (!value)
        return err_set(e, ERR_INTERNAL, "the %s of campaign %lld cannot be read", what, (long long)id);
    *out = value;
    return 0;
}

static void put_counts(json_t *j, const struct campaign_counts *counts)
{
    json_t *by_state = json_object();
    for (int state = 0; state < EXECUTION_STATES; state++)
        json_put_int(by_state, execution_state_word((enum execution_state)state), counts->n[state]);
    json_put(j, "counts", by_state);
    json_put_int(j, "total", counts->total);
}

/* ---- waves */

/* As it was asked for; a campaign without waves has one, for all. */
static json_t *asked_wave(const json_t *asked, size_t i)
{
    json_t *given = json_array_get(asked, i);
    json_t *j = given ? json_copy(given) : json_object();
    if (!given)
        json_put_int(j, "percent", 100);
    return j;
}

static void put_soak(json_t *j, int64_t soak_ms)
{
    char text[24];
    snprintf(text, sizeof text, "%llds", (long long)soak_ms / 1000);
    if (!json_is_string(json_object_get(j, "soak")))
        json_put_text(j, "soak", text);
}

static const char *wave_state(const struct wave *w)
{
    if (w->met_at_ms)
        return "met";
    return w->started_at_ms ? "running" : "pending";
}

static int wave_json(struct db *db, int64_t id, int wave, const struct wave *w, json_t *j, struct err *e)
{
    struct campaign_counts counts;
    int rc = campaign_counts(db, id, wave, &counts, e);
    if (rc)
        return rc;
    json_put_int(j, "success_pct", w->success_pct);
    put_soak(j, w->soak_ms);
    json_put_int(j, "wave", wave);
    json_put_text(j, "state", wave_state(w));
    json_put_moment(j, "started_at", w->started_at_ms);
    json_put_moment(j, "met_at", w->met_at_ms);
    put_counts(j, &counts);
    return 0;
}

static int list_waves(struct db *db, int64_t id, const struct waves *waves, json_t *list, struct err *e)
{
    char *text;
    json_t *asked = NULL;
    int rc = campaign_waves_text(db, id, &text, e);
    if (rc == 0)
        rc = stored_json(text, "waves", id, &asked, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < waves->n && rc == 0; i++) {
        json_t *j = asked_wave(asked, i);
        rc = wave_json(db, id, (int)i, &waves->at[i], j, e);
        json_array_append_new(list, j);
    }
    json_decref(asked);
    return rc;
}

static int waves_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    struct waves waves = {0};
    json_t *list = json_array();
    int rc = waves_load(db, c->id, &waves, e);
    if (rc == 0)
        rc = list_waves(db, c->id, &waves, list, e);
    waves_clear(&waves);
    if (rc == 0)
        *out = list;
    else
        json_decref(list);
    return rc;
}

/* ---- what else stands in other rows than the campaign's */

static int firmware_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    int64_t ids[CAMPAIGN_FIRMWARE_MAX];
    size_t n;
    int rc = campaign_firmware_ids(db, c->id, ids, &n, e);
    if (rc)
        return rc;
    *out = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(*out, json_integer(ids[i]));
    return 0;
}

static int aim_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    char *text;
    int rc = campaign_target(db, c->id, &text, e);
    if (rc == 0)
        rc = stored_json(text, "target", c->id, out, e);
    if (rc == 0)
        json_put_text(*out, "product", c->product);
    return rc;
}

static int ext_data_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    char *text;
    int rc = campaign_ext_data(db, c->id, &text, e);
    if (rc)
        return rc;
    if (*text)
        return stored_json(text, "ext_data", c->id, out, e);
    free(text);
    *out = json_null();
    return 0;
}

static int own_counts(struct db *db, const struct campaign *c, json_t *j, struct err *e)
{
    struct campaign_counts counts;
    int rc = campaign_counts(db, c->id, -1, &counts, e);
    if (rc)
        return rc;
    put_counts(j, &counts);
    json_put_int(j, "percent", counts.percent);
    return 0;
}

/* ---- the whole */

static const struct {
    const char *key;
    int (*make)(struct db *db, const struct campaign *c, json_t **out, struct err *e);
    bool alone; /* not in lists: a query for each wave of each row */
} parts[] = {
    {"firmware", firmware_json, false},
    {"target", aim_json, false},
    {"waves", waves_json, true},
    {"ext_data", ext_data_json, false},
};

static void put_state(const struct campaign *c, json_t *j)
{
    json_put(j, "policy", policy_json(&c->policy));
    json_put_text(j, "state", campaign_state_word(c->state));
    json_put_text(j, "state_reason", c->state_reason);
    json_put_text(j, "state_cause", *c->state_cause ? c->state_cause : NULL);
    json_put(j, "source", c->source_id ? json_integer(c->source_id) : json_null());
    json_put_bool(j, "puts_back", c->puts_back);
    json_put_int(j, "late_success", c->late_success);
    json_put_moment(j, "created_at", c->created_at_ms);
    json_put_moment(j, "started_at", c->started_at_ms);
    json_put_moment(j, "finished_at", c->finished_at_ms);
    json_put_moment(j, "pruned_at", c->pruned_at_ms);
    json_put_int(j, "revision", c->revision);
}

static int fill(struct db *db, const struct campaign *c, bool alone, json_t *j, struct err *e)
{
    int rc = 0;
    json_put_int(j, "id", c->id);
    json_put_text(j, "name", c->name);
    json_put_text(j, "product", c->product);
    for (size_t i = 0; i < ARRAY_SIZE(parts) && rc == 0; i++) {
        json_t *part;
        if (parts[i].alone && !alone)
            continue;
        rc = parts[i].make(db, c, &part, e);
        if (rc == 0)
            json_put(j, parts[i].key, part);
    }
    if (rc == 0)
        rc = own_counts(db, c, j, e);
    if (rc == 0)
        put_state(c, j);
    return rc;
}

static int make(struct db *db, const struct campaign *c, bool alone, json_t **out, struct err *e)
{
    json_t *j = json_object();
    int rc = fill(db, c, alone, j, e);
    if (rc == 0)
        *out = j;
    else
        json_decref(j);
    return rc;
}

int api_campaign_json(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    return make(db, c, false, out, e);
}

int api_campaign_whole(struct db *db, const struct campaign *c, json_t **out, struct err *e)
{
    return make(db, c, true, out, e);
}
