#include "main/disk.h"

#include "base/clock.h"
#include "base/log.h"
#include "model/board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CALM_MS 10000 /* so long no write was refused, before the room is spent again */

static int free_bytes(const struct disk *d, int64_t *out, struct err *e)
{
    struct statvfs fs;
    if (statvfs(d->dir, &fs) < 0)
        return err_errno(e, "cannot look at the data directory %s", d->dir);
    *out = (int64_t)(fs.f_bavail * fs.f_frsize);
    return 0;
}

static long long mib(int64_t bytes)
{
    return (long long)(bytes >> 20);
}

/* ---- the ballast */

static bool is_there(const struct disk *d)
{
    struct stat st;
    return lstat(d->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == d->ballast_bytes;
}

/* Real blocks, not a hole. */
static int make(const struct disk *d, struct err *e)
{
    unlink(d->path);
    FD_AUTO int fd = open(d->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)d->ballast_bytes);
    if (rc == 0)
        return 0;
    if (fd >= 0)
        unlink(d->path);
    errno = rc;
    return err_errno(e, "cannot make the ballast %s", d->path);
}

static void take_on(struct disk *d)
{
    struct err e;
    if (make(d, &e) == 0) {
        log_info("the ballast of %lld MiB is in its place, to be given up when the disk is full",
                 mib(d->ballast_bytes));
        d->whole = true;
        d->told = false;
        d->refused_at_ms = 0;
    } else if (!d->told) {
        log_warn("%s", e.text);
        d->told = true;
    }
}

static void give_up(struct disk *d)
{
    if (unlink(d->path) != 0 && errno != ENOENT) {
        log_error("cannot give up the ballast %s: %s", d->path, strerror(errno));
        return;
    }
    log_error("the disk is full: the ballast of %lld MiB is given up; delete firmware, or make room in %s",
              mib(d->ballast_bytes), d->dir);
    d->whole = false;
}

/* How much there must be for giving it up and making it not to follow each other: the one needs a quarter of
 * it, the other twice as much above the floor. */
static void keep_ballast(struct disk *d, int64_t room, int64_t now_ms)
{
    bool calm = d->refused_at_ms == 0 || now_ms - d->refused_at_ms >= CALM_MS;
    if (d->whole && (room < d->ballast_bytes / 4 || d->refused_at_ms > 0))
        give_up(d);
    else if (!d->whole && d->ballast_bytes > 0 && calm && room >= d->floor_bytes + 2 * d->ballast_bytes)
        take_on(d);
}

/* ---- what is said of it */

static void tell_board(const struct disk *d, int64_t room, int64_t now_ms)
{
    bool refused = d->refused_at_ms > 0 && now_ms - d->refused_at_ms < CALM_MS;
    if (refused || room < d->ballast_bytes / 4)
        board_set(BOARD_DISK, false, "the disk is full, %lld MiB are free in the data directory: make room",
                  mib(room));
    else if (room < d->floor_bytes)
        board_set(BOARD_DISK, false,
                  "%lld MiB are free in the data directory, below min_free_bytes, %lld MiB: uploads are "
                  "refused",
                  mib(room), mib(d->floor_bytes));
    else
        board_set(BOARD_DISK, true, "%s",
                  d->whole || d->ballast_bytes == 0 ? "ok" : "ok, but there is no room for the ballast");
}

void disk_tick(struct disk *d)
{
    int64_t refused = board_value(BOARD_NO_SPACE), now_ms = clock_mono_ms(), room = 0;
    struct err e;
    if (refused != d->refused)
        d->refused_at_ms = now_ms;
    d->refused = refused;
    if (free_bytes(d, &room, &e) < 0) {
        board_set(BOARD_DISK, false, "%.150s", e.text);
        return;
    }
    keep_ballast(d, room, now_ms);
    tell_board(d, room, now_ms);
}

int disk_start(struct disk *d, const struct settings *s, struct err *e)
{
    *d = (struct disk){
        .dir = s->data_dir, .ballast_bytes = s->ballast_bytes, .floor_bytes = s->min_free_bytes};
    int rc = file_path(d->path, s->data_dir, "ballast", e);
    if (rc < 0)
        return rc;
    d->whole = d->ballast_bytes > 0 && is_there(d);
    if (!d->whole)
        unlink(d->path); /* of another size, or of a start that was cut off */
    disk_tick(d);
    return 0;
}
