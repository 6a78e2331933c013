/* Firmware as the interface shows it, and what texts of it devices can read. */
#include "api.h"

#include "protocol/aliyun.h"
#include "store/firmware_part.h"

#include <stdio.h>
#include <string.h>

static json_t *image_json(const struct firmware *f)
{
    if (!*f->image)
        return json_null();
    json_t *j = json_object();
    json_put_text(j, "kind", f->image);
    json_put_text(j, "version", f->image_version);
    json_put_text(j, "project", f->image_project);
    json_put_text(j, "chip", f->image_chip);
    return j;
}

static void put_file(json_t *j, const char *filename, uint64_t size, const struct digests *digests,
                     const char *signature, const char *signed_by)
{
    char url[16 + SHA256_TEXT_SIZE];
    snprintf(url, sizeof url, "/firmware/%s", digests->sha256);
    json_put_text(j, "filename", filename);
    json_put_int(j, "size", (int64_t)size);
    json_put_text(j, "sha256", digests->sha256);
    json_put_text(j, "sha1", digests->sha1);
    json_put_text(j, "md5", digests->md5);
    json_put_text(j, "signature", signature);
    json_put_text(j, "signed_by", *signed_by ? signed_by : NULL);
    json_put_text(j, "url", url);
}

json_t *api_firmware_json(const struct firmware *f)
{
    json_t *j = json_object();
    json_put_int(j, "id", f->id);
    json_put_text(j, "product", f->product);
    json_put_text(j, "module", f->module);
    json_put_text(j, "version", f->version);
    json_put_text(j, "delta_from", *f->delta_from ? f->delta_from : NULL);
    json_put_text(j, "requires", *f->requires ? f->requires : NULL);
    put_file(j, f->filename, f->size, &f->digests, f->signature, f->signed_by);
    json_put(j, "image", image_json(f));
    json_put_moment(j, "created_at", f->created_at_ms);
    json_put_moment(j, "withdrawn_at", f->withdrawn_at_ms);
    return j;
}

static void add_file(json_t *files, const char *filename, uint64_t size, const struct digests *digests,
                     const char *signature, const char *signed_by)
{
    json_t *file = json_object();
    put_file(file, filename, size, digests, signature, signed_by);
    json_array_append_new(files, file);
}

int api_firmware_whole(struct db *db, const struct firmware *f, json_t **out, struct err *e)
{
    struct firmware_part parts[FIRMWARE_FILES_MAX];
    size_t n;
    int rc = firmware_parts(db, f->id, parts, &n, e);
    if (rc)
        return rc;
    json_t *files = json_array();
    add_file(files, f->filename, f->size, &f->digests, f->signature, f->signed_by);
    for (size_t i = 0; i < n; i++)
        add_file(files, parts[i].filename, parts[i].size, &parts[i].digests, parts[i].signature,
                 parts[i].signed_by);
    *out = api_firmware_json(f);
    json_put(*out, "files", files);
    return 0;
}

/* Aliyun's SDKs look for the members of a push by their names in quotes, and a text of it ends at its first
 * quote. */
int api_push_word(const struct product *p, const char *field, const char *text, struct err *e)
{
    if (strcmp(p->protocol, aliyun_protocol.name) != 0)
        return 0;
    if (strpbrk(text, "\"\\"))
        return err_field(e, ERR_INVALID, field,
                         "%s may hold no quotes: devices of this product end a text at one", field);
    if (aliyun_is_member(text))
        return err_field(e, ERR_INVALID, field,
                         "%s may not be \"%s\": devices of this product take that for a word "
                         "of the push itself",
                         field, text);
    return 0;
}
