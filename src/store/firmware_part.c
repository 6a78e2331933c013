#include "store/firmware_part.h"

#include <string.h>

int firmware_parts(struct db *db, int64_t firmware_id, struct firmware_part out[FIRMWARE_FILES_MAX],
                   size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_FIRMWARE_PARTS);
    int rc = 0;
    bind_int(s, ":id", firmware_id);
    for (*n = 0; *n < FIRMWARE_FILES_MAX && (rc = stmt_step(s, e)) > 0; (*n)++) {
        struct firmware_part *p = &out[*n];
        p->number = (int)col_int(s, 0);
        col_text(s, 1, p->filename, sizeof p->filename);
        p->size = (uint64_t)col_int(s, 2);
        col_text(s, 3, p->digests.sha256, sizeof p->digests.sha256);
        col_text(s, 4, p->digests.sha1, sizeof p->digests.sha1);
        col_text(s, 5, p->digests.md5, sizeof p->digests.md5);
        col_text(s, 6, p->signature, sizeof p->signature);
        p->created_at_ms = col_int(s, 7);
        col_text(s, 8, p->signed_by, sizeof p->signed_by);
    }
    return rc < 0 ? rc : 0;
}

static int insert_row(struct db *w, int64_t firmware_id, const struct firmware_part *p, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_FIRMWARE_PART_INSERT);
    bind_int(s, ":firmware_id", firmware_id);
    bind_int(s, ":ord", p->number);
    bind_text(s, ":filename", p->filename);
    bind_int(s, ":size", (int64_t)p->size);
    bind_text(s, ":sha256", p->digests.sha256);
    bind_text(s, ":sha1", p->digests.sha1);
    bind_text(s, ":md5", p->digests.md5);
    bind_text(s, ":signature", p->signature);
    bind_int(s, ":created_at_ms", p->created_at_ms);
    bind_text(s, ":signed_by", p->signed_by);
    return stmt_run(s, NULL, e);
}

/* The firmware may be on its way to devices, as it is. */
static int check_unnamed(struct db *w, int64_t id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_FIRMWARE_NAMED);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    return err_set(e, ERR_CONFLICT, "campaign %lld names firmware %lld: no file can be added to it any more",
                   (long long)col_int(s, 0), (long long)id);
}

/* Whether the firmware has the file already; ERR_CONFLICT when it has another one of this name. */
static int find_same(const struct firmware *f, const struct firmware_part have[], size_t n,
                     const struct firmware_part *part, bool *existed, struct err *e)
{
    const char *sha256 = strcmp(f->filename, part->filename) == 0 ? f->digests.sha256 : NULL;
    for (size_t i = 0; i < n && !sha256; i++)
        if (strcmp(have[i].filename, part->filename) == 0)
            sha256 = have[i].digests.sha256;
    *existed = sha256 && strcmp(sha256, part->digests.sha256) == 0;
    if (sha256 && !*existed)
        return err_field(e, ERR_CONFLICT, "filename",
                         "firmware %lld has a file %s with sha256 %s; the new one has %s", (long long)f->id,
                         part->filename, sha256, part->digests.sha256);
    return 0;
}

int firmware_part_add(struct db *w, const struct firmware *f, struct firmware_part *part, bool *existed,
                      struct err *e)
{
    struct firmware_part have[FIRMWARE_FILES_MAX];
    size_t n;
    int rc = firmware_parts(w, f->id, have, &n, e);
    if (rc == 0)
        rc = find_same(f, have, n, part, existed, e);
    if (rc < 0 || *existed)
        return rc;
    if (n + 1 >= FIRMWARE_FILES_MAX)
        return err_set(e, ERR_CONFLICT, "firmware %lld has %d files, which is the most", (long long)f->id,
                       FIRMWARE_FILES_MAX);
    part->number = n ? have[n - 1].number + 1 : 2;
    rc = check_unnamed(w, f->id, e);
    return rc < 0 ? rc : insert_row(w, f->id, part, e);
}
