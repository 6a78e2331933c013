#include "store/old_secret.h"

static int find(struct db *db, enum query q, int64_t id, int64_t now_ms, struct old_secret *out,
                struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, q);
    struct old_secret old = {0};
    int rc;

    bind_int(s, ":id", id);
    bind_int(s, ":now_ms", now_ms);
    rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    if (rc > 0) {
        old.len = col_blob(s, 0, old.sealed, sizeof old.sealed);
        old.until_ms = col_int(s, 1);
        if (old.len > sizeof old.sealed)
            return err_set(e, ERR_INTERNAL, "an old secret is stored in a form that this otad does not know");
    }
    *out = old;
    return 0;
}

int old_secret_of_device(struct db *db, int64_t device_id, int64_t now_ms, struct old_secret *out,
                         struct err *e)
{
    return find(db, Q_OLD_SECRET_OF_DEVICE, device_id, now_ms, out, e);
}

int old_secret_of_product(struct db *db, int64_t product_id, int64_t now_ms, struct old_secret *out,
                          struct err *e)
{
    return find(db, Q_OLD_SECRET_OF_PRODUCT, product_id, now_ms, out, e);
}

static int keep(struct db *w, enum query q, int64_t id, const struct old_secret *old, struct err *e)
{
    struct stmt *s = db_stmt(w, q);

    bind_int(s, ":id", id);
    bind_blob(s, ":secret", old->sealed, old->len);
    bind_int(s, ":until_ms", old->until_ms);
    return stmt_run(s, NULL, e);
}

int old_secret_keep_device(struct db *w, int64_t device_id, const struct old_secret *old, struct err *e)
{
    return keep(w, Q_OLD_SECRET_KEEP_DEVICE, device_id, old, e);
}

int old_secret_keep_product(struct db *w, int64_t product_id, const struct old_secret *old, struct err *e)
{
    return keep(w, Q_OLD_SECRET_KEEP_PRODUCT, product_id, old, e);
}

static int forget(struct db *w, enum query q, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, q);

    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

int old_secrets_forget(struct db *w, int64_t now_ms, struct err *e)
{
    int rc = forget(w, Q_OLD_SECRETS_FORGET_DEVICE, now_ms, e);

    return rc ? rc : forget(w, Q_OLD_SECRETS_FORGET_PRODUCT, now_ms, e);
}
