#include "store/product.h"

#include <string.h>

static const char *enrolment_word(const struct product *p)
{
    return p->enrolment_open ? "open" : "closed";
}

static const char *success_word(const struct product *p)
{
    return p->success_by_report ? "report" : "version";
}

static const char *const transfers[] = {
    [TRANSFER_AUTO] = "auto", [TRANSFER_HTTPS] = "https", [TRANSFER_MQTT] = "mqtt"};

const char *transfer_word(enum transfer transfer)
{
    return transfers[transfer];
}

int transfer_parse(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(transfers); i++)
        if (strcmp(transfers[i], word) == 0)
            return (int)i;
    return -1;
}

/* What both insert and update write. */
static void bind_product(struct stmt *s, const struct product *p)
{
    bind_text(s, ":name", p->name);
    bind_text(s, ":protocol", p->protocol);
    bind_text(s, ":enrolment", enrolment_word(p));
    bind_blob(s, ":enrolment_secret", p->enrolment_secret_len ? p->enrolment_secret : NULL,
              p->enrolment_secret_len);
    bind_int(s, ":public", p->public);
    bind_int(s, ":enabled", p->enabled);
    bind_int(s, ":strict_version", p->strict_version);
    bind_text(s, ":version_scheme", version_scheme_name(p->version_scheme));
    bind_text(s, ":chip", p->chip);
    bind_int(s, ":max_image_bytes", p->max_image_bytes);
    bind_text(s, ":success", success_word(p));
    bind_text(s, ":transfer", transfer_word(p->transfer));
    bind_text(s, ":sign_method", p->sha256_sign ? "SHA256" : "Md5");
    bind_int(s, ":digest_sign", p->digest_sign);
    bind_text(s, ":job_document", p->job_document);
    bind_text(s, ":public_keys", p->public_keys);
}

static int read_product(struct stmt *s, struct product *out, struct err *e)
{
    struct product p = {.id = col_int(s, 0)};
    char word[16];
    int scheme, transfer;

    col_text(s, 1, p.key, sizeof p.key);
    col_text(s, 2, p.name, sizeof p.name);
    col_text(s, 3, p.protocol, sizeof p.protocol);
    col_text(s, 4, word, sizeof word);
    p.enrolment_open = strcmp(word, "open") == 0;
    p.enrolment_secret_len = col_blob(s, 5, p.enrolment_secret, sizeof p.enrolment_secret);
    p.public = col_int(s, 6);
    p.enabled = col_int(s, 7);
    p.strict_version = col_int(s, 8);
    col_text(s, 9, word, sizeof word);
    scheme = version_scheme_parse(word);
    col_text(s, 10, p.chip, sizeof p.chip);
    p.max_image_bytes = col_int(s, 11);
    col_text(s, 12, word, sizeof word);
    p.success_by_report = strcmp(word, "report") == 0;
    p.created_at_ms = col_int(s, 13);
    p.revision = col_int(s, 14);
    transfer = transfer_parse(col_ptr(s, 15));
    col_text(s, 16, word, sizeof word);
    p.sha256_sign = strcmp(word, "SHA256") == 0;
    p.digest_sign = col_int(s, 17);
    col_text(s, 18, p.job_document, sizeof p.job_document);
    col_text(s, 19, p.public_keys, sizeof p.public_keys);
    if (scheme < 0 || transfer < 0 || p.enrolment_secret_len > sizeof p.enrolment_secret)
        return err_set(e, ERR_INTERNAL, "product %s is stored in a form that this otad does not know", p.key);
    p.version_scheme = (enum version_scheme)scheme;
    p.transfer = (enum transfer)transfer;
    *out = p;
    return 0;
}

int product_insert(struct db *w, struct product *p, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PRODUCT_INSERT);
    int rc;

    bind_text(s, ":key", p->key);
    bind_product(s, p);
    bind_int(s, ":created_at_ms", p->created_at_ms);
    rc = stmt_run(s, NULL, e);
    if (rc == -ERR_CONFLICT)
        return err_field(e, ERR_CONFLICT, "key", "there is a product %s already", p->key);
    if (rc < 0)
        return rc;
    p->id = db_last_id(w);
    p->revision = 1;
    return 0;
}

int product_update(struct db *w, struct product *p, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PRODUCT_UPDATE);
    int64_t changed = 0;
    int rc;

    bind_product(s, p);
    bind_int(s, ":id", p->id);
    bind_int(s, ":revision", p->revision);
    rc = stmt_run(s, &changed, e);
    if (rc < 0)
        return rc;
    if (!changed)
        return err_set(e, ERR_PRECONDITION, "product %s has changed since revision %lld", p->key,
                       (long long)p->revision);
    p->revision++;
    return 0;
}

int product_check_things(struct db *db, int64_t id, struct err *e)
{
    STMT_AUTO struct stmt *odd = db_stmt(db, Q_PRODUCT_NO_THING);
    STMT_AUTO struct stmt *twice = db_stmt(db, Q_PRODUCT_THING_TWICE);
    int rc;

    bind_int(odd, ":id", id);
    rc = stmt_step(odd, e);
    if (rc > 0)
        return err_field(e, ERR_CONFLICT, "protocol",
                         "device %s cannot be a thing of AWS: their names are A-Z a-z 0-9 : _ -",
                         col_ptr(odd, 0));
    if (rc < 0)
        return rc;
    bind_int(twice, ":id", id);
    rc = stmt_step(twice, e);
    if (rc > 0)
        return err_field(e, ERR_CONFLICT, "protocol",
                         "product %s has a thing %s too, and things are known by their names alone",
                         col_ptr(twice, 1), col_ptr(twice, 0));
    return rc;
}

static int check_unused(struct db *w, int64_t id, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(w, Q_PRODUCT_IN_USE);
    char what[16];
    int rc;

    bind_int(s, ":id", id);
    rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    col_text(s, 0, what, sizeof what);
    return err_set(e, ERR_CONFLICT, "the product still has %s", what);
}

int product_delete(struct db *w, int64_t id, struct err *e)
{
    struct stmt *s;
    int64_t changed = 0;
    int rc = check_unused(w, id, e);

    if (rc < 0)
        return rc;
    s = db_stmt(w, Q_PRODUCT_FORGET_GONE);
    bind_int(s, ":id", id);
    rc = stmt_run(s, NULL, e);
    if (rc < 0)
        return rc;
    s = db_stmt(w, Q_PRODUCT_DELETE);
    bind_int(s, ":id", id);
    rc = stmt_run(s, &changed, e);
    if (rc == 0 && !changed)
        return err_set(e, ERR_NOT_FOUND, "there is no product %lld", (long long)id);
    return rc;
}

int product_get(struct db *db, const char *key, struct product *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_PRODUCT_GET);
    int rc;

    bind_text(s, ":key", key);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no product %s", key);
    return rc < 0 ? rc : read_product(s, out, e);
}

int product_get_id(struct db *db, int64_t id, struct product *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_PRODUCT_GET_ID);
    int rc;

    bind_int(s, ":id", id);
    rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no product %lld", (long long)id);
    return rc < 0 ? rc : read_product(s, out, e);
}

int product_list(struct db *db, int64_t after_id, struct product out[], size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_PRODUCT_LIST);
    size_t found = 0;
    int rc;

    bind_int(s, ":after_id", after_id);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        if ((rc = read_product(s, &out[found++], e)) < 0)
            break;
    if (rc == 0)
        *n = found;
    return rc;
}
