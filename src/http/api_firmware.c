#include "api.h"

#include "base/log.h"
#include "http/route.h"
#include "http/upload.h"
#include "rollout/damage.h"
#include "store/firmware_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- PUT: what the query says, what the image says, what the product allows */

static int take_text(const struct request *r, const char *name, char *out, size_t size, struct err *e)
{
    const char *text = request_query(r, name);
    if (text && !str_is_text(text, size))
        return err_field(e, ERR_INVALID, name, "%s must be 1 to %zu bytes of text", name, size - 1);
    str_copy(out, size, text);
    return 0;
}

/* What becomes part of a topic, a path or a file name. */
static int take_name(const struct request *r, const char *name, char *out, size_t size, struct err *e)
{
    const char *text = request_query(r, name);
    if (text && !str_is_name(text, size))
        return err_field(e, ERR_INVALID, name, "%s must be 1 to %zu of A-Z a-z 0-9 _ . : @ -", name,
                         size - 1);
    if (text)
        str_copy(out, size, text);
    return 0;
}

static int read_query(const struct request *r, struct firmware *f, struct err *e)
{
    str_copy(f->module, sizeof f->module, "default");
    int rc = take_name(r, "module", f->module, sizeof f->module, e);
    if (rc == 0)
        rc = take_text(r, "version", f->version, sizeof f->version, e);
    if (rc == 0)
        rc = take_name(r, "filename", f->filename, sizeof f->filename, e);
    if (rc == 0)
        rc = take_text(r, "delta_from", f->delta_from, sizeof f->delta_from, e);
    return rc ? rc : take_text(r, "requires", f->requires, sizeof f->requires, e);
}

static void take_image(const struct upload_result *up, struct firmware *f)
{
    f->size = up->size;
    f->digests = up->digests;
    str_copy(f->signature, sizeof f->signature, up->signature);
    str_copy(f->signed_by, sizeof f->signed_by, up->signed_by);
    if (up->image.kind == IMAGE_OPAQUE)
        return;
    str_copy(f->image, sizeof f->image, image_kind_name(up->image.kind));
    str_copy(f->image_version, sizeof f->image_version, up->image.version);
    str_copy(f->image_project, sizeof f->image_project, up->image.project);
    str_copy(f->image_chip, sizeof f->image_chip, up->image.chip);
}

/* A stated version wins; a placeholder of a build system tells nothing. */
static int settle_version(const struct product *p, bool placeholder, struct firmware *f, struct err *e)
{
    bool told = *f->image_version && !placeholder;
    if (!*f->version && !told)
        return err_field(e, ERR_INVALID, "version",
                         "the file tells no version of its own: state one with ?version=");
    if (!*f->version)
        str_copy(f->version, sizeof f->version, f->image_version);
    if (p->strict_version && told && strcmp(f->version, f->image_version) != 0)
        return err_field(e, ERR_INVALID, "version",
                         "version %s was stated, the image says %s, and product %s is strict_version",
                         f->version, f->image_version, p->key);
    return 0;
}

/* The main firmware of a product with a chip is an image for that chip; other modules may be anything but an
 * image for another one, and a delta is no image yet. */
static int check_allowed(const struct product *p, const struct firmware *f, struct err *e)
{
    bool needs_image = strcmp(f->module, "default") == 0 && !*f->delta_from;
    if (p->max_image_bytes && f->size > (uint64_t)p->max_image_bytes)
        return err_field(e, ERR_INVALID, "size", "the file has %llu bytes, product %s allows %lld",
                         (unsigned long long)f->size, p->key, (long long)p->max_image_bytes);
    if (*p->chip && !*f->image_chip && needs_image)
        return err_field(e, ERR_INVALID, "chip", "the file is %s, product %s takes images for %s",
                         *f->image ? "an image that names no chip" : "no image", p->key, p->chip);
    if (*p->chip && *f->image_chip && strcmp(p->chip, f->image_chip) != 0)
        return err_field(e, ERR_INVALID, "chip", "the image is for %s, product %s takes images for %s",
                         f->image_chip, p->key, p->chip);
    return 0;
}

/* Devices reach this version from an older one, and so must be able to have one that it requires. */
static int check_requires(const struct product *p, const struct firmware *f, struct err *e)
{
    struct err why;
    if (!*f->requires)
        return 0;
    if (version_range_check(p->version_scheme, f->requires, &why))
        return err_field(e, why.code, "requires", "%s", why.text);
    if (!version_valid(p->version_scheme, f->version))
        return err_field(
            e, ERR_INVALID, "requires",
            "firmware %s cannot require %s: its version is none of scheme %s, so none is below it",
            f->version, f->requires, version_scheme_name(p->version_scheme));
    if (!version_range_below(p->version_scheme, f->requires, f->version))
        return err_field(e, ERR_INVALID, "requires",
                         "firmware %s cannot require %s: no version below %s satisfies it, so each would "
                         "wait for the other: a cycle",
                         f->version, f->requires, f->version);
    return 0;
}

static int check_words(const struct product *p, const struct firmware *f, struct err *e)
{
    int rc = api_push_word(p, "version", f->version, e);
    if (rc == 0)
        rc = api_push_word(p, "module", f->module, e);
    return rc ? rc : api_push_word(p, "filename", f->filename, e);
}

/* product-module-version.bin, with _ for what a file name should not hold. */
static void make_filename(struct firmware *f)
{
    char text[PRODUCT_SIZE + MODULE_SIZE + VERSION_SIZE + 8];
    snprintf(text, sizeof text, "%s-%s-%s", f->product, f->module, f->version);
    snprintf(f->filename, sizeof f->filename, "%.*s.bin", FILENAME_SIZE - 5, text);
    for (char *p = f->filename; *p; p++)
        if (!str_is_name((char[]){'x', *p, '\0'}, 3))
            *p = '_';
}

