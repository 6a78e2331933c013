#include "http/upload.h"

#include "base/log.h"
#include "base/str.h"
#include "claim.h"
#include "protocol/aliyun.h"
#include "rollout/damage.h"
#include "store/product.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct uploads {
    const struct http_env *env;
    pthread_mutex_t lock;
    struct upload *unsettled;
};

struct limits {
    uint64_t image_max_bytes; /* the product's; 0 no limit */
    bool in_blocks;           /* its devices can have no more than ALIYUN_BLOCKS_FILE_MAX */
    bool in_memory;           /* its signature is verified there: no more than CLAIM_MESSAGE_MAX */
};

#define ROOM_BYTES (1u << 20) /* of an upload, between two looks at what is free */

struct upload {
    struct uploads *set;
    struct blob_upload *blob; /* until store */
    bool made;                /* by this upload, or by one it outlived: the bytes were not there before */
    struct upload_result result;
    struct limits limits;
    struct claim claim;
    uint64_t looked_at;  /* its size when there was room for it */
    struct upload *next; /* unsettled */
};

const struct upload_result *upload_result(const struct upload *up)
{
    return &up->result;
}

int uploads_open(const struct http_env *env, struct uploads **out, struct err *e)
{
    struct uploads *set = calloc(1, sizeof *set);
    if (!set)
        return err_set(e, ERR_INTERNAL, "no memory for uploads");
    set->env = env;
    pthread_mutex_init(&set->lock, NULL);
    *out = set;
    return 0;
}

void uploads_close(struct uploads *set)
{
    if (set)
        pthread_mutex_destroy(&set->lock);
    free(set);
}

static int check_size(const struct http_env *env, const struct limits *limits, uint64_t size, struct err *e)
{
    if (size > (uint64_t)env->settings->max_upload_bytes)
        return err_set(e, ERR_TOO_LARGE, "the file is larger than max_upload_bytes, %" PRId64,
                       env->settings->max_upload_bytes);
    if (limits->image_max_bytes && size > limits->image_max_bytes)
        return err_field(e, ERR_INVALID, "size",
                         "the file is larger than the product's max_image_bytes, %" PRIu64,
                         limits->image_max_bytes);
    if (limits->in_blocks && size > ALIYUN_BLOCKS_FILE_MAX)
        return err_field(
            e, ERR_INVALID, "size",
            "the product's transfer is \"mqtt\", and over MQTT Aliyun's devices can have files of up to "
            "%d bytes",
            ALIYUN_BLOCKS_FILE_MAX);
    if (limits->in_memory && size > CLAIM_MESSAGE_MAX)
        return err_field(e, ERR_INVALID, "size",
                         "Ed25519 can sign files of up to %d bytes here: use a key of ECDSA for this one",
                         CLAIM_MESSAGE_MAX);
    return 0;
}

/* length: what is still to come. */
static int check_room(const struct http_env *env, uint64_t length, struct err *e)
{
    uint64_t floor = (uint64_t)env->settings->min_free_bytes, room;
    int rc = blobs_free_bytes(env->blobs, &room, e);
    if (rc || (room >= floor && room - floor >= length))
        return rc;
    return err_set(e, ERR_NO_SPACE,
                   "%" PRIu64 " bytes are free on the disk, and min_free_bytes, %" PRIu64
                   ", must stay free beside the file: make room, or delete firmware",
                   room, floor);
}

int upload_part_of(const struct request *r, struct db *db, struct firmware *out, struct err *e)
{
    const char *text = request_query(r, "part_of");
    uint64_t id;
    int rc = -ERR_NOT_FOUND;
    if (str_to_uint(text, INT64_MAX, &id))
        rc = firmware_get(db, (int64_t)id, out, e);
    if (rc == -ERR_NOT_FOUND || (rc == 0 && out->withdrawn_at_ms))
        return err_field(e, ERR_INVALID, "part_of", "there is no firmware %.32s", text);
    return rc;
}

static int find_product(const struct request *r, struct db *db, struct product *out, struct err *e)
{
    struct firmware f;
    const char *key = request_query(r, "product");
    if (request_query(r, "part_of")) {
        int rc = upload_part_of(r, db, &f, e);
        return rc ? rc : product_get_id(db, f.product_id, out, e);
    }
    if (!key || !*key)
        return err_field(e, ERR_INVALID, "product", "product is missing");
    int rc = product_get(db, key, out, e);
    if (rc == -ERR_NOT_FOUND)
        return err_field(e, ERR_INVALID, "product", "there is no product %.64s", key);
    return rc;
}

