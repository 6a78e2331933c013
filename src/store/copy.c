#include "store/copy.h"

#include "base/file.h"
#include "db_private.h"

#include <fcntl.h>
#include <unistd.h>

/* The empty file is made first because SQLite would make it readable for all, and synced at the end because
 * VACUUM INTO leaves that to the system. */
int copy_file(struct db *db, const char *to, struct err *e)
{
    FD_AUTO int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "cannot write %s", to);
    struct stmt *s = db_stmt(db, Q_STORE_COPY);
    bind_text(s, ":path", to);
    int rc = stmt_run(s, NULL, e);
    stmt_end(s);
    if (rc == 0 && fsync(fd) != 0)
        rc = err_errno(e, "cannot write %s to disk", to);
    if (rc < 0)
        unlink(to); /* what a migration had no room for would go on to take it */
    return rc;
}

static int check_copy(struct db *db, const char *path, struct err *e)
{
    int newest = db_migration(db_migrations() - 1).number;
    int64_t version = 0;
    int rc = identify(db, path, newest, &version, e);
    if (rc == 0 && version == 0)
        return err_set(e, ERR_DAMAGED, "%.120s is empty", path);
    return rc < 0 ? rc : check_file(db, path, e);
}

int copy_open(const char *path, atomic_bool *halt, struct db **out, struct err *e)
{
    struct db *db;
    int rc = db_open(path, DB_READER, &db, e);
    if (rc < 0)
        return rc;
    db_end_by(db, halt);
    rc = check_copy(db, path, e);
    if (rc < 0)
        db_close(db);
    else
        *out = db;
    return rc;
}

void copy_close(struct db *db)
{
    db_close(db);
}

int blob_rows(struct db *db, const char *after, struct blob_row out[], size_t cap, size_t *n, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_FIRMWARE_BLOBS);
    size_t found = 0;
    int rc;
    bind_text(s, ":after", after);
    bind_int(s, ":cap", (int64_t)cap);
    while ((rc = stmt_step(s, e)) > 0) {
        col_text(s, 0, out[found].sha256, sizeof out[found].sha256);
        out[found].size = col_int(s, 1);
        out[found++].damaged = col_int(s, 2) != 0;
    }
    if (rc == 0)
        *n = found;
    return rc;
}
