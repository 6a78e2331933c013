#include "backup/backup.h"

#include "backup_private.h"
#include "base/clock.h"
#include "base/str.h"
#include "store/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOBS_AT_ONCE 256

struct making {
    const char *data_dir;
    char name[BACKUP_NAME_SIZE];
    char work[FILE_PATH_SIZE];     /* where it is made */
    char previous[FILE_PATH_SIZE]; /* the backup before, "" none */
    struct manifest manifest;
    atomic_bool *halt;
};

/* ---- blobs */

/* In its size; of one that is listed as damaged in its bytes, too: the backup before may have the same file,
 * or a copy that is good. */
static int is_whole(const struct making *m, const char *path, const struct blob_row *row, bool *whole,
                    struct err *e)
{
    struct file_sum sum = {0};
    *whole = tree_has(path, row->size);
    if (!*whole || !row->damaged)
        return 0;
    int rc = tree_hash(path, m->halt, &sum, e);
    *whole = rc == 0 && strcmp(sum.sha256, row->sha256) == 0;
    return rc == -ERR_BUSY ? rc : 0; /* a disk may refuse to read what is damaged */
}

/* Bytes that are copied must be those that the name says. A disk that cannot read one file is no reason to
 * have no backup of all others: where the reading fails once more, it was that. */
static int copy_blob(const struct making *m, const char *from, const char *to, const struct blob_row *row,
                     bool *have, struct err *e)
{
    struct file_sum sum = {0};
    struct err unreadable;
    int rc = tree_copy(from, to, 0444, m->halt, &sum, e);
    *have = rc == 0 && sum.size == row->size && strcmp(sum.sha256, row->sha256) == 0;
    if (rc == 0 && !*have)
        unlink(to);
    if (rc < 0 && rc != -ERR_BUSY && tree_hash(from, m->halt, &sum, &unreadable) < 0)
        return 0;
    return rc;
}

/* A link when one of these has it whole and is on this file system, else a copy. False, too: the blob is not
 * there whole. */
static int take_blob(const struct making *m, const struct blob_row *row, bool *have, struct err *e)
{
    char place[BLOB_PLACE_SIZE], to[FILE_PATH_SIZE], from[FILE_PATH_SIZE];
    const char *const sources[] = {m->data_dir, m->previous};
    backup_blob_place(row->sha256, place);
    *have = false;
    int rc = file_path(to, m->work, place, e);
    if (rc == 0)
        rc = backup_parent(to, e);
    if (rc == 0)
        rc = is_whole(m, to, row, have, e);
    if (rc == 0 && !*have)
        unlink(to); /* it has been found damaged since it was taken */
    for (size_t i = 0; rc == 0 && !*have && i < ARRAY_SIZE(sources); i++) {
        if (!*sources[i] || (rc = file_path(from, sources[i], place, e)) < 0)
            continue;
        rc = is_whole(m, from, row, have, e);
        if (rc == 0 && *have)
            *have = link(from, to) == 0;
    }
    if (rc < 0 || *have)
        return rc;
    rc = file_path(from, m->data_dir, place, e);
    return rc < 0 ? rc : copy_blob(m, from, to, row, have, e);
}

static int is_halted(const struct making *m, struct err *e)
{
    return m->halt && atomic_load(m->halt) ? err_set(e, ERR_BUSY, "otad is stopping") : 0;
}

/* record: in the manifest, or among what is missing. */
static int take_blobs(struct making *m, struct db *db, bool record, struct err *e)
{
    struct blob_row rows[BLOBS_AT_ONCE];
    struct manifest_file file = {.mode = 0444};
    char after[SHA256_TEXT_SIZE] = "";
    size_t n = BLOBS_AT_ONCE;
    bool have;
    int rc = 0;
    while (rc == 0 && n == BLOBS_AT_ONCE && (rc = blob_rows(db, after, rows, BLOBS_AT_ONCE, &n, e)) == 0)
        for (size_t i = 0; rc == 0 && i < n; i++) {
            rc = is_halted(m, e);
            if (rc == 0)
                rc = take_blob(m, &rows[i], &have, e);
            str_copy(after, sizeof after, rows[i].sha256);
            backup_blob_place(rows[i].sha256, file.path);
            str_copy(file.sha256, sizeof file.sha256, rows[i].sha256);
            file.size = rows[i].size;
            if (rc == 0 && record && have)
                manifest_add(&m->manifest, &file);
            else if (rc == 0 && record)
                m->manifest.missing++;
        }
    return rc;
}

/* ---- the store */

/* Blobs are taken before and after the copy: before, since one that is deleted meanwhile is still named by
 * the copy; after, since one may have been uploaded meanwhile. */
static int take_store(struct making *m, struct store *store, struct err *e)
{
    struct manifest_file file = {.path = "otad.db", .mode = 0600};
    char path[FILE_PATH_SIZE];
    struct file_sum sum = {0};
    struct db *reader, *copy = NULL;
    int rc = file_path(path, m->work, file.path, e);
    if (rc == 0)
        rc = store_reader(store, &reader, e);
    if (rc == 0)
        rc = take_blobs(m, reader, false, e);
    if (rc == 0)
        rc = store_copy(store, path, m->halt, e);
    if (rc == 0)
        rc = copy_open(path, m->halt, &copy, e);
    if (rc == 0)
        rc = take_blobs(m, copy, true, e);
    copy_close(copy);
    if (rc == 0)
        rc = tree_hash(path, m->halt, &sum, e);
    if (rc < 0)
        return rc;
    file.size = sum.size;
    memcpy(file.sha256, sum.sha256, sizeof file.sha256);
    manifest_add(&m->manifest, &file);
    return 0;
}

