/* A device as rollouts see it: why it is offered nothing, and the end of its quarantine. */
#include "api.h"

#include "http/route.h"
#include "rollout/why.h"

#include <stdlib.h>

#define WHY_MAX 64 /* campaigns of one device that are told of */

/* ---- why */

static json_t *answers_json(const struct why *why)
{
    json_t *list = json_array();
    for (size_t i = 0; i < why->n; i++) {
        const struct answer *a = &why->answers[i];
        json_t *j = json_object();
        json_put_text(j, "question", question_word(a->question));
        json_put_bool(j, "yes", a->yes);
        json_put_text(j, "text", a->text);
        json_put_moment(j, "until", a->until_ms);
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *why_json(const struct why *why)
{
    json_t *j = json_object();
    bool has = why->execution_id != 0;
    json_put_int(j, "campaign", why->campaign_id);
    json_put_text(j, "name", why->campaign);
    json_put(j, "execution", has ? json_integer(why->execution_id) : json_null());
    json_put_text(j, "state", has ? execution_state_word(why->state) : NULL);
    json_put(j, "answers", answers_json(why));
    return j;
}

int api_device_why(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    size_t n = 0;
    int rc = device_get(db, r->arg[0], r->arg[1], &d, e);
    if (rc)
        return rc;
    struct why *rows = api_rows(WHY_MAX, sizeof *rows);
    rc = why_device(r->env->rollout, db, d.id, r->now_ms, rows, WHY_MAX, &n, e);
    if (rc == 0) {
        json_t *j = json_object(), *campaigns = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(campaigns, why_json(&rows[i]));
        json_put_text(j, "device", d.name);
        json_put(j, "campaigns", campaigns);
        reply_json(r, j);
    }
    free(rows);
    return rc;
}

/* ---- quarantine */

static int end_quarantine(const struct request *r, struct db *w, const struct device *d, struct err *e)
{
    int rc = device_failures_set(w, d->id, 0, 0, e);
    if (rc == 0)
        rc = timeline_add(w, d->id, r->now_ms, "quarantine", 0, 0, e, "ended by %s", r->caller.name);
    if (rc == 0)
        rc = rollout_device_changed(r->env->rollout, w, d->id, e);
    if (rc == 0)
        api_wake(r);
    return rc;
}

/* Where there is none it is ended already. */
int api_quarantine_delete(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    int rc = device_get(db, r->arg[0], r->arg[1], &d, e);
    if (rc == 0 && d.quarantine_until_ms)
        rc = end_quarantine(r, db, &d, e);
    if (rc == 0)
        reply_nothing(r);
    return rc;
}
