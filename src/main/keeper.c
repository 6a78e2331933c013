#include "main/daemon.h"

#include "base/log.h"
#include "base/worker.h"
#include "model/board.h"

#include <stdatomic.h>
#include <stdlib.h>

struct keeper {
    struct store *store;
    struct worker *worker;
    struct task check;
    atomic_bool halt;
    bool damaged; /* the thread's, until it has ended */
};

static void run_check(struct task *task)
{
    struct keeper *k = (struct keeper *)((char *)task - offsetof(struct keeper, check));
    struct err e;
    int rc = store_check(k->store, &k->halt, &e);
    if (rc == 0) {
        board_set(BOARD_CHECK, true, "ok");
        log_info("the store is whole");
    } else if (rc == -ERR_DAMAGED) {
        k->damaged = true;
        board_set(BOARD_CHECK, false, "%s", e.text);
        log_error("%s: the next start will refuse it; restore a backup (docs/backup.md)", e.text);
    } else if (!atomic_load(&k->halt)) {
        log_error("cannot look at the whole store: %s", e.text);
    }
}

int keeper_start(struct otad *o, struct keeper **out, struct err *e)
{
    struct keeper *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_INTERNAL, "out of memory");
    *k = (struct keeper){.store = o->store, .check.run = run_check};
    int rc = worker_start(&k->worker, e);
    if (rc < 0) {
        free(k);
        return rc;
    }
    if (o->ended_well)
        worker_submit(k->worker, &k->check);
    *out = k;
    return 0;
}

void keeper_halt(struct keeper *k)
{
    atomic_store(&k->halt, true);
}

bool keeper_stop(struct keeper *k)
{
    if (!k)
        return true;
    keeper_halt(k);
    worker_stop(k->worker);
    bool whole = !k->damaged;
    free(k);
    return whole;
}
