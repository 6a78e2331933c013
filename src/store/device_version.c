/* What a device has: the versions of its modules; and what happened to it: its timeline. */
#include "store/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* *known false: the device never reported this module. */
static int stored_version(struct db *db, int64_t id, const char *module, struct device_module *out,
                          bool *known, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_VERSION_GET);
    int rc;

    bind_int(s, ":device_id", id);
    bind_text(s, ":module", module);
    rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    *known = rc > 0;
    if (*known) {
        col_text(s, 0, out->version, sizeof out->version);
        out->assumed = col_int(s, 1);
    }
    return 0;
}

static int has_room(struct db *db, int64_t id, bool *room, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_MODULES_COUNT);
    int rc;

    bind_int(s, ":device_id", id);
    rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    *room = col_int(s, 0) < MODULES_MAX;
    return 0;
}

static int write_version(struct db *w, int64_t id, const char *module, const char *version, bool assumed,
                         int64_t at_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_DEVICE_VERSION_SET);

    bind_int(s, ":device_id", id);
    bind_text(s, ":module", module);
    bind_text(s, ":version", version);
    bind_int(s, ":assumed", assumed);
    bind_int(s, ":at_ms", at_ms);
    return stmt_run(s, NULL, e);
}

int device_version_set(struct db *w, int64_t id, const char *module, const char *version, bool assumed,
                       int64_t at_ms, bool *changed, struct err *e)
{
    struct device_module was;
    bool known, same, room = true;
    int rc = stored_version(w, id, module, &was, &known, e);

    if (rc == 0 && !known)
        rc = has_room(w, id, &room, e);
    if (rc < 0)
        return rc;
    same = known && strcmp(was.version, version) == 0;
    if (room && (!same || (was.assumed && !assumed)))
        rc = write_version(w, id, module, version, assumed, at_ms, e);
    if (rc == 0)
        *changed = room && !same;
    return rc;
}

int device_version_get(struct db *db, int64_t id, const char *module, char version[VERSION_SIZE],
                       struct err *e)
{
    struct device_module stored;
    bool known;
    int rc = stored_version(db, id, module, &stored, &known, e);

    if (rc == 0)
        str_copy(version, VERSION_SIZE, known ? stored.version : "");
    return rc;
}

int device_modules_get(struct db *db, int64_t id, struct device_module out[MODULES_MAX], size_t *n,
                       struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_DEVICE_MODULES_GET);
    size_t found = 0;
    int rc;

    bind_int(s, ":device_id", id);
    bind_int(s, ":cap", MODULES_MAX);
    for (; (rc = stmt_step(s, e)) > 0; found++) {
        col_text(s, 0, out[found].module, sizeof out[found].module);
        col_text(s, 1, out[found].version, sizeof out[found].version);
        out[found].assumed = col_int(s, 2);
        out[found].reported_at_ms = col_int(s, 3);
    }
    if (rc == 0)
        *n = found;
    return rc;
}

/* ---- timeline */

int timeline_add(struct db *w, int64_t device_id, int64_t at_ms, const char *kind, int64_t campaign_id,
                 int64_t execution_id, struct err *e, const char *format, ...)
{
    char text[sizeof((struct timeline_line *)0)->text];
    struct stmt *s = db_stmt(w, Q_TIMELINE_ADD);
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":at_ms", at_ms);
    bind_text(s, ":kind", kind);
    if (campaign_id)
        bind_int(s, ":campaign_id", campaign_id);
    if (execution_id)
        bind_int(s, ":execution_id", execution_id);
    bind_text(s, ":text", text);
    return stmt_run(s, NULL, e);
}

int timeline_list(struct db *db, int64_t device_id, int64_t before_id, struct timeline_line out[], size_t cap,
                  size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_TIMELINE_LIST);
    size_t found = 0;
    int rc;

    bind_int(s, ":device_id", device_id);
    bind_int(s, ":before_id", before_id ? before_id : INT64_MAX);
    bind_int(s, ":cap", (int64_t)cap);
    for (; (rc = stmt_step(s, e)) > 0; found++) {
        struct timeline_line *line = &out[found];

        line->id = col_int(s, 0);
        line->at_ms = col_int(s, 1);
        col_text(s, 2, line->kind, sizeof line->kind);
        line->campaign_id = col_int(s, 3);
        line->execution_id = col_int(s, 4);
        col_text(s, 5, line->text, sizeof line->text);
    }
    if (rc == 0)
        *n = found;
    return rc;
}
