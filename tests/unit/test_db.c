/* The writer's promises: nothing is told before it is committed, what fails is undone alone, readers see
 * commits only; and what store_open takes and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/store/db_private.h"
#include "base/str.h"
#include "model/board.h"
#include "store/copy.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct place {
    char dir[64];
    char path[96];
    struct store *store;
};

static int enter(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    struct err e;

    assert_non_null(p);
    strcpy(p->dir, "/tmp/otad-test-db-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof p->path, "%s/otad.db", p->dir);
    assert_int_equal(store_open(p->path, &p->store, &e), 0);
    *state = p;
    return 0;
}

static void remove_all(const char *dir)
{
    static const char *const names[] = {"otad.db",          "otad.db-wal", "otad.db-shm",
                                        "otad.db.schema-1", "other.db",    "other.db.schema-1"};
    char path[128];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

static int leave(void **state)
{
    struct place *p = *state;

    if (p->store)
        store_close(p->store);
    remove_all(p->dir);
    free(p);
    return 0;
}

/* ---- jobs of these tests: rows of product */

static int insert(struct db *w, const char *key, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PRODUCT_INSERT);

    bind_text(s, ":key", key);
    bind_text(s, ":name", key);
    bind_text(s, ":protocol", "native");
    bind_text(s, ":enrolment", "closed");
    bind_int(s, ":public", 0);
    bind_int(s, ":enabled", 1);
    bind_int(s, ":strict_version", 0);
    bind_text(s, ":version_scheme", "dotted");
    bind_text(s, ":chip", "");
    bind_int(s, ":max_image_bytes", 0);
    bind_text(s, ":success", "version");
    bind_text(s, ":transfer", "auto");
    bind_text(s, ":sign_method", "Md5");
    bind_int(s, ":digest_sign", 0);
    bind_text(s, ":public_keys", "");
    bind_text(s, ":job_document", "");
    bind_int(s, ":created_at_ms", 1);
    return stmt_run(s, NULL, e);
}

static bool stored(struct db *db, const char *key)
{
    STMT_AUTO struct stmt *s = db_stmt(db, Q_PRODUCT_GET);
    struct err e;
    int rc;

    bind_text(s, ":key", key);
    rc = stmt_step(s, &e);
    assert_true(rc >= 0);
    return rc == 1;
}

static struct db *reader(struct store *store)
{
    struct db *db = NULL;
    struct err e;

    assert_int_equal(store_reader(store, &db, &e), 0);
    return db;
}

static int insert_one(struct db *w, void *arg, struct err *e)
{
    return insert(w, arg, e);
}

static int insert_then_refuse(struct db *w, void *arg, struct err *e)
{
    int rc = insert(w, arg, e);

    return rc < 0 ? rc : err_set(e, ERR_INVALID, "not %s", (const char *)arg);
}

/* ---- the writer */

/* A job that holds the writer until the test lets it go, so that what is submitted meanwhile is one batch. */
struct gate {
    struct job job;
    sem_t entered, go;
};

static int gate_run(struct db *w, void *arg, struct err *e)
{
    struct gate *gate = arg;

    (void)w;
    (void)e;
    sem_post(&gate->entered);
    while (sem_wait(&gate->go) != 0)
        continue;
    return 0;
}

static void nothing_done(struct job *job)
{
    (void)job;
}

static void gate_close(struct gate *gate, struct store *store)
{
    memset(gate, 0, sizeof *gate);
    sem_init(&gate->entered, 0, 0);
    sem_init(&gate->go, 0, 0);
    gate->job.run = gate_run;
    gate->job.done = nothing_done;
    gate->job.arg = gate;
    store_submit(store, &gate->job);
    while (sem_wait(&gate->entered) != 0)
        continue;
}

struct row_job {
    struct job job;
    struct store *store;
    const char *key;
    bool seen_when_done, seen_in_run_by_reader;
    sem_t over;
};

static int row_run(struct db *w, void *arg, struct err *e)
{
    struct row_job *row = arg;
    int rc = insert(w, row->key, e);

    row->seen_in_run_by_reader = stored(reader(row->store), row->key);
    return rc;
}

static void row_done(struct job *job)
{
    struct row_job *row = (struct row_job *)job;

    row->seen_when_done = stored(reader(row->store), row->key);
    sem_post(&row->over);
}

