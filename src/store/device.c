#include "store/device.h"

static int read_device(struct stmt *s, struct device *out, struct err *e)
{
    struct device d = {.id = col_int(s, 0), .product_id = col_int(s, 1)};

    col_text(s, 2, d.product, sizeof d.product);
    col_text(s, 3, d.name, sizeof d.name);
    d.secret_len = col_blob(s, 4, d.secret, sizeof d.secret);
    d.enabled = col_int(s, 5);
    d.paused = col_int(s, 6);
    d.registered_at_ms = col_int(s, 7);
    d.last_seen_at_ms = col_int(s, 8);
    d.revision = col_int(s, 9);
    col_text(s, 10, d.pinned, sizeof d.pinned);
    d.failures = col_int(s, 11);
    d.quarantine_until_ms = col_int(s, 12);
    if (d.secret_len > sizeof d.secret)
        return err_set(e, ERR_INTERNAL,
                       "the secret of %s/%s is stored in a form that this otad does not know", d.product,
                       d.name);
    *out = d;
    return 0;
}

static int check_thing(struct db *w, const struct device *d, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(w, Q_DEVICE_THING_OF);
    int rc;

    bind_text(s, ":name", d->name);
    bind_int(s, ":product_id", d->product_id);
    rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    return err_field(e, ERR_CONFLICT, "name",
                     "product %s has a thing %s, which topics could not tell from it", col_ptr(s, 0),
                     d->name);
}

int device_insert(struct db *w, struct device *d, struct err *e)
{
    struct stmt *s;
    char mac[MAC_SIZE];
    int rc = check_thing(w, d, e);

    if (rc < 0)
        return rc;
    s = db_stmt(w, Q_DEVICE_INSERT);
    str_mac(d->name, mac);
    bind_int(s, ":product_id", d->product_id);
    bind_text(s, ":name", d->name);
    bind_text(s, ":mac", mac);
    bind_blob(s, ":secret", d->secret_len ? d->secret : NULL, d->secret_len);
    bind_int(s, ":enabled", d->enabled);
    bind_int(s, ":paused", d->paused);
    bind_text(s, ":pinned", d->pinned);
    bind_int(s, ":registered_at_ms", d->registered_at_ms);
    bind_int(s, ":last_seen_at_ms", d->last_seen_at_ms);
    rc = stmt_run(s, NULL, e);
    if (rc == -ERR_CONFLICT)
        return err_field(e, ERR_CONFLICT, "name", "the product has a device %s already", d->name);
    if (rc < 0)
        return rc;
    d->id = db_last_id(w);
    d->revision = 1;
    return 0;
}

int device_update(struct db *w, struct device *d, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DEVICE_UPDATE);
    int64_t changed = 0;
    int rc;

    bind_int(s, ":id", d->id);
    bind_int(s, ":revision", d->revision);
    bind_blob(s, ":secret", d->secret_len ? d->secret : NULL, d->secret_len);
    bind_int(s, ":enabled", d->enabled);
    bind_int(s, ":paused", d->paused);
    bind_text(s, ":pinned", d->pinned);
    rc = stmt_run(s, &changed, e);
    if (rc < 0)
        return rc;
    if (!changed)
        return err_set(e, ERR_PRECONDITION, "device %s/%s has changed since revision %lld", d->product,
                       d->name, (long long)d->revision);
    d->revision++;
    return 0;
}

int device_delete(struct db *w, int64_t id, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DEVICE_GONE_INSERT);
    int64_t changed = 0;
    int rc;

    bind_int(s, ":id", id);
    bind_int(s, ":now_ms", now_ms);
    rc = stmt_run(s, &changed, e);
    if (rc < 0)
        return rc;
    if (!changed)
        return err_set(e, ERR_NOT_FOUND, "there is no device %lld", (long long)id);
    s = db_stmt(w, Q_DEVICE_DELETE);
    bind_int(s, ":id", id);
    return stmt_run(s, NULL, e);
}

int device_get(struct db *db, const char *product, const char *name, struct device *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_GET);
    int rc;

    bind_text(s, ":product", product);
    bind_text(s, ":name", name);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no device %s/%s", product, name);
    return rc < 0 ? rc : read_device(s, out, e);
}

