#include "audit.h"

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "exchange.h"
#include "http/route.h"
#include "store/audit.h"
#include "store/token_use.h"

#include <stdlib.h>
#include <string.h>

static bool by_operator(const struct request *r)
{
    return r->caller.role >= ROLE_VIEWER;
}

static bool is_act(const struct request *r)
{
    return by_operator(r) && !r->dry && strcmp(r->route->method, "GET") != 0;
}

/* ---- what an act is about */

struct thing {
    const struct route *route; /* its GET; NULL: there is none */
    char arg[PATH_ARGS_MAX][257];
};

/* Up to and with the last argument of the path: "/campaigns/{id}/pause" is about "/campaigns/{id}". */
static size_t beginning(const char *path)
{
    const char *last = strrchr(path, '}');
    return last ? (size_t)(last + 1 - path) : 0;
}

static struct thing thing_of_path(const struct request *r)
{
    struct thing t = {0};
    size_t len = beginning(r->route->path);
    for (size_t i = 0; len && i < route_count; i++)
        if (strcmp(route_table[i].method, "GET") == 0 && strlen(route_table[i].path) == len &&
            strncmp(route_table[i].path, r->route->path, len) == 0)
            t.route = &route_table[i];
    memcpy(t.arg, r->arg, sizeof t.arg);
    return t;
}

/* What a POST has made, where its answer points. */
static struct thing thing_made(const struct request *r)
{
    struct thing t = {0};
    char allow[64];
    struct err ignored;
    if (route_find("GET", r->reply.location, &t.route, t.arg, allow, &ignored) != 0)
        t.route = NULL;
    return t;
}

/* As its GET shows it; *out stays NULL where it is not there. */
static int look(const struct request *r, const struct thing *t, struct db *db, json_t **out, struct err *e)
{
    struct request look = {.env = r->env,
                           .route = t->route,
                           .caller = r->caller,
                           .path = r->path,
                           .on_writer = r->on_writer,
                           .now_ms = r->now_ms,
                           .reply = {.fd = -1}};
    if (!t->route)
        return 0;
    memcpy(look.arg, t->arg, sizeof look.arg);
    int rc = t->route->handler(&look, db, e);
    if (rc == 0)
        *out = json_incref(look.reply.json);
    reply_clear(&look.reply);
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}

/* ---- a line */

/* What is the same on both sides says nothing. */
static void leave_differences(json_t *before, json_t *after)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(before, next, key, value)
    {
        if (!json_equal(value, json_object_get(after, key)))
            continue;
        json_object_del(after, key);
        json_object_del(before, key);
    }
}

/* Members of the body that no GET shows, a secret say: that they were given is told, and not what. */
static void tell_given(const struct request *r, json_t *after)
{
    json_t *given = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(r->body, key, value)
    {
        if (!json_object_get(after, key))
            json_array_append_new(given, json_string(key));
    }
    if (after && json_array_size(given) > 0)
        json_object_set(after, "given", given);
    json_decref(given);
}

static json_t *query_json(const struct request *r)
{
    json_t *j = r->query && r->query->n ? json_object() : NULL;
    for (size_t i = 0; j && i < r->query->n; i++)
        json_put_text(j, r->query->item[i].name, r->query->item[i].value);
    return j;
}

static struct audit_line begin_line(const struct request *r, int status)
{
    struct audit_line line = {.at_ms = r->now_ms, .token_id = r->caller.token_id, .status = status};
    _Static_assert(AUDIT_ADDRESS_SIZE >= PEER_TEXT_SIZE, "an address fits");
    str_copy(line.who, sizeof line.who, r->caller.name);
    peer_format(&r->caller.peer, line.address);
    str_copy(line.method, sizeof line.method, r->route->method);
    str_copy(line.path, sizeof line.path, r->path);
    return line;
}

/* before and after are taken over. */
static struct audit_line make_line(const struct request *r, json_t *before, json_t *after)
{
    struct audit_line line = begin_line(r, r->reply.status ? r->reply.status : 200);
    tell_given(r, after);
    if (before && after)
        leave_differences(before, after);
    line.before = before ? json_text(before) : NULL;
    line.after = after ? json_text(after) : NULL;
    json_decref(before);
    json_decref(after);
    return line;
}

/* What is to be said of how it is now: of the thing that was made, else of the one that was changed, else
 * what the handler left for this, else what was asked for. */
static int look_after(const struct request *r, const struct thing *t, struct db *db, json_t **after,
                      struct err *e)
{
    struct thing made = thing_made(r);
    int rc = look(r, made.route ? &made : t, db, after, e);
    if (rc || made.route || t->route)
        return rc;
    *after = r->summary ? json_incref(r->summary) : query_json(r);
    return 0;
}

int audit_act(struct request *r, struct db *w, struct err *e)
{
    json_t *before = NULL, *after = NULL;
    if (!is_act(r))
        return r->route->handler(r, w, e);
    const struct thing t = thing_of_path(r);
    int rc = look(r, &t, w, &before, e);
    if (rc == 0)
        rc = r->route->handler(r, w, e);
    if (rc == 0)
        rc = look_after(r, &t, w, &after, e);
    if (rc) {
        json_decref(before);
        return rc;
    }
    if (*r->reply.location) {
        json_decref(before);
        before = NULL;
    }
    struct audit_line line = make_line(r, before, after);
    rc = audit_add(w, &line, e);
    audit_clear(&line, 1);
    return rc;
}

/* ---- lines without a transaction of their act's own */

static int write_line(struct db *w, void *arg, struct err *e)
{
    return audit_add(w, arg, e);
}

int audit_slow(const struct request *r, struct db *db, struct err *e)
{
    const struct thing t = thing_of_path(r);
    json_t *after = NULL;
    if (!is_act(r))
        return 0;
    int rc = look_after(r, &t, db, &after, e);
    if (rc)
        return rc;
    struct audit_line line = make_line(r, NULL, after);
    rc = store_write(r->env->store, write_line, &line, e);
    audit_clear(&line, 1);
    return rc;
}

struct refusal {
    struct job job;
    struct audit_line line;
};

static int write_refusal(struct db *w, void *arg, struct err *e)
{
    struct refusal *refusal = arg;
    return audit_add(w, &refusal->line, e);
}

static void refusal_done(struct job *job)
{
    if (job->rc < 0)
        log_error("the audit lacks a refusal: %s", job->err.text);
    free(job->arg);
}

void audit_refused(const struct request *r)
{
    if (!by_operator(r) || !token_use_refused(r->env->token_uses, r->caller.token_id, r->now_ms))
        return;
    struct refusal *refusal = calloc(1, sizeof *refusal);
    if (!refusal)
        abort();
    refusal->line = begin_line(r, 403);
    refusal->job = (struct job){.run = write_refusal, .done = refusal_done, .arg = refusal};
    store_submit(r->env->store, &refusal->job);
}
