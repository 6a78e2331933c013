#include "store/login.h"

static bool read_secret(struct stmt *s, int column, struct login_secret *out)
{
    out->len = col_blob(s, column, out->sealed, sizeof out->sealed);
    return out->len <= sizeof out->sealed;
}

static bool read_row(struct stmt *s, struct login_row *out)
{
    out->product_id = col_int(s, 0);
    out->product_enabled = col_int(s, 1);
    out->enrolment_open = col_int(s, 2);
    col_text(s, 3, out->protocol, sizeof out->protocol);
    out->device_id = col_int(s, 5);
    out->device_enabled = col_int(s, 6);
    return read_secret(s, 4, &out->enrolment) && read_secret(s, 7, &out->device);
}

int login_get(struct db *db, const char *product, const char *device, struct login_row *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_LOGIN_GET);
    bind_text(s, ":product", product);
    bind_text(s, ":device", device);
    int rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(e, ERR_NOT_FOUND, "product", "there is no product \"%s\"", product);
    if (!read_row(s, out))
        return err_set(e, ERR_INTERNAL, "a secret of %s/%s is stored in a form that this otad does not know",
                       product, device);
    return 0;
}
