/* db_private.h: what store.c, writer.c, migrate.c and db.c know of each other. SQLite itself stays behind
 * db.c.
 *
 *   db.c       one connection and its statements
 *   migrate.c  whether a file is a store of ours, and of this schema
 *   check.c    whether it is whole
 *   copy.c     copies of it
 *   writer.c   the thread that runs jobs, commits for them and checkpoints
 *   store.c    all of it together, and each thread's reader */
#ifndef OTAD_STORE_DB_PRIVATE_H
#define OTAD_STORE_DB_PRIVATE_H

#include "store/db.h"

#define STORE_APPLICATION_ID 0x4F544144 /* 'OTAD', as sql/db.sql claims it */

/* A copier is a reader that VACUUM INTO works on: its own file it cannot write to either. */
enum db_mode { DB_WRITER, DB_READER, DB_COPIER };

int db_open(const char *path, enum db_mode mode, struct db **out, struct err *e);
/* Runs and closes nothing else: statements still in use are ended first. NULL is fine. */
void db_close(struct db *db);

/* Damage that it meets is for the board. */
void db_is_live(struct db *db);
/* Closing it leaves the WAL as it is: of a file that is damaged nothing is to change. */
void db_keep_wal(struct db *db);
/* Its statements end with ERR_BUSY soon after *halt is true; NULL: never again. */
void db_end_by(struct db *db, atomic_bool *halt);

/* One named statement without parameters, to its end. */
int db_run(struct db *db, enum query q, struct err *e);
/* The first column of its first row, as a number; 0 without a row. */
int db_number(struct db *db, enum query q, int64_t *out, struct err *e);
/* Any number of statements, for migrations. */
int db_script(struct db *db, const char *sql, struct err *e);
/* PRAGMA user_version, which takes no parameters. */
int db_version_set(struct db *db, int version, struct err *e);

/* Rows changed by this connection so far: what did not grow it has written nothing. */
int64_t db_changes(struct db *db);
/* False after an error that made SQLite roll back by itself. */
bool db_in_transaction(struct db *db);
/* Ends the statements that a function left in use; that is a programming mistake, but one that may wait. */
void db_end_all(struct db *db);

/* Moves the WAL into the file as far as readers allow; truncate: waits shortly for them and empties the WAL's
 * file. *all: nothing is left to move. */
int db_checkpoint(struct db *db, bool truncate, bool *all, struct err *e);

struct migration {
    int number;
    const char *sql;
};
/* Those built in, ordered by number. */
struct migration db_migration(size_t i);
size_t db_migrations(void);

/* identity.c: whether it is a store of a schema up to newest. *version is 0 for a file that nobody has
 * written to yet. */
int identify(struct db *db, const char *path, int newest, int64_t *version, struct err *e);
/* Makes an empty file a store, brings an older one up to date (a copy beside it first), refuses what is none,
 * is damaged
 * (looked at when it is to be changed), or was made by a newer otad. list is ordered by number. */
int migrate(struct db *w, const char *path, const struct migration list[], size_t n, struct err *e);

/* ---- check.c: ERR_DAMAGED says what is damaged */
int check_file(struct db *db, const char *path,
               struct err *e);                      /* at once: the pages, and what refers to what */
int check_references(struct db *db, struct err *e); /* the second half alone */
int check_tables(struct db *db, const char *path, struct err *e); /* the same, a table at a time */

/* ---- copy.c: makes or replaces the file `to`, 0600, on disk when it returns 0. From a writer's or a
 * copier's connection: the state of one moment. */
int copy_file(struct db *db, const char *to, struct err *e);

#endif
