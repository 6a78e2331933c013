#include "api.h"

#include "backup/backups.h"
#include "http/route.h"

#include <stdlib.h>

static json_t *backup_json(const struct backup *b)
{
    json_t *j = json_object();
    json_put_text(j, "name", b->name);
    json_put_moment(j, "at", b->at_ms);
    json_put_int(j, "bytes", b->bytes);
    json_put_int(j, "files", b->files);
    json_put_int(j, "missing", b->missing);
    json_put_bool(j, "ok", b->ok);
    return j;
}

int api_backup_create(struct request *r, struct db *db, struct err *e)
{
    struct backup made;
    int rc = backups_make(r->env->backups, &made, e);
    (void)db;
    if (rc < 0)
        return rc;
    reply_json(r, backup_json(&made));
    r->reply.status = 201;
    return 0;
}

int api_backup_list(struct request *r, struct db *db, struct err *e)
{
    struct backup *all = NULL;
    size_t n = 0;
    int rc = backups_list(r->env->backups, &all, &n, e);
    (void)db;
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(items, backup_json(&all[i]));
    free(all);
    page_reply(r, items, 0);
    return 0;
}
