/* An execution as its device sees it, where that keeps jobs. */
#include "rollout/execution.h"

#include <string.h>

enum execution_state job_own_state(const struct execution *x)
{
    if (x->state == EXECUTION_TESTING)
        return EXECUTION_SUCCEEDED;
    return x->state < EXECUTION_OFFERED && x->attempt > 0 ? EXECUTION_FAILED : x->state;
}

int job_read(struct db *db, const struct execution *x, struct device_job *out, char **details, struct err *e)
{
    *out = (struct device_job){.id = x->id,
                               .state = job_own_state(x),
                               .queued_at_ms = x->offered_at_ms,
                               .started_at_ms = x->started_at_ms,
                               .updated_at_ms = x->updated_at_ms,
                               .number = x->attempt > 0 ? x->attempt : 1,
                               .version = 1};
    *details = NULL;
    struct stmt *s STMT_AUTO = db_stmt(db, Q_JOB_GET);
    bind_int(s, ":id", x->id);
    bind_int(s, ":attempt", x->attempt);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    out->version = col_int(s, 0);
    const char *text = col_ptr(s, 1);
    *details = text && *text ? strdup(text) : NULL;
    return 0;
}
