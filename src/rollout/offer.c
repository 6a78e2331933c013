/* An offer, made of what an execution has left to do. */
#include "rollout/execution.h"

#include "store/product.h"

#include <stdlib.h>
#include <string.h>

#define URL_MIN_LIFE_MS (24 * 3600 * 1000LL)

void outgoing_begin(struct outgoing *out, enum outgoing_kind kind, const struct party *p, int64_t now_ms)
{
    *out = (struct outgoing){.kind = kind, .now_ms = now_ms};
    str_copy(out->protocol, sizeof out->protocol, p->protocol);
    str_copy(out->product, sizeof out->product, p->product);
    str_copy(out->device, sizeof out->device, p->device);
}

static void read_file(struct stmt *s, int index, struct offer_file *f)
{
    *f = (struct offer_file){.index = index,
                             .number = (int)col_int(s, 1),
                             .firmware_id = col_int(s, 3),
                             .size = (uint64_t)col_int(s, 6)};
    col_text(s, 2, f->module, sizeof f->module);
    col_text(s, 4, f->version, sizeof f->version);
    col_text(s, 5, f->filename, sizeof f->filename);
    col_text(s, 7, f->digests.sha256, sizeof f->digests.sha256);
    col_text(s, 8, f->digests.sha1, sizeof f->digests.sha1);
    col_text(s, 9, f->digests.md5, sizeof f->digests.md5);
    col_text(s, 10, f->signature, sizeof f->signature);
    col_text(s, 11, f->delta_from, sizeof f->delta_from);
}

/* Adds a file; *more grows, and there is one from the second file on. */
static int add_file(struct offer_more **more, const struct offer_file *f, struct err *e)
{
    size_t n = *more ? (*more)->n : 0;
    struct offer_more *grown = realloc(*more, sizeof **more + (n + 1) * sizeof *f);
    if (!grown)
        return err_set(e, ERR_INTERNAL, "out of memory");
    if (!*more)
        memset(grown, 0, sizeof *grown);
    grown->file[n] = *f;
    grown->n = n + 1;
    *more = grown;
    return 0;
}

/* Every file that is left to do; offer.file is the first. */
static int read_files(struct rollout *r, struct db *w, struct outgoing *out, struct err *e)
{
    struct offer *o = &out->offer;
    struct offer_file f;
    struct stmt *s STMT_AUTO = db_stmt(w, Q_OFFER_FILES);
    int rc, index = 0;
    bind_int(s, ":id", o->id);
    while ((rc = stmt_step(s, e)) > 0) {
        read_file(s, index++, &f);
        if (col_int(s, 12))
            continue;
        if (!offer_url_make(r, f.digests.sha256, out->product, out->device, o->expires_at_ms, f.url))
            return err_set(e, ERR_INTERNAL, "the URL of an offer does not fit %d bytes", URL_SIZE);
        if (!o->more)
            o->file = f;
        if ((rc = add_file(&o->more, &f, e)) < 0)
            return rc;
    }
    return rc;
}

static char *own_text(struct stmt *s, int column)
{
    const char *text = col_ptr(s, column);
    return text && *text ? strdup(text) : NULL;
}

static int read_words(struct db *w, struct outgoing *out, struct err *e)
{
    struct offer *o = &out->offer;
    struct stmt *s STMT_AUTO = db_stmt(w, Q_OFFER_WORDS);
    bind_int(s, ":id", o->id);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    int transfer = transfer_parse(col_ptr(s, 1));
    o->transfer = transfer < 0 ? TRANSFER_AUTO : (enum transfer)transfer;
    o->sha256_sign = col_int(s, 2);
    o->digest_sign = col_int(s, 3);
    o->more->ext_data = own_text(s, 0);
    o->more->job_document = own_text(s, 4);
    col_text(s, 5, o->more->product_name, sizeof o->more->product_name);
    col_text(s, 6, o->more->group, sizeof o->more->group);
    return 0;
}

/* The offer of what an execution has left to do, beginning with its next module. The URLs live at least as
 * long as the execution may. */
int offer_now(struct rollout *r, struct db *w, const struct party *p, const struct execution *x,
              int64_t now_ms, struct outgoing *out, size_t *sends, struct err *e)
{
    int64_t life_ms = x->policy.offer_timeout_ms + x->policy.finish_timeout_ms;
    struct outgoing made;
    outgoing_begin(&made, OUTGOING_OFFER, p, now_ms);
    made.offer.id = x->id;
    made.offer.campaign_id = x->campaign_id;
    made.offer.expires_at_ms = now_ms + (life_ms > URL_MIN_LIFE_MS ? life_ms : URL_MIN_LIFE_MS);
    int rc = read_files(r, w, &made, e);
    if (rc == 0 && made.offer.more)
        rc = read_words(w, &made, e);
    if (rc == 0 && p->keeps_jobs && made.offer.more)
        rc = job_read(w, x, &made.job, &made.offer.more->job_details, e);
    *sends = rc == 0 && made.offer.more ? 1 : 0;
    if (*sends)
        *out = made;
    else
        outgoing_clear(&made);
    return rc;
}
