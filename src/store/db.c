#define SQL_TABLE_STRINGS
#include "store/db.h"

#include "base/str.h"
#include "db_private.h"
#include "model/board.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS          5000
#define TRUNCATE_BUSY_MS 50
#define AUTOCHECKPOINT \
    1000 /* pages: 4 MB of WAL between the checkpoints that commits pay for, each of which is waited for */
#define SQL_LENGTH_MAX  (64 * 1024)
#define LIKE_LENGTH_MAX 256
#define HALT_STEPS      10000 /* of SQLite's machine, between two looks at whether it shall end: a millisecond */

struct stmt {
    struct db *db;
    sqlite3_stmt *handle; /* NULL until the first use */
    enum query query;
    int rc; /* what preparing or binding met; shows at the first step */
    bool used;
};

struct db {
    sqlite3 *handle;
    bool live;     /* of the store that is served, not of a copy */
    unsigned used; /* statements between db_stmt and stmt_end */
    char fault[160];
    struct stmt stmts[QUERIES];
};

/* ---- errors */

static enum err_code err_code_of(sqlite3 *handle, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return ERR_BUSY;
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_DAMAGED;
    case SQLITE_IOERR: {
        int system = sqlite3_system_errno(handle);
        return system == ENOSPC || system == EDQUOT ? ERR_NO_SPACE : ERR_INTERNAL;
    }
    default:
        return ERR_INTERNAL;
    }
}

static int db_failed(struct db *db, const char *what, int rc, struct err *e)
{
    err_set(e, err_code_of(db->handle, rc), "store: %s: %s", what, sqlite3_errmsg(db->handle));
    if (e->code == ERR_DAMAGED && db->live) /* for good: no commit that goes well takes it back */
        board_set(BOARD_CHECK, false, "%s", e->text);
    return -(int)e->code;
}

/* ---- connections */

/* Switches that are part of the connection, not of the file; each must have taken. */
static int configure(struct db *db, enum db_mode mode, struct err *e)
{
    static const struct {
        int option, value;
        bool readers_only; /* of either kind */
    } switches[] = {
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1, false},
        {SQLITE_DBCONFIG_DEFENSIVE, 1, false},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, false},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
        int now = -1;

        if (switches[i].readers_only && mode == DB_WRITER)
            continue;
        sqlite3_db_config(db->handle, switches[i].option, switches[i].value, &now);
        if (now != switches[i].value)
            return err_set(e, ERR_INTERNAL, "this SQLite (%s) refuses option %d", sqlite3_libversion(),
                           switches[i].option);
    }
    sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, SQL_LENGTH_MAX);
    sqlite3_limit(db->handle, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_LENGTH_MAX);
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    sqlite3_wal_autocheckpoint(db->handle, mode == DB_WRITER ? AUTOCHECKPOINT : 0);
    if (db_run(db, Q_DB_TEMP_STORE, e) < 0)
        return -(int)e->code;
    if (mode == DB_COPIER)
        return 0;
    if (mode == DB_READER)
        return db_run(db, Q_DB_QUERY_ONLY, e);
    int rc = db_run(db, Q_DB_WRITER_CACHE, e);
    return rc < 0 ? rc : db_run(db, Q_DB_SYNCHRONOUS, e);
}

/* SQLite counts every byte that it takes, under one lock for all threads, unless it is told before its first
 * use that nobody asks. */
