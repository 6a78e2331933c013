#include "rollout/campaign.h"

/* Executions as the interface shows them: reads only. */
static void view_read(struct stmt *s, struct execution_view *v)
{
    *v = (struct execution_view){
        .id = col_int(s, 0),
        .campaign_id = col_int(s, 1),
        .device_id = col_int(s, 2),
        .wave = (int)col_int(s, 5),
        .state = (enum execution_state)col_int(s, 6),
        .percent = (int)col_int(s, 7),
        .attempt = (int)col_int(s, 8),
        .due_at_ms = col_int(s, 11),
        .offered_at_ms = col_int(s, 12),
        .started_at_ms = col_int(s, 13),
        .finished_at_ms = col_int(s, 14),
        .updated_at_ms = col_int(s, 15),
    };
    col_text(s, 3, v->product, sizeof v->product);
    col_text(s, 4, v->device, sizeof v->device);
    col_text(s, 9, v->reason, sizeof v->reason);
    col_text(s, 10, v->detail, sizeof v->detail);
}

static int view_list(struct stmt *s, struct execution_view out[], size_t cap, size_t *n, struct err *e)
{
    int rc = 0;
    for (*n = 0; *n < cap && (rc = stmt_step(s, e)) > 0; (*n)++)
        view_read(s, &out[*n]);
    stmt_end(s);
    return rc < 0 ? rc : 0;
}

int execution_view_get(struct db *db, int64_t id, struct execution_view *out, struct err *e)
{
    size_t n;
    struct stmt *s = db_stmt(db, Q_EXECUTION_VIEW);
    bind_int(s, ":id", id);
    int rc = view_list(s, out, 1, &n, e);
    if (rc == 0 && n == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no execution %lld", (long long)id);
    return rc;
}

/* Where both a wave and a state are asked for, what fewer executions have leads. */
static int find_lead(struct db *db, int64_t campaign_id, const struct execution_filter *f, enum query *out,
                     struct err *e)
{
    struct campaign_counts all, wave;
    *out = f->state >= 0 ? Q_EXECUTION_LIST_STATE : f->by_wave ? Q_EXECUTION_LIST_WAVE : Q_EXECUTION_LIST;
    if (f->state < 0 || !f->by_wave || f->wave < 0)
        return 0;
    int rc = campaign_counts(db, campaign_id, -1, &all, e);
    if (rc == 0)
        rc = campaign_counts(db, campaign_id, f->wave, &wave, e);
    if (rc == 0 && wave.total < all.n[f->state])
        *out = Q_EXECUTION_LIST_WAVE;
    return rc;
}

int execution_list(struct db *db, int64_t campaign_id, const struct execution_filter *f,
                   int64_t after_device_id, struct execution_view out[], size_t cap, size_t *n, struct err *e)
{
    enum query query;
    int rc = find_lead(db, campaign_id, f, &query, e);
    if (rc < 0)
        return rc;
    struct stmt *s = db_stmt(db, query);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":after_device_id", after_device_id);
    if (f->state >= 0)
        bind_int(s, ":state", f->state);
    if (f->by_wave)
        bind_int(s, ":wave", f->wave);
    bind_int(s, ":cap", (int64_t)cap);
    return view_list(s, out, cap, n, e);
}

int campaign_failures(struct db *db, int64_t campaign_id, const char *tag_key, struct failure_group out[],
                      size_t cap, size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_CAMPAIGN_FAILURES);
    bind_int(s, ":campaign_id", campaign_id);
    bind_text(s, ":key", tag_key);
    bind_int(s, ":cap", (int64_t)cap);
    int rc = 0;
    for (*n = 0; *n < cap && (rc = stmt_step(s, e)) > 0; (*n)++) {
        struct failure_group *g = &out[*n];
        *g = (struct failure_group){.state = (enum execution_state)col_int(s, 0), .devices = col_int(s, 4)};
        col_text(s, 1, g->reason, sizeof g->reason);
        col_text(s, 2, g->from_version, sizeof g->from_version);
        col_text(s, 3, g->tag, sizeof g->tag);
        col_text(s, 5, g->example, sizeof g->example);
        col_text(s, 6, g->detail, sizeof g->detail);
    }
    return rc < 0 ? rc : 0;
}

int execution_list_device(struct db *db, int64_t device_id, int64_t before_id, struct execution_view out[],
                          size_t cap, size_t *n, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_EXECUTION_LIST_DEVICE);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":before_id", before_id ? before_id : INT64_MAX);
    bind_int(s, ":cap", (int64_t)cap);
    return view_list(s, out, cap, n, e);
}
