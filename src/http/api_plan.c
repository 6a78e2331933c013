/* What a campaign would do: the answer to a dry run. */
#include "api.h"

#include "rollout/plan.h"

static json_t *waves_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->wave_count; i++) {
        json_t *j = json_object();
        json_put_int(j, "wave", (int64_t)i);
        json_put_int(j, "devices", plan->waves[i]);
        json_array_append_new(list, j);
    }
    return list;
}

/* Devices of the product that are outside of the target are not counted, and those that are queued stand in
 * their waves. */
static json_t *left_out_json(const struct plan *plan)
{
    json_t *j = json_object();
    for (int v = 0; v < VERDICTS; v++)
        if (v != VERDICT_OUTSIDE && v != VERDICT_QUEUED)
            json_put_int(j, verdict_word((enum verdict)v), plan->verdicts[v]);
    return j;
}

static json_t *plan_json(const struct plan *plan)
{
    json_t *j = json_object();
    json_put_int(j, "devices", plan->devices);
    json_put(j, "waves", waves_json(plan));
    json_put(j, "left_out", left_out_json(plan));
    json_put_int(j, "bytes", plan->bytes);
    json_put_moment(j, "earliest_end_at",
                    plan->earliest_end_at_ms == INT64_MAX ? 0 : plan->earliest_end_at_ms);
    return j;
}

int api_plan(struct request *r, struct db *db, const struct campaign_spec *spec, struct err *e)
{
    struct plan plan;
    int rc = campaign_plan(db, spec, r->now_ms, &plan, e);
    if (rc == 0)
        reply_json(r, plan_json(&plan));
    return rc;
}
