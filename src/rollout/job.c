/* Executions as jobs of AWS IoT: a device asks for its job, begins it, updates it, and is answered. It sees
 * one job at a time, the execution that is active; what waits behind it shows when its turn has come.
 *
 * What the device has ended is over for it, whatever the policy makes of that: an attempt that waits to be
 * tried again has failed, and one in its health hold-off has succeeded. */
#include "rollout/execution.h"

#include <stdlib.h>
#include <string.h>

void job_unknown(const struct device_event *ev, const char *protocol, int64_t now_ms, struct outgoing *out)
{
    *out =
        (struct outgoing){.kind = OUTGOING_JOB, .verdict = JOB_UNKNOWN, .now_ms = now_ms, .reply = ev->reply};
    str_copy(out->protocol, sizeof out->protocol, protocol);
    str_copy(out->product, sizeof out->product, ev->product);
    str_copy(out->device, sizeof out->device, ev->device);
}

/* ---- which job */

/* Whether it is the device's to do. An offer of a campaign that does not run, and that the device has not
 * taken up, is withheld until it does, as it is from all others. */
static bool is_to_do(const struct execution *x)
{
    return execution_is_active(job_own_state(x)) &&
           (x->state != EXECUTION_OFFERED || x->campaign_state == CAMPAIGN_RUNNING);
}

/* What the device is at; what is due for it begins now. 1 found, 0 it has none. */
static int next_job(struct rollout *r, struct db *w, const struct party *p, int64_t now_ms,
                    struct execution *x, struct err *e)
{
    struct outgoing offer;
    struct execution live[LIVE_MAX];
    size_t sends = 0, n = 0;
    int rc = execution_take_in(w, p, now_ms, e);
    if (rc == 0)
        rc = dispatch_device(r, w, p, AGAIN_NOTHING, true, now_ms, &offer, &sends, e);
    if (rc == 0 && sends)
        outgoing_clear(&offer); /* the answer brings it */
    if (rc == 0)
        rc = execution_live(w, p->device_id, live, &n, e);
    if (rc < 0 || n == 0 || !is_to_do(&live[0]))
        return rc;
    *x = live[0];
    return 1;
}

/* By its id, of this device alone, and where the device says which attempt, of that one. */
static int named_job(struct db *w, const struct party *p, const struct device_event *ev, struct execution *x,
                     struct err *e)
{
    int rc = ev->execution_id > 0 ? execution_get(w, ev->execution_id, x, e) : -ERR_NOT_FOUND;
    if (rc == -ERR_NOT_FOUND)
        return 0;
    if (rc < 0)
        return rc;
    bool never_offered = x->attempt == 0;
    return x->device_id == p->device_id && !never_offered &&
           (!ev->job->number || ev->job->number == x->attempt);
}

static int find_job(struct rollout *r, struct db *w, const struct party *p, const struct device_event *ev,
                    int64_t now_ms, struct execution *x, struct err *e)
{
    if (ev->execution_id)
        return named_job(w, p, ev, x, e);
    return next_job(r, w, p, now_ms, x, e);
}

/* ---- what an answer carries */

/* Takes the details over. */
static int put_details(struct outgoing *answer, char *details, struct err *e)
{
    if (details && !answer->offer.more)
        answer->offer.more = calloc(1, sizeof *answer->offer.more);
    if (!answer->offer.more) {
        bool lost = details != NULL;
        free(details);
        return lost ? err_set(e, ERR_INTERNAL, "out of memory") : 0;
    }
    free(answer->offer.more->job_details);
    answer->offer.more->job_details = details;
    return 0;
}

static int put_job(struct db *w, const struct execution *x, struct outgoing *answer, struct err *e)
{
    char *details = NULL;
    int rc = job_read(w, x, &answer->job, &details, e);
    return rc < 0 ? rc : put_details(answer, details, e);
}

/* The offer, of which the document is made, and with it the job. */
static int put_document(struct rollout *r, struct db *w, const struct party *p, const struct execution *x,
                        int64_t now_ms, struct outgoing *answer, struct err *e)
{
    struct outgoing made;
    size_t sends = 0;
    int rc = offer_now(r, w, p, x, now_ms, &made, &sends, e);
    if (rc == 0 && sends) {
        answer->offer = made.offer;
        answer->job = made.job;
    }
    return rc;
}

/* ---- updates */

/* One more version of the job as it was before this update; details as given, else as they were. */
static int count_version(struct db *w, const struct device_job *before, const char *stored, const char *given,
                         struct err *e)
{
    struct stmt *s = db_stmt(w, Q_JOB_SET);
    bind_int(s, ":id", before->id);
    bind_int(s, ":attempt", before->number);
    bind_int(s, ":version", before->version + 1);
    bind_text(s, ":details", given ? given : stored ? stored : "");
    return stmt_run(s, NULL, e);
}

