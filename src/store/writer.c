#include "writer.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "db_private.h"
#include "model/board.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define BATCH_JOBS    256 /* jobs that share a commit at most */
#define BATCH_MS      20 /* and how long they may take together, so that the first does not wait for the last */
#define QUIET_MS      500 /* without a job: time to move the WAL into the file */
#define WAL_MAX_BYTES (64LL << 20)
#define TRUNCATE_MS   1000 /* between attempts, when a reader holds the WAL */

struct writer {
    char wal_path[FILE_PATH_SIZE + 8];
    struct db *w; /* the thread's alone, from its start to its end */
    pthread_t thread;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t work;
    struct job *first, *last;
    size_t queued;
    bool ending;

    /* the thread's alone */
    bool unmoved;            /* the WAL holds what the file does not */
    bool well;               /* the last commit worked */
    bool stuck;              /* the last checkpoint did not */
    int64_t truncated_at_ms; /* monotonic */
};

/* ---- the queue */

void writer_submit(struct writer *s, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->last)
        s->last->next = job;
    else
        s->first = job;
    s->last = job;
    s->queued++;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

size_t writer_queued(struct writer *s)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = s->queued;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static struct job *take(struct writer *s)
{
    struct job *job;

    pthread_mutex_lock(&s->lock);
    job = s->first;
    if (job) {
        s->first = job->next;
        if (!s->first)
            s->last = NULL;
        s->queued--;
        job->next = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return job;
}

enum waited { WAITED_WORK, WAITED_QUIET, WAITED_END };

/* Until there is a job, or the store ends with none left, or, while the WAL holds something or the last
 * commit did not work, all is quiet. */
static enum waited wait_for_work(struct writer *s)
{
    enum waited found = WAITED_WORK;
    struct timespec until = clock_mono_until(clock_mono_ms() + QUIET_MS);

    pthread_mutex_lock(&s->lock);
    while (!s->first && found == WAITED_WORK) {
        if (s->ending)
            found = WAITED_END;
        else if (!s->unmoved && s->well)
            pthread_cond_wait(&s->work, &s->lock);
        else if (pthread_cond_timedwait(&s->work, &s->lock, &until) == ETIMEDOUT && !s->first)
            found = WAITED_QUIET;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* ---- one transaction */

struct batch {
    struct job *first, **end;
    size_t n;
};

/* Every job that believed in its success learns that it is not to be. */
static void batch_fail(struct batch *b, int rc, const struct err *e)
{
    for (struct job *job = b->first; job; job = job->next)
        if (job->rc == 0) {
            job->rc = rc;
            job->err = *e;
        }
}

/* Runs a job in its savepoint. 0, also when the job failed and was undone; negative when the whole
 * transaction is lost. An error that makes SQLite roll back by itself (disk full, I/O) takes the jobs before
 * it along. */
static int run_job(struct db *w, struct job *job, struct err *e)
{
    int rc = db_run(w, Q_JOB_BEGIN, e);

    if (rc < 0)
        return rc;
    job->rc = job->run(w, job->arg, &job->err);
    db_end_all(w);
    if (!db_in_transaction(w)) {
        if (job->rc == 0)
            job->rc = err_set(&job->err, ERR_INTERNAL, "store: the transaction was lost");
        *e = job->err;
        return job->rc;
    }
    if (job->rc < 0)
        rc = db_run(w, Q_JOB_UNDO, e);
    return rc < 0 ? rc : db_run(w, Q_JOB_KEEP, e);
}

/* Jobs that arrive meanwhile still join. */
static int run_jobs(struct writer *s, struct batch *b, struct err *e)
{
    int64_t began_ms = clock_mono_ms();
    struct job *job;
    int rc = 0;

    while (rc == 0 && b->n < BATCH_JOBS && (!b->n || clock_mono_ms() - began_ms < BATCH_MS) &&
           (job = take(s))) {
        job->rc = 0;
        *b->end = job;
        b->end = &job->next;
        b->n++;
        rc = run_job(s->w, job, e);
    }
    return rc;
}

/* Once when it begins and once when it ends: what fails tends to fail with every batch. A commit that wrote
 * nothing works on a full disk too. */
static void tell_board(struct writer *s, int rc, bool wrote, const struct err *e)
{
    if (rc == 0 && !wrote)
        return;
    if (rc < 0) {
        if (s->well)
            log_error("%s", e->text);
        board_set(BOARD_STORE, false, "%s", e->text);
    } else if (!s->well) {
        log_info("the store takes changes again");
        board_set(BOARD_STORE, true, "ok");
    }
    s->well = rc == 0;
}

static void run_batch(struct writer *s)
{
    struct batch b = {.end = &b.first};
    struct err e, ignored;
    int64_t before = db_changes(s->w);
    int rc = db_run(s->w, Q_TX_BEGIN, &e);

    if (rc == 0)
        rc = run_jobs(s, &b, &e);
    else if ((*b.end = take(s)))
        b.first->rc = 0; /* one job at a time learns that there is no transaction; the queue keeps its pace */
    if (rc == 0)
        rc = db_run(s->w, Q_TX_COMMIT, &e);
    if (rc < 0) {
        if (db_in_transaction(s->w))
            db_run(s->w, Q_TX_ROLLBACK, &ignored);
        batch_fail(&b, rc, &e);
    }
    tell_board(s, rc, db_changes(s->w) != before, &e);
    s->unmoved = true;
    while (b.first) {
        struct job *job = b.first;

        b.first = job->next;
        if (job->rc == -ERR_NO_SPACE)
            board_count(BOARD_NO_SPACE, 1);
        job->done(job);
    }
}

/* ---- the WAL: moved into the file in quiet moments, and cut when readers have let it grow */

static int64_t wal_bytes(const struct writer *s)
{
    struct stat st;

    return stat(s->wal_path, &st) == 0 ? (int64_t)st.st_size : 0;
}

static void checkpoint(struct writer *s, bool truncate)
{
    struct err e;
    bool all = false;

    int rc = db_checkpoint(s->w, truncate, &all, &e);

    if (rc == -ERR_NO_SPACE)
        board_count(BOARD_NO_SPACE, 1);
    if (rc < 0 && !s->stuck) /* once: it is tried again and again */
        log_warn("%s", e.text);
    s->stuck = rc < 0;
    s->unmoved = !all;
}

static void keep_wal_short(struct writer *s)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - s->truncated_at_ms < TRUNCATE_MS || wal_bytes(s) <= WAL_MAX_BYTES)
        return;
    s->truncated_at_ms = now_ms;
    checkpoint(s, true);
}

/* Nobody may have anything to change for a while, and until then nobody would know that the store is well
 * again: something is written that changes nothing. Not before the WAL could be moved, or what fits by chance
 * would be taken for room. */
static void probe(struct writer *s)
{
    struct err e;
    int64_t version;

    if (s->well || s->unmoved)
        return;
    if (db_number(s->w, Q_STORE_VERSION, &version, &e) == 0 && db_version_set(s->w, (int)version, &e) == 0) {
        tell_board(s, 0, true, &e);
        s->unmoved = true;
    }
}

static void *writer_main(void *arg)
{
    struct writer *s = arg;

    for (;;) {
        switch (wait_for_work(s)) {
        case WAITED_WORK:
            run_batch(s);
            keep_wal_short(s);
            break;
        case WAITED_QUIET:
            checkpoint(s, false);
            probe(s);
            break;
        case WAITED_END:
            checkpoint(s, true);
            return NULL;
        }
    }
}

/* ---- starting and ending */

int writer_start(const char *path, struct db *w, struct writer **out, struct err *e)
{
    struct writer *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(e, ERR_INTERNAL, "out of memory");
    s->w = w;
    s->well = true;
    snprintf(s->wal_path, sizeof s->wal_path, "%s-wal", path);
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->work);
    if (pthread_create(&s->thread, NULL, writer_main, s) != 0) {
        pthread_cond_destroy(&s->work);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return err_set(e, ERR_INTERNAL, "cannot start the store's writer");
    }
    *out = s;
    return 0;
}

void writer_stop(struct writer *s)
{
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

bool writer_is_me(const struct writer *s)
{
    return pthread_equal(pthread_self(), s->thread);
}
