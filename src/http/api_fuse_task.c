/* OneNET's HTTP service about a task: {tid} is a campaign, and to a device it is its execution there. */
#include "api_fuse.h"

#include "file.h"
#include "http/route.h"
#include "protocol/liberal.h"
#include "protocol/onenet.h"

/* Fills ev with the device and the execution. */
static int find_task(const struct request *r, struct db *db, struct device_event *ev,
                     enum execution_state *state, struct err *e)
{
    int64_t tid = 0;
    int rc = fuse_event(r, EVENT_PROGRESS, ev, e);
    if (rc == 0)
        rc = request_id(r, 2, &tid, e);
    if (rc)
        return rc;
    struct stmt *s STMT_AUTO = db_stmt(db, Q_FUSE_TASK);
    bind_int(s, ":campaign_id", tid);
    bind_int(s, ":device_id", r->caller.device_id);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no task %lld for this device", (long long)tid);
    if (rc < 0)
        return rc;
    ev->execution_id = col_int(s, 0);
    *state = (enum execution_state)col_int(s, 1);
    return 0;
}

int api_fuse_task(struct request *r, struct db *db, struct err *e)
{
    struct device_event ev;
    enum execution_state state;
    int rc = find_task(r, db, &ev, &state, e);
    if (rc)
        return rc;
    json_t *data = json_object();
    json_put_int(data, "status", onenet_status(state));
    return fuse_answer(r, FUSE_OK, data);
}

static int read_step(const struct request *r, int64_t *step, struct device_event *ev, struct err *e)
{
    json_t *body;
    int rc = liberal_parse(r->raw ? r->raw : "", r->raw_len, &body, e);
    if (rc < 0)
        return rc;
    if (!liberal_int(liberal_member(body, "step"), 0, 999, step) || !onenet_step(*step, ev))
        rc = err_field(e, ERR_INVALID, "step", "step must be 0 to 107 or 201 to 208");
    json_decref(body);
    return rc;
}

/* Success that is said once more, after the version has said it, is no mistake. */
int api_fuse_status(struct request *r, struct db *w, struct err *e)
{
    struct device_event ev;
    struct outgoing out;
    enum execution_state state;
    int64_t step;
    int rc = find_task(r, w, &ev, &state, e);
    if (rc == 0)
        rc = read_step(r, &step, &ev, e);
    if (rc)
        return rc;
    if (execution_is_final(state))
        return fuse_answer(r, state == EXECUTION_SUCCEEDED && step == 201 ? FUSE_OK : FUSE_FINISHED, NULL);
    if (!execution_is_active(state))
        return fuse_answer(r, FUSE_INVALID_STATE, NULL);
    rc = fuse_tell(r, w, &ev, 1, &out, e);
    if (rc)
        return rc;
    outgoing_clear(&out);
    return fuse_answer(r, FUSE_OK, NULL);
}

static int find_firmware(struct db *db, int64_t execution_id, struct firmware *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_FUSE_FILE);
    bind_int(s, ":execution_id", execution_id);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "execution %lld has nothing left to fetch", (long long)execution_id);
    return rc < 0 ? rc : firmware_get(db, col_int(s, 0), out, e);
}

int api_fuse_download(struct request *r, struct db *db, struct err *e)
{
    struct firmware f;
    struct device_event ev;
    enum execution_state state;
    int rc = find_task(r, db, &ev, &state, e);
    if (rc == 0 && !execution_is_active(state))
        rc = err_set(e, ERR_NOT_FOUND, "the task is not under way");
    if (rc == 0)
        rc = find_firmware(db, ev.execution_id, &f, e);
    if (rc == 0)
        rc = file_send(r, &f, e);
    if (rc == 0)
        r->reply.execution_id = ev.execution_id;
    return rc;
}
