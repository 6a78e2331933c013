/* Which certificates a device has, and the end of one. */
#include "api.h"

#include "http/route.h"
#include "store/certificate.h"

#include <stdlib.h>

static json_t *row_json(const struct certificate_row *row)
{
    json_t *j = json_object();
    json_put_text(j, "serial", row->serial);
    json_put_moment(j, "issued_at", row->issued_at_ms);
    json_put_moment(j, "not_after", row->ends_at_ms);
    json_put_moment(j, "revoked_at", row->revoked_at_ms);
    return j;
}

int api_certificate_list(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    struct page page;
    size_t n = 0;
    int rc = page_read(r, &page, e);
    if (rc == 0)
        rc = device_get(db, r->arg[0], r->arg[1], &d, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct certificate_row *rows = api_rows(cap + 1, sizeof *rows);
    rc = certificate_list(db, d.id, page.after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, row_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    }
    free(rows);
    return rc;
}

/* All of the device's sessions end, since the broker does not say which of them began with it: those that
 * have another come back. */
int api_certificate_delete(struct request *r, struct db *db, struct err *e)
{
    struct device d;
    char serial[PKI_CLIENT_SERIAL_SIZE];
    bool changed = false;
    int rc = device_get(db, r->arg[0], r->arg[1], &d, e);
    if (rc)
        return rc;
    if (!pki_client_serial_parse(r->arg[2], serial))
        return err_field(e, ERR_INVALID, "serial", "a serial number is 1 to %d hex digits",
                         PKI_CLIENT_SERIAL_SIZE - 1);
    rc = certificate_revoke(db, serial, d.id, r->now_ms, &changed, e);
    if (rc == 0 && changed)
        rc = timeline_add(db, d.id, r->now_ms, "certificate", 0, 0, e, "serial %s revoked, by %s", serial,
                          r->caller.name);
    if (rc)
        return rc;
    request_end_sessions(r, d.product, d.name);
    reply_nothing(r);
    return 0;
}