static void row_submit(struct row_job *row, struct store *store, const char *key)
{
    memset(row, 0, sizeof *row);
    row->store = store;
    row->key = key;
    row->job.run = row_run;
    row->job.done = row_done;
    row->job.arg = row;
    sem_init(&row->over, 0, 0);
    store_submit(store, &row->job);
}

static void row_wait(struct row_job *row)
{
    while (sem_wait(&row->over) != 0)
        continue;
    sem_destroy(&row->over);
}

/* The later job of a batch runs before the earlier one's done: they share the commit, and neither row is
 * visible to a reader while the jobs run. */
static void test_batch_is_told_after_its_commit(void **state)
{
    struct place *p = *state;
    struct gate gate;
    struct row_job one, two;

    gate_close(&gate, p->store);
    row_submit(&one, p->store, "one");
    row_submit(&two, p->store, "two");
    assert_int_equal(store_queue_length(p->store), 2);
    assert_false(stored(reader(p->store), "one"));
    sem_post(&gate.go);
    row_wait(&one);
    row_wait(&two);
    assert_int_equal(one.job.rc, 0);
    assert_int_equal(two.job.rc, 0);
    assert_false(one.seen_in_run_by_reader);
    assert_false(two.seen_in_run_by_reader);
    assert_true(one.seen_when_done);
    assert_true(two.seen_when_done);
    assert_int_equal(store_queue_length(p->store), 0);
    sem_destroy(&gate.entered);
    sem_destroy(&gate.go);
}

static void test_failing_job_is_undone_alone(void **state)
{
    struct place *p = *state;
    struct gate gate;
    struct row_job before, after;
    struct row_job bad = {.store = p->store, .key = "bad"};

    gate_close(&gate, p->store);
    row_submit(&before, p->store, "before");
    bad.job.run = insert_then_refuse;
    bad.job.done = row_done;
    bad.job.arg = (void *)"bad";
    sem_init(&bad.over, 0, 0);
    store_submit(p->store, &bad.job);
    row_submit(&after, p->store, "after");
    sem_post(&gate.go);
    row_wait(&before);
    row_wait(&bad);
    row_wait(&after);
    assert_int_equal(before.job.rc, 0);
    assert_int_equal(bad.job.rc, -ERR_INVALID);
    assert_string_equal(bad.job.err.text, "not bad");
    assert_int_equal(after.job.rc, 0);
    assert_true(stored(reader(p->store), "before"));
    assert_false(stored(reader(p->store), "bad"));
    assert_true(stored(reader(p->store), "after"));
    sem_destroy(&gate.entered);
    sem_destroy(&gate.go);
}

static int constraint(struct db *w, void *arg, struct err *e)
{
    int rc = insert(w, arg, e);

    return rc < 0 ? rc : insert(w, arg, e);
}

static void test_constraint_is_a_conflict(void **state)
{
    struct place *p = *state;
    struct err e;

    assert_int_equal(store_write(p->store, constraint, (void *)"twice", &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "product_insert"));
    assert_false(stored(reader(p->store), "twice"));
}

/* What SQLite does by itself when the disk is full, done by hand: the jobs before fall too, the ones after do
 * not. */
static int lose_transaction(struct db *w, void *arg, struct err *e)
{
    struct err ignored;

    (void)arg;
    db_run(w, Q_TX_ROLLBACK, &ignored);
    return err_set(e, ERR_NO_SPACE, "disk is full");
}

static void test_lost_transaction_fails_its_batch(void **state)
{
    struct place *p = *state;
    struct gate gate;
    struct row_job before, lost = {.store = p->store, .key = "lost"};
    struct err e;

    gate_close(&gate, p->store);
    row_submit(&before, p->store, "before");
    lost.job.run = lose_transaction;
    lost.job.done = row_done;
    sem_init(&lost.over, 0, 0);
    store_submit(p->store, &lost.job);
    sem_post(&gate.go);
    row_wait(&before);
    row_wait(&lost);
    assert_int_equal(before.job.rc, -ERR_NO_SPACE);
    assert_string_equal(before.job.err.text, "disk is full");
    assert_int_equal(lost.job.rc, -ERR_NO_SPACE);
    assert_false(stored(reader(p->store), "before"));
    assert_int_equal(store_write(p->store, insert_one, (void *)"later", &e), 0);
    assert_true(stored(reader(p->store), "later"));
    sem_destroy(&gate.entered);
    sem_destroy(&gate.go);
}

