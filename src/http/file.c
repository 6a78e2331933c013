#include "file.h"

#include "base/digest.h"
#include "base/str.h"
#include "http/auth.h"
#include "http/range.h"
#include "http/route.h"
#include "image/blob.h"
#include "rollout/damage.h"
#include "store/firmware.h"

#include <string.h>

/* Runs a query that answers with an id of firmware; ERR_NOT_FOUND when with none. */
static int one_id(struct stmt *s, int64_t *id, struct err *e)
{
    int rc = stmt_step(s, e);
    if (rc > 0)
        *id = col_int(s, 0);
    stmt_end(s);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no such file");
    return rc < 0 ? rc : 0;
}

/* Damaged bytes are never sent. That they are not there, or are not so many, is told to whom it concerns. */
static int open_file(struct request *r, const struct firmware *f, struct err *e)
{
    const struct http_env *env = r->env;
    struct err why;
    struct db *db;
    int rc = store_reader(env->store, &db, e);
    if (rc)
        return rc;
    rc = damage_check_file(db, f->digests.sha256, &why);
    if (rc == 0) {
        rc = blob_open(env->blobs, f->digests.sha256, f->size, &r->reply.fd, &why);
        if (rc && env->suspect)
            env->suspect(env->suspect_arg, f->digests.sha256);
    }
    return rc ? err_set(e, ERR_INTERNAL, "firmware %lld cannot be sent, it must be uploaded again: %s",
                        (long long)f->id, why.text)
              : 0;
}

int file_send(struct request *r, const struct firmware *f, struct err *e)
{
    struct reply *reply = &r->reply;
    if (!hex_parse(f->digests.sha256, reply->sha256, sizeof reply->sha256))
        return err_set(e, ERR_INTERNAL, "firmware %lld has no SHA-256", (long long)f->id);
    if (f->withdrawn_at_ms)
        return err_set(e, ERR_NOT_FOUND, "firmware %lld is withdrawn", (long long)f->id);
    int rc = open_file(r, f, e);
    if (rc)
        return rc;
    reply->size = f->size;
    reply->modified_at_ms = f->created_at_ms;
    etag_format(reply->sha256, reply->etag);
    return 0;
}

static int send_id(struct request *r, struct db *db, int64_t id, struct err *e)
{
    struct firmware f;
    int rc = firmware_get(db, id, &f, e);
    return rc ? rc : file_send(r, &f, e);
}

static bool is_sha256(const char *name)
{
    return strlen(name) == SHA256_TEXT_SIZE - 1 && strspn(name, "0123456789abcdef") == SHA256_TEXT_SIZE - 1;
}

/* The URL of an offer speaks for its device. One that has only ended is no attempt to forge one: a fleet that
 * comes back late must not be slowed for it. */
static bool url_is_signed(struct request *r, const char *sha256)
{
    const char *device = request_query(r, "d"), *expires = request_query(r, "e"),
               *proof = request_query(r, "s");
    const struct rollout *rollout = r->env->rollout;
    if (!device || !expires || !proof)
        return false;
    if (!offer_url_check(rollout, sha256, device, expires, proof, r->now_ms)) {
        if (!offer_url_check(rollout, sha256, device, expires, proof, 0))
            auth_count_failure(r, NULL);
        return false;
    }
    r->caller.role = ROLE_DEVICE;
    str_copy(r->caller.name, sizeof r->caller.name, device);
    return true;
}

static int find_of_product(struct request *r, struct db *db, const char *sha256, int64_t *id, struct err *e)
{
    char product[PRODUCT_SIZE];
    auth_device(&r->caller, product);
    struct stmt *s = db_stmt(db, Q_FILE_OF_PRODUCT);
    bind_text(s, ":sha256", sha256);
    bind_text(s, ":product", product);
    return one_id(s, id, e);
}

/* Whose progress the download is. A device may fetch other files too: those tell nothing. */
static int find_execution(struct request *r, struct db *db, struct err *e)
{
    char product[PRODUCT_SIZE], sha256[SHA256_TEXT_SIZE];
    if (r->caller.role != ROLE_DEVICE)
        return 0;
    hex_format(r->reply.sha256, sizeof r->reply.sha256, sha256);
    struct stmt *s = db_stmt(db, Q_EXECUTION_OF_FILE);
    bind_text(s, ":device", auth_device(&r->caller, product));
    bind_text(s, ":product", product);
    bind_text(s, ":sha256", sha256);
    int rc = one_id(s, &r->reply.execution_id, e);
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}

static int find_public(struct db *db, const char *sha256, int64_t *id, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_FILE_OF_PUBLIC);
    bind_text(s, ":sha256", sha256);
    return one_id(s, id, e);
}

/* Whoever proves nothing learns nothing: one answer, whether the file is there or not. */
static int may_have(struct request *r, struct db *db, const char *sha256, struct err *e)
{
    int64_t id;
    bool slowed = auth_slowed(r, NULL); /* by those before this one */
    if (url_is_signed(r, sha256) || auth_allows(r->caller.role, ROLE_VIEWER))
        return 0;
    int rc = r->caller.role == ROLE_DEVICE ? find_of_product(r, db, sha256, &id, e) : -ERR_NOT_FOUND;
    if (rc == -ERR_NOT_FOUND)
        rc = find_public(db, sha256, &id, e);
    if (rc == -ERR_NOT_FOUND && request_query(r, "s") && slowed)
        return auth_too_many(e);
    if (rc == -ERR_NOT_FOUND)
        return err_set(e, ERR_UNAUTHORIZED,
                       "this file needs the URL of an offer, or a device's name and secret");
    return rc;
}

static int file_by_sha256(struct request *r, struct db *db, const char *sha256, struct err *e)
{
    struct firmware f;
    int rc = may_have(r, db, sha256, e);
    if (rc == 0)
        rc = firmware_get_sha256(db, sha256, &f, e);
    return rc ? rc : file_send(r, &f, e);
}

static int file_by_name(struct request *r, struct db *db, const char *name, struct err *e)
{
    struct firmware f;
    int64_t id;
    int rc = -ERR_NOT_FOUND;
    if (r->caller.role == ROLE_DEVICE && r->caller.device_id) {
        struct stmt *s = db_stmt(db, Q_FILE_OF_OFFER);
        bind_int(s, ":device", r->caller.device_id);
        bind_text(s, ":name", name);
        rc = one_id(s, &id, e);
    }
    if (rc != -ERR_NOT_FOUND)
        return rc ? rc : send_id(r, db, id, e);
    rc = firmware_get_public(db, name, &f, e);
    if (rc == -ERR_NOT_FOUND)
        return err_set(e, ERR_NOT_FOUND, "there is no such file");
    return rc ? rc : file_send(r, &f, e);
}

int api_file(struct request *r, struct db *db, struct err *e)
{
    int rc = is_sha256(r->arg[0]) ? file_by_sha256(r, db, r->arg[0], e) : file_by_name(r, db, r->arg[0], e);
    return rc ? rc : find_execution(r, db, e);
}

int api_firmware_file(struct request *r, struct db *db, struct err *e)
{
    struct firmware f;
    int64_t id;
    if (!auth_allows(r->caller.role, ROLE_VIEWER))
        return err_set(e, ERR_UNAUTHORIZED, "this needs a valid token");
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = firmware_get(db, id, &f, e);
    if (rc == 0)
        rc = file_send(r, &f, e);
    if (rc == 0)
        str_copy(r->reply.attachment, sizeof r->reply.attachment, f.filename);
    return rc;
}
