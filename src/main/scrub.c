#include "main/scrub.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/board.h"
#include "rollout/damage.h"
#include "store/firmware.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SUSPECTS_MAX 32 /* that wait; more are looked at when they are asked for again */

struct scrub {
    const struct settings *settings;
    struct store *store;
    struct blobs *blobs;
    pthread_t thread;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    char suspects[SUSPECTS_MAX][SHA256_TEXT_SIZE];
    size_t suspect_count;
    bool ending;

    /* the thread's alone: a round begins anywhere, so that rounds that are cut off reach all files as well */
    char first[SHA256_TEXT_SIZE], at[SHA256_TEXT_SIZE];
    bool turned; /* it has begun again at the lowest digest */
    bool in_round;
    int64_t began_ms; /* monotonic */
    uint64_t checked;
};

/* ---- waiting */

/* Until then, a suspect, or the end. */
static void wait_until(struct scrub *s, int64_t until_ms)
{
    struct timespec until = clock_mono_until(until_ms);
    while (!s->ending && !s->suspect_count && clock_mono_ms() < until_ms)
        pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* One file after the other costs the disk no more than it may. A suspect goes first: then the file is read
 * again from its beginning. */
struct going {
    struct scrub *scrub;
    int64_t began_ms;
    uint64_t done;
    bool suspect;
};

static bool go(void *arg, size_t n)
{
    struct going *g = arg;
    struct scrub *s = g->scrub;
    int64_t rate = s->settings->scrub_bytes_per_second;
    g->done += n;
    pthread_mutex_lock(&s->lock);
    if (g->suspect) { /* somebody waits for it */
        bool on = !s->ending;
        pthread_mutex_unlock(&s->lock);
        return on;
    }
    wait_until(s, g->began_ms + (int64_t)(g->done * 1000 / (uint64_t)(rate ? rate : 1)));
    bool on = !s->ending && !s->suspect_count;
    pthread_mutex_unlock(&s->lock);
    return on;
}

/* ---- one file */

struct finding {
    struct scrub *scrub;
    const char *sha256;
    uint64_t size;
    const char *text;
    bool stuck; /* it could not be moved away: it is listed where it is */
    size_t paused;
};

/* An upload of the same bytes may have come between. */
static int record(struct db *w, void *arg, struct err *e)
{
    struct finding *f = arg;
    struct err ignored;
    FD_AUTO int fd = -1;
    if (!f->stuck && blob_open(f->scrub->blobs, f->sha256, f->size, &fd, &ignored) == 0)
        return 0;
    return damage_record(w, f->sha256, f->text, clock_wall_ms(), &f->paused, e);
}

/* What is listed, or named by nobody, is nothing new. */
static int is_new(struct scrub *s, const char *sha256, bool *new, struct err *e)
{
    struct db *db;
    struct err listed;
    bool known = false;
    int rc = store_reader(s->store, &db, e);
    if (rc == 0)
        rc = firmware_known(db, sha256, &known, e);
    if (rc == 0)
        *new = known &&damage_check_file(db, sha256, &listed) == 0;
    return rc;
}

/* Nobody gets it from here on. */
static void put_aside(struct scrub *s, const char *sha256, uint64_t size, const struct blob_finding *found)
{
    struct finding f = {.scrub = s, .sha256 = sha256, .size = size, .text = found->text};
    struct err e;
    bool new = false;
    int rc = is_new(s, sha256, &new, &e);
    if (rc < 0 || !new)
        return;
    rc = blob_quarantine(s->blobs, sha256, size, found, &e);
    if (rc == -ERR_CONFLICT)
        return;
    f.stuck = rc < 0;
    if (rc < 0)
        log_error("%s", e.text);
    if (store_write(s->store, record, &f, &e) < 0)
        log_error("a damaged file cannot be listed, which is tried again: %s", e.text);
    else if (f.paused)
        log_error("%zu campaigns are paused, since their file %.64s is damaged", f.paused, sha256);
}

/* False: the file is to be read again. */
static bool check(struct scrub *s, const char *sha256, uint64_t size, bool suspect)
{
    struct going g = {.scrub = s, .began_ms = clock_mono_ms(), .suspect = suspect};
    struct blob_pace pace = {go, &g};
    struct blob_finding found;
    struct err e;
    int rc = blob_check(s->blobs, sha256, size, &pace, &found, &e);
    if (rc == -ERR_BUSY)
        return false;
    if (rc < 0)
        log_error("a file cannot be checked: %s", e.text);
    else if (found.damaged)
        put_aside(s, sha256, size, &found);
    board_count(BOARD_FILES_CHECKED, 1);
    return true;
}

static void check_suspect(struct scrub *s, const char *sha256)
{
    struct firmware f;
    struct db *db;
    struct err e;
    if (store_reader(s->store, &db, &e) == 0 && firmware_get_sha256(db, sha256, &f, &e) == 0)
        check(s, sha256, f.size, true);
}

/* ---- rounds */

static void begin_round(struct scrub *s)
{
    unsigned char random[SHA256_BYTES];
    random_bytes(random, sizeof random);
    hex_format(random, sizeof random, s->first);
    str_copy(s->at, sizeof s->at, s->first);
    s->turned = false;
    s->in_round = true;
    s->checked = 0;
    s->began_ms = clock_mono_ms();
}

/* 1 a file, 0 the round is over. */
static int next_file(struct scrub *s, char sha256[SHA256_TEXT_SIZE], uint64_t *size, struct err *e)
{
    struct db *db;
    int rc = store_reader(s->store, &db, e);
    if (rc == 0)
        rc = damage_next_file(db, s->at, sha256, size, e);
    if (rc == 0 && !s->turned) {
        s->turned = true;
        rc = damage_next_file(db, "", sha256, size, e);
    }
    return rc > 0 && s->turned && strcmp(sha256, s->first) > 0 ? 0 : rc;
}

static void step_round(struct scrub *s)
{
    char sha256[SHA256_TEXT_SIZE];
    uint64_t size = 0;
    struct err e;
    int rc = next_file(s, sha256, &size, &e);
    if (rc > 0) {
        if (check(s, sha256, size, false)) {
            str_copy(s->at, sizeof s->at, sha256);
            s->checked++;
        }
        return;
    }
    if (rc < 0)
        log_error("the files cannot be checked: %s", e.text);
    else if (s->checked)
        log_info("%llu firmware files were read again", (unsigned long long)s->checked);
    s->in_round = false;
}

/* ---- the thread */

static bool take_suspect(struct scrub *s, char sha256[SHA256_TEXT_SIZE])
{
    if (!s->suspect_count)
        return false;
    memcpy(sha256, s->suspects[--s->suspect_count], SHA256_TEXT_SIZE);
    return true;
}

/* A round that took longer than it may take is followed by the next one. */
static int64_t due_ms(const struct scrub *s)
{
    if (!s->settings->scrub_bytes_per_second)
        return clock_mono_ms() + s->settings->scrub_every_ms;
    return s->in_round || !s->began_ms ? 0 : s->began_ms + s->settings->scrub_every_ms;
}

static void *scrub_main(void *arg)
{
    struct scrub *s = arg;
    char sha256[SHA256_TEXT_SIZE];
    for (;;) {
        pthread_mutex_lock(&s->lock);
        wait_until(s, due_ms(s));
        bool ending = s->ending, suspect = take_suspect(s, sha256);
        pthread_mutex_unlock(&s->lock);
        if (ending)
            return NULL;
        if (suspect) {
            check_suspect(s, sha256);
            continue;
        }
        if (!s->in_round)
            begin_round(s);
        step_round(s);
    }
}

void scrub_suspect(void *scrub, const char *sha256)
{
    struct scrub *s = scrub;
    pthread_mutex_lock(&s->lock);
    size_t i = 0;
    while (i < s->suspect_count && strcmp(s->suspects[i], sha256) != 0)
        i++;
    if (i == s->suspect_count && i < SUSPECTS_MAX) {
        str_copy(s->suspects[s->suspect_count++], SHA256_TEXT_SIZE, sha256);
        pthread_cond_signal(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
}

static int tell(struct store *store, struct err *e)
{
    struct db *db;
    int rc = store_reader(store, &db, e);
    return rc < 0 ? rc : damage_tell(db, e);
}

int scrub_start(const struct settings *settings, struct store *store, struct blobs *blobs, struct scrub **out,
                struct err *e)
{
    int rc = tell(store, e);
    if (rc < 0)
        return rc;
    struct scrub *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_INTERNAL, "no memory to check the files");
    s->settings = settings;
    s->store = store;
    s->blobs = blobs;
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->changed);
    if (pthread_create(&s->thread, NULL, scrub_main, s) != 0) {
        free(s);
        return err_set(e, ERR_INTERNAL, "cannot start the thread that checks the files");
    }
    *out = s;
    return 0;
}

void scrub_stop(struct scrub *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