/* The same for real: the file may not grow any more. */
static int fill(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    return db_script(w,
                     "PRAGMA max_page_count = 1;"
                     "INSERT INTO idempotency VALUES (0, 'big', x'00', 1, '', hex(zeroblob(500000)), 0)",
                     e);
}

static int make_room(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    return db_script(w, "PRAGMA max_page_count = 100000", e);
}

static bool board_is_well(enum board_part part)
{
    struct board_row row;

    board_get(part, &row);
    return row.ok;
}

static void test_full_disk(void **state)
{
    struct place *p = *state;
    struct gate gate;
    struct row_job before, full = {.store = p->store, .key = "full"};
    struct err e;

    gate_close(&gate, p->store);
    row_submit(&before, p->store, "before");
    full.job.run = fill;
    full.job.done = row_done;
    sem_init(&full.over, 0, 0);
    store_submit(p->store, &full.job);
    sem_post(&gate.go);
    row_wait(&before);
    row_wait(&full);
    assert_int_equal(full.job.rc, -ERR_NO_SPACE);
    assert_int_equal(before.job.rc, -ERR_NO_SPACE);
    assert_false(stored(reader(p->store), "before"));
    assert_int_equal(store_write(p->store, make_room, NULL, &e), 0);
    for (int i = 0; i < 1000 && !board_is_well(BOARD_STORE);
         i++) /* it notices by itself, with nobody writing */
        usleep(10000);
    assert_true(board_is_well(BOARD_STORE));
    assert_int_equal(store_write(p->store, insert_one, (void *)"later", &e), 0);
    assert_true(stored(reader(p->store), "later"));
    sem_destroy(&gate.entered);
    sem_destroy(&gate.go);
}

static int leave_statement_open(struct db *w, void *arg, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_PRODUCT_GET);

    bind_text(s, ":key", arg);
    return stmt_step(s, e) == 1 ? 0 : err_set(e, ERR_INTERNAL, "no row");
}

static void test_open_statement_does_not_outlive_its_job(void **state)
{
    struct place *p = *state;
    struct err e;

    assert_int_equal(store_write(p->store, insert_one, (void *)"a", &e), 0);
    assert_int_equal(store_write(p->store, leave_statement_open, (void *)"a", &e), 0);
    assert_int_equal(store_write(p->store, leave_statement_open, (void *)"a", &e), 0);
}

#define THREADS    4
#define PER_THREAD 200

struct submitter {
    pthread_t thread;
    struct store *store;
    int number;
    int failed;
};

static void *submit_many(void *arg)
{
    struct submitter *me = arg;
    struct err e;
    char key[32];

    for (int i = 0; i < PER_THREAD; i++) {
        snprintf(key, sizeof key, "t%d-%d", me->number, i);
        if (store_write(me->store, insert_one, key, &e) != 0 || !stored(reader(me->store), key))
            me->failed++;
    }
    return NULL;
}

