/* AWS IoT Jobs, what devices ask: members and their limits are those of "Jobs device MQTT API" in AWS's
 * developer guide. */
#include "aws_parts.h"
#include "protocol/liberal.h"

#include <stdlib.h>
#include <string.h>

#define DETAILS_MAX      16384 /* bytes of statusDetails as they are stored */
#define DETAIL_KEY_MAX   128   /* of one key and of one value: the API's own limits */
#define DETAIL_VALUE_MAX 1024
#define STEP_MINUTES_MAX 10080
#define MINUTE_MS        (60 * 1000LL)

/* ---- requests */

/* An id is the digits of a number; whatever else may name a job names none of ours. */
static int read_job(struct aws_request *r, struct device_event *ev, struct err *e)
{
    uint64_t id = 0;
    size_t legal = strspn(r->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (!*r->name || strcmp(r->name, "$next") == 0) {
        ev->execution_id = 0;
        return 0;
    }
    if (r->name[legal])
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "a job id is made of letters, digits, \"_\" and \"-\"");
    bool ours = *r->name != '0' && str_to_uint(r->name, INT64_MAX, &id);
    ev->execution_id = ours ? (int64_t)id : -1;
    return 0;
}

static int read_int(struct aws_request *r, const json_t *body, const char *key, int64_t min, int64_t max,
                    int64_t *out, struct err *e)
{
    const json_t *value = liberal_member(body, key);
    if (!value || liberal_int(value, min, max, out))
        return 0;
    return aws_refuse(r, AWS_INVALID_REQUEST, e, "%s must be a number from %lld to %lld", key, (long long)min,
                      (long long)max);
}

static int read_bool(struct aws_request *r, const json_t *body, const char *key, bool *out, struct err *e)
{
    const json_t *value = liberal_member(body, key);
    if (value && !json_is_boolean(value))
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "%s must be true or false", key);
    if (value)
        *out = json_is_true(value);
    return 0;
}

static int read_step_timeout(struct aws_request *r, const json_t *body, struct job_request *job,
                             struct err *e)
{
    int64_t minutes = 0;
    int rc = read_int(r, body, "stepTimeoutInMinutes", -1, STEP_MINUTES_MAX, &minutes, e);
    if (rc == 0 && minutes == 0 && liberal_member(body, "stepTimeoutInMinutes"))
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "stepTimeoutInMinutes must be 1 to %d, or -1",
                          STEP_MINUTES_MAX);
    job->step_timeout_ms = minutes < 0 ? -1 : minutes * MINUTE_MS;
    return rc;
}

static bool is_detail(const char *key, const json_t *value)
{
    size_t n = strlen(key);
    return n > 0 && n <= DETAIL_KEY_MAX && json_is_string(value) &&
           json_string_length(value) <= DETAIL_VALUE_MAX;
}

/* statusDetails as they are stored, the job's; they stay NULL when none are given. */
static int read_details(struct aws_request *r, const json_t *details, struct job_request *job, struct err *e)
{
    const char *key;
    json_t *value;
    if (!details)
        return 0;
    if (!json_is_object(details))
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "statusDetails must be an object of texts");
    json_object_foreach((json_t *)details, key, value)
    {
        if (!is_detail(key, value))
            return aws_refuse(r, AWS_INVALID_REQUEST, e,
                              "statusDetails must be texts of at most %d bytes by keys of at most %d",
                              DETAIL_VALUE_MAX, DETAIL_KEY_MAX);
    }
    job->details = json_text(details);
    if (strlen(job->details) > DETAILS_MAX)
        return aws_refuse(r, AWS_INVALID_REQUEST, e, "statusDetails may have %d bytes together", DETAILS_MAX);
    return 0;
}

/* ---- what statusDetails tell of progress */

/* "17/34": blocks, as AWS's OTA library counts them. */
static int receive_percent(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    unsigned long long done = strtoull(text, &end, 10), total = 0;
    if (*end == '/' && end[1] >= '0' && end[1] <= '9')
        total = strtoull(end + 1, &end, 10);
    if (*end || total == 0 || total > UINT32_MAX || done > total)
        return -1;
    return (int)(done * 100 / total);
}

/* "50" or "50%". */
static int plain_percent(const char *text)
{
    char digits[4];
    uint64_t percent;
    size_t n = strcspn(text, "%");
    if (n >= sizeof digits || (text[n] && text[n + 1]))
        return -1;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return str_to_uint(digits, 100, &percent) ? (int)percent : -1;
}

