#include "backup/backups.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct backups {
    struct store *store;
    char data_dir[FILE_PATH_SIZE], dir[FILE_PATH_SIZE];
    size_t keep;
    int64_t floor_bytes;
    atomic_bool *halt;
    pthread_mutex_t lock; /* what follows */
    struct backups_state state;
};

static void note(struct backups *b, int rc, int64_t now_ms, const struct err *e)
{
    pthread_mutex_lock(&b->lock);
    if (rc == 0)
        b->state = (struct backups_state){.made_at_ms = now_ms};
    else {
        b->state.failed_at_ms = now_ms;
        snprintf(b->state.error, sizeof b->state.error, "%.199s", e->text);
        str_clean(b->state.error);
    }
    pthread_mutex_unlock(&b->lock);
}

static int find_newest(struct backups *b, struct err *e)
{
    int64_t now_ms = clock_wall_ms();
    struct backup *all = NULL;
    size_t n = 0;
    int rc = backup_sweep(b->dir, e);
    if (rc == 0)
        rc = backup_list(b->dir, &all, &n, e);
    for (size_t i = 0; rc == 0 && i < n && !b->state.made_at_ms; i++)
        if (all[i].ok && all[i].at_ms <= now_ms)
            b->state.made_at_ms = all[i].at_ms;
    free(all);
    return rc;
}

struct backups *backups_open(const struct backups_setup *setup)
{
    struct backups *b = calloc(1, sizeof *b);
    struct err e;
    if (!b)
        abort();
    *b = (struct backups){
        .store = setup->store, .keep = setup->keep, .floor_bytes = setup->floor_bytes, .halt = setup->halt};
    str_copy(b->data_dir, sizeof b->data_dir, setup->data_dir);
    str_copy(b->dir, sizeof b->dir, setup->dir);
    pthread_mutex_init(&b->lock, NULL);
    if (find_newest(b, &e) < 0) {
        log_error("the folder for backups: %s", e.text);
        note(b, -(int)e.code, clock_wall_ms(), &e);
    }
    return b;
}

void backups_close(struct backups *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* A backup that was made stays one when an older one cannot be removed. */
static void prune(const struct backups *b, const char *made, int64_t now_ms)
{
    size_t removed;
    struct err e;
    if (backup_prune(b->dir, b->keep, made, now_ms, &removed, &e) < 0)
        log_error("old backups stay: %s", e.text);
    else if (removed > 0)
        log_info("removed %zu old backups", removed);
}

static int64_t store_bytes(const struct backups *b)
{
    static const char *const names[] = {"otad.db", "otad.db-wal"};
    char path[FILE_PATH_SIZE];
    int64_t bytes = 0;
    struct stat st;
    struct err e;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (file_path(path, b->data_dir, names[i], &e) == 0 && stat(path, &st) == 0)
            bytes += st.st_size;
    return bytes;
}

/* A copy of the store that fills the disk takes the room that the store itself needs. */
static int check_room(const struct backups *b, struct err *e)
{
    int64_t need = store_bytes(b);
    struct stat data, there;
    struct statvfs fs;
    int rc = file_make_dir(b->dir, 0700, e);
    if (rc < 0)
        return rc;
    if (stat(b->data_dir, &data) < 0 || stat(b->dir, &there) < 0 || statvfs(b->dir, &fs) < 0)
        return err_errno(e, "cannot look at the folder for backups %s", b->dir);
    if (data.st_dev == there.st_dev)
        need += b->floor_bytes;
    int64_t room = (int64_t)(fs.f_bavail * fs.f_frsize);
    return room >= need || fs.f_blocks == 0 /* it does not say */
               ? 0
               : err_set(e, ERR_NO_SPACE,
                         "there is no room for a backup in %.150s: %lld bytes are free, the store and, on "
                         "its own disk, min_free_bytes need %lld",
                         b->dir, (long long)room, (long long)need);
}

int backups_make(struct backups *b, struct backup *out, struct err *e)
{
    int64_t now_ms = clock_wall_ms();
    int rc = check_room(b, e);
    if (rc == 0)
        rc = backup_make(b->store, b->data_dir, b->dir, now_ms, b->halt, out, e);
    if (rc < 0 && b->halt && atomic_load(b->halt)) /* no failure, and nobody is left to tell */
        return rc;
    note(b, rc, now_ms, e);
    if (rc < 0)
        return rc;
    log_info("backup %s/%s: %lld files, %lld bytes", b->dir, out->name, (long long)out->files,
             (long long)out->bytes);
    if (out->missing)
        log_warn("%lld firmware files that the store names are not whole, and not in the backup",
                 (long long)out->missing);
    prune(b, out->name, now_ms);
    return 0;
}

int backups_list(const struct backups *b, struct backup **out, size_t *n, struct err *e)
{
    return backup_list(b->dir, out, n, e);
}

void backups_state(struct backups *b, struct backups_state *out)
{
    pthread_mutex_lock(&b->lock);
    *out = b->state;
    pthread_mutex_unlock(&b->lock);
}
