#include "store/firmware.h"

#include <string.h>

static void read_firmware(struct stmt *s, struct firmware *f)
{
    col_text(s, 0, f->product, sizeof f->product);
    f->id = col_int(s, 1);
    f->product_id = col_int(s, 2);
    col_text(s, 3, f->module, sizeof f->module);
    col_text(s, 4, f->version, sizeof f->version);
    col_text(s, 5, f->delta_from, sizeof f->delta_from);
    col_text(s, 6, f->filename, sizeof f->filename);
    f->size = (uint64_t)col_int(s, 7);
    col_text(s, 8, f->digests.sha256, sizeof f->digests.sha256);
    col_text(s, 9, f->digests.sha1, sizeof f->digests.sha1);
    col_text(s, 10, f->digests.md5, sizeof f->digests.md5);
    col_text(s, 11, f->signature, sizeof f->signature);
    col_text(s, 12, f->image, sizeof f->image);
    col_text(s, 13, f->image_version, sizeof f->image_version);
    col_text(s, 14, f->image_project, sizeof f->image_project);
    col_text(s, 15, f->image_chip, sizeof f->image_chip);
    f->created_at_ms = col_int(s, 16);
    f->withdrawn_at_ms = col_int(s, 17);
    col_text(s, 18, f->requires, sizeof f->requires);
    col_text(s, 19, f->signed_by, sizeof f->signed_by);
}

/* One row, or none; ends s. */
static int read_one(struct stmt *s, bool *found, struct firmware *out, struct err *e)
{
    int rc = stmt_step(s, e);

    if (rc > 0)
        read_firmware(s, out);
    stmt_end(s);
    *found = rc > 0;
    return rc < 0 ? rc : 0;
}

static int stored_same(struct db *w, const struct firmware *f, bool *found, struct firmware *out,
                       struct err *e)
{
    struct stmt *s = db_stmt(w, Q_FIRMWARE_GET_SAME);

    bind_int(s, ":product_id", f->product_id);
    bind_text(s, ":module", f->module);
    bind_text(s, ":version", f->version);
    bind_text(s, ":delta_from", f->delta_from);
    return read_one(s, found, out, e);
}

static int insert_row(struct db *w, const struct firmware *f, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_FIRMWARE_INSERT);

    bind_int(s, ":product_id", f->product_id);
    bind_text(s, ":module", f->module);
    bind_text(s, ":version", f->version);
    bind_text(s, ":delta_from", f->delta_from);
    bind_text(s, ":filename", f->filename);
    bind_int(s, ":size", (int64_t)f->size);
    bind_text(s, ":sha256", f->digests.sha256);
    bind_text(s, ":sha1", f->digests.sha1);
    bind_text(s, ":md5", f->digests.md5);
    bind_text(s, ":signature", f->signature);
    bind_text(s, ":image", f->image);
    bind_text(s, ":image_version", f->image_version);
    bind_text(s, ":image_project", f->image_project);
    bind_text(s, ":image_chip", f->image_chip);
    bind_int(s, ":created_at_ms", f->created_at_ms);
    bind_text(s, ":requires", f->requires);
    bind_text(s, ":signed_by", f->signed_by);
    return stmt_run(s, NULL, e);
}

/* What is stored never changes, so who stores the version again must say the same of it. */
static int check_same(const struct firmware *stored, const struct firmware *f, struct err *e)
{
    if (strcmp(stored->digests.sha256, f->digests.sha256) != 0)
        return err_set(
            e, ERR_CONFLICT,
            "version %s of module %s is stored as firmware %lld with sha256 %s; the new file has %s",
            f->version, f->module, (long long)stored->id, stored->digests.sha256, f->digests.sha256);
    if (strcmp(stored->requires, f->requires) != 0)
        return err_field(e, ERR_CONFLICT, "requires",
                         "this file is stored as firmware %lld, which requires %s; the new one requires %s",
                         (long long)stored->id, *stored->requires ? stored->requires : "nothing",
                         *f->requires ? f->requires : "nothing");
    return 0;
}

int firmware_insert(struct db *w, struct firmware *f, bool *existed, struct err *e)
{
    struct firmware stored;
    bool found;
    int rc = stored_same(w, f, &found, &stored, e);

    if (rc == 0 && found)
        rc = check_same(&stored, f, e);
    if (rc < 0)
        return rc;
    if (found) {
        *f = stored;
    } else {
        rc = insert_row(w, f, e);
        if (rc < 0)
            return rc;
        f->id = db_last_id(w);
    }
    *existed = found;
    return 0;
}

