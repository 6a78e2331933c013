#include "main/daemon.h"

#include "backup/backups.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/worker.h"
#include "model/board.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RETRY_MS 3600000 /* after a backup that failed */

struct keeper {
    struct store *store;
    struct backups *backups;
    struct worker *worker;
    struct task check, backup;
    atomic_bool halt;
    atomic_bool making; /* the nightly one is queued, or runs */
    int64_t every_ms, born_at_ms;
};

/* ---- the thread's */

/* What a request has met meanwhile stands. */
static void say_whole(void)
{
    struct board_row row;
    board_get(BOARD_CHECK, &row);
    if (row.ok)
        board_set(BOARD_CHECK, true, "ok");
    log_info("the store is whole");
}

static void run_check(struct task *task)
{
    struct keeper *k = (struct keeper *)((char *)task - offsetof(struct keeper, check));
    struct err e;
    int rc = store_check(k->store, &k->halt, &e);
    if (rc == 0) {
        say_whole();
    } else if (rc == -ERR_DAMAGED) {
        board_set(BOARD_CHECK, false, "%s", e.text);
        log_error("%s: the next start will refuse it; restore a backup (docs/backup.md)", e.text);
    } else if (!atomic_load(&k->halt)) {
        log_error("cannot look at the whole store: %s", e.text);
    }
}

static void run_backup(struct task *task)
{
    struct keeper *k = (struct keeper *)((char *)task - offsetof(struct keeper, backup));
    struct backup made;
    struct err e;
    if (backups_make(k->backups, &made, &e) < 0 && !atomic_load(&k->halt))
        log_error("no backup was made: %s", e.text);
    atomic_store(&k->making, false);
}

/* ---- main's */

/* Of a directory that has never had a backup, the first one is due when it is as old as they are apart. */
static int64_t born_at(const struct otad *o)
{
    char path[FILE_PATH_SIZE];
    struct stat st;
    struct err e;
    if (file_path(path, o->settings.data_dir, "keys/secret.key", &e) < 0 || stat(path, &st) < 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000;
}

int setup_backup_dir(const struct otad *o, char out[FILE_PATH_SIZE], struct err *e)
{
    if (!*o->settings.backup_dir)
        return file_path(out, o->settings.data_dir, "backups", e);
    str_copy(out, FILE_PATH_SIZE, o->settings.backup_dir);
    return 0;
}

int keeper_start(struct otad *o, struct keeper **out, struct err *e)
{
    char dir[FILE_PATH_SIZE];
    int rc = setup_backup_dir(o, dir, e);
    if (rc < 0)
        return rc;
    struct keeper *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_INTERNAL, "out of memory");
    *k = (struct keeper){.store = o->store,
                         .check.run = run_check,
                         .backup.run = run_backup,
                         .every_ms = o->settings.backup_every_ms,
                         .born_at_ms = born_at(o)};
    rc = worker_start(&k->worker, e);
    if (rc < 0) {
        free(k);
        return rc;
    }
    const struct backups_setup setup = {.store = o->store,
                                        .data_dir = o->settings.data_dir,
                                        .dir = dir,
                                        .keep = (size_t)o->settings.backup_keep,
                                        .floor_bytes = o->settings.min_free_bytes,
                                        .halt = &k->halt};
    k->backups = backups_open(&setup);
    if (o->ended_well)
        worker_submit(k->worker, &k->check);
    *out = k;
    return 0;
}

void keeper_serve(struct keeper *k, struct http_env *env)
{
    env->backups = k->backups;
    env->keeper = k->worker;
}

/* A clock that was wrong may have left a backup of the far future: it stands for none. */
static bool is_due(struct keeper *k, int64_t now_ms)
{
    struct backups_state s;
    backups_state(k->backups, &s);
    bool failed = s.failed_at_ms > 0;
    int64_t last_ms = failed ? s.failed_at_ms : s.made_at_ms ? s.made_at_ms : k->born_at_ms;
    int64_t after_ms = failed && k->every_ms > RETRY_MS ? RETRY_MS : k->every_ms;
    return now_ms - last_ms >= after_ms || last_ms - now_ms > after_ms;
}

void keeper_tick(struct keeper *k, int64_t now_ms)
{
    if (!k->every_ms || atomic_load(&k->making) || !is_due(k, now_ms))
        return;
    atomic_store(&k->making, true);
    worker_submit(k->worker, &k->backup);
}

void keeper_halt(struct keeper *k)
{
    atomic_store(&k->halt, true);
}

void keeper_stop(struct keeper *k)
{
    if (!k)
        return;
    keeper_halt(k);
    worker_stop(k->worker);
    backups_close(k->backups);
    free(k);
}
