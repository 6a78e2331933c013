/* Who speaks or is spoken to. */
#include "rollout/execution.h"

static int party_read(struct stmt *s, const char *product, const char *device, struct party *out,
                      struct err *e)
{
    int rc = stmt_step(s, e);
    if (rc == 0)
        rc = err_field(e, ERR_NOT_FOUND, "product", "there is no product \"%s\"", product);
    if (rc > 0) {
        *out = (struct party){
            .product_id = col_int(s, 0),
            .product_enabled = col_int(s, 1),
            .enrolment_open = col_int(s, 2),
            .success_by_report = col_int(s, 5),
            .device_id = col_int(s, 6),
            .device_enabled = col_int(s, 7),
            .device_paused = col_int(s, 8),
            .keeps_jobs = col_int(s, 11),
            .begins_anew = col_int(s, 12),
            .takes_deltas = col_int(s, 13),
            .failures = col_int(s, 15),
            .quarantine_until_ms = col_int(s, 16),
        };
        col_text(s, 14, out->pinned, sizeof out->pinned);
        col_text(s, 3, out->protocol, sizeof out->protocol);
        int scheme = version_scheme_parse(col_ptr(s, 4));
        out->scheme = scheme < 0 ? VERSION_DOTTED : (enum version_scheme)scheme;
        col_text(s, 9, out->product, sizeof out->product);
        if (out->device_id)
            col_text(s, 10, out->device, sizeof out->device);
        else
            str_copy(out->device, sizeof out->device, device);
        rc = 0;
    }
    stmt_end(s);
    return rc;
}

int party_get(struct db *db, const char *product, const char *device, struct party *out, struct err *e)
{
    struct stmt *s = db_stmt(db, *product ? Q_PARTY_GET : Q_PARTY_GET_THING);
    if (*product)
        bind_text(s, ":product", product);
    bind_text(s, ":device", device);
    return party_read(s, product, device, out, e);
}

int party_get_id(struct db *db, int64_t device_id, struct party *out, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_PARTY_GET_ID);
    bind_int(s, ":id", device_id);
    return party_read(s, "", "", out, e);
}
