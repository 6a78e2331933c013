/* A store in a folder of its own, opened before each test and removed after it. */
#ifndef OTAD_TEST_STORE_FIXTURE_H
#define OTAD_TEST_STORE_FIXTURE_H

#include "store/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    struct store *store;
    struct db *db; /* this thread's reader */
};

static inline int fixture_enter(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[96];
    struct err e;

    assert_non_null(f);
    strcpy(f->dir, "/tmp/otad-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/otad.db", f->dir);
    assert_int_equal(store_open(path, &f->store, &e), 0);
    assert_int_equal(store_reader(f->store, &f->db, &e), 0);
    *state = f;
    return 0;
}

static inline int fixture_leave(void **state)
{
    struct fixture *f = *state;
    char path[96];

    store_close(f->store);
    snprintf(path, sizeof path, "%s/otad.db", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

/* One store call on the writer: fn(w, arg, e) with a typed argument. */
#define WRITES(name, type, call)                                  \
    static int name##_run(struct db *w, void *arg, struct err *e) \
    {                                                             \
        type *a = arg;                                            \
        return call;                                              \
    }                                                             \
    static int name(struct fixture *f, type *a, struct err *e)    \
    {                                                             \
        return store_write(f->store, name##_run, a, e);           \
    }

#endif
