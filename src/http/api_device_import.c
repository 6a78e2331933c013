#include "api.h"

#include "http/route.h"
#include "import.h"

#include <string.h>

/* One import under way. Rows of one product usually follow each other, so the last one is kept. */
struct import {
    struct request *r;
    struct db *db;
    struct product product;
    int64_t created, updated;
    json_t *secrets; /* those made here */
};

static void show_secret(struct import *im, const struct device *d, const char *secret)
{
    json_t *j = json_object();
    json_put_text(j, "product", d->product);
    json_put_text(j, "name", d->name);
    json_put_text(j, "secret", secret);
    json_array_append_new(im->secrets, j);
}

static int create(struct import *im, struct import_row *row, struct device *d, struct err *e)
{
    bool made = !*row->secret;
    *d = (struct device){.product_id = im->product.id, .enabled = true, .registered_at_ms = im->r->now_ms};
    str_copy(d->product, sizeof d->product, row->product);
    str_copy(d->name, sizeof d->name, row->name);
    if (made)
        api_secret_make(im->product.protocol, row->secret);
    int rc = api_name_check(&im->product, d->name, e);
    if (rc == 0)
        rc = api_device_seal(im->r, d, row->secret, e);
    if (rc == 0)
        rc = device_insert(im->db, d, e);
    if (rc == 0)
        rc = timeline_add(im->db, d->id, im->r->now_ms, "registered", 0, 0, e, "by %s, imported",
                          im->r->caller.name);
    if (rc == 0 && made)
        show_secret(im, d, row->secret);
    if (rc == 0)
        im->created++;
    return rc;
}

/* The revision moves for tags too. */
static int update(struct import *im, const struct import_row *row, struct device *d, struct err *e)
{
    int rc = *row->secret ? api_device_seal(im->r, d, row->secret, e) : 0;
    if (rc == 0)
        rc = device_update(im->db, d, e);
    if (rc == 0 && *row->secret)
        request_end_sessions(im->r, d->product, d->name);
    if (rc == 0)
        im->updated++;
    return rc;
}

static int take_row(struct import *im, struct import_row *row, struct err *e)
{
    struct device d;
    int rc = 0;
    if (strcmp(im->product.key, row->product) != 0)
        rc = api_product(im->db, row->product, &im->product, e);
    if (rc)
        return rc;
    rc = device_get(im->db, row->product, row->name, &d, e);
    if (rc == 0)
        rc = update(im, row, &d, e);
    else if (rc == -ERR_NOT_FOUND)
        rc = create(im, row, &d, e);
    if (rc == 0 && row->has_tags)
        rc = device_tags_set(im->db, d.id, row->tags, row->tag_count, e);
    return rc;
}

/* All or nothing: the first row that cannot be taken undoes the others. */
static int take_rows(struct import *im, struct import_reader *in, struct err *e)
{
    struct import_row row;
    int rc;
    while ((rc = import_next(in, &row, e)) > 0) {
        rc = take_row(im, &row, e);
        if (rc)
            rc = err_wrap(e, "line %zu", row.line);
        if (rc)
            break;
    }
    explicit_bzero(row.secret, sizeof row.secret);
    return rc;
}

int api_device_import(struct request *r, struct db *db, struct err *e)
{
    struct import im = {.r = r, .db = db, .secrets = json_array()};
    struct import_reader in;
    char empty[1] = "", *text = r->raw ? r->raw : empty;
    enum import_kind kind = import_kind_of(request_header(r, "Content-Type"), text);
    int rc = import_open(&in, kind, text, r->raw_len, e);
    if (rc == 0)
        rc = take_rows(&im, &in, e);
    if (rc) {
        json_decref(im.secrets);
        return rc;
    }
    json_t *j = json_object();
    json_put_int(j, "created", im.created);
    json_put_int(j, "updated", im.updated);
    r->summary = json_copy(j); /* without the secrets */
    json_put(j, "secrets", im.secrets);
    reply_json(r, j);
    api_wake(r);
    return 0;
}
