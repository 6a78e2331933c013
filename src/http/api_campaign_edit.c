/* Campaigns: editing and acting. */
#include "api.h"

#include "http/route.h"

/* The keys given change, the others stay: they are laid over the policy as it is. */
static int change_policy(const json_t *given, struct campaign *c, int64_t now_ms, struct err *e)
{
    if (c->state != CAMPAIGN_DRAFT && c->state != CAMPAIGN_SCHEDULED && c->state != CAMPAIGN_PAUSED)
        return err_field(
            e, ERR_CONFLICT, "policy",
            "campaign %lld is %s: the policy of a draft, scheduled or paused campaign can be changed",
            (long long)c->id, campaign_state_word(c->state));
    json_t *whole = policy_json(&c->policy);
    json_object_update(whole, (json_t *)given);
    int rc = policy_parse(whole, &c->policy, e);
    json_decref(whole);
    struct policy times = {.start_at_ms = json_object_get(given, "start_at") ? c->policy.start_at_ms : 0,
                           .end_at_ms = json_object_get(given, "end_at") ? c->policy.end_at_ms : 0};
    return rc < 0 ? rc : policy_check_times(&times, now_ms, e);
}

int api_campaign_patch(struct request *r, struct db *db, struct err *e)
{
    struct campaign c;
    const json_t *policy = NULL;
    int64_t id;
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_TEXT, .out = c.name, .size = sizeof c.name},
        {.key = "policy", .kind = JSON_KIND_OBJECT, .out = &policy},
    };
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = campaign_get(db, id, &c, e);
    if (rc == 0)
        rc = revision_check(r, c.revision, e);
    if (rc == 0)
        rc = api_read(r, fields, ARRAY_SIZE(fields), e);
    if (rc == 0 && policy)
        rc = change_policy(policy, &c, r->now_ms, e);
    if (rc == 0)
        rc = campaign_update(db, &c, e);
    if (rc)
        return rc;
    api_wake(r);
    return api_campaign_reply(r, db, id, e);
}

/* A body is optional here; what is in it must be known. */
static int read_force(const struct request *r, bool *force, struct err *e)
{
    const struct json_field fields[] = {{.key = "force", .kind = JSON_KIND_BOOL, .out = force}};
    return r->body ? json_read(r->body, fields, force ? 1 : 0, true, e) : 0;
}

static int act(struct request *r, struct db *db, enum campaign_action action, struct err *e)
{
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = campaign_act(r->env->rollout, db, id, action, r->caller.name, r->now_ms, e);
    if (rc)
        return rc;
    api_wake(r);
    return api_campaign_reply(r, db, id, e);
}

static int act_plainly(struct request *r, struct db *db, enum campaign_action action, struct err *e)
{
    int rc = read_force(r, NULL, e);
    return rc ? rc : act(r, db, action, e);
}

int api_campaign_start(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_START, e);
}

int api_campaign_pause(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_PAUSE, e);
}

int api_campaign_resume(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_RESUME, e);
}

int api_campaign_advance(struct request *r, struct db *db, struct err *e)
{
    return act_plainly(r, db, CAMPAIGN_ADVANCE, e);
}

/* {"force": true} or ?force=1 ends what is active too. */
int api_campaign_cancel(struct request *r, struct db *db, struct err *e)
{
    bool force = false;
    int64_t asked = 0;
    int rc = request_query_int(r, "force", 0, 1, 0, &asked, e);
    if (rc == 0)
        rc = read_force(r, &force, e);
    return rc ? rc : act(r, db, force || asked ? CAMPAIGN_CANCEL_FORCE : CAMPAIGN_CANCEL, e);
}

/* ---- what makes another campaign of it */

int api_campaign_retry(struct request *r, struct db *db, struct err *e)
{
    int64_t id, made;
    int rc = read_force(r, NULL, e);
    if (rc == 0)
        rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = campaign_retry(db, id, r->now_ms, &made, e);
    return rc ? rc : api_campaign_made(r, db, made, e);
}

int api_campaign_rollback(struct request *r, struct db *db, struct err *e)
{
    int64_t id, made;
    int rc = read_force(r, NULL, e);
    if (rc == 0)
        rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = campaign_rollback(r->env->rollout, db, id, r->caller.name, r->now_ms, &made, e);
    return rc ? rc : api_campaign_made(r, db, made, e);
}
