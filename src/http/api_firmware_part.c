/* Further files of one firmware: PUT /firmware?part_of=ID&filename=NAME. */
#include "api.h"

#include "http/route.h"
#include "http/upload.h"
#include "store/firmware_part.h"

#include <stdio.h>
#include <string.h>

/* All but the file's name is the firmware's. */
static int read_query(const struct request *r, struct firmware_part *part, struct err *e)
{
    static const char *const others[] = {"product", "module", "version", "delta_from", "requires"};
    const char *name = request_query(r, "filename");
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (request_query(r, others[i]))
            return err_field(e, ERR_INVALID, others[i],
                             "%s is the firmware's that part_of names: leave it out", others[i]);
    if (!name || !str_is_name(name, sizeof part->filename))
        return err_field(e, ERR_INVALID, "filename", "filename must be 1 to %zu of A-Z a-z 0-9 _ . : @ -",
                         sizeof part->filename - 1);
    str_copy(part->filename, sizeof part->filename, name);
    return 0;
}

static void take_upload(const struct upload_result *up, struct firmware_part *part)
{
    part->size = up->size;
    part->digests = up->digests;
    str_copy(part->signature, sizeof part->signature, up->signature);
    str_copy(part->signed_by, sizeof part->signed_by, up->signed_by);
}

int api_firmware_part_put(struct request *r, struct db *db, struct err *e)
{
    struct firmware_part part = {.created_at_ms = r->now_ms};
    struct firmware f;
    struct product p;
    bool existed = false;
    int rc = read_query(r, &part, e);
    if (rc == 0)
        rc = upload_part_of(r, db, &f, e);
    if (rc == 0)
        rc = product_get_id(db, f.product_id, &p, e);
    if (rc == 0)
        rc = api_push_word(&p, "filename", part.filename, e);
    if (rc)
        return rc;
    take_upload(upload_result(r->upload), &part);
    rc = firmware_part_add(db, &f, &part, &existed, e);
    if (rc == 0) /* all its files, or none, are by keys that the product holds now */
        rc = firmware_check_signer(db, &f, e);
    if (rc)
        return rc;
    json_t *j;
    rc = api_firmware_whole(db, &f, &j, e);
    if (rc)
        return rc;
    if (existed)
        reply_json(r, j);
    else
        reply_created(r, j, "/api/v1/firmware/%lld", (long long)f.id);
    return 0;
}