int upload_begin(struct uploads *set, const struct request *r, struct db *db, uint64_t length,
                 struct upload **out, struct err *e)
{
    struct product p;
    struct claim claim;
    int rc = find_product(r, db, &p, e);
    if (rc == 0)
        rc = claim_read(r, &p, &claim, e);
    if (rc)
        return rc;
    struct limits limits = {.image_max_bytes = (uint64_t)p.max_image_bytes,
                            .in_memory = claim_needs_message(&claim),
                            .in_blocks =
                                p.transfer == TRANSFER_MQTT && strcmp(p.protocol, aliyun_protocol.name) == 0};
    rc = check_size(set->env, &limits, length, e);
    if (rc == 0)
        rc = check_room(set->env, length, e);
    if (rc)
        return rc;
    struct upload *up = calloc(1, sizeof *up);
    if (!up)
        return err_set(e, ERR_INTERNAL, "no memory for an upload");
    up->set = set;
    up->limits = limits;
    up->claim = claim;
    rc = blob_upload_begin(set->env->blobs, &up->blob, e);
    if (rc)
        free(up);
    else
        *out = up;
    return rc;
}

int upload_write(struct upload *up, const void *bytes, size_t len, struct err *e)
{
    uint64_t size = blob_upload_size(up->blob) + len;
    int rc = check_size(up->set->env, &up->limits, size, e);
    if (rc == 0 && size - up->looked_at >= ROOM_BYTES) {
        rc = check_room(up->set->env, len, e);
        up->looked_at = size;
    }
    return rc ? rc : blob_upload_write(up->blob, bytes, len, e);
}

/* By who may: otad, or the maker. */
static int settle_signature(struct upload *up, struct err *e)
{
    struct upload_result *result = &up->result;
    unsigned char digest[SHA256_BYTES];
    if (!hex_parse(result->digests.sha256, digest, sizeof digest))
        return err_set(e, ERR_INTERNAL, "the upload has no SHA-256");
    int rc = claim_check(&up->claim, up->blob, digest, result->signed_by, e);
    if (rc)
        return rc;
    if (!*result->signed_by)
        return sign_sha256(up->set->env->signing_key, digest, result->signature, e);
    base64_format(up->claim.signature.bytes, up->claim.signature.len, result->signature);
    return 0;
}

/* Listed before its bytes get their name, so that no settling upload of the same bytes takes them away. */
static void list(struct upload *up)
{
    pthread_mutex_lock(&up->set->lock);
    up->next = up->set->unsettled;
    up->set->unsettled = up;
    pthread_mutex_unlock(&up->set->lock);
}

/* True when another upload of these bytes is still under way; what is to be done about them is its business
 * then. */
static bool unlist(struct upload *up, bool named)
{
    bool shared = false;
    pthread_mutex_lock(&up->set->lock);
    for (struct upload **p = &up->set->unsettled; *p;) {
        if (*p == up) {
            *p = up->next;
            continue;
        }
        bool same = strcmp((*p)->result.digests.sha256, up->result.digests.sha256) == 0;
        (*p)->made = (*p)->made || (same && up->made && !named);
        shared = shared || same;
        p = &(*p)->next;
    }
    pthread_mutex_unlock(&up->set->lock);
    return shared;
}

static bool are_there(const struct upload *up)
{
    struct err e;
    FD_AUTO int fd = -1;
    return blob_open(up->set->env->blobs, up->result.digests.sha256, up->result.size, &fd, &e) !=
           -ERR_NOT_FOUND;
}

int upload_store(struct upload *up, struct err *e)
{
    up->result.size = blob_upload_size(up->blob);
    blob_upload_digests(up->blob, &up->result.digests);
    list(up);
    if (up->result.size == 0)
        return err_set(e, ERR_INVALID, "the file is empty");
    int rc = blob_upload_inspect(up->blob, &up->result.image, e);
    if (rc == 0)
        rc = settle_signature(up, e);
    if (rc)
        return rc;
    struct blob_upload *blob = up->blob;
    up->blob = NULL;
    up->made = !are_there(up);
    return blob_upload_keep(blob, e);
}

int upload_check(const struct upload *up, struct db *w, struct err *e)
{
    FD_AUTO int fd = -1;
    int rc = blob_open(up->set->env->blobs, up->result.digests.sha256, up->result.size, &fd, e);
    if (rc == -ERR_NOT_FOUND)
        return err_set(e, ERR_BUSY, "the same file was being deleted, upload it again");
    if (rc)
        return err_set(e, ERR_INTERNAL, "the upload is not in its place, upload it again");
    return damage_forget(w, up->result.digests.sha256, e);
}

void upload_settle(struct upload *up, bool named)
{
    const struct http_env *env = up->set->env;
    struct db *db;
    struct err e;
    bool known = true;
    if (unlist(up, named) || named || up->blob || !up->made)
        return;
    int rc = store_reader(env->store, &db, &e);
    if (rc == 0)
        rc = firmware_known(db, up->result.digests.sha256, &known, &e);
    if (rc == 0 && !known)
        rc = blob_remove(env->blobs, up->result.digests.sha256, &e);
    if (rc)
        log_warn("a refused upload may have left %s behind: %s", up->result.digests.sha256, e.text);
}

void upload_free(struct upload *up)
{
    if (up)
        blob_upload_drop(up->blob);
    free(up);
}
