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
    return rc;
}
