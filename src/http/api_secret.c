/* POST .../secret and .../enrolment-secret: another secret, given or made, shown once; the one before it is
 * good for the overlap, so that devices can be given the new one while they are served. */
#include "api.h"

#include "base/clock.h"
#include "http/route.h"
#include "store/old_secret.h"

#include <stdio.h>
#include <string.h>

#define OVERLAP_MAX_DAYS 366
#define DAY_MS           86400000LL

struct wish {
    char secret[SECRET_SIZE]; /* "" one is made */
    int64_t overlap_ms;
};

/* No body is an empty one. */
static int read_wish(const struct request *r, const char *protocol, struct wish *out, struct err *e)
{
    const struct json_field fields[] = {
        {.key = "secret", .kind = JSON_KIND_TEXT, .out = out->secret, .size = sizeof out->secret},
        {.key = "overlap", .kind = JSON_KIND_SPAN, .out = &out->overlap_ms},
    };
    int rc = r->body ? api_read(r, fields, ARRAY_SIZE(fields), e) : 0;
    if (rc == 0 && *out->secret)
        rc = api_secret_check("secret", out->secret, e);
    if (rc == 0 && out->overlap_ms > OVERLAP_MAX_DAYS * DAY_MS)
        rc = err_field(e, ERR_INVALID, "overlap", "overlap may be %d days at most", OVERLAP_MAX_DAYS);
    if (rc == 0 && !*out->secret)
        api_secret_make(protocol, out->secret);
    return rc;
}

/* What is to be kept of the secret that is replaced; nothing without an overlap, or where there was none. */
static struct old_secret old_of(const struct request *r, const struct wish *wish, const unsigned char *sealed,
                                size_t len)
{
    struct old_secret old = {0};
    if (!wish->overlap_ms || !len)
        return old;
    memcpy(old.sealed, sealed, len);
    old.len = len;
    old.until_ms = r->now_ms + wish->overlap_ms;
    return old;
}

static void answer(struct request *r, const char *field, const struct wish *wish,
                   const struct old_secret *old)
{
    json_t *j = json_object();
    json_put_text(j, field, wish->secret);
    json_put_moment(j, "old_secret_until", old->until_ms);
    reply_json(r, j);
}

/* ---- of a device */

static int tell_timeline(const struct request *r, struct db *w, int64_t device_id,
                         const struct old_secret *old, struct err *e)
{
    char until[CLOCK_TEXT_SIZE];
    if (!old->len)
        return timeline_add(w, device_id, r->now_ms, "secret", 0, 0, e, "replaced by %s", r->caller.name);
    clock_format(old->until_ms, until);
    return timeline_add(w, device_id, r->now_ms, "secret", 0, 0, e,
                        "replaced by %s, the old one is good until %s", r->caller.name, until);
}

static int replace_of_device(struct request *r, struct db *w, struct device *d, const struct wish *wish,
                             struct err *e)
{
    const struct old_secret old = old_of(r, wish, d->secret, d->secret_len);
    int rc = api_device_seal(r, d, wish->secret, e);
    if (rc == 0)
        rc = device_update(w, d, e);
    if (rc == 0 && old.len)
        rc = old_secret_keep_device(w, d->id, &old, e);
    if (rc == 0)
        rc = tell_timeline(r, w, d->id, &old, e);
    if (rc)
        return rc;
    if (!old.len)
        request_end_sessions(r, d->product, d->name);
    answer(r, "secret", wish, &old);
    revision_etag(r, d->revision);
    return 0;
}

int api_device_secret(struct request *r, struct db *db, struct err *e)
{
    struct wish wish = {0};
    struct product p;
    struct device d;
    int rc = device_get(db, r->arg[0], r->arg[1], &d, e);
    if (rc == 0)
        rc = revision_check(r, d.revision, e);
    if (rc == 0)
        rc = product_get_id(db, d.product_id, &p, e);
    if (rc == 0)
        rc = read_wish(r, p.protocol, &wish, e);
    if (rc == 0)
        rc = replace_of_device(r, db, &d, &wish, e);
    explicit_bzero(wish.secret, sizeof wish.secret);
    return rc;
}

/* ---- of a product, for devices that enrol */

static int replace_of_product(struct request *r, struct db *w, struct product *p, const struct wish *wish,
                              struct err *e)
{
    const struct old_secret old = old_of(r, wish, p->enrolment_secret, p->enrolment_secret_len);
    int rc = api_secret_seal(r, "enrolment", p->key, wish->secret, p->enrolment_secret,
                             &p->enrolment_secret_len, e);
    if (rc == 0)
        rc = product_update(w, p, e);
    if (rc == 0 && old.len)
        rc = old_secret_keep_product(w, p->id, &old, e);
    if (rc)
        return rc;
    answer(r, "enrolment_secret", wish, &old);
    revision_etag(r, p->revision);
    return 0;
}

int api_product_secret(struct request *r, struct db *db, struct err *e)
{
    struct wish wish = {0};
    struct product p;
    int rc = product_get(db, r->arg[0], &p, e);
    if (rc == 0)
        rc = revision_check(r, p.revision, e);
    if (rc == 0)
        rc = read_wish(r, p.protocol, &wish, e);
    if (rc == 0)
        rc = replace_of_product(r, db, &p, &wish, e);
    explicit_bzero(wish.secret, sizeof wish.secret);
    return rc;
}
