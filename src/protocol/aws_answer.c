/* AWS IoT Jobs, what devices are told: answers and notices with the members of "Jobs device MQTT API" in
 * AWS's developer guide; times are seconds since 1970. */
#include "aws_parts.h"

#include <string.h>

/* ---- what is said of a job */

static const char *const status_words[EXECUTION_STATES] = {
    [EXECUTION_PENDING] = "QUEUED",         [EXECUTION_QUEUED] = "QUEUED",
    [EXECUTION_OFFERED] = "QUEUED",         [EXECUTION_DOWNLOADING] = "IN_PROGRESS",
    [EXECUTION_DOWNLOADED] = "IN_PROGRESS", [EXECUTION_INSTALLING] = "IN_PROGRESS",
    [EXECUTION_TESTING] = "SUCCEEDED",      [EXECUTION_SUCCEEDED] = "SUCCEEDED",
    [EXECUTION_FAILED] = "FAILED",          [EXECUTION_ROLLED_BACK] = "FAILED",
    [EXECUTION_TIMED_OUT] = "TIMED_OUT",    [EXECUTION_REJECTED] = "REJECTED",
    [EXECUTION_CANCELLED] = "CANCELED",     [EXECUTION_SUPERSEDED] = "CANCELED",
    [EXECUTION_REMOVED] = "REMOVED",
};

static bool is_queued(const struct device_job *job)
{
    return job->state <= EXECUTION_OFFERED;
}

static void put_seconds(json_t *object, const char *key, int64_t at_ms)
{
    json_put_int(object, key, at_ms / 1000);
}

static void put_times(json_t *object, const struct device_job *job)
{
    put_seconds(object, "queuedAt", job->queued_at_ms);
    if (!is_queued(job))
        put_seconds(object, "startedAt", job->started_at_ms);
    put_seconds(object, "lastUpdatedAt", job->updated_at_ms);
}

static void put_details(json_t *object, const struct outgoing *what)
{
    const char *text = what->offer.more ? what->offer.more->job_details : NULL;
    json_t *details = NULL;
    struct err e;
    if (text && json_parse_device(text, strlen(text), &details, &e) == 0)
        json_put(object, "statusDetails", details);
}

/* JobExecutionSummary */
static json_t *summary(const struct device_job *job)
{
    json_t *s = json_object();
    json_put_digits(s, "jobId", job->id);
    put_times(s, job);
    json_put_int(s, "executionNumber", job->number);
    json_put_int(s, "versionNumber", job->version);
    return s;
}

/* JobExecution; over MQTT the document is an object. */
static json_t *execution(const struct outgoing *what)
{
    const struct device_job *job = &what->job;
    json_t *x = json_object();
    json_put_digits(x, "jobId", job->id);
    json_put_text(x, "thingName", what->device);
    json_put_text(x, "status", status_words[job->state]);
    put_details(x, what);
    put_times(x, job);
    json_put_int(x, "versionNumber", job->version);
    json_put_int(x, "executionNumber", job->number);
    if (what->offer.id)
        json_put(x, "jobDocument", aws_document(&what->offer));
    return x;
}

/* JobExecutionState */
static json_t *execution_state(const struct outgoing *what)
{
    json_t *s = json_object();
    json_put_text(s, "status", status_words[what->job.state]);
    put_details(s, what);
    json_put_int(s, "versionNumber", what->job.version);
    return s;
}

static json_t *begin_answer(const char *token, int64_t now_ms)
{
    json_t *body = json_object();
    if (*token)
        json_put_text(body, "clientToken", token);
    put_seconds(body, "timestamp", now_ms);
    return body;
}

json_t *aws_job_rejection(const char *token, int64_t now_ms, enum aws_fault fault, const char *sentence,
                          json_t *state)
{
    json_t *body = begin_answer(token, now_ms);
    json_put_text(body, "code", aws_fault_word(fault));
    json_put_text(body, "message", sentence);
    if (state)
        json_put(body, "executionState", state);
    return body;
}

/* ---- answers */

static void put_list(json_t *body, const struct outgoing *what)
{
    json_t *active = json_array(), *queued = json_array();
    if (what->job.id)
        json_array_append_new(is_queued(&what->job) ? queued : active, summary(&what->job));
    json_put(body, "inProgressJobs", active);
    json_put(body, "queuedJobs", queued);
}

static void put_execution(json_t *body, const struct outgoing *what)
{
    if (what->job.id)
        json_put(body, "execution", execution(what));
}

static void put_update(json_t *body, const struct outgoing *what)
{
    if (what->with_state)
        json_put(body, "executionState", execution_state(what));
    if (what->offer.id)
        json_put(body, "jobDocument", aws_document(&what->offer));
}

