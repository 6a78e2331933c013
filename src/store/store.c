#include "store/db.h"

#include "base/file.h"
#include "base/str.h"
#include "db_private.h"
#include "model/board.h"
#include "writer.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define MIGRATION_MAX 64

/* A thread's reader. It ends with its thread, or with the store. */
struct reader {
    struct store *store;
    struct db *db;
    struct reader *next;
};

struct store {
    char path[FILE_PATH_SIZE];
    struct db *w; /* the writer's */
    struct writer *writer;
    pthread_key_t reader_key;
    pthread_mutex_t lock; /* what follows */
    struct reader *readers;
};

void store_submit(struct store *s, struct job *job)
{
    writer_submit(s->writer, job);
}

size_t store_queue_length(struct store *s)
{
    return writer_queued(s->writer);
}

/* ---- waiting for a job */

struct waiter {
    struct job job;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
};

static void waiter_done(struct job *job)
{
    struct waiter *waiter = (struct waiter *)job; /* its first member */

    pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    pthread_cond_signal(&waiter->over);
    pthread_mutex_unlock(&waiter->lock);
}

int store_write(struct store *s, int (*run)(struct db *w, void *arg, struct err *e), void *arg, struct err *e)
{
    struct waiter waiter = {.job = {.run = run, .done = waiter_done, .arg = arg},
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .over = PTHREAD_COND_INITIALIZER};

    assert(!writer_is_me(s->writer)); /* it would wait for itself */
    store_submit(s, &waiter.job);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.done)
        pthread_cond_wait(&waiter.over, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.over);
    pthread_mutex_destroy(&waiter.lock);
    if (waiter.job.rc < 0)
        *e = waiter.job.err;
    return waiter.job.rc;
}

/* ---- readers */

static void reader_thread_ended(void *arg)
{
    struct reader *r = arg, **link;

    pthread_mutex_lock(&r->store->lock);
    for (link = &r->store->readers; *link != r; link = &(*link)->next)
        continue;
    *link = r->next;
    pthread_mutex_unlock(&r->store->lock);
    db_close(r->db);
    free(r);
}

int store_reader(struct store *s, struct db **out, struct err *e)
{
    struct reader *r = pthread_getspecific(s->reader_key);
    int rc;

    if (r) {
        *out = r->db;
        return 0;
    }
    r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_INTERNAL, "out of memory");
    rc = db_open(s->path, DB_READER, &r->db, e);
    if (rc < 0) {
        free(r);
        return rc;
    }
    db_is_live(r->db);
    r->store = s;
    pthread_mutex_lock(&s->lock);
    r->next = s->readers;
    s->readers = r;
    pthread_mutex_unlock(&s->lock);
    pthread_setspecific(s->reader_key, r);
    *out = r->db;
    return 0;
}

/* ---- what takes long, on a connection of its own */

int store_check(struct store *s, atomic_bool *halt, struct err *e)
{
    struct db *db;
    int rc = db_open(s->path, DB_READER, &db, e);

    if (rc < 0)
        return rc;
    db_end_by(db, halt);
    rc = check_tables(db, s->path, e);
    db_close(db);
    return rc;
}

int store_copy(struct store *s, const char *to, atomic_bool *halt, struct err *e)
{
    struct db *db;
    int rc = db_open(s->path, DB_COPIER, &db, e);

    if (rc < 0)
        return rc;
    db_end_by(db, halt);
    rc = copy_file(db, to, e);
    db_close(db);
    return rc;
}

/* ---- opening and closing */

static int open_file(struct store *s, const char *path, bool check, struct err *e)
{
    struct migration list[MIGRATION_MAX];
    size_t n = db_migrations();
    int fd, rc;

    assert(n <= MIGRATION_MAX);
    for (size_t i = 0; i < n; i++)
        list[i] = db_migration(i);
    if (!str_copy(s->path, sizeof s->path, path))
        return err_set(e, ERR_INTERNAL, "path of the store is too long");
    /* SQLite would make it readable for all; its WAL takes over the mode. */
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, "cannot open the store %s", path);
    close(fd);
    rc = db_open(path, DB_WRITER, &s->w, e);
    if (rc == 0) {
        db_is_live(s->w);
        rc = migrate(s->w, path, list, n, e);
    }
    if (rc == 0 && check)
        rc = check_file(s->w, path, e);
    if (rc < 0 && s->w)
        db_keep_wal(s->w);
    return rc;
}

static int open_store(const char *path, bool check, struct store **out, struct err *e)
{
    struct store *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return err_set(e, ERR_INTERNAL, "out of memory");
    rc = open_file(s, path, check, e);
    if (rc == 0 && pthread_key_create(&s->reader_key, reader_thread_ended) != 0)
        rc = err_set(e, ERR_INTERNAL, "no thread key for the store's readers");
    else if (rc == 0 && (rc = writer_start(path, s->w, &s->writer, e)) < 0)
        pthread_key_delete(s->reader_key);
    if (rc < 0) {
        db_close(s->w);
        free(s);
        return rc;
    }
    pthread_mutex_init(&s->lock, NULL);
    board_set(BOARD_STORE, true, "ok");
    board_set(BOARD_CHECK, true, check ? "ok" : "not yet looked at");
    *out = s;
    return 0;
}

int store_open(const char *path, struct store **out, struct err *e)
{
    return open_store(path, true, out, e);
}

int store_open_unchecked(const char *path, struct store **out, struct err *e)
{
    return open_store(path, false, out, e);
}

void store_close(struct store *s)
{
    writer_stop(s->writer);
    pthread_key_delete(s->reader_key);
    while (s->readers) {
        struct reader *r = s->readers;

        s->readers = r->next;
        db_close(r->db);
        free(r);
    }
    db_close(s->w);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
