#include "backup_private.h"
#include "base/str.h"
#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- looking at all of it */

static int verify_file(const struct manifest_file *f, const char *folder, struct err *e)
{
    char path[FILE_PATH_SIZE];
    struct file_sum sum = {0};
    int rc = file_path(path, folder, f->path, e);
    if (rc == 0)
        rc = tree_hash(path, NULL, &sum, e);
    if (rc == -ERR_NOT_FOUND)
        return err_set(e, ERR_DAMAGED, "%s of the backup is not there", path);
    if (rc < 0)
        return rc;
    if (sum.size != f->size || strcmp(sum.sha256, f->sha256) != 0)
        return err_set(e, ERR_DAMAGED, "%s is not what the backup's manifest says", path);
    return 0;
}

static int verify_store(const char *folder, struct err *e)
{
    char path[FILE_PATH_SIZE];
    struct db *db;
    int rc = file_path(path, folder, "otad.db", e);
    if (rc == 0)
        rc = copy_open(path, NULL, &db, e);
    if (rc == 0)
        copy_close(db);
    return rc;
}

static bool is_blob(const struct manifest_file *f)
{
    return strncmp(f->path, "blobs/", 6) == 0;
}

int backup_verify(const char *folder, struct backup *out, struct err *e)
{
    MANIFEST_AUTO struct manifest m = {0};
    const char *slash = strrchr(folder, '/');
    bool store = false;
    int64_t damaged = 0;
    int rc = manifest_read(folder, &m, e);
    for (size_t i = 0; rc == 0 && i < m.n; i++) {
        store = store || strcmp(m.files[i].path, "otad.db") == 0;
        rc = verify_file(&m.files[i], folder, e);
        if (rc < 0 && is_blob(&m.files[i])) {
            damaged++;
            rc = 0;
        }
    }
    if (rc == 0 && !store)
        rc = err_set(e, ERR_DAMAGED, "there is no store in %s", folder);
    if (rc == 0)
        rc = verify_store(folder, e);
    if (rc == 0) {
        backup_of(&m, slash ? slash + 1 : folder, true, out);
        out->damaged = damaged;
    }
    return rc;
}

/* ---- putting back */

struct restoring {
    const char *folder, *data_dir;
    char suffix[sizeof BACKUP_ASIDE + BACKUP_STAMP_SIZE];
    bool
        root; /* then what is made belongs to whom the data directory belongs to, or otad could not read it */
    uid_t uid;
    gid_t gid;
    struct restored done;
};

static int give(const struct restoring *r, const char *path, struct err *e)
{
    if (r->root && lchown(path, r->uid, r->gid) < 0)
        return err_errno(e, "cannot give %s to the owner of the data directory", path);
    return 0;
}

/* The folder that path stands in. */
static int give_folder(const struct restoring *r, const char *path, struct err *e)
{
    char folder[FILE_PATH_SIZE];
    str_copy(folder, sizeof folder, path);
    *strrchr(folder, '/') = '\0';
    return strcmp(folder, r->data_dir) == 0 ? 0 : give(r, folder, e);
}

/* False: it is not there, or has other bytes. */
static int is_same(const char *path, const struct manifest_file *f, bool *same, struct err *e)
{
    struct file_sum sum = {0};
    int rc = tree_has(path, f->size) ? tree_hash(path, NULL, &sum, e) : -ERR_NOT_FOUND;
    *same = rc == 0 && strcmp(sum.sha256, f->sha256) == 0;
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}

/* A blob: a link where that can be, which belongs to whom the backup belongs to, and may be read by all. */
static int bring(const struct restoring *r, const char *from, const char *temp, const struct manifest_file *f,
                 struct err *e)
{
    struct file_sum sum;
    if (is_blob(f) && link(from, temp) == 0)
        return 0;
    int rc = tree_copy(from, temp, (unsigned)f->mode, NULL, &sum, e);
    return rc < 0 ? rc : give(r, temp, e);
}

/* Beside its place first, so that no half of it ever stands there. */
static int put(const struct restoring *r, const char *from, const char *to, const struct manifest_file *f,
               struct err *e)
{
    char temp[FILE_PATH_SIZE];
    int n = snprintf(temp, sizeof temp, "%s.restoring", to);
    if (n >= (int)sizeof temp)
        return err_set(e, ERR_INTERNAL, "the path %.80s... is too long", to);
    int rc = backup_parent(to, e);
    if (rc == 0)
        rc = give_folder(r, to, e);
    if (rc == 0 && unlink(temp) < 0 && errno != ENOENT)
        rc = err_errno(e, "cannot remove %s", temp);
    if (rc == 0)
        rc = bring(r, from, temp, f, e);
    if (rc == 0 && rename(temp, to) < 0)
        rc = err_errno(e, "cannot put %s in its place", to);
    unlink(temp); /* renaming one link of a file to another does nothing */
    return rc;
}

static int put_aside(struct restoring *r, const char *path, struct err *e)
{
    char aside[FILE_PATH_SIZE];
    if (access(path, F_OK) < 0)
        return 0;
    if (snprintf(aside, sizeof aside, "%s%s", path, r->suffix) >= (int)sizeof aside)
        return err_set(e, ERR_INTERNAL, "the path %.80s... is too long", path);
    if (rename(path, aside) < 0)
        return err_errno(e, "cannot put %s aside", path);
    str_copy(r->done.aside, sizeof r->done.aside, r->suffix);
    return 0;
}

