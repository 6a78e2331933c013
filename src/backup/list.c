#include "backup_private.h"
#include "base/clock.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

/* ---- names */

void backup_stamp(int64_t at_ms, char out[BACKUP_STAMP_SIZE])
{
    char text[CLOCK_TEXT_SIZE]; /* 2026-11-27T02:15:00.000Z */
    size_t n = 0;
    clock_format(at_ms, text);
    for (const char *p = text; *p; p++)
        if (*p != '-' && *p != ':')
            out[n++] = *p;
    out[n] = '\0';
}

bool backup_is_name(const char *name)
{
    static const char shape[] = "00000000T000000.000Z";
    size_t n = sizeof shape - 1;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == '0' ? !isdigit((unsigned char)name[i]) : name[i] != shape[i])
            return false;
    return !name[n] || (name[n] == '-' && name[n + 1] >= '2' && name[n + 1] <= '9' && !name[n + 2]);
}

void backup_blob_place(const char *sha256, char out[BLOB_PLACE_SIZE])
{
    snprintf(out, BLOB_PLACE_SIZE, "blobs/%.2s/%.64s", sha256, sha256);
}

int backup_parent(const char *path, struct err *e)
{
    char folder[FILE_PATH_SIZE];
    str_copy(folder, sizeof folder, path);
    *strrchr(folder, '/') = '\0';
    return file_make_dir(folder, 0700, e);
}

/* ---- the list */

void backup_of(const struct manifest *m, const char *name, bool ok, struct backup *out)
{
    *out = (struct backup){.at_ms = m->made_at_ms,
                           .bytes = manifest_bytes(m),
                           .files = (int64_t)m->n,
                           .missing = m->missing,
                           .ok = ok};
    str_copy(out->name, sizeof out->name, name);
}

static bool has_all(const struct manifest *m, const char *folder)
{
    char path[FILE_PATH_SIZE];
    bool store = false;
    struct err e;
    for (size_t i = 0; i < m->n; i++) {
        if (file_path(path, folder, m->files[i].path, &e) < 0 || !tree_has(path, m->files[i].size))
            return false;
        store = store || strcmp(m->files[i].path, "otad.db") == 0;
    }
    return store;
}

struct list {
    const char *dir;
    struct backup *all;
    size_t n;
};

static int add(void *arg, const char *name, struct err *e)
{
    struct list *list = arg;
    char folder[FILE_PATH_SIZE];
    MANIFEST_AUTO struct manifest m = {0};
    struct err ours;
    int rc = backup_is_name(name) ? file_path(folder, list->dir, name, e) : 0;
    if (rc < 0 || !backup_is_name(name) || manifest_read(folder, &m, &ours) < 0)
        return rc;
    list->all = realloc(list->all, (list->n + 1) * sizeof *list->all);
    if (!list->all)
        abort();
    backup_of(&m, name, has_all(&m, folder), &list->all[list->n++]);
    return 0;
}

static int newer_first(const void *a, const void *b)
{
    return strcmp(((const struct backup *)b)->name, ((const struct backup *)a)->name);
}

int backup_list(const char *dir, struct backup **out, size_t *n, struct err *e)
{
    struct list list = {.dir = dir};
    int rc = tree_each(dir, add, &list, e);
    if (rc < 0 && rc != -ERR_NOT_FOUND) {
        free(list.all);
        return rc;
    }
    if (list.n)
        qsort(list.all, list.n, sizeof *list.all, newer_first);
    *out = list.all;
    *n = list.n;
    return 0;
}

/* ---- what goes */

/* It stops being a backup first: a removal that is cut short leaves none that looks like one. */
static int remove_one(const char *dir, const char *name, struct err *e)
{
    char path[FILE_PATH_SIZE], gone[FILE_PATH_SIZE], gone_name[sizeof BACKUP_GONE + BACKUP_NAME_SIZE];
    snprintf(gone_name, sizeof gone_name, BACKUP_GONE "%s", name);
    int rc = file_path(path, dir, name, e);
    if (rc == 0)
        rc = file_path(gone, dir, gone_name, e);
    if (rc == 0 && rename(path, gone) < 0)
        rc = err_errno(e, "cannot remove the backup %s", path);
    return rc < 0 ? rc : tree_remove(gone, e);
}

int backup_prune(const char *dir, size_t keep, const char *spare, int64_t now_ms, size_t *removed,
                 struct err *e)
{
    struct backup *all = NULL;
    size_t n = 0, kept[2] = {0};
    int rc = backup_list(dir, &all, &n, e);
    *removed = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t *of_these = &kept[all[i].at_ms > now_ms];
        if (*of_these < keep)
            *of_these += all[i].ok;
        else if (!(spare && strcmp(all[i].name, spare) == 0) && (rc = remove_one(dir, all[i].name, e)) == 0)
            ++*removed;
    }
    free(all);
    return rc;
}

int backup_hold(const char *work)
{
    int fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        bool held = errno == EWOULDBLOCK;
        close(fd);
        return held ? BACKUP_HELD : -1;
    }
    return fd;
}

static int sweep_one(void *arg, const char *name, struct err *e)
{
    char path[FILE_PATH_SIZE];
    size_t making = strlen(BACKUP_MAKING), gone = strlen(BACKUP_GONE);
    bool left = (strncmp(name, BACKUP_MAKING, making) == 0 && backup_is_name(name + making)) ||
                (strncmp(name, BACKUP_GONE, gone) == 0 && backup_is_name(name + gone));
    int rc = left ? file_path(path, arg, name, e) : 0;
    FD_AUTO int hold = rc == 0 && left ? backup_hold(path) : -1;
    return rc < 0 || !left || hold == BACKUP_HELD ? rc : tree_remove(path, e);
}

int backup_sweep(const char *dir, struct err *e)
{
    char own[FILE_PATH_SIZE];
    str_copy(own, sizeof own, dir);
    int rc = tree_each(own, sweep_one, own, e);
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}
