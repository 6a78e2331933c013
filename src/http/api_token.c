#include "api.h"

#include "http/route.h"
#include "store/token.h"

#include <stdlib.h>
#include <string.h>

/* What the store knows, or memory when it was used since. */
static int64_t last_used(const struct request *r, const struct token *t)
{
    int64_t used_at_ms = token_used_at(r->env->token_uses, t->id);
    return used_at_ms > t->last_used_at_ms ? used_at_ms : t->last_used_at_ms;
}

static json_t *token_json(const struct request *r, const struct token *t)
{
    json_t *j = json_object();
    json_put_int(j, "id", t->id);
    json_put_text(j, "name", t->name);
    json_put_text(j, "role", role_word(t->role));
    json_put_moment(j, "created_at", t->created_at_ms);
    json_put_moment(j, "expires_at", t->expires_at_ms);
    json_put_moment(j, "last_used_at", last_used(r, t));
    return j;
}

static int read_body(const struct request *r, struct token *t, struct err *e)
{
    char role[17];
    int64_t expires_in_ms = 0;
    bool in = false, at = false;
    const struct json_field fields[] = {
        {.key = "name", .kind = JSON_KIND_TEXT, .out = t->name, .size = sizeof t->name, .required = true},
        {.key = "role", .kind = JSON_KIND_TEXT, .out = role, .size = sizeof role, .required = true},
        {.key = "expires_in", .kind = JSON_KIND_SPAN, .out = &expires_in_ms, .present = &in},
        {.key = "expires_at", .kind = JSON_KIND_MOMENT, .out = &t->expires_at_ms, .present = &at},
    };
    int rc = api_read(r, fields, ARRAY_SIZE(fields), e);
    if (rc)
        return rc;
    int parsed = role_parse(role);
    if (parsed < ROLE_VIEWER)
        return err_field(e, ERR_INVALID, "role",
                         "role must be \"viewer\", \"uploader\", \"operator\" or \"admin\"");
    if (in && at)
        return err_field(e, ERR_INVALID, "expires_in", "expires_in and expires_at exclude each other");
    if (in)
        t->expires_at_ms = r->now_ms + expires_in_ms;
    if ((in || at) && t->expires_at_ms <= r->now_ms)
        return err_field(e, ERR_INVALID, in ? "expires_in" : "expires_at",
                         "the token would have expired already");
    t->role = (enum role)parsed;
    return 0;
}

int api_token_create(struct request *r, struct db *db, struct err *e)
{
    struct token t = {.created_at_ms = r->now_ms};
    unsigned char hash[SHA256_BYTES];
    char text[TOKEN_TEXT_SIZE];
    int rc = read_body(r, &t, e);
    if (rc)
        return rc;
    token_make(text);
    token_hash(r->env->token_key, text, hash);
    rc = token_insert(db, &t, hash, e);
    if (rc == 0) {
        json_t *j = token_json(r, &t);
        json_put_text(j, "token", text);
        reply_created(r, j, "/api/v1/tokens/%lld", (long long)t.id);
    }
    explicit_bzero(text, sizeof text);
    return rc;
}

int api_token_list(struct request *r, struct db *db, struct err *e)
{
    struct page page;
    size_t n = 0;
    int rc = page_read(r, &page, e);
    if (rc)
        return rc;
    size_t cap = (size_t)page.limit;
    struct token *rows = api_rows(cap + 1, sizeof *rows);
    rc = token_list(db, page.after, rows, cap + 1, &n, e);
    if (rc == 0) {
        json_t *items = json_array();
        for (size_t i = 0; i < n && i < cap; i++)
            json_array_append_new(items, token_json(r, &rows[i]));
        page_reply(r, items, n > cap ? rows[cap - 1].id : 0);
    }
    free(rows);
    return rc;
}

int api_token_get(struct request *r, struct db *db, struct err *e)
{
    struct token t;
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = token_get(db, id, &t, e);
    if (rc == 0)
        reply_json(r, token_json(r, &t));
    return rc;
}

int api_token_delete(struct request *r, struct db *db, struct err *e)
{
    int64_t id;
    int rc = request_id(r, 0, &id, e);
    if (rc == 0)
        rc = token_delete(db, id, e);
    if (rc == 0)
        reply_nothing(r);
    return rc;
}