int firmware_get(struct db *db, int64_t id, struct firmware *out, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_FIRMWARE_GET);
    bool found;
    int rc;

    bind_int(s, ":id", id);
    rc = read_one(s, &found, out, e);
    if (rc == 0 && !found)
        return err_set(e, ERR_NOT_FOUND, "there is no firmware %lld", (long long)id);
    return rc;
}

int firmware_get_sha256(struct db *db, const char *sha256, struct firmware *out, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_FIRMWARE_GET_SHA256);
    bool found;
    int rc;

    bind_text(s, ":sha256", sha256);
    rc = read_one(s, &found, out, e);
    if (rc == 0 && !found)
        return err_set(e, ERR_NOT_FOUND, "there is no firmware with these bytes");
    return rc;
}

int firmware_get_public(struct db *db, const char *filename, struct firmware *out, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_FIRMWARE_GET_PUBLIC);
    bool found;
    int rc;

    bind_text(s, ":filename", filename);
    rc = read_one(s, &found, out, e);
    if (rc == 0 && !found)
        return err_set(e, ERR_NOT_FOUND, "there is no public firmware of this name");
    return rc;
}

int firmware_list(struct db *db, const char *product, int64_t after_id, struct firmware out[], size_t cap,
                  size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_FIRMWARE_LIST);
    size_t found = 0;
    int rc;

    bind_text(s, ":product", product);
    bind_int(s, ":after_id", after_id);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        read_firmware(s, &out[found++]);
    if (rc == 0)
        *n = found;
    return rc;
}

static int check_unused(struct db *w, int64_t id, struct err *e)
{
    int64_t campaign;
    int rc = firmware_live_campaign(w, id, &campaign, e);
    if (rc <= 0)
        return rc;
    return err_set(e, ERR_CONFLICT, "firmware %lld belongs to campaign %lld, which is not over",
                   (long long)id, (long long)campaign);
}

static int delete_or_mark(struct db *w, int64_t id, int64_t now_ms, struct err *e)
{
    int64_t deleted;
    struct stmt *s = db_stmt(w, Q_FIRMWARE_DELETE);
    bind_int(s, ":id", id);
    int rc = stmt_run(s, &deleted, e);
    if (rc < 0 || deleted)
        return rc;
    s = db_stmt(w, Q_FIRMWARE_WITHDRAW);
    bind_int(s, ":id", id);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

int firmware_delete(struct db *w, int64_t id, int64_t now_ms, bool *last, struct err *e)
{
    struct firmware f;
    bool known = true;
    int rc = firmware_get(w, id, &f, e);
    if (rc == 0 && f.withdrawn_at_ms)
        rc = err_set(e, ERR_NOT_FOUND, "firmware %lld is withdrawn", (long long)id);
    if (rc == 0)
        rc = check_unused(w, id, e);
    if (rc == 0)
        rc = delete_or_mark(w, id, now_ms, e);
    if (rc == 0)
        rc = firmware_known(w, f.digests.sha256, &known, e);
    if (rc == 0)
        *last = !known;
    return rc;
}

int firmware_live_campaign(struct db *db, int64_t id, int64_t *campaign_id, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_FIRMWARE_LIVE_CAMPAIGN);
    int rc;

    bind_int(s, ":id", id);
    rc = stmt_step(s, e);
    if (rc > 0)
        *campaign_id = col_int(s, 0);
    return rc;
}

int firmware_check_signer(struct db *db, const struct firmware *f, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_FIRMWARE_ODD);
    char by[SHA256_TEXT_SIZE];
    int rc;

    bind_int(s, ":id", f->id);
    rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    col_text(s, 0, by, sizeof by);
    return err_field(
        e, ERR_CONFLICT, "firmware",
        "firmware %lld is signed by %s%s, which devices of product %s are not to trust now: delete "
        "it, and upload it again",
        (long long)f->id, *by ? "key " : "otad's own key", by, f->product);
}

int firmware_known(struct db *db, const char *sha256, bool *known, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_FIRMWARE_KNOWN);
    int rc;

    bind_text(s, ":sha256", sha256);
    rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    *known = rc > 0;
    return 0;
}