/* A step's end can only come before the policy's. */
static int set_step_timeout(struct db *w, struct execution *x, int64_t step_ms, int64_t now_ms, struct err *e)
{
    if (step_ms == 0 || x->state < EXECUTION_DOWNLOADING || x->state > EXECUTION_INSTALLING)
        return 0;
    int64_t end_ms = x->started_at_ms + x->policy.finish_timeout_ms;
    if (step_ms > 0 && now_ms + step_ms < end_ms)
        end_ms = now_ms + step_ms;
    struct stmt *s = db_stmt(w, Q_EXECUTION_DEADLINE);
    bind_int(s, ":id", x->id);
    bind_int(s, ":deadline_at_ms", end_ms);
    x->deadline_at_ms = end_ms;
    return stmt_run(s, NULL, e);
}

/* answer->job is the job before, then after the update; what the device has ended it is told so. */
static int update(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                  const struct device_event *ev, int64_t now_ms, struct outgoing *answer, struct err *e)
{
    struct device_job *job = &answer->job;
    const char *stored = answer->offer.more ? answer->offer.more->job_details : NULL;
    int rc = count_version(w, job, stored, ev->job->details, e);
    if (rc == 0)
        rc = execution_said(r, w, p, x, ev->state, true, ev, now_ms, e);
    if (rc == 0)
        rc = set_step_timeout(w, x, ev->job->step_timeout_ms, now_ms, e);
    if (rc == 0 && ev->job->details)
        rc = put_details(answer, strdup(ev->job->details), e);
    if (rc < 0)
        return rc;
    job->version++;
    job->state = execution_is_final(ev->state) ? ev->state : job_own_state(x);
    job->started_at_ms = x->started_at_ms;
    job->updated_at_ms = now_ms;
    return 0;
}

/* ---- answers */

static enum job_verdict judge_update(const struct device_job *job, const struct job_request *ask)
{
    if (!execution_is_active(job->state))
        return JOB_BAD_STATE;
    if (ask->expected_version && ask->expected_version != job->version)
        return JOB_OTHER_VERSION;
    return JOB_ACCEPTED;
}

static int on_update(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                     const struct device_event *ev, int64_t now_ms, struct outgoing *answer, struct err *e)
{
    answer->verdict = judge_update(&answer->job, ev->job);
    answer->with_state = ev->job->with_state || answer->verdict != JOB_ACCEPTED;
    return answer->verdict == JOB_ACCEPTED ? update(r, w, p, x, ev, now_ms, answer, e) : 0;
}

/* The first sign of life; one that is under way stays as it is, details and all. */
static int on_start(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                    const struct device_event *ev, int64_t now_ms, struct outgoing *answer, struct err *e)
{
    struct device_event begin = *ev;
    begin.state = EXECUTION_DOWNLOADING;
    return x->state == EXECUTION_OFFERED ? update(r, w, p, x, &begin, now_ms, answer, e) : 0;
}

static int answer_found(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                        const struct device_event *ev, int64_t now_ms, struct outgoing *answer, struct err *e)
{
    bool active = execution_is_active(job_own_state(x));
    int rc = 0;
    if (!active && ev->job->op != JOB_UPDATE) {
        answer->verdict = JOB_TERMINAL;
        return 0;
    }
    /* before an update, which may leave nothing to offer */
    if (active && ev->job->with_document)
        rc = put_document(r, w, p, x, now_ms, answer, e);
    if (rc == 0 && !answer->job.id)
        rc = put_job(w, x, answer, e);
    if (rc == 0 && ev->job->op == JOB_START_NEXT)
        rc = on_start(r, w, p, x, ev, now_ms, answer, e);
    if (rc == 0 && ev->job->op == JOB_UPDATE)
        rc = on_update(r, w, p, x, ev, now_ms, answer, e);
    return rc;
}

/* Nothing is found for "the next one": that is an answer. A job by name that is not there is none. */
static void answer_missing(const struct device_event *ev, struct outgoing *answer)
{
    bool named = ev->execution_id != 0 || ev->job->op == JOB_UPDATE;
    answer->verdict = named ? JOB_UNKNOWN : JOB_ACCEPTED;
}

/* After the device has ended a job: what is next, or that its list is empty. */
static int tell_next(struct rollout *r, struct db *w, const struct party *p, int64_t now_ms,
                     struct outgoing *out, struct err *e)
{
    size_t sends = 0;
    int rc = dispatch_device(r, w, p, AGAIN_NOTHING, false, now_ms, out, &sends, e);
    if (rc == 0 && !sends)
        outgoing_begin(out, OUTGOING_NOTHING, p, now_ms);
    return rc;
}

int job_event(struct rollout *r, struct db *w, const struct party *p, const struct device_event *ev,
              int64_t now_ms, struct outgoing out[], size_t *sends, struct err *e)
{
    struct execution x = {0};
    outgoing_begin(&out[0], OUTGOING_JOB, p, now_ms);
    out[0].reply = ev->reply;
    int rc = find_job(r, w, p, ev, now_ms, &x, e);
    if (rc > 0)
        rc = answer_found(r, w, p, &x, ev, now_ms, &out[0], e);
    else if (rc == 0)
        answer_missing(ev, &out[0]);
    bool ended = rc == 0 && ev->job->op == JOB_UPDATE && out[0].verdict == JOB_ACCEPTED &&
                 execution_is_final(out[0].job.state);
    if (ended)
        rc = tell_next(r, w, p, now_ms, &out[1], e);
    if (rc < 0)
        outgoing_clear(&out[0]);
    else
        *sends = ended ? 2 : 1;
    return rc;
}
