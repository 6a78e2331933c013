/* otad restore and otad verify: a backup put back, or only looked at. */
#include "main/daemon.h"

#include "backup/backup.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

static int exit_code(const struct err *e)
{
    switch (e->code) {
    case ERR_CONFLICT:
        return EX_TEMPFAIL; /* an otad runs here */
    case ERR_NOT_FOUND:
        return EX_NOINPUT;
    case ERR_DAMAGED:
        return EX_DATAERR;
    default:
        return EX_IOERR;
    }
}

static int fail(const struct err *e)
{
    fprintf(stderr, "otad: %s\n", e->text);
    return exit_code(e);
}

/* Says what of the firmware is damaged, which is no reason to pass it over: an older one has an older store.
 */
static int look(const char *folder, struct backup *out, struct err *e)
{
    int rc = backup_verify(folder, out, e);
    if (rc == 0 && out->damaged)
        fprintf(stderr, "otad: %s\n", e->text);
    return rc;
}

/* The newest that can be put back. Those of the future were made by a clock that was ahead, and may be old,
 * or the clock is behind now: they come last. */
static int find_in(const char *dir, char folder[FILE_PATH_SIZE], struct backup *out, struct err *e)
{
    struct backup *all = NULL;
    size_t n = 0;
    struct err bad;
    int64_t now_ms = clock_wall_ms();
    int rc = backup_list(dir, &all, &n, e), found = -1;
    for (size_t k = 0; rc == 0 && found < 0 && k < 2 * n; k++) {
        size_t i = k < n ? k : k - n;
        if ((all[i].at_ms > now_ms) != (k >= n))
            continue;
        rc = file_path(folder, dir, all[i].name, e);
        if (rc == 0 && look(folder, out, &bad) == 0)
            found = 0;
        else if (rc == 0)
            fprintf(stderr, "otad: %s is passed over: %s\n", all[i].name, bad.text);
    }
    free(all);
    if (rc == 0 && found < 0)
        rc = err_set(e, ERR_NOT_FOUND,
                     "there is no good backup in %s (backup_dir); name one: otad restore FOLDER", dir);
    return rc;
}

/* What was named, or the newest that is good. */
static int find(const struct otad *o, const char *named, char folder[FILE_PATH_SIZE], struct backup *out,
                struct err *e)
{
    char dir[FILE_PATH_SIZE];
    if (!named) {
        int rc = setup_backup_dir(o, dir, e);
        return rc < 0 ? rc : find_in(dir, folder, out, e);
    }
    size_t n = strlen(named);
    while (n > 1 && named[n - 1] == '/')
        n--;
    snprintf(folder, FILE_PATH_SIZE, "%.*s", (int)n, named);
    return look(folder, out, e);
}

static void say_found(const char *folder, const struct backup *b)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format(b->at_ms, at);
    printf("%s is good: made %s, %lld files, %lld bytes\n", folder, at, (long long)b->files,
           (long long)b->bytes);
    if (b->damaged)
        printf("but for %lld firmware files, which are damaged in it\n", (long long)b->damaged);
    if (b->missing)
        printf("%lld firmware files were not whole when it was made, and are not in it\n",
               (long long)b->missing);
}

static void say_done(const struct otad *o, const struct restored *done)
{
    const char *dir = o->settings.data_dir;
    printf("put back into %s: the store, %lld firmware files, %lld keys, certificates and tokens; all others "
           "were there "
           "already\n",
           dir, (long long)done->blobs, (long long)done->files);
    if (done->damaged)
        printf("%lld firmware files are damaged, and must be uploaded again\n", (long long)done->damaged);
    if (*done->aside)
        printf("what was there before is kept as %s/otad.db%s and so on; remove it when all is well\n", dir,
               done->aside);
}

int command_verify(const struct settings *settings, const char *named)
{
    static struct otad o;
    char folder[FILE_PATH_SIZE];
    struct backup b;
    struct err e;
    o.settings = *settings;
    if (find(&o, named, folder, &b, &e) < 0)
        return fail(&e);
    say_found(folder, &b);
    return b.damaged ? EX_DATAERR : 0;
}

/* Made here by root, it would keep out an otad that is somebody else. */
static void give_lock(const struct otad *o)
{
    struct stat st;
    if (geteuid() == 0 && stat(o->settings.data_dir, &st) == 0 &&
        fchown(o->lock_fd, st.st_uid, st.st_gid) < 0)
        fprintf(stderr, "otad: cannot give otad.lock to the owner of %s\n", o->settings.data_dir);
}

/* The lock comes first: a running otad would go on with files that are gone. */
int command_restore(const struct settings *settings, const char *named)
{
    static struct otad o;
    char folder[FILE_PATH_SIZE];
    struct restored done;
    struct backup b;
    struct err e;
    o.settings = *settings;
    o.lock_fd = -1;
    umask(077);
    int rc = setup_data_dir(&o, &e);
    if (rc == 0)
        give_lock(&o);
    if (rc == 0)
        rc = find(&o, named, folder, &b, &e);
    if (rc == 0) {
        say_found(folder, &b);
        rc = backup_restore(folder, o.settings.data_dir, clock_wall_ms(), &done, &e);
    }
    if (rc == 0)
        say_done(&o, &done);
    if (o.lock_fd >= 0)
        close(o.lock_fd);
    return rc < 0 ? fail(&e) : 0;
}
