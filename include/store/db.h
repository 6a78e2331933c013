/* db.h: the file, the one writer, the readers, and statements by name. The door to SQLite; the only includer
 * of its header outside the broker plugin.
 *
 * Every statement stands in sql/<entity>.sql under "-- name: device_get" and is known in C as Q_DEVICE_GET:
 * C holds no SQL. Migrations stand in sql/NNN_*.sql and run in order of their numbers; PRAGMA user_version is
 * the last one that ran.
 *
 * Threads: a struct db belongs to one thread. The writer's is the only connection that writes or checkpoints
 * (SQLite before 3.51.3 can corrupt a WAL that two connections reset at once); the others are read-only. */
#ifndef OTAD_STORE_DB_H
#define OTAD_STORE_DB_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql_table.h" /* generated: enum query */

struct store; /* the file and its writer thread */
struct db;    /* one connection */
struct stmt;  /* a prepared statement of a connection, ready to bind */

/* Opens or creates the store at path, migrates it, checks it, starts the writer. An flock on the data
 * directory keeps a second instance away; that is main's business. ERR_DAMAGED: it was left as it is, its WAL
 * too. */
int store_open(const char *path, struct store **out, struct err *e);
/* The same for one that was closed in order, so that checking the whole of it may wait: store_check. */
int store_open_unchecked(const char *path, struct store **out, struct err *e);
/* Looks at every table while others read and write; ends with ERR_BUSY soon after *halt is true. Any thread
 * that may wait. */
int store_check(struct store *s, atomic_bool *halt, struct err *e);
/* A copy of the store as it is at this moment in the file `to`, which is made, or replaced; others go on
 * writing. Any thread that may wait; ends like store_check. */
int store_copy(struct store *s, const char *to, atomic_bool *halt, struct err *e);
/* Runs what is queued, checkpoints, closes. Nobody may use the store or a db of it any more. */
void store_close(struct store *s);

/* ---- writing: a job is a function run by the writer, inside a transaction it shares with the jobs queued
 * beside it, in a savepoint of its own: what fails is undone alone. done is called on the writer's thread
 * after the commit, so that nothing is acknowledged before it is on disk; rc is what run returned, or the
 * commit's failure. done must be quick, and must not write; it may free the job. */
struct job {
    int (*run)(struct db *w, void *arg, struct err *e);
    void (*done)(struct job *job);
    void *arg;
    int rc;
    struct err err;
    struct job *next; /* the writer's */
};
void store_submit(struct store *s, struct job *job);

/* The same, waiting for the commit; for threads that may wait (main, mqtt; never libmicrohttpd's). */
int store_write(struct store *s, int (*run)(struct db *w, void *arg, struct err *e), void *arg,
                struct err *e);

/* Jobs queued now, for the status page. */
size_t store_queue_length(struct store *s);

/* ---- reading: the calling thread's read-only connection, opened at its first use and closed with the store.
 */
int store_reader(struct store *s, struct db **out, struct err *e);

/* On a reader: what is asked between them sees one state of the store, and takes its locks once. Nothing else
 * may be done meanwhile, and end must follow; it passes rc on, or says that it failed itself. */
int db_read_begin(struct db *reader, struct err *e);
int db_read_end(struct db *reader, int rc, struct err *e);

/* ---- statements. db_stmt gives the statement reset and unbound; a failure to prepare or to bind shows at
 * the first step. A statement is used up by stmt_end (or by stmt_run, which calls it) before the same one is
 * asked for again: the same query within its own loop is a programming mistake and stops the program.
 * Parameters that were not bound are null; their names are given as they stand in the SQL: ":id". Of SQLite's
 * errors, a constraint is ERR_CONFLICT, a full disk ERR_NO_SPACE, a lock ERR_BUSY, all else ERR_INTERNAL. */
struct stmt *db_stmt(struct db *db, enum query q);
void bind_int(struct stmt *s, const char *name, int64_t value);
void bind_text(struct stmt *s, const char *name, const char *text);              /* NULL binds null */
void bind_blob(struct stmt *s, const char *name, const void *bytes, size_t len); /* NULL binds null */
int stmt_step(struct stmt *s, struct err *e); /* 1 a row, 0 no more, <0 failed */
void stmt_end(struct stmt *s);
int stmt_run(struct stmt *s, int64_t *changed, struct err *e); /* steps to the end; changed may be NULL */
int64_t db_last_id(struct db *db);

int64_t col_int(struct stmt *s, int column);                         /* 0 for null */
void col_text(struct stmt *s, int column, char *out, size_t size);   /* "" for null; cut when too long */
const char *col_ptr(struct stmt *s, int column);                     /* until the next step; NULL for null */
size_t col_blob(struct stmt *s, int column, void *out, size_t size); /* its length, at most size copied */

#define STMT_AUTO __attribute__((cleanup(stmt_cleanup)))
static inline void stmt_cleanup(struct stmt **s)
{
    if (*s)
        stmt_end(*s);
}

#endif