int device_get_mac(struct db *db, const char *product, const char *mac, struct device *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_GET_MAC);
    int rc;

    bind_text(s, ":product", product);
    bind_text(s, ":mac", mac);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "%s has no device with the MAC address %s", product, mac);
    return rc < 0 ? rc : read_device(s, out, e);
}

int device_get_thing(struct db *db, const char *name, struct device *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_GET_THING);
    int rc;

    bind_text(s, ":name", name);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no thing %s", name);
    return rc < 0 ? rc : read_device(s, out, e);
}

int device_get_id(struct db *db, int64_t id, struct device *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_GET_ID);
    int rc;

    bind_int(s, ":id", id);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no device %lld", (long long)id);
    return rc < 0 ? rc : read_device(s, out, e);
}

int device_seen(struct db *w, int64_t id, int64_t at_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DEVICE_SEEN);

    bind_int(s, ":id", id);
    bind_int(s, ":at_ms", at_ms);
    return stmt_run(s, NULL, e);
}

int device_failures_set(struct db *w, int64_t id, int64_t failures, int64_t quarantine_until_ms,
                        struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DEVICE_FAILURES_SET);

    bind_int(s, ":id", id);
    bind_int(s, ":failures", failures);
    bind_int(s, ":quarantine_until_ms", quarantine_until_ms);
    return stmt_run(s, NULL, e);
}

int device_quarantined(struct db *db, int64_t now_ms, int64_t ids[], size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_QUARANTINED);
    size_t found = 0;
    int rc;

    bind_int(s, ":now_ms", now_ms);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        ids[found++] = col_int(s, 0);
    if (rc == 0)
        *n = found;
    return rc;
}

/* ---- lists */

/* The narrowest index leads: one tag's devices, else one product's, else all of them by id. */
static struct stmt *device_list_stmt(struct db *db, const struct device_filter *f)
{
    bool by_tag = f->tag_key && f->tag_value;
    struct stmt *s = db_stmt(db, by_tag       ? Q_DEVICE_LIST_TAG
                                 : f->product ? Q_DEVICE_LIST_PRODUCT
                                              : Q_DEVICE_LIST);

    if (by_tag || f->product)
        bind_text(s, ":product", f->product);
    bind_text(s, ":tag_key", f->tag_key);
    bind_text(s, ":tag_value", f->tag_value);
    bind_text(s, ":module", f->module);
    bind_text(s, ":version", f->version);
    if (f->seen_before_ms)
        bind_int(s, ":seen_before_ms", f->seen_before_ms);
    if (f->seen_after_ms)
        bind_int(s, ":seen_after_ms", f->seen_after_ms);
    return s;
}

int device_list(struct db *db, const struct device_filter *filter, int64_t after_id, struct device out[],
                size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = device_list_stmt(db, filter);
    size_t found = 0;
    int rc;

    bind_int(s, ":after_id", after_id);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        if ((rc = read_device(s, &out[found++], e)) < 0)
            break;
    if (rc == 0)
        *n = found;
    return rc;
}

/* ---- tags */

int device_tags_set(struct db *w, int64_t id, const struct device_tag tags[], size_t n, struct err *e)
{
    struct stmt *s;
    int rc;

    if (n > TAGS_MAX)
        return err_field(e, ERR_INVALID, "tags", "a device has at most %d tags", TAGS_MAX);
    s = db_stmt(w, Q_DEVICE_TAGS_CLEAR);
    bind_int(s, ":device_id", id);
    rc = stmt_run(s, NULL, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        s = db_stmt(w, Q_DEVICE_TAG_INSERT);
        bind_int(s, ":device_id", id);
        bind_text(s, ":key", tags[i].key);
        bind_text(s, ":value", tags[i].value);
        rc = stmt_run(s, NULL, e);
        if (rc == -ERR_CONFLICT)
            rc = err_field(e, ERR_INVALID, "tags", "tag %s is given twice", tags[i].key);
    }
    return rc;
}

int device_tags_get(struct db *db, int64_t id, struct device_tag out[TAGS_MAX], size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_TAGS_GET);
    size_t found = 0;
    int rc;

    bind_int(s, ":device_id", id);
    bind_int(s, ":cap", TAGS_MAX);
    for (; (rc = stmt_step(s, e)) > 0; found++) {
        col_text(s, 0, out[found].key, sizeof out[found].key);
        col_text(s, 1, out[found].value, sizeof out[found].value);
    }
    if (rc == 0)
        *n = found;
    return rc;
}
