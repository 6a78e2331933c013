#include "db_private.h"

#include "base/file.h"

#include <stdio.h>

/* What could not be written in another schema's terms would be lost by the migration: a copy stays beside the
 * store. */
static int copy_aside(struct db *w, const char *path, int64_t version, struct err *e)
{
    char copy[FILE_PATH_SIZE];

    if (snprintf(copy, sizeof copy, "%s.schema-%lld", path, (long long)version) >= (int)sizeof copy)
        return err_set(e, ERR_INTERNAL, "path %s is too long", path);
    return copy_file(w, copy, e) < 0 ? err_wrap(e, "copy of the store before its migration") : 0;
}

static int apply(struct db *w, const struct migration *m, struct err *e)
{
    if (db_script(w, m->sql, e) < 0 || check_references(w, e) < 0)
        return err_wrap(e, "migration %d", m->number);
    return db_version_set(w, m->number, e);
}

static int upgrade(struct db *w, int64_t version, const struct migration list[], size_t n, struct err *e)
{
    struct err ignored;
    int rc = db_run(w, Q_TX_BEGIN, e);

    if (rc < 0)
        return rc;
    rc = db_run(w, Q_STORE_CLAIM, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (list[i].number > version)
            rc = apply(w, &list[i], e);
    if (rc == 0)
        rc = db_run(w, Q_TX_COMMIT, e);
    if (rc < 0 && db_in_transaction(w))
        db_run(w, Q_TX_ROLLBACK, &ignored);
    return rc;
}

int migrate(struct db *w, const char *path, const struct migration list[], size_t n, struct err *e)
{
    int newest = list[n - 1].number;
    int64_t version = 0;
    int rc = identify(w, path, newest, &version, e);

    if (rc == 0)
        rc = db_run(w, Q_STORE_WAL, e);
    if (rc < 0 || version == newest)
        return rc;
    if (version > 0)
        rc = check_file(w, path, e);
    if (rc == 0 && version > 0)
        rc = copy_aside(w, path, version, e);
    return rc < 0 ? rc : upgrade(w, version, list, n, e);
}