static void test_many_submitters(void **state)
{
    struct place *p = *state;
    struct submitter all[THREADS];
    char key[32];

    for (int t = 0; t < THREADS; t++) {
        all[t] = (struct submitter){.store = p->store, .number = t};
        assert_int_equal(pthread_create(&all[t].thread, NULL, submit_many, &all[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(all[t].thread, NULL), 0);
        assert_int_equal(all[t].failed, 0);
    }
    for (int t = 0; t < THREADS; t++) {
        snprintf(key, sizeof key, "t%d-%d", t, PER_THREAD - 1);
        assert_true(stored(reader(p->store), key));
    }
}

static void test_close_runs_what_is_queued(void **state)
{
    struct place *p = *state;
    struct gate gate;
    struct job jobs[3];
    static const char *const keys[] = {"x", "y", "z"};
    struct err e;

    gate_close(&gate, p->store);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i] = (struct job){.run = insert_one, .done = nothing_done, .arg = (void *)(uintptr_t)keys[i]};
        store_submit(p->store, &jobs[i]);
    }
    sem_post(&gate.go);
    store_close(p->store);
    p->store = NULL;
    assert_int_equal(store_open(p->path, &p->store, &e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        assert_true(stored(reader(p->store), keys[i]));
    sem_destroy(&gate.entered);
    sem_destroy(&gate.go);
}

/* ---- connections */

static void test_reader_cannot_write(void **state)
{
    struct place *p = *state;
    struct err e;

    assert_int_equal(insert(reader(p->store), "no", &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "readonly"));
}

static void test_foreign_keys_hold(void **state)
{
    struct place *p = *state;
    struct db *w;
    struct err e;

    store_close(p->store);
    p->store = NULL;
    assert_int_equal(db_open(p->path, DB_WRITER, &w, &e), 0);
    assert_int_equal(db_script(w, "INSERT INTO device_tag VALUES (77, 'a', 'b')", &e), -ERR_CONFLICT);
    assert_int_equal(db_script(w,
                               "INSERT INTO product (key, name, protocol, enrolment, created_at_ms)"
                               " VALUES ('a', 'a', 'native', 'open', 'soon')",
                               &e),
                     -ERR_CONFLICT);
    db_close(w);
}

static void test_wrong_parameter_shows_at_the_first_step(void **state)
{
    struct place *p = *state;
    struct db *db = reader(p->store);
    STMT_AUTO struct stmt *s = db_stmt(db, Q_PRODUCT_GET);
    struct err e;

    bind_text(s, ":nobody", "x");
    bind_text(s, ":key", "x");
    assert_int_equal(stmt_step(s, &e), -ERR_INTERNAL);
    assert_string_equal(e.text, "store: product_get: no parameter :nobody");
}

/* ---- opening */

static void test_only_the_owner_may_read(void **state)
{
    struct place *p = *state;
    char wal[128];
    struct stat st;

    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(wal, sizeof wal, "%s-wal", p->path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void script(const char *path, const char *sql)
{
    struct db *w;
    struct err e;

    assert_int_equal(db_open(path, DB_WRITER, &w, &e), 0);
    assert_int_equal(db_script(w, sql, &e), 0);
    db_close(w);
}

static void test_newer_schema_is_refused(void **state)
{
    struct place *p = *state;
    struct err e;

    store_close(p->store);
    p->store = NULL;
    script(p->path, "PRAGMA user_version = 999");
    assert_int_equal(store_open(p->path, &p->store, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "its schema is 999"));
    script(p->path, "PRAGMA user_version = 5"); /* the newest there is */
    assert_int_equal(store_open(p->path, &p->store, &e), 0);
}

static void test_foreign_database_is_refused_unchanged(void **state)
{
    struct place *p = *state;
    char other[128];
    struct store *s;
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    script(other, "CREATE TABLE theirs (a)");
    assert_int_equal(store_open(other, &s, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "not a store of otad"));
}

static void write_at(const char *path, off_t at, const char *text, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), at), strlen(text));
    close(fd);
}

static void test_junk_is_refused(void **state)
{
    struct place *p = *state;
    char other[128];
    struct store *s;
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    write_at(other, 0,
             "not a database, but long enough that its first bytes can be looked at, and a few more behind",
             0);
    assert_int_equal(store_open(other, &s, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.text, "other.db"));
    assert_non_null(strstr(e.text, "not a database"));
}

static void test_damage_is_refused(void **state)
{
    struct place *p = *state;
    struct err e;

    store_close(p->store);
    p->store = NULL;
    write_at(p->path, 2 * 4096 + 3, "\377\377\377\377", 0);
    assert_int_equal(store_open(p->path, &p->store, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.text, "otad.db"));
}

/* The root page of an index or a table: of timeline_device no statement that is run at the start comes by it.
 */
static off_t index_page(const char *path, const char *name)
{
    char command[256];
    FILE *pipe;
    long page = 0;

    snprintf(command, sizeof command,
             "sqlite3 -readonly %s \"SELECT rootpage FROM sqlite_schema WHERE name = '%s'\"", path, name);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fscanf(pipe, "%ld", &page), 1);
    pclose(pipe);
    assert_true(page > 1);
    return (page - 1) * 4096;
}

