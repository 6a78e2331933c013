#include "base/worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task *first, **last;
    bool stopping;
};

/* NULL when the queue is empty and stays so. */
static struct task *take(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->stopping)
        pthread_cond_wait(&w->wake, &w->lock);
    struct task *task = w->first;
    if (task && !(w->first = task->next))
        w->last = &w->first;
    pthread_mutex_unlock(&w->lock);
    return task;
}

static void *run(void *arg)
{
    struct task *task;
    while ((task = take(arg)))
        task->run(task);
    return NULL;
}

int worker_start(struct worker **out, struct err *e)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_INTERNAL, "no memory for a working thread");
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        free(w);
        return err_set(e, ERR_INTERNAL, "cannot start a working thread");
    }
    *out = w;
    return 0;
}

void worker_submit(struct worker *w, struct task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&w->lock);
    *w->last = task;
    w->last = &task->next;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void worker_stop(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    free(w);
}
