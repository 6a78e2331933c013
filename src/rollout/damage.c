#include "rollout/damage.h"

#include "base/log.h"
#include "model/board.h"
#include "rollout/campaign.h"
#include "store/firmware.h"

#include <stdio.h>

#define CAMPAIGNS 32 /* that are read at once */

static int insert(struct db *w, const char *sha256, const char *found, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DAMAGE_INSERT);
    bind_text(s, ":sha256", sha256);
    bind_text(s, ":found", found);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

static int read_campaigns(struct db *w, const char *sha256, int64_t ids[CAMPAIGNS], size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_DAMAGE_CAMPAIGNS);
    bind_text(s, ":sha256", sha256);
    bind_int(s, ":cap", CAMPAIGNS);
    int rc = 0;
    for (*n = 0; *n < CAMPAIGNS && (rc = stmt_step(s, e)) > 0; (*n)++)
        ids[*n] = col_int(s, 0);
    return rc < 0 ? rc : 0;
}

/* It is not running afterwards, so it is not read again. */
static int pause_one(struct db *w, int64_t id, const char *why, int64_t now_ms, struct err *e)
{
    struct campaign c;
    struct campaign_change change = {.cause = "damage", .reason = why};
    int rc = campaign_get(w, id, &c, e);
    return rc < 0 ? rc : campaign_move(w, &c, CAMPAIGN_PAUSED, &change, now_ms, e);
}

static int pause_all(struct db *w, const char *sha256, const char *why, int64_t now_ms, size_t *paused,
                     struct err *e)
{
    int64_t ids[CAMPAIGNS];
    size_t n = CAMPAIGNS;
    int rc = 0;
    for (*paused = 0; rc == 0 && n == CAMPAIGNS; *paused += n) {
        rc = read_campaigns(w, sha256, ids, &n, e);
        for (size_t i = 0; i < n && rc == 0; i++)
            rc = pause_one(w, ids[i], why, now_ms, e);
    }
    return rc;
}

static int damaged(struct err *e, long long firmware_id, const char *filename)
{
    return err_set(e, ERR_CONFLICT,
                   "the file %.100s of firmware %lld is damaged: upload the same bytes again", filename,
                   firmware_id);
}

int damage_record(struct db *w, const char *sha256, const char *found, int64_t now_ms, size_t *paused,
                  struct err *e)
{
    struct firmware f;
    struct err why;
    *paused = 0;
    int rc = firmware_get_sha256(w, sha256, &f, e);
    if (rc < 0)
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    damaged(&why, (long long)f.id, f.filename);
    rc = insert(w, sha256, found, now_ms, e);
    if (rc == 0)
        rc = pause_all(w, sha256, why.text, now_ms, paused, e);
    if (rc < 0)
        return rc;
    log_error("the file %.100s of firmware %lld of product %s is damaged, %.120s; it must be uploaded again",
              f.filename, (long long)f.id, f.product, found);
    return damage_tell(w, e);
}

int damage_forget(struct db *w, const char *sha256, struct err *e)
{
    int64_t gone;
    struct stmt *s = db_stmt(w, Q_DAMAGE_DELETE);
    bind_text(s, ":sha256", sha256);
    int rc = stmt_run(s, &gone, e);
    return rc < 0 || !gone ? rc : damage_tell(w, e);
}

int damage_check_file(struct db *db, const char *sha256, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_DAMAGE_GET);
    bind_text(s, ":sha256", sha256);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    return err_set(e, ERR_CONFLICT, "the file is damaged: %s", col_ptr(s, 0));
}

static int check(struct db *db, enum query query, int64_t id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, query);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    return rc <= 0 ? rc : damaged(e, (long long)col_int(s, 0), col_ptr(s, 1));
}

int damage_check_firmware(struct db *db, int64_t firmware_id, struct err *e)
{
    return check(db, Q_DAMAGE_OF_FIRMWARE, firmware_id, e);
}

int damage_check_campaign(struct db *db, int64_t campaign_id, struct err *e)
{
    return check(db, Q_DAMAGE_OF_CAMPAIGN, campaign_id, e);
}

int damage_next_file(struct db *db, const char *after, char sha256[SHA256_TEXT_SIZE], uint64_t *size,
                     struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_DAMAGE_NEXT_FILE);
    bind_text(s, ":after", after);
    int rc = stmt_step(s, e);
    if (rc > 0) {
        col_text(s, 0, sha256, SHA256_TEXT_SIZE);
        *size = (uint64_t)col_int(s, 1);
    }
    return rc;
}

static int newest(struct db *db, char sha256[SHA256_TEXT_SIZE], int64_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_DAMAGE_NEWEST);
    int rc = stmt_step(s, e);
    *n = rc > 0 ? col_int(s, 1) : 0;
    if (rc > 0)
        col_text(s, 0, sha256, SHA256_TEXT_SIZE);
    return rc < 0 ? rc : 0;
}

int damage_tell(struct db *db, struct err *e)
{
    char sha256[SHA256_TEXT_SIZE];
    struct firmware f = {0};
    int64_t n;
    int rc = newest(db, sha256, &n, e);
    if (rc == 0 && n > 0)
        rc = firmware_get_sha256(db, sha256, &f, e);
    if (rc == -ERR_NOT_FOUND) /* it is being deleted */
        rc = 0;
    if (rc < 0)
        return rc;
    if (n == 0)
        board_set(BOARD_FILES, true, "ok");
    else
        board_set(BOARD_FILES, false, "%lld damaged, the last one %.60s of firmware %lld: upload it again",
                  (long long)n, f.filename, (long long)f.id);
    return 0;
}