/* Blobs with the wrong bytes are of no use to anyone; of all else, what differs is kept. */
static int restore_file(struct restoring *r, const struct manifest_file *f, struct err *e)
{
    char from[FILE_PATH_SIZE], to[FILE_PATH_SIZE];
    bool same = false, blob = is_blob(f);
    struct err ignored;
    int rc = file_path(from, r->folder, f->path, e);
    if (rc == 0)
        rc = file_path(to, r->data_dir, f->path, e);
    if (rc == 0)
        rc = is_same(to, f, &same, e);
    if (rc < 0 && blob)
        rc = 0; /* a disk may refuse to read what is damaged */
    if (rc == 0 && !same && blob && verify_file(f, r->folder, &ignored) < 0) {
        r->done.damaged++;
        return 0;
    }
    if (rc == 0 && !same && !blob)
        rc = put_aside(r, to, e);
    if (rc == 0 && !same)
        rc = put(r, from, to, f, e);
    if (rc == 0 && !same)
        *(blob ? &r->done.blobs : &r->done.files) += 1;
    return rc;
}

/* From here on a start refuses: it would find the store of one time and the keys of another. */
static int ready_store(struct restoring *r, const struct manifest_file *f, struct err *e)
{
    char from[FILE_PATH_SIZE], ready[FILE_PATH_SIZE];
    int rc = file_path(from, r->folder, f->path, e);
    if (rc == 0)
        rc = file_path(ready, r->data_dir, BACKUP_READY, e);
    if (rc == 0)
        rc = put(r, from, ready, f, e);
    return rc < 0 ? rc : file_sync_dir(r->data_dir, e);
}

/* The WAL belongs to the store that goes: under another it would be replayed into it. So the new one gets its
 * name only when both are gone for certain, and until then there is none, which a start refuses. */
static int restore_store(struct restoring *r, struct err *e)
{
    static const char *const old[] = {"otad.db", "otad.db-wal", "otad.db-shm"};
    char ready[FILE_PATH_SIZE], path[FILE_PATH_SIZE];
    int rc = file_path(ready, r->data_dir, BACKUP_READY, e);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(old); i++) {
        rc = file_path(path, r->data_dir, old[i], e);
        if (rc == 0)
            rc = put_aside(r, path, e);
    }
    if (rc == 0)
        rc = file_sync_dir(r->data_dir, e);
    if (rc == 0)
        rc = file_path(path, r->data_dir, "otad.db", e);
    if (rc == 0 && rename(ready, path) < 0)
        rc = err_errno(e, "cannot put %s in its place", path);
    return rc < 0 ? rc : file_sync_dir(r->data_dir, e);
}

static const struct manifest_file *file_of(const struct manifest *m, const char *path)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->files[i].path, path) == 0)
            return &m->files[i];
    return NULL;
}

static bool is_known(const char *path)
{
    static const char *const begins[] = {"blobs/", "keys/", "certs/"};
    bool known = strcmp(path, "admin.token") == 0;
    for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
        known = known || strncmp(path, begins[i], strlen(begins[i])) == 0;
    return known;
}

static int sync_all(const struct restoring *r, struct err *e)
{
    static const char *const folders[] = {"blobs", "keys", "certs"};
    char path[FILE_PATH_SIZE];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(folders); i++) {
        rc = file_path(path, r->data_dir, folders[i], e);
        if (rc < 0 || access(path, F_OK) < 0)
            continue;
        rc = give(r, path, e);
        if (rc == 0)
            rc = tree_sync(path, e);
    }
    return rc < 0 ? rc : file_sync_dir(r->data_dir, e);
}

static int restore_files(struct restoring *r, const struct manifest *m, bool blobs, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        if (is_known(m->files[i].path) && is_blob(&m->files[i]) == blobs)
            rc = restore_file(r, &m->files[i], e);
    return rc;
}

/* Keys that are made later than others, and stand for what the store holds: those of another time would be
 * believed. */
static int put_later_keys_aside(struct restoring *r, const struct manifest *m, struct err *e)
{
    static const char *const later[] = {"keys/token.key", "keys/secret.key.new"};
    char path[FILE_PATH_SIZE];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(later); i++) {
        if (file_of(m, later[i]))
            continue;
        rc = file_path(path, r->data_dir, later[i], e);
        if (rc == 0)
            rc = put_aside(r, path, e);
    }
    return rc;
}

/* The store comes last: until then the old one is the one that is there. */
int backup_restore(const char *folder, const char *data_dir, int64_t now_ms, struct restored *out,
                   struct err *e)
{
    MANIFEST_AUTO struct manifest m = {0};
    struct restoring r = {.folder = folder, .data_dir = data_dir};
    char stamp[BACKUP_STAMP_SIZE];
    struct stat st;
    if (stat(data_dir, &st) < 0)
        return err_errno(e, "cannot look at %s", data_dir);
    r.root = geteuid() == 0;
    r.uid = st.st_uid;
    r.gid = st.st_gid;
    backup_stamp(now_ms, stamp);
    snprintf(r.suffix, sizeof r.suffix, BACKUP_ASIDE "%s", stamp);
    int rc = manifest_read(folder, &m, e);
    const struct manifest_file *store = rc == 0 ? file_of(&m, "otad.db") : NULL;
    if (rc == 0 && !store)
        rc = err_set(e, ERR_DAMAGED, "there is no store in %s", folder);
    if (rc == 0)
        rc = restore_files(&r, &m, true, e);
    if (rc == 0)
        rc = ready_store(&r, store, e);
    if (rc == 0)
        rc = restore_files(&r, &m, false, e);
    if (rc == 0)
        rc = put_later_keys_aside(&r, &m, e);
    if (rc == 0)
        rc = sync_all(&r, e);
    if (rc == 0)
        rc = restore_store(&r, e);
    if (rc == 0)
        *out = r.done;
    return rc;
}