static int put(struct request *r, struct db *db, struct err *e)
{
    const struct upload_result *up = upload_result(r->upload);
    const char *key = request_query(r, "product");
    struct firmware f = {.created_at_ms = r->now_ms};
    struct product p;
    bool existed;
    int rc = read_query(r, &f, e);
    if (rc == 0)
        rc = api_product(db, key ? key : "", &p, e);
    if (rc)
        return rc;
    f.product_id = p.id;
    str_copy(f.product, sizeof f.product, p.key);
    take_image(up, &f);
    rc = settle_version(&p, up->image.placeholder, &f, e);
    if (rc == 0)
        rc = check_allowed(&p, &f, e);
    if (rc == 0)
        rc = check_requires(&p, &f, e);
    if (rc == 0)
        rc = check_words(&p, &f, e);
    if (rc)
        return rc;
    if (!*f.filename)
        make_filename(&f);
    rc = firmware_insert(db, &f, &existed, e);
    if (rc == 0) /* the keys may be others than when the upload began, or the file was stored under others */
        rc = firmware_check_signer(db, &f, e);
    if (rc)
        return rc;
    if (existed)
        reply_json(r, api_firmware_json(&f));
    else
        reply_created(r, api_firmware_json(&f), "/api/v1/firmware/%lld", (long long)f.id);
    return 0;
}

int api_firmware_put(struct request *r, struct db *db, struct err *e)
{
    return request_query(r, "part_of") ? api_firmware_part_put(r, db, e) : put(r, db, e);
}

/* ---- looking */

int api_firmware_list(struct request *r, struct db *db, struct err *e)
{
    struct page page;
    size_t n = 0;
    int rc = page_read(r, &page, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct firmware *rows = api_rows(cap + 1, sizeof *rows);
    rc = firmware_list(db, request_query(r, "product"), page.after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, api_firmware_json(&rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    }
    free(rows);
    return rc;
}

int api_firmware_get(struct request *r, struct db *db, struct err *e)
{
    struct firmware f;
    json_t *j;
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = firmware_get(db, id, &f, e);
    if (rc == 0)
        rc = api_firmware_whole(db, &f, &j, e);
    if (rc == 0)
        reply_json(r, j);
    return rc;
}

/* ---- DELETE: the row now, the bytes when nobody can want them any more */

/* Bytes of which the last row is deleted. They are removed on the writer's thread between two transactions,
 * by what is committed then: inside one, a deletion is seen that a failing commit takes back, and the row
 * would have lost its bytes. An upload of the same bytes has its row by then, or finds them missing. */
struct waste {
    struct job job;
    struct store *store;
    struct blobs *blobs;
    char sha256[SHA256_TEXT_SIZE];
};

/* Also waits for the commit that deletes the row. What was said of damaged bytes is said of nobody's now. */
static int waste_forget(struct db *w, void *arg, struct err *e)
{
    const struct waste *waste = arg;
    bool known = true;
    int rc = firmware_known(w, waste->sha256, &known, e);
    return rc || known ? rc : damage_forget(w, waste->sha256, e);
}

static void waste_done(struct job *job)
{
    struct waste *waste = job->arg;
    struct db *db;
    struct err e;
    bool known = true;
    int rc = store_reader(waste->store, &db, &e);
    if (rc == 0)
        rc = firmware_known(db, waste->sha256, &known, &e);
    if (rc == 0 && !known)
        rc = blob_remove(waste->blobs, waste->sha256, &e);
    if (rc)
        log_warn("the bytes of deleted firmware stay until the next start: %s", e.text);
    free(waste);
}

static void waste_later(const struct request *r, const char *sha256)
{
    struct waste *waste = api_rows(1, sizeof *waste);
    waste->store = r->env->store;
    waste->blobs = r->env->blobs;
    str_copy(waste->sha256, sizeof waste->sha256, sha256);
    waste->job = (struct job){.run = waste_forget, .done = waste_done, .arg = waste};
    store_submit(waste->store, &waste->job);
}

/* The campaigns of this firmware that are not over. */
static int cancel_campaigns(const struct request *r, struct db *db, int64_t id, struct err *e)
{
    int64_t campaign;
    int rc;
    while ((rc = firmware_live_campaign(db, id, &campaign, e)) > 0) {
        rc = campaign_act(r->env->rollout, db, campaign, CAMPAIGN_CANCEL_FORCE, r->caller.name, r->now_ms, e);
        if (rc)
            return rc;
    }
    return rc;
}

/* With ?force=1 its campaigns are cancelled. What a campaign named can still be looked at, since executions
 * tell of it. */
int api_firmware_delete(struct request *r, struct db *db, struct err *e)
{
    struct firmware f;
    struct firmware_part parts[FIRMWARE_FILES_MAX];
    int64_t id, force = 0;
    size_t n = 0;
    bool last = false;
    int rc = request_query_int(r, "force", 0, 1, 0, &force, e);
    if (rc == 0)
        rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = firmware_get(db, id, &f, e);
    if (rc == 0 && force)
        rc = cancel_campaigns(r, db, id, e);
    if (rc == 0)
        rc = firmware_parts(db, id, parts, &n, e);
    if (rc == 0)
        rc = firmware_delete(db, id, r->now_ms, &last, e);
    if (rc)
        return rc;
    if (last)
        waste_later(r, f.digests.sha256);
    for (size_t i = 0; i < n; i++)
        waste_later(r, parts[i].digests.sha256);
    api_wake(r);
    reply_nothing(r);
    return 0;
}
