/* Further files of one firmware: PUT /firmware?part_of=ID&filename=NAME. */
#include "api.h"

#include "http/route.h"
#include "http/upload.h"
#include "store/firmware_part.h"

#include <stdio.h>
#include <string.h>

static json_t *file_json(const char *filename, uint64_t size, const struct digests *digests,
                         const char *signature)
{
    char url[16 + SHA256_TEXT_SIZE];
    json_t *j = json_object();
    snprintf(url, sizeof url, "/firmware/%s", digests->sha256);
    json_put_text(j, "filename", filename);
    json_put_int(j, "size", (int64_t)size);
    json_put_text(j, "sha256", digests->sha256);
    json_put_text(j, "sha1", digests->sha1);
    json_put_text(j, "md5", digests->md5);
    json_put_text(j, "signature", signature);
    json_put_text(j, "url", url);
    return j;
}

int api_firmware_files(struct db *db, const struct firmware *f, json_t *out, struct err *e)
{
    struct firmware_part parts[FIRMWARE_FILES_MAX];
    size_t n;
    int rc = firmware_parts(db, f->id, parts, &n, e);
    if (rc)
        return rc;
    json_t *files = json_array();
    json_array_append_new(files, file_json(f->filename, f->size, &f->digests, f->signature));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            files, file_json(parts[i].filename, parts[i].size, &parts[i].digests, parts[i].signature));
    json_put(out, "files", files);
    return 0;
}

/* All but the file's name is the firmware's. */
static int read_query(const struct request *r, struct firmware_part *part, struct err *e)
{
    static const char *const others[] = {"product", "module", "version", "delta_from"};
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
    if (rc)
        return rc;
    json_t *j = api_firmware_json(&f);
    rc = api_firmware_files(db, &f, j, e);
    if (rc)
        json_decref(j);
    else if (existed)
        reply_json(r, j);
    else
        reply_created(r, j, "/api/v1/firmware/%lld", (long long)f.id);
    return rc;
}