static void test_check_finds_damage_in_an_index(void **state)
{
    struct place *p = *state;
    atomic_bool halt = false;
    struct err e;

    assert_int_equal(store_check(p->store, &halt, &e), 0);
    store_close(p->store);
    p->store = NULL;
    write_at(p->path, index_page(p->path, "timeline_device"), "\377\377\377\377", 0);
    assert_int_equal(store_open(p->path, &p->store, &e), -ERR_DAMAGED);
    assert_int_equal(store_open_unchecked(p->path, &p->store, &e), 0);
    assert_int_equal(store_check(p->store, &halt, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.text, p->path));
    assert_non_null(strstr(e.text, "damaged"));
}

static void test_check_finds_a_row_without_its_parent(void **state)
{
    struct place *p = *state;
    atomic_bool halt = false;
    struct err e;

    store_close(p->store);
    p->store = NULL;
    script(p->path, "PRAGMA foreign_keys = OFF; INSERT INTO device_tag VALUES (77, 'a', 'b')");
    assert_int_equal(store_open(p->path, &p->store, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.text, "device_tag"));
    assert_int_equal(store_open_unchecked(p->path, &p->store, &e), 0);
    assert_int_equal(store_check(p->store, &halt, &e), -ERR_DAMAGED);
    assert_non_null(strstr(e.text, "device_tag"));
}

static void test_copy_is_a_store_of_its_own(void **state)
{
    struct place *p = *state;
    atomic_bool halt = false;
    char other[128];
    struct stat st;
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    assert_int_equal(store_write(p->store, insert_one, (void *)"before", &e), 0);
    assert_int_equal(store_copy(p->store, other, &halt, &e), 0);
    assert_int_equal(store_write(p->store, insert_one, (void *)"after", &e), 0);
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(p->store);
    assert_int_equal(store_open(other, &p->store, &e), 0);
    assert_true(stored(reader(p->store), "before"));
    assert_false(stored(reader(p->store), "after"));
}

static int many_rows(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    return db_script(w,
                     "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
                     " INSERT INTO idempotency SELECT 0, i, x'00', 1, '', 'reply', i FROM n",
                     e);
}

static void test_check_and_copy_end_when_they_are_told_to(void **state)
{
    struct place *p = *state;
    atomic_bool halt = true;
    char other[128];
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    assert_int_equal(store_write(p->store, many_rows, NULL, &e), 0);
    assert_int_equal(store_check(p->store, &halt, &e), -ERR_BUSY);
    assert_int_equal(store_copy(p->store, other, &halt, &e), -ERR_BUSY);
    assert_int_equal(access(other, F_OK), -1); /* no half of it takes up room */
    atomic_store(&halt, false);
    assert_int_equal(store_check(p->store, &halt, &e), 0);
    assert_int_equal(store_copy(p->store, other, &halt, &e), 0);
}

/* The damage of a copy is none of the store's. */
static void test_damage_met_by_a_statement_is_on_the_board(void **state)
{
    struct place *p = *state;
    char other[128];
    struct db *db;
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    write_at(
        other, 0,
        "no store, but long enough for a header that SQLite looks at: and some more, and more again, yes", 0);
    assert_int_equal(copy_open(other, NULL, &db, &e), -ERR_DAMAGED);
    assert_true(board_is_well(BOARD_CHECK));
    store_close(p->store);
    p->store = NULL;
    write_at(p->path, index_page(p->path, "product"), "\377\377\377\377", 0);
    assert_int_equal(store_open_unchecked(p->path, &p->store, &e), 0);
    assert_true(board_is_well(BOARD_CHECK));
    assert_int_equal(store_write(p->store, insert_one, (void *)"x", &e), -ERR_DAMAGED);
    assert_false(board_is_well(BOARD_CHECK));
}

