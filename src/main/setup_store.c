/* Opening the store: what may be trusted, what is looked at first, and what to do when it is damaged. */
#include "main/daemon.h"

#include "backup/backup.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "otad.unclean"
#define MARK_TEXT \
    "otad runs here, or has ended without a stop: the next start looks at the whole store first\n"

static bool is_there(const struct otad *o, const char *name)
{
    char path[FILE_PATH_SIZE];
    struct err e;
    return file_path(path, o->settings.data_dir, name, &e) == 0 && access(path, F_OK) == 0;
}

int setup_check_restored(const struct otad *o, struct err *e)
{
    if (!is_there(o, BACKUP_READY))
        return 0;
    return err_set(e, ERR_DAMAGED, "a restore has not ended, as %.150s/" BACKUP_READY " shows: run it again",
                   o->settings.data_dir);
}

/* SQLite would make a new store in the place of one that was lost, and all devices would be strangers. The
 * token is written once the store is there. */
static int check_there(const struct otad *o, const char *path, struct err *e)
{
    struct stat st;
    if (!is_there(o, "admin.token") || (stat(path, &st) == 0 && st.st_size > 0))
        return 0;
    return err_set(e, ERR_DAMAGED, "%.120s is %s, but %.100s/admin.token shows that there was a store here",
                   path, is_there(o, "otad.db") ? "empty" : "not there", o->settings.data_dir);
}

static int set_mark(const struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_path(path, o->settings.data_dir, MARK, e);
    return rc < 0 ? rc : file_replace(path, MARK_TEXT, sizeof MARK_TEXT - 1, 0600, e);
}

int setup_store(struct otad *o, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_path(path, o->settings.data_dir, "otad.db", e);
    if (rc == 0)
        rc = check_there(o, path, e);
    if (rc < 0)
        return rc;
    o->ended_well = !is_there(o, MARK);
    if (!o->ended_well)
        log_warn("otad has ended without a stop: the store is looked at before anything is served");
    rc = o->ended_well ? store_open_unchecked(path, &o->store, e) : store_open(path, &o->store, e);
    if (rc == 0 && !o->ended_well)
        log_info("the store is whole");
    return rc < 0 ? rc : set_mark(o, e);
}

void setup_unmark(const struct otad *o)
{
    char path[FILE_PATH_SIZE];
    struct err e;
    if (file_path(path, o->settings.data_dir, MARK, &e) < 0)
        return;
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn("cannot remove %s: %s", path, strerror(errno));
    else if (file_sync_dir(o->settings.data_dir, &e) < 0)
        log_warn("%s", e.text);
}

void setup_say_how_to_restore(const struct otad *o)
{
    log_error(
        "nothing was changed. The newest good backup is put back by: otad restore -d %s (what is there now "
        "is kept beside it; docs/backup.md)",
        o->settings.data_dir);
}