static void count_nothing(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int db_open(const char *path, enum db_mode mode, struct db **out, struct err *e)
{
    int flags = (mode == DB_WRITER ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct db *db = calloc(1, sizeof *db);
    int rc;

    if (!db)
        return err_set(e, ERR_INTERNAL, "out of memory");
    pthread_once(&once, count_nothing);
    for (size_t i = 0; i < QUERIES; i++) {
        db->stmts[i].db = db;
        db->stmts[i].query = (enum query)i;
    }
    rc = sqlite3_open_v2(path, &db->handle, flags, NULL);
    rc = rc == SQLITE_OK ? configure(db, mode, e) : db_failed(db, "open", rc, e);
    if (rc < 0) {
        db_close(db);
        return err_wrap(e, "%s", path);
    }
    *out = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < QUERIES; i++)
        sqlite3_finalize(db->stmts[i].handle);
    sqlite3_close(db->handle);
    free(db);
}

void db_is_live(struct db *db)
{
    db->live = true;
}

void db_keep_wal(struct db *db)
{
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

static int is_asked_to_end(void *halt)
{
    return atomic_load((atomic_bool *)halt);
}

void db_end_by(struct db *db, atomic_bool *halt)
{
    sqlite3_progress_handler(db->handle, halt ? HALT_STEPS : 0, halt ? is_asked_to_end : NULL, halt);
}

/* ---- statements */

struct stmt *db_stmt(struct db *db, enum query q)
{
    struct stmt *s = &db->stmts[q];

    assert(!s->used); /* one use at a time: a second one would turn the first one's page */
    s->used = true;
    s->rc = SQLITE_OK;
    db->used++;
    if (!s->handle) {
        s->rc = sqlite3_prepare_v3(db->handle, query_table[q].sql, -1, SQLITE_PREPARE_PERSISTENT, &s->handle,
                                   NULL);
        if (s->rc != SQLITE_OK)
            snprintf(db->fault, sizeof db->fault, "%s", sqlite3_errmsg(db->handle));
    }
    return s;
}

void stmt_end(struct stmt *s)
{
    if (!s->used)
        return;
    if (s->handle) {
        sqlite3_reset(s->handle);
        sqlite3_clear_bindings(s->handle);
    }
    s->used = false;
    s->db->used--;
}

void db_end_all(struct db *db)
{
    for (size_t i = 0; db->used && i < QUERIES; i++)
        stmt_end(&db->stmts[i]);
}

/* The parameter's number, or 0 when the statement is already lost. */
static int parameter(struct stmt *s, const char *name)
{
    int index;

    if (s->rc != SQLITE_OK)
        return 0;
    index = sqlite3_bind_parameter_index(s->handle, name);
    if (index)
        return index;
    s->rc = SQLITE_RANGE;
    snprintf(s->db->fault, sizeof s->db->fault, "no parameter %s", name);
    return 0;
}

static void bound(struct stmt *s, int rc)
{
    if (rc == SQLITE_OK)
        return;
    s->rc = rc;
    snprintf(s->db->fault, sizeof s->db->fault, "%s", sqlite3_errstr(rc));
}

void bind_int(struct stmt *s, const char *name, int64_t value)
{
    int index = parameter(s, name);

    if (index)
        bound(s, sqlite3_bind_int64(s->handle, index, value));
}

void bind_text(struct stmt *s, const char *name, const char *text)
{
    int index = parameter(s, name);

    if (index && text)
        bound(s, sqlite3_bind_text(s->handle, index, text, -1, SQLITE_TRANSIENT));
}

void bind_blob(struct stmt *s, const char *name, const void *bytes, size_t len)
{
    int index = parameter(s, name);

    if (index && bytes)
        bound(s, sqlite3_bind_blob64(s->handle, index, bytes, len, SQLITE_TRANSIENT));
}

int stmt_step(struct stmt *s, struct err *e)
{
    const char *name = query_table[s->query].name;
    int rc;

    if (s->rc != SQLITE_OK)
        return err_set(e, err_code_of(s->db->handle, s->rc), "store: %s: %s", name, s->db->fault);
    rc = sqlite3_step(s->handle);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_failed(s->db, name, rc, e);
}

int stmt_run(struct stmt *s, int64_t *changed, struct err *e)
{
    struct db *db = s->db;
    int rc;

    while ((rc = stmt_step(s, e)) > 0)
        continue;
    if (rc == 0 && changed)
        *changed = sqlite3_changes64(db->handle);
    stmt_end(s);
    return rc;
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t col_int(struct stmt *s, int column)
{
    return sqlite3_column_int64(s->handle, column);
}

void col_text(struct stmt *s, int column, char *out, size_t size)
{
    const char *text = col_ptr(s, column);
    size_t len = text ? strnlen(text, size - 1) : 0;

    if (len)
        memcpy(out, text, len);
    out[len] = 0;
}

/* Where memory is short SQLite answers as for a null, and nothing may be decided by that. */
const char *col_ptr(struct stmt *s, int column)
{
    bool is_null = sqlite3_column_type(s->handle, column) == SQLITE_NULL;
    const char *text = (const char *)sqlite3_column_text(s->handle, column);

    if (!text && !is_null)
        abort();
    return text;
}

size_t col_blob(struct stmt *s, int column, void *out, size_t size)
{
    const void *bytes = sqlite3_column_blob(s->handle, column);
    size_t len = (size_t)sqlite3_column_bytes(s->handle, column);

    if (bytes)
        memcpy(out, bytes, len < size ? len : size);
    return len;
}

/* ---- for the store's other files */

int db_run(struct db *db, enum query q, struct err *e)
{
    return stmt_run(db_stmt(db, q), NULL, e);
}

int db_read_begin(struct db *reader, struct err *e)
{
    return db_run(reader, Q_READ_BEGIN, e);
}

/* A reader that stayed in its transaction would keep the WAL from being moved. */
int db_read_end(struct db *reader, int rc, struct err *e)
{
    struct err end, ignored;
    int ended = db_run(reader, Q_TX_COMMIT, &end);
    if (ended < 0)
        db_run(reader, Q_TX_ROLLBACK, &ignored);
    if (ended == 0 || rc < 0)
        return rc;
    *e = end;
    return ended;
}

int db_number(struct db *db, enum query q, int64_t *out, struct err *e)
{
    STMT_AUTO struct stmt *s = db_stmt(db, q);
    int rc = stmt_step(s, e);

    if (rc < 0)
        return rc;
    *out = rc ? col_int(s, 0) : 0;
    return 0;
}

int db_script(struct db *db, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : db_failed(db, "script", rc, e);
}

int db_version_set(struct db *db, int version, struct err *e)
{
    char sql[48];

    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", version);
    return db_script(db, sql, e);
}

int64_t db_changes(struct db *db)
{
    return sqlite3_total_changes64(db->handle);
}

bool db_in_transaction(struct db *db)
{
    return !sqlite3_get_autocommit(db->handle);
}

int db_checkpoint(struct db *db, bool truncate, bool *all, struct err *e)
{
    int in_wal = 0, moved = 0, rc;

    sqlite3_busy_timeout(db->handle, TRUNCATE_BUSY_MS);
    rc = sqlite3_wal_checkpoint_v2(
        db->handle, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
        return db_failed(db, "checkpoint", rc, e);
    *all = rc == SQLITE_OK && in_wal == moved;
    return 0;
}

size_t db_migrations(void)
{
    return ARRAY_SIZE(migration_table);
}

struct migration db_migration(size_t i)
{
    return (struct migration){migration_table[i].number, migration_table[i].sql};
}
