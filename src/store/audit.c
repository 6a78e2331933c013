#include "store/audit.h"

#include <stdlib.h>
#include <string.h>

int audit_add(struct db *w, const struct audit_line *line, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_AUDIT_ADD);

    bind_int(s, ":at_ms", line->at_ms);
    bind_int(s, ":token_id", line->token_id);
    bind_text(s, ":who", line->who);
    bind_text(s, ":address", line->address);
    bind_text(s, ":method", line->method);
    bind_text(s, ":path", line->path);
    bind_int(s, ":status", line->status);
    bind_text(s, ":before", line->before ? line->before : "");
    bind_text(s, ":after", line->after ? line->after : "");
    return stmt_run(s, NULL, e);
}

static int copy_text(struct stmt *s, int column, char **out, struct err *e)
{
    const char *text = col_ptr(s, column);

    *out = strdup(text ? text : "");
    return *out ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static int read_line(struct stmt *s, struct audit_line *out, struct err *e)
{
    int rc;

    *out = (struct audit_line){.id = col_int(s, 0), .at_ms = col_int(s, 1), .token_id = col_int(s, 2)};
    col_text(s, 3, out->who, sizeof out->who);
    col_text(s, 4, out->address, sizeof out->address);
    col_text(s, 5, out->method, sizeof out->method);
    col_text(s, 6, out->path, sizeof out->path);
    out->status = (int)col_int(s, 7);
    rc = copy_text(s, 8, &out->before, e);
    return rc ? rc : copy_text(s, 9, &out->after, e);
}

static int list(struct db *db, enum query q, const struct audit_filter *f, int64_t from_id,
                struct audit_line out[], size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, q);
    size_t found = 0;
    int rc;

    bind_int(s, ":from_id", from_id);
    bind_int(s, ":since_ms", f->since_ms);
    bind_int(s, ":until_ms", f->until_ms ? f->until_ms : INT64_MAX);
    bind_text(s, ":who", f->who);
    bind_text(s, ":path", f->path);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0)
        if ((rc = read_line(s, &out[found++], e)) < 0)
            break;
    if (rc < 0)
        audit_clear(out, found);
    else
        *n = found;
    return rc;
}

int audit_list(struct db *db, const struct audit_filter *f, int64_t before_id, struct audit_line out[],
               size_t cap, size_t *n, struct err *e)
{
    return list(db, Q_AUDIT_LIST, f, before_id, out, cap, n, e);
}

int audit_list_on(struct db *db, const struct audit_filter *f, int64_t after_id, struct audit_line out[],
                  size_t cap, size_t *n, struct err *e)
{
    return list(db, Q_AUDIT_LIST_ON, f, after_id, out, cap, n, e);
}

void audit_clear(struct audit_line lines[], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(lines[i].before);
        free(lines[i].after);
        lines[i].before = lines[i].after = NULL;
    }
}