/* ---- keys, certificates, the token */

/* What goes while it is looked at, a file under way to its name say, is none of them. */
static int take_file(struct making *m, const char *place, struct err *e)
{
    char from[FILE_PATH_SIZE], to[FILE_PATH_SIZE];
    struct manifest_file file = {.mode = 0600};
    struct file_sum sum = {0};
    struct stat st;
    int rc = file_path(from, m->data_dir, place, e);
    if (rc == 0)
        rc = file_path(to, m->work, place, e);
    if (rc == 0 && stat(from, &st) == 0)
        file.mode = st.st_mode & 0777;
    if (rc == 0)
        rc = tree_copy(from, to, (unsigned)file.mode, NULL, &sum, e);
    if (rc < 0)
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    str_copy(file.path, sizeof file.path, place);
    file.size = sum.size;
    memcpy(file.sha256, sum.sha256, sizeof file.sha256);
    manifest_add(&m->manifest, &file);
    return 0;
}

struct folder {
    struct making *making;
    const char *name;
};

/* Neither what restore kept aside nor what is still being written. */
static int take_entry(void *arg, const char *name, struct err *e)
{
    struct folder *folder = arg;
    char place[MANIFEST_PATH_SIZE];
    if (!str_is_name(name, 100) || strstr(name, BACKUP_ASIDE))
        return 0;
    snprintf(place, sizeof place, "%s/%s", folder->name, name);
    return take_file(folder->making, place, e);
}

static int take_folder(struct making *m, const char *name, struct err *e)
{
    char from[FILE_PATH_SIZE], to[FILE_PATH_SIZE];
    struct folder folder = {m, name};
    int rc = file_path(from, m->data_dir, name, e);
    if (rc == 0)
        rc = file_path(to, m->work, name, e);
    if (rc == 0)
        rc = file_make_dir(to, 0700, e);
    return rc < 0 ? rc : tree_each(from, take_entry, &folder, e);
}

/* ---- the whole */

static int take_all(struct making *m, struct store *store, struct err *e)
{
    int rc = file_make_dir(m->work, 0700, e);
    FD_AUTO int hold = rc == 0 ? backup_hold(m->work) : -1;
    if (rc == 0)
        rc = take_store(m, store, e);
    if (rc == 0)
        rc = take_folder(m, "keys", e);
    if (rc == 0)
        rc = take_folder(m, "certs", e);
    if (rc == 0)
        rc = take_file(m, "admin.token", e);
    if (rc == 0)
        rc = manifest_write(&m->manifest, m->work, e);
    return rc < 0 ? rc : tree_sync(m->work, e);
}

/* Free in dir: another one of the same moment gets a number. */
static int choose_name(struct making *m, const char *dir, int64_t now_ms, struct err *e)
{
    char path[FILE_PATH_SIZE], stamp[BACKUP_STAMP_SIZE];
    backup_stamp(now_ms, stamp);
    str_copy(m->name, sizeof m->name, stamp);
    for (int i = 2; i < 10; i++) {
        int rc = file_path(path, dir, m->name, e);
        if (rc < 0 || access(path, F_OK) < 0)
            return rc;
        snprintf(m->name, sizeof m->name, "%s-%d", stamp, i);
    }
    return err_set(e, ERR_CONFLICT, "there are backups of this moment already in %s", dir);
}

static int find_previous(struct making *m, const char *dir, struct err *e)
{
    struct backup *all = NULL;
    size_t n = 0;
    int rc = backup_list(dir, &all, &n, e);
    for (size_t i = 0; rc == 0 && i < n && !*m->previous; i++)
        if (all[i].ok)
            rc = file_path(m->previous, dir, all[i].name, e);
    free(all);
    return rc;
}

static int put_in_place(const struct making *m, const char *dir, struct err *e)
{
    char path[FILE_PATH_SIZE];
    int rc = file_path(path, dir, m->name, e);
    if (rc == 0 && rename(m->work, path) < 0)
        rc = err_errno(e, "cannot give the backup its name %s", path);
    return rc < 0 ? rc : file_sync_dir(dir, e);
}

int backup_make(struct store *store, const char *data_dir, const char *dir, int64_t now_ms, atomic_bool *halt,
                struct backup *out, struct err *e)
{
    char unfinished[BACKUP_NAME_SIZE + sizeof BACKUP_MAKING];
    struct making m = {.data_dir = data_dir, .halt = halt, .manifest.made_at_ms = now_ms};
    struct err ignored;
    int rc = file_make_dir(dir, 0700, e);
    if (rc == 0)
        rc = backup_sweep(dir, e);
    if (rc == 0)
        rc = find_previous(&m, dir, e);
    if (rc == 0)
        rc = choose_name(&m, dir, now_ms, e);
    if (rc < 0)
        return rc;
    snprintf(unfinished, sizeof unfinished, BACKUP_MAKING "%s", m.name);
    rc = file_path(m.work, dir, unfinished, e);
    if (rc == 0)
        rc = take_all(&m, store, e);
    if (rc == 0)
        rc = put_in_place(&m, dir, e);
    if (rc == 0)
        backup_of(&m.manifest, m.name, true, out);
    else
        tree_remove(m.work, &ignored);
    manifest_free(&m.manifest);
    return rc;
}
