#include "store/certificate.h"

static void read_row(struct stmt *s, struct certificate_row *out)
{
    *out = (struct certificate_row){.id = col_int(s, 0)};
    col_text(s, 1, out->serial, sizeof out->serial);
    out->device_id = col_int(s, 2);
    out->issued_at_ms = col_int(s, 3);
    out->ends_at_ms = col_int(s, 4);
    out->revoked_at_ms = col_int(s, 5);
}

int certificate_insert(struct db *w, const struct certificate_row *row, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_CERTIFICATE_INSERT);
    bind_text(s, ":serial", row->serial);
    bind_int(s, ":device_id", row->device_id);
    bind_int(s, ":issued_at_ms", row->issued_at_ms);
    bind_int(s, ":ends_at_ms", row->ends_at_ms);
    return stmt_run(s, NULL, e);
}

int certificate_get(struct db *db, const char *serial, struct certificate_row *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_CERTIFICATE_GET);
    bind_text(s, ":serial", serial);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no certificate %s", serial);
    if (rc < 0)
        return rc;
    read_row(s, out);
    return 0;
}

int certificate_check(struct db *db, const char *serial, int64_t device_id, struct err *e)
{
    struct certificate_row row;
    int rc = certificate_get(db, serial, &row, e);
    if (rc)
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    if (row.revoked_at_ms)
        return err_set(e, ERR_UNAUTHORIZED, "the certificate %s is revoked", serial);
    if (row.device_id != device_id)
        return err_set(e, ERR_UNAUTHORIZED,
                       "the certificate %s was made for another device, or for one that is gone", serial);
    return 0;
}

int certificate_revoke(struct db *w, const char *serial, int64_t device_id, int64_t now_ms, bool *changed,
                       struct err *e)
{
    struct certificate_row row;
    int64_t n = 0;
    int rc = certificate_get(w, serial, &row, e);
    if (rc && rc != -ERR_NOT_FOUND)
        return rc;
    if (rc == 0 && row.device_id != device_id)
        return err_set(e, ERR_NOT_FOUND, "the certificate %s is another device's", serial);
    struct stmt *s = db_stmt(w, Q_CERTIFICATE_REVOKE);
    bind_text(s, ":serial", serial);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":now_ms", now_ms);
    rc = stmt_run(s, &n, e);
    if (rc == 0)
        *changed = n > 0;
    return rc;
}

int certificate_list(struct db *db, int64_t device_id, int64_t before_id, struct certificate_row out[],
                     size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_CERTIFICATE_LIST);
    size_t found = 0;
    int rc;
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":before_id", before_id ? before_id : INT64_MAX);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        read_row(s, &out[found++]);
    if (rc == 0)
        *n = found;
    return rc;
}

int certificate_forget(struct db *w, int64_t before_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_CERTIFICATE_FORGET);
    bind_int(s, ":before_ms", before_ms);
    return stmt_run(s, NULL, e);
}