/* Killed with a WAL, and damaged: both stay as they are, byte for byte. */
static void test_refused_store_keeps_its_wal(void **state)
{
    struct place *p = *state;
    char wal[128];
    struct stat before, after;
    struct err e;
    pid_t child;

    store_close(p->store);
    p->store = NULL;
    snprintf(wal, sizeof wal, "%s-wal", p->path);
    write_at(p->path, index_page(p->path, "timeline_device"), "\377\377\377\377", 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (store_open_unchecked(p->path, &p->store, &e) == 0)
            store_write(p->store, insert_one, (void *)"kept", &e);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(stat(wal, &before), 0);
    assert_true(before.st_size > 0);
    assert_int_equal(store_open(p->path, &p->store, &e), -ERR_DAMAGED);
    assert_int_equal(stat(wal, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

/* A process that is killed after its commit, without closing anything: the WAL is what the next start finds.
 */
static void test_commit_survives_kill(void **state)
{
    struct place *p = *state;
    struct err e;
    int status;
    pid_t child;

    store_close(p->store);
    p->store = NULL;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (store_open(p->path, &p->store, &e) == 0 &&
            store_write(p->store, insert_one, (void *)"kept", &e) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(store_open(p->path, &p->store, &e), 0);
    assert_true(stored(reader(p->store), "kept"));
}

/* ---- migrations */

static const struct migration steps[] = {
    {1, "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT; INSERT INTO parent VALUES (7);"},
    {2,
     "CREATE TABLE child (parent_id INTEGER REFERENCES parent (id)) STRICT; INSERT INTO child VALUES (7);"},
    {3, "CREATE TABLE third (a) ; CREATE TABLE third (a);"},
};

static int64_t version_of(const char *path)
{
    struct db *w;
    struct err e;
    int64_t version = -1;

    assert_int_equal(db_open(path, DB_WRITER, &w, &e), 0);
    assert_int_equal(db_number(w, Q_STORE_VERSION, &version, &e), 0);
    db_close(w);
    return version;
}

static int migrate_to(const char *path, size_t n, struct err *e)
{
    struct db *w;
    int rc;

    assert_int_equal(db_open(path, DB_WRITER, &w, e), 0);
    rc = migrate(w, path, steps, n, e);
    db_close(w);
    return rc;
}

static void test_migrations_go_forward_with_a_copy(void **state)
{
    struct place *p = *state;
    char other[128], copy[160];
    struct stat st;
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    snprintf(copy, sizeof copy, "%s.schema-1", other);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(migrate_to(other, 1, &e), 0);
    assert_int_equal(version_of(other), 1);
    assert_int_equal(access(copy, F_OK), -1);
    assert_int_equal(migrate_to(other, 2, &e), 0);
    assert_int_equal(version_of(other), 2);
    assert_int_equal(version_of(copy), 1);
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(migrate_to(other, 1, &e), -ERR_CONFLICT);
}

static void test_failed_migration_changes_nothing(void **state)
{
    struct place *p = *state;
    char other[128];
    struct err e;

    snprintf(other, sizeof other, "%s/other.db", p->dir);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(migrate_to(other, 1, &e), 0);
    assert_int_equal(migrate_to(other, 3, &e), -ERR_INTERNAL);
    assert_non_null(strstr(e.text, "migration 3"));
    assert_int_equal(version_of(other), 1);
    assert_int_equal(migrate_to(other, 2, &e), 0);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, enter, leave)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_batch_is_told_after_its_commit),
        IN_STORE(test_failing_job_is_undone_alone),
        IN_STORE(test_constraint_is_a_conflict),
        IN_STORE(test_lost_transaction_fails_its_batch),
        IN_STORE(test_full_disk),
        IN_STORE(test_open_statement_does_not_outlive_its_job),
        IN_STORE(test_many_submitters),
        IN_STORE(test_close_runs_what_is_queued),
        IN_STORE(test_reader_cannot_write),
        IN_STORE(test_foreign_keys_hold),
        IN_STORE(test_wrong_parameter_shows_at_the_first_step),
        IN_STORE(test_only_the_owner_may_read),
        IN_STORE(test_newer_schema_is_refused),
        IN_STORE(test_foreign_database_is_refused_unchanged),
        IN_STORE(test_junk_is_refused),
        IN_STORE(test_damage_is_refused),
        IN_STORE(test_check_finds_damage_in_an_index),
        IN_STORE(test_check_finds_a_row_without_its_parent),
        IN_STORE(test_copy_is_a_store_of_its_own),
        IN_STORE(test_check_and_copy_end_when_they_are_told_to),
        IN_STORE(test_damage_met_by_a_statement_is_on_the_board),
        IN_STORE(test_refused_store_keeps_its_wal),
        IN_STORE(test_commit_survives_kill),
        IN_STORE(test_migrations_go_forward_with_a_copy),
        IN_STORE(test_failed_migration_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
