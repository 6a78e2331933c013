#include "idempotency.h"

#include "audit.h"
#include "base/digest.h"
#include "base/seal.h"
#include "base/str.h"
#include "http/route.h"
#include "store/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 255

static int check_key(const char *key, struct err *e)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < len; i++)
        if (key[i] <= 0x20 || key[i] >= 0x7f)
            len = 0;
    if (len == 0 || len > KEY_MAX)
        return err_field(e, ERR_BAD_REQUEST, "Idempotency-Key",
                         "Idempotency-Key must be 1 to %d printable characters without blanks", KEY_MAX);
    return 0;
}

static void hash_request(const struct request *r, unsigned char out[SHA256_BYTES])
{
    struct digester *d = digester_begin();
    struct digests digests;
    digester_add(d, r->route->method, strlen(r->route->method) + 1);
    digester_add(d, r->target, strlen(r->target) + 1);
    digester_add(d, r->raw ? r->raw : "", r->raw_len);
    digester_end(d, &digests);
    hex_parse(digests.sha256, out, SHA256_BYTES);
}

/* The sealed text's owner: a reply opens only for the caller and the key it was made for. */
static void name_owner(const struct request *r, const char *key, char *out, size_t size)
{
    snprintf(out, size, "%lld/%s", (long long)r->caller.token_id, key);
}

/* Replies hold secrets that are shown once (a device's, a token): in the store they are sealed as all secrets
 * are. */
static int remember(struct request *r, struct db *w, const char *key, const unsigned char hash[SHA256_BYTES],
                    struct err *e)
{
    struct remembered m = {.status = r->reply.status};
    char owner[KEY_MAX + 24];
    char *text = r->reply.json ? json_text(r->reply.json) : strdup("");
    size_t len = text ? strlen(text) : 0;
    unsigned char *sealed = malloc(len + SEAL_OVERHEAD);
    m.reply = malloc(BASE64_SIZE(len + SEAL_OVERHEAD));
    int rc = -ERR_INTERNAL;
    if (!text || !sealed || !m.reply) {
        rc = err_set(e, ERR_INTERNAL, "no memory to remember a reply");
        goto out;
    }
    name_owner(r, key, owner, sizeof owner);
    rc = seal_close(r->env->seal, "reply", owner, text, len, sealed, e);
    if (rc)
        goto out;
    base64_format(sealed, len + SEAL_OVERHEAD, m.reply);
    str_copy(m.location, sizeof m.location, r->reply.location);
    rc = idempotency_add(w, r->caller.token_id, key, hash, &m, r->now_ms, e);
out:
    free(text);
    free(sealed);
    free(m.reply);
    return rc;
}

static int recall(struct request *r, const char *key, const struct remembered *m, struct err *e)
{
    char owner[KEY_MAX + 24];
    size_t size = strlen(m->reply) + 1;
    unsigned char *sealed = malloc(size);
    char *text = malloc(size);
    int len = sealed && text ? base64_parse(m->reply, sealed, size) : -1;
    name_owner(r, key, owner, sizeof owner);
    int rc = len < SEAL_OVERHEAD
                 ? err_set(e, ERR_INTERNAL, "a remembered reply cannot be read")
                 : seal_open(r->env->seal, "reply", owner, sealed, (size_t)len, text, size, e);
    free(sealed);
    if (rc || !*text) {
        free(text);
    } else {
        r->reply.text = text;
        r->reply.type = "application/json";
    }
    r->reply.status = m->status;
    str_copy(r->reply.location, sizeof r->reply.location, m->location);
    return rc;
}

int idempotency_run(struct request *r, struct db *w, struct err *e)
{
    unsigned char hash[SHA256_BYTES];
    struct remembered m = {0};
    bool found = false;
    const char *key = request_header(r, "Idempotency-Key");
    if (!key)
        return audit_act(r, w, e);
    hash_request(r, hash);
    int rc = check_key(key, e);
    if (rc == 0)
        rc = idempotency_find(w, r->caller.token_id, key, hash, &found, &m, e);
    if (rc == 0 && found) {
        rc = recall(r, key, &m, e);
        free(m.reply);
        return rc;
    }
    if (rc == 0)
        rc = audit_act(r, w, e);
    return rc ? rc : remember(r, w, key, hash, e);
}