/* What stands behind "jobs" or "job" in the topics of requests and their answers, and what is answered. */
static const struct {
    const char *family, *verb;
    bool named;
    void (*put)(json_t *body, const struct outgoing *what); /* NULL: the document is all */
} answers[AWS_FORMS] = {
    [AWS_LIST] = {"jobs", "get", false, put_list},
    [AWS_START_NEXT] = {"jobs", "start-next", false, put_execution},
    [AWS_DESCRIBE] = {"jobs", "get", true, put_execution},
    [AWS_UPDATE] = {"jobs", "update", true, put_update},
    [AWS_DOCUMENT] = {"job", "get", true, NULL},
    [AWS_PLAIN_UPDATE] = {"job", "update", true, put_update},
};

static int answer_topic(const struct outgoing *what, const char *outcome, struct message *m, struct err *e)
{
    int form = what->reply.form;
    const char *family = answers[form].family, *verb = answers[form].verb;
    if (!answers[form].named)
        return aws_topic(m, e, what->device, "%s/%s/%s", family, verb, outcome);
    return aws_topic(m, e, what->device, "%s/%s/%s/%s", family, what->reply.name, verb, outcome);
}

static json_t *acceptance(const struct outgoing *what)
{
    int form = what->reply.form;
    if (!answers[form].put)
        return what->offer.id ? aws_document(&what->offer) : json_object();
    json_t *body = begin_answer(what->reply.token, what->now_ms);
    answers[form].put(body, what);
    return body;
}

static const struct {
    enum aws_fault fault;
    bool with_state;
} verdicts[] = {
    [JOB_UNKNOWN] = {AWS_NOT_FOUND, false},
    [JOB_TERMINAL] = {AWS_TERMINAL, false},
    [JOB_BAD_STATE] = {AWS_INVALID_STATE, true},
    [JOB_OTHER_VERSION] = {AWS_VERSION, true},
};

static json_t *rejection(const struct outgoing *what)
{
    enum aws_fault fault = verdicts[what->verdict].fault;
    return aws_job_rejection(what->reply.token, what->now_ms, fault, aws_fault_sentence(fault),
                             verdicts[what->verdict].with_state ? execution_state(what) : NULL);
}

static int render_answer(const struct outgoing *what, struct message *m, struct err *e)
{
    bool accepted = what->verdict == JOB_ACCEPTED;
    int rc = answer_topic(what, accepted ? "accepted" : "rejected", m, e);
    if (rc == 0)
        message_json(m, accepted ? acceptance(what) : rejection(what));
    return rc;
}

/* ---- what is said unasked: the list of jobs, which has one at most, and the one that is next */

static json_t *job_list(const struct outgoing *what, bool there)
{
    json_t *body = begin_answer("", what->now_ms), *jobs = json_object(), *list = json_array();
    json_array_append_new(list, summary(&what->job));
    json_put(jobs, is_queued(&what->job) ? "QUEUED" : "IN_PROGRESS", list);
    if (!there)
        json_object_clear(jobs);
    json_put(body, "jobs", jobs);
    return body;
}

static json_t *next_job(const struct outgoing *what, bool there)
{
    json_t *body = begin_answer("", what->now_ms);
    if (there)
        json_put(body, "execution", execution(what));
    return body;
}

static json_t *plain_notice(const struct outgoing *what)
{
    json_t *body = json_object();
    json_put_digits(body, "timestamp", what->now_ms / 1000);
    json_put_digits(body, "job_id", what->job.id);
    return body;
}

static int add_message(const struct outgoing *what, const char *topic, json_t *body,
                       struct message out[MESSAGES_MAX], size_t *n, struct err *e)
{
    struct message m = {.qos = 1};
    int rc = aws_topic(&m, e, what->device, "%s", topic);
    message_json(&m, body);
    if (rc < 0)
        message_clear(&m);
    else
        out[(*n)++] = m;
    return rc;
}

/* A job that is under way already is no change of the list: only the plainer form, which cannot ask for its
 * next job, hears of it again when it comes back. */
static int render_notice(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n,
                         struct err *e)
{
    bool there = what->kind == OUTGOING_OFFER;
    int rc = 0;
    if (!there || is_queued(&what->job)) {
        rc = add_message(what, "jobs/notify", job_list(what, there), out, n, e);
        if (rc == 0)
            rc = add_message(what, "jobs/notify-next", next_job(what, there), out, n, e);
    }
    if (rc == 0 && there) {
        rc = add_message(what, "job/notify", plain_notice(what), out, n, e);
        if (rc == 0)
            out[*n - 1].only_subscribed = true;
    }
    return rc;
}

int aws_job_render(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n, struct err *e)
{
    *n = 0;
    if (what->kind != OUTGOING_JOB)
        return render_notice(what, out, n, e);
    out[0] = (struct message){.qos = 1};
    int rc = render_answer(what, &out[0], e);
    *n = rc == 0;
    return rc;
}
