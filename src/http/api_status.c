#include "api.h"

#include "base/pki.h"
#include "http/route.h"
#include "model/board.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define DAY_MS        86400000LL
#define PEM_SIZE      16384
#define PEM_MEDIATYPE "application/x-pem-file"

/* ---- health: no token, so no more than a monitor needs */

static json_t *part_json(enum board_part part, bool *all_ok)
{
    struct board_row row;
    json_t *j = json_object();
    board_get(part, &row);
    json_put_bool(j, "ok", row.ok);
    if (!row.ok)
        json_put_text(j, "reason", row.text);
    *all_ok = *all_ok && row.ok;
    return j;
}

int api_health(struct request *r, struct db *db, struct err *e)
{
    json_t *j = json_object();
    bool ok = true;
    (void)db;
    (void)e;
    json_put_text(j, "status", "ok");
    for (int part = 0; part < BOARD_PARTS; part++)
        json_put(j, board_part_name((enum board_part)part), part_json((enum board_part)part, &ok));
    if (!ok)
        json_put_text(j, "status", "unavailable");
    reply_json(r, j);
    r->reply.status = ok ? 200 : 503;
    return 0;
}

/* ---- status */

static void put_parts(json_t *j)
{
    for (int part = 0; part < BOARD_PARTS; part++) {
        struct board_row row;
        json_t *p = json_object();
        board_get((enum board_part)part, &row);
        json_put_bool(p, "ok", row.ok);
        json_put_text(p, "text", row.text);
        json_put(j, board_part_name((enum board_part)part), p);
    }
}

static json_t *counters_json(const struct rollout *rollout)
{
    json_t *j = json_object();
    for (int i = 0; i < BOARD_COUNTERS; i++)
        json_put_int(j, board_counter_name((enum board_counter)i), board_value((enum board_counter)i));
    json_put_int(j, "reports_ignored", (int64_t)rollout->ignored);
    json_put_int(j, "reports_refused", (int64_t)rollout->refused);
    return j;
}

static void put_disk(json_t *disk, const char *dir)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) != 0)
        return;
    json_put_int(disk, "free_bytes", (int64_t)(fs.f_bavail * fs.f_frsize));
    json_put_int(disk, "total_bytes", (int64_t)(fs.f_blocks * fs.f_frsize));
}

static json_t *certificate_json(const struct request *r)
{
    json_t *j = json_object();
    int64_t ends_at_ms;
    struct err e;
    if (pki_expiry(r->env->cert_path, &ends_at_ms, &e) < 0) {
        json_put_text(j, "problem", e.text);
        return j;
    }
    json_put_moment(j, "expires_at", ends_at_ms);
    json_put_int(j, "days_left", (ends_at_ms - r->now_ms) / DAY_MS);
    return j;
}

/* States are words where campaigns are counted, numbers where executions are. */
static int campaigns_json(struct db *db, json_t **out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_STATUS_CAMPAIGNS);
    json_t *j = json_object();
    int rc;
    while ((rc = stmt_step(s, e)) > 0)
        json_put_int(j, col_ptr(s, 0), col_int(s, 1));
    if (rc == 0)
        *out = j;
    else
        json_decref(j);
    return rc;
}

static int executions_json(struct db *db, json_t **out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_STATUS_EXECUTIONS);
    int64_t n[EXECUTION_STATES] = {0};
    int rc;
    while ((rc = stmt_step(s, e)) > 0) {
        int64_t state = col_int(s, 0);
        if (state >= 0 && state < EXECUTION_STATES)
            n[state] = col_int(s, 1);
    }
    if (rc)
        return rc;
    *out = json_object();
    for (int state = 0; state < EXECUTION_STATES; state++)
        json_put_int(*out, execution_state_word((enum execution_state)state), n[state]);
    return 0;
}

static json_t *backup_json(const struct http_env *env)
{
    struct backups_state s;
    json_t *j = json_object();
    backups_state(env->backups, &s);
    json_put_moment(j, "made_at", s.made_at_ms);
    json_put_moment(j, "failed_at", s.failed_at_ms);
    json_put_text(j, "problem", s.failed_at_ms ? s.error : NULL);
    return j;
}

int api_status(struct request *r, struct db *db, struct err *e)
{
    const struct http_env *env = r->env;
    json_t *campaigns, *executions;
    int rc = campaigns_json(db, &campaigns, e);
    if (rc)
        return rc;
    rc = executions_json(db, &executions, e);
    if (rc) {
        json_decref(campaigns);
        return rc;
    }
    json_t *j = json_object();
    json_put_text(j, "version", OTAD_VERSION);
    json_put_moment(j, "started_at", env->started_at_ms);
    json_put_moment(j, "ticked_at", env->rollout->done_to_ms);
    json_put(j, "campaigns", campaigns);
    json_put(j, "executions", executions);
    json_put_int(j, "devices_online", presence_count(env->rollout->presence));
    put_parts(j);
    json_put_int(json_object_get(j, "store"), "queued", (int64_t)store_queue_length(env->store));
    put_disk(json_object_get(j, "disk"), env->settings->data_dir);
    json_put(j, "certificate", certificate_json(r));
    json_put(j, "backup", backup_json(env));
    json_put(j, "counters", counters_json(env->rollout));
    reply_json(r, j);
    return 0;
}

/* ---- keys to pin */

static void reply_pem(struct request *r, const char *pem)
{
    r->reply.text = strdup(pem);
    if (!r->reply.text)
        abort();
    r->reply.type = PEM_MEDIATYPE;
}

int api_signing_key(struct request *r, struct db *db, struct err *e)
{
    char pem[PUBLIC_KEY_TEXT_SIZE];
    int rc = signing_key_public_pem(r->env->signing_key, pem, e);
    (void)db;
    if (rc == 0)
        reply_pem(r, pem);
    return rc;
}

int api_ca(struct request *r, struct db *db, struct err *e)
{
    char pem[PEM_SIZE];
    size_t len;
    int rc = file_read(r->env->ca_path, pem, sizeof pem, &len, e);
    (void)db;
    if (rc)
        return err_set(e, ERR_NOT_FOUND, "the CA of this server's certificate is not its own");
    reply_pem(r, pem);
    return 0;
}
