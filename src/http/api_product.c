#include "api.h"

#include "base/log.h"
#include "http/route.h"
#include "image/image.h"
#include "protocol/aliyun.h"
#include "protocol/aws.h"
#include "store/old_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What cannot be read is shown as none: uploads say so. */
static json_t *keys_json(const struct product *p)
{
    struct maker_keys keys = {0};
    struct err e;
    json_t *list = json_array();
    maker_keys_parse(p->public_keys, &keys, &e);
    for (size_t i = 0; i < keys.n; i++) {
        json_t *j = json_object();
        json_put_text(j, "fingerprint", keys.key[i].fingerprint);
        json_put_text(j, "type", maker_key_type_word(keys.key[i].type));
        json_put_text(j, "pem", keys.key[i].pem);
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *product_json(const struct product *p)
{
    json_t *j = json_object();
    json_put_int(j, "id", p->id);
    json_put_text(j, "key", p->key);
    json_put_text(j, "name", p->name);
    json_put_text(j, "protocol", p->protocol);
    json_put_text(j, "enrolment", p->enrolment_open ? "open" : "closed");
    json_put_bool(j, "public", p->public);
    json_put_bool(j, "enabled", p->enabled);
    json_put_bool(j, "strict_version", p->strict_version);
    json_put_text(j, "version_scheme", version_scheme_name(p->version_scheme));
    json_put_text(j, "chip", p->chip);
    json_put_int(j, "max_image_bytes", p->max_image_bytes);
    json_put_text(j, "success", p->success_by_report ? "report" : "version");
    json_put_text(j, "transfer", transfer_word(p->transfer));
    json_put_text(j, "sign_method", p->sha256_sign ? "SHA256" : "Md5");
    json_put_bool(j, "digest_sign", p->digest_sign);
    json_put(j, "job_document", *p->job_document ? json_loads(p->job_document, 0, NULL) : json_null());
    json_put(j, "public_keys", keys_json(p));
    json_put_moment(j, "created_at", p->created_at_ms);
    return j;
}

static int shown(const struct request *r, struct db *db, const struct product *p, json_t **out, struct err *e)
{
    struct old_secret old;
    int rc = old_secret_of_product(db, p->id, r->now_ms, &old, e);
    if (rc)
        return rc;
    *out = product_json(p);
    json_put_moment(*out, "old_secret_until", old.until_ms);
    return 0;
}

/* ---- reading a body */

/* Fields that are one of a few words, as they came; "" when they did not come. */
struct words {
    char protocol[65], enrolment[65], version_scheme[65], success[65], transfer[65], sign_method[65];
};

static int read_choice(const char *field, const char *word, const char *yes, const char *no, bool *out,
                       struct err *e)
{
    bool is_yes = strcmp(word, yes) == 0;
    if (!*word)
        return 0;
    if (!is_yes && strcmp(word, no) != 0)
        return err_field(e, ERR_INVALID, field, "%s must be \"%s\" or \"%s\"", field, yes, no);
    *out = is_yes;
    return 0;
}

static int read_scheme(const char *word, enum version_scheme *out, struct err *e)
{
    int scheme = version_scheme_parse(word);
    if (!*word)
        return 0;
    if (scheme < 0)
        return err_field(e, ERR_INVALID, "version_scheme",
                         "version_scheme must be \"dotted\", \"semver\", \"date\" or \"integer\"");
    *out = (enum version_scheme)scheme;
    return 0;
}

static int read_protocol(const char *word, bool making, struct product *p, struct err *e)
{
    if (!*word)
        return 0;
    const struct protocol *protocol = protocol_by_name(word);
    if (!protocol || !str_copy(p->protocol, sizeof p->protocol, word))
        return err_field(e, ERR_INVALID, "protocol", "protocol \"%.64s\" is not known here", word);
    if (making)
        p->success_by_report = protocol->success_by_report;
    return 0;
}

static int read_transfer(const char *word, enum transfer *out, struct err *e)
{
    int transfer = transfer_parse(word);
    if (!*word)
        return 0;
    if (transfer < 0)
        return err_field(e, ERR_INVALID, "transfer", "transfer must be \"auto\", \"https\" or \"mqtt\"");
    *out = (enum transfer)transfer;
    return 0;
}

static int apply_words(const struct words *w, bool making, struct product *p, struct err *e)
{
    int rc = read_protocol(w->protocol, making, p, e);
    if (rc == 0)
        rc = read_choice("enrolment", w->enrolment, "open", "closed", &p->enrolment_open, e);
    if (rc == 0)
        rc = read_choice("success", w->success, "report", "version", &p->success_by_report, e);
    if (rc == 0)
        rc = read_scheme(w->version_scheme, &p->version_scheme, e);
    if (rc == 0)
        rc = read_transfer(w->transfer, &p->transfer, e);
    if (rc == 0)
        rc = read_choice("sign_method", w->sign_method, "SHA256", "Md5", &p->sha256_sign, e);
    if (rc == 0 && *p->chip && !image_chip_known(p->chip))
        rc = err_field(e, ERR_INVALID, "chip", "chip \"%s\" is not known", p->chip);
    return rc;
}

static int keep_document(const json_t *document, struct product *p, struct err *e)
{
    char *text = json_text(document);
    bool fits = str_copy(p->job_document, sizeof p->job_document, json_object_size(document) > 0 ? text : "");
    free(text);
    return fits ? 0
                : err_field(e, ERR_INVALID, "job_document", "job_document may be %d bytes long",
                            JOB_DOCUMENT_SIZE - 1);
}

/* Each as PEM; none of them: otad signs. */
static int keep_keys(const json_t *list, struct product *p, struct err *e)
{
    struct maker_keys keys = {0};
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        rc = text ? maker_keys_add(&keys, text, e)
                  : err_set(e, ERR_INVALID, "each of public_keys must be a text, a public key in PEM");
        if (rc)
            snprintf(e->field, sizeof e->field, "public_keys[%zu]", i);
    }
    if (rc == 0)
        maker_keys_format(&keys, p->public_keys);
    return rc;
}

/* Where a protocol's own field for the signature is of ECDSA, its devices can make nothing of another. */
static int check_keys(const struct product *p, struct err *e)
{
    struct maker_keys keys;
    int rc = maker_keys_parse(p->public_keys, &keys, e);
    bool aws = strcmp(p->protocol, aws_protocol.name) == 0;
    bool aliyun = strcmp(p->protocol, aliyun_protocol.name) == 0 && p->digest_sign;
    if (rc || !maker_keys_have(&keys, MAKER_KEY_ED25519) || (!aws && !aliyun))
        return rc;
    return err_field(e, ERR_INVALID, "public_keys",
                     "a key of Ed25519 is of no use to devices of %s, whose %s is a signature by ECDSA",
                     aws ? "AWS IoT" : "Aliyun", aws ? "sig-sha256-ecdsa" : "digestsign");
}

/* secret stays "" when none was given. The key is read where a product is made, and refused elsewhere. */
static int read_product(const struct request *r, bool making, struct product *p, char secret[SECRET_SIZE],
                        struct err *e)
{
    struct words w = {0};
    const json_t *document = NULL, *keys = NULL;
    const struct json_field fields[] = {
        {.key = "key", .kind = JSON_KIND_NAME, .out = p->key, .size = sizeof p->key, .required = true},
        {.key = "name", .kind = JSON_KIND_TEXT, .out = p->name, .size = sizeof p->name},
        {.key = "protocol",
         .kind = JSON_KIND_TEXT,
         .out = w.protocol,
         .size = sizeof w.protocol,
         .required = making},
        {.key = "enrolment", .kind = JSON_KIND_TEXT, .out = w.enrolment, .size = sizeof w.enrolment},
        {.key = "enrolment_secret", .kind = JSON_KIND_TEXT, .out = secret, .size = SECRET_SIZE},
        {.key = "public", .kind = JSON_KIND_BOOL, .out = &p->public},
        {.key = "enabled", .kind = JSON_KIND_BOOL, .out = &p->enabled},
        {.key = "strict_version", .kind = JSON_KIND_BOOL, .out = &p->strict_version},
        {.key = "version_scheme",
         .kind = JSON_KIND_TEXT,
         .out = w.version_scheme,
         .size = sizeof w.version_scheme},
        {.key = "chip", .kind = JSON_KIND_EMPTY, .out = p->chip, .size = sizeof p->chip},
        {.key = "max_image_bytes", .kind = JSON_KIND_INT, .out = &p->max_image_bytes, .max = INT64_MAX},
        {.key = "success", .kind = JSON_KIND_TEXT, .out = w.success, .size = sizeof w.success},
        {.key = "transfer", .kind = JSON_KIND_TEXT, .out = w.transfer, .size = sizeof w.transfer},
        {.key = "sign_method", .kind = JSON_KIND_TEXT, .out = w.sign_method, .size = sizeof w.sign_method},
        {.key = "digest_sign", .kind = JSON_KIND_BOOL, .out = &p->digest_sign},
        {.key = "job_document", .kind = JSON_KIND_OBJECT, .out = &document},
        {.key = "public_keys", .kind = JSON_KIND_ARRAY, .out = &keys},
    };
    int rc = api_read(r, fields + !making, ARRAY_SIZE(fields) - !making, e);
    if (rc == 0)
        rc = apply_words(&w, making, p, e);
    if (rc == 0 && document)
        rc = keep_document(document, p, e);
    if (rc == 0 && (keys || json_is_null(json_object_get(r->body, "public_keys"))))
        rc = keep_keys(keys, p, e);
    if (rc == 0)
        rc = check_keys(p, e);
    if (rc == 0 && *secret)
        rc = api_secret_check("enrolment_secret", secret, e);
    return rc;
}

static bool is_fetched_by_url(const struct product *p)
{
    return strcmp(p->protocol, aliyun_protocol.name) == 0 && p->transfer == TRANSFER_HTTPS;
}

/* What its devices could not fetch is better refused here than by each of them. */
static int check_transfer(const struct request *r, const struct product *p, struct err *e)
{
    const char *url = r->env->rollout->public_url;
    if (!is_fetched_by_url(p) || aliyun_url_suits(url))
        return 0;
    return err_field(
        e, ERR_CONFLICT, "transfer",
        "Aliyun's Link SDK cannot fetch from a URL with a port, and setting public_url is %s: let "
        "transfer be \"mqtt\" or \"auto\", or serve HTTPS on port 443",
        url);
}

/* An open product has a secret: given, made, or kept from before. */
static int settle_secret(const struct request *r, struct product *p, char secret[SECRET_SIZE], struct err *e)
{
    if (!*secret && p->enrolment_open && !p->enrolment_secret_len)
        api_secret_make(p->protocol, secret);
    if (!*secret)
        return 0;
    return api_secret_seal(r, "enrolment", p->key, secret, p->enrolment_secret, &p->enrolment_secret_len, e);
}

/* secret is shown in the answer to the request that set it, and never again. */
static int answer(struct request *r, struct db *db, const struct product *p, char secret[SECRET_SIZE],
                  json_t **out, struct err *e)
{
    int rc = shown(r, db, p, out, e);
    if (rc == 0 && *secret)
        json_put_text(*out, "enrolment_secret", secret);
    explicit_bzero(secret, SECRET_SIZE);
    revision_etag(r, p->revision);
    return rc;
}

/* What opens with it does not show in the word. */
static void warn_public(const struct product *p, bool was_public)
{
    if (p->public && !was_public)
        log_warn(
            "product %s is public now: its files need no proof, and whoever names a device of it, by name or "
            "MAC address, may report as that device at /update/%s",
            p->key, p->key);
}

/* ---- routes */

int api_product_create(struct request *r, struct db *db, struct err *e)
{
    struct product p = {.enabled = true, .created_at_ms = r->now_ms};
    char secret[SECRET_SIZE] = "";
    json_t *j = NULL;
    int rc = read_product(r, true, &p, secret, e);
    if (rc == 0 && !*p.name)
        str_copy(p.name, sizeof p.name, p.key);
    if (rc == 0)
        rc = check_transfer(r, &p, e);
    if (rc == 0)
        rc = settle_secret(r, &p, secret, e);
    if (rc == 0)
        rc = product_insert(db, &p, e);
    if (rc == 0)
        rc = answer(r, db, &p, secret, &j, e);
    if (rc == 0)
        reply_created(r, j, "/api/v1/products/%s", p.key);
    if (rc == 0)
        warn_public(&p, false);
    return rc;
}

static int list_json(const struct request *r, struct db *db, const struct product rows[], size_t n,
                     json_t **out, struct err *e)
{
    json_t *items = json_array(), *j;
    int rc = 0;
    for (size_t i = 0; i < n && (rc = shown(r, db, &rows[i], &j, e)) == 0; i++)
        json_array_append_new(items, j);
    if (rc == 0)
        *out = items;
    else
        json_decref(items);
    return rc;
}

int api_product_list(struct request *r, struct db *db, struct err *e)
{
    struct page page;
    json_t *items;
    size_t n = 0, cap;
    int rc = page_read(r, &page, e);
    if (rc)
        return rc;
    cap = (size_t)page.limit;
    struct product *rows = api_rows(cap + 1, sizeof *rows);
    rc = product_list(db, page.after, rows, cap + 1, &n, e);
    if (rc == 0)
        rc = list_json(r, db, rows, n < cap ? n : cap, &items, e);
    if (rc == 0)
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    free(rows);
    return rc;
}

int api_product_get(struct request *r, struct db *db, struct err *e)
{
    struct product p;
    json_t *j;
    int rc = product_get(db, r->arg[0], &p, e);
    if (rc == 0)
        rc = shown(r, db, &p, &j, e);
    if (rc)
        return rc;
    revision_etag(r, p.revision);
    reply_json(r, j);
    return 0;
}

/* Which topics tell by their names alone, so that these are unique among all of them. */
static bool has_things(const struct product *p)
{
    return protocol_by_name(p->protocol) == &aws_protocol;
}

int api_product_patch(struct request *r, struct db *db, struct err *e)
{
    struct product p = {0};
    char secret[SECRET_SIZE] = "";
    json_t *j = NULL;
    int rc = product_get(db, r->arg[0], &p, e);
    const struct product before = p;
    if (rc == 0)
        rc = revision_check(r, p.revision, e);
    if (rc == 0)
        rc = read_product(r, false, &p, secret, e);
    /* public_url may be another one now: that is no reason */
    if (rc == 0 && !is_fetched_by_url(&before))
        rc = check_transfer(r, &p, e);
    if (rc == 0 && has_things(&p) && !has_things(&before))
        rc = product_check_things(db, p.id, e);
    if (rc == 0)
        rc = settle_secret(r, &p, secret, e);
    if (rc == 0)
        rc = product_update(db, &p, e);
    if (rc == 0)
        rc = answer(r, db, &p, secret, &j, e);
    if (rc)
        return rc;
    if (!p.enabled || strcmp(p.protocol, before.protocol) != 0)
        request_end_sessions(r, p.key, "");
    reply_json(r, j);
    warn_public(&p, before.public);
    api_wake(r);
    return 0;
}

int api_product_delete(struct request *r, struct db *db, struct err *e)
{
    struct product p;
    int rc = product_get(db, r->arg[0], &p, e);
    if (rc == 0)
        rc = revision_check(r, p.revision, e);
    if (rc == 0)
        rc = product_delete(db, p.id, e);
    if (rc)
        return rc;
    request_end_sessions(r, p.key, "");
    reply_nothing(r);
    return 0;
}