static const struct {
    const char *key;
    int (*percent)(const char *text);
} measures[] = {{"receive", receive_percent},
                {"progress", plain_percent},
                {"percent", plain_percent},
                {"percentage", plain_percent}};

static void read_progress(const json_t *details, struct device_event *ev)
{
    if (json_is_string(liberal_member(details, "self_test"))) {
        ev->state = EXECUTION_INSTALLING;
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(measures) && ev->percent < 0; i++) {
        const char *text = json_string_value(liberal_member(details, measures[i].key));
        if (text)
            ev->percent = measures[i].percent(text);
    }
}

/* Why it failed: the reason that AWS's OTA library gives, or everything it says. */
static void read_reason(const json_t *details, struct device_event *ev)
{
    const char *reason = json_string_value(liberal_member(details, "reason"));
    liberal_detail(ev->detail, reason ? reason : ev->job->details);
}

static const struct {
    const char *word;
    enum execution_state state;
    enum reason reason;
} statuses[] = {
    {"IN_PROGRESS", EXECUTION_DOWNLOADING, REASON_NONE},
    {"SUCCEEDED", EXECUTION_SUCCEEDED, REASON_NONE},
    {"FAILED", EXECUTION_FAILED, REASON_UNKNOWN},
    {"REJECTED", EXECUTION_REJECTED, REASON_REJECTED},
};

static int read_status(struct aws_request *r, const json_t *body, struct device_event *ev, struct err *e)
{
    const char *word = json_string_value(liberal_member(body, "status"));
    const json_t *details = liberal_member(body, "statusDetails");
    size_t i = 0;
    while (word && i < ARRAY_SIZE(statuses) && strcmp(statuses[i].word, word) != 0)
        i++;
    if (!word || i == ARRAY_SIZE(statuses))
        return aws_refuse(r, AWS_INVALID_REQUEST, e,
                          "status must be IN_PROGRESS, SUCCEEDED, FAILED or REJECTED");
    ev->state = statuses[i].state;
    ev->reason = statuses[i].reason;
    if (ev->state == EXECUTION_DOWNLOADING)
        read_progress(details, ev);
    else if (ev->reason != REASON_NONE)
        read_reason(details, ev);
    return 0;
}

static int read_update(struct aws_request *r, const json_t *body, struct device_event *ev, struct err *e)
{
    struct job_request *job = ev->job;
    int rc = read_int(r, body, "expectedVersion", 1, INT64_MAX, &job->expected_version, e);
    if (rc == 0)
        rc = read_bool(r, body, "includeJobExecutionState", &job->with_state, e);
    return rc < 0 ? rc : read_status(r, body, ev, e);
}

static const enum job_op ops[AWS_FORMS] = {
    [AWS_LIST] = JOB_LIST,         [AWS_START_NEXT] = JOB_START_NEXT, [AWS_DESCRIBE] = JOB_DESCRIBE,
    [AWS_DOCUMENT] = JOB_DESCRIBE, [AWS_UPDATE] = JOB_UPDATE,         [AWS_PLAIN_UPDATE] = JOB_UPDATE,
};

int aws_job_read(struct aws_request *r, const json_t *body, struct device_event *ev, struct err *e)
{
    struct job_request *job = calloc(1, sizeof *job);
    if (!job)
        return err_set(e, ERR_INTERNAL, "out of memory");
    ev->kind = EVENT_JOB;
    ev->job = job;
    job->op = ops[r->form];
    job->with_document = job->op == JOB_DESCRIBE || job->op == JOB_START_NEXT;
    int rc = read_job(r, ev, e);
    if (rc == 0)
        rc = read_int(r, body, "executionNumber", 1, INT64_MAX, &job->number, e);
    if (rc == 0 && (r->form == AWS_DESCRIBE || job->op == JOB_UPDATE))
        rc = read_bool(r, body, "includeJobDocument", &job->with_document, e);
    if (rc == 0 && (job->op == JOB_UPDATE || job->op == JOB_START_NEXT)) {
        rc = read_details(r, liberal_member(body, "statusDetails"), job, e);
        if (rc == 0)
            rc = read_step_timeout(r, body, job, e);
    }
    return rc == 0 && job->op == JOB_UPDATE ? read_update(r, body, ev, e) : rc;
}
