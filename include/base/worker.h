/* worker.h: one thread with a queue, for what may wait for a disk or compute for long, and is not the store's
 * writing. */
#ifndef OTAD_BASE_WORKER_H
#define OTAD_BASE_WORKER_H

#include "base/err.h"

struct worker;

struct task {
    void (*run)(struct task *task); /* on the worker's thread; may free the task */
    struct task *next;              /* the worker's */
};

int worker_start(struct worker **out, struct err *e);
void worker_submit(struct worker *w, struct task *task); /* from any thread, its own too */
/* Runs what is queued, ends. NULL is fine. */
void worker_stop(struct worker *w);

#endif
