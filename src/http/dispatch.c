#include "exchange.h"

#include "audit.h"
#include "base/clock.h"
#include "base/throttle.h"
#include "http/auth.h"
#include "http/route.h"
#include "idempotency.h"
#include "model/board.h"

#include <stddef.h>
#include <time.h>

int exchanges_open(struct exchanges *set, const struct http_env *env, struct err *e)
{
    *set = (struct exchanges){.env = env};
    pthread_mutex_init(&set->lock, NULL);
    clock_cond_init(&set->changed);
    const struct settings *s = env->settings;
    set->throttle = throttle_open(s->login_failures, s->login_failures_per_address);
    int rc = set->throttle ? 0 : err_set(e, ERR_INTERNAL, "no memory for the slowing of logins");
    if (rc == 0)
        rc = uploads_open(env, &set->uploads, e);
    return rc ? rc : worker_start(&set->worker, e);
}

void exchanges_close(struct exchanges *set)
{
    worker_stop(set->worker);
    uploads_close(set->uploads);
    throttle_close(set->throttle);
    pthread_cond_destroy(&set->changed);
    pthread_mutex_destroy(&set->lock);
}

void exchanges_drain(struct exchanges *set, int64_t drain_ms)
{
    int64_t end_ms = clock_mono_ms() + drain_ms;
    struct timespec end = clock_mono_until(end_ms);
    pthread_mutex_lock(&set->lock);
    atomic_store(&set->draining, true);
    while (atomic_load(&set->active) > 0 && pthread_cond_timedwait(&set->changed, &set->lock, &end) == 0)
        ;
    set->stopping = true;
    while (set->parked > 0)
        pthread_cond_wait(&set->changed, &set->lock);
    pthread_mutex_unlock(&set->lock);
}

static bool too_many_wait(const struct exchange *x)
{
    const struct exchanges *set = x->set;
    size_t max = (size_t)set->env->settings->max_waiting;
    return !peer_is_none(&x->request.caller.peer) &&
           (set->parked >= max || store_queue_length(set->env->store) >= max);
}

static int shed(struct exchange *x)
{
    board_count(BOARD_REQUESTS_SHED, 1);
    return err_set(&x->err, ERR_BUSY, "too many requests wait for the store: try again later");
}

int exchange_check_load(struct exchange *x)
{
    pthread_mutex_lock(&x->set->lock);
    bool too_many = too_many_wait(x);
    pthread_mutex_unlock(&x->set->lock);
    return too_many ? shed(x) : 0;
}

/* Before the work is handed over: it may be done before this thread returns to libmicrohttpd, which is
 * allowed. An upload, whose bytes are here, is never sent away. */
static bool park(struct exchange *x)
{
    struct exchanges *set = x->set;
    pthread_mutex_lock(&set->lock);
    bool stopping = set->stopping, too_many = !stopping && !x->request.upload && too_many_wait(x);
    if (!stopping && !too_many) {
        set->parked++;
        x->phase = PHASE_PARKED;
        watch_phase(x->watched, WATCH_PARKED, clock_mono_ms());
        MHD_suspend_connection(x->request.connection);
    }
    pthread_mutex_unlock(&set->lock);
    if (stopping)
        x->rc = err_set(&x->err, ERR_BUSY, "the server is stopping");
    else if (too_many)
        x->rc = shed(x);
    return !stopping && !too_many;
}

/* x belongs to its connection's thread again as soon as it is resumed. The lock is held so that nobody stops
 * the server between resuming and counting. */
static void unpark(struct exchange *x)
{
    struct exchanges *set = x->set;
    pthread_mutex_lock(&set->lock);
    MHD_resume_connection(x->request.connection);
    if (--set->parked == 0)
        pthread_cond_broadcast(&set->changed);
    pthread_mutex_unlock(&set->lock);
}

/* What was written to x while it was parked was written before unpark took the lock. */
void exchange_returned(struct exchange *x)
{
    pthread_mutex_lock(&x->set->lock);
    pthread_mutex_unlock(&x->set->lock);
}

/* A commit that failed is not undone for certain: when the machine stops now, the log on disk may hold it
 * whole, and the row is there at the next start. Its bytes must be, too; without it that start removes them.
 */
static void settle_task(struct task *task)
{
    struct exchange *x = (struct exchange *)((char *)task - offsetof(struct exchange, task));
    bool named = x->rc == 0 || err_status(x->err.code) >= 500;
    upload_settle(x->request.upload, named);
    unpark(x);
}

static int run_job(struct db *w, void *arg, struct err *e)
{
    struct exchange *x = arg;
    struct request *r = &x->request;
    reply_clear(&r->reply);
    r->on_writer = true;
    int rc = auth_check_again(r, w, e);
    if (rc == 0 && r->upload)
        rc = upload_check(r->upload, w, e);
    if (rc)
        return rc;
    return r->route->flags & ROUTE_CREATES ? idempotency_run(r, w, e) : audit_act(r, w, e);
}

static void end_sessions(const struct http_env *env, const struct reply *reply)
{
    for (size_t i = 0; env->end_sessions && i < reply->ending_count; i++)
        env->end_sessions(env->end_sessions_arg, reply->endings[i].product, reply->endings[i].device);
}

static void job_done(struct job *job)
{
    struct exchange *x = job->arg;
    x->rc = job->rc;
    x->err = job->err;
    if (x->rc == 0)
        end_sessions(x->set->env, &x->request.reply);
    if (!x->request.upload) {
        unpark(x);
        return;
    }
    x->task.run = settle_task;
    worker_submit(x->set->worker, &x->task);
}

static void submit_job(struct exchange *x)
{
    x->job = (struct job){.run = run_job, .done = job_done, .arg = x};
    store_submit(x->set->env->store, &x->job);
}

static void store_task(struct task *task)
{
    struct exchange *x = (struct exchange *)((char *)task - offsetof(struct exchange, task));
    x->rc = upload_store(x->request.upload, &x->err);
    if (x->rc == 0)
        submit_job(x);
    else
        settle_task(task);
}

static int run_here(struct exchange *x)
{
    struct request *r = &x->request;
    struct db *db;
    int rc = store_reader(x->set->env->store, &db, &x->err);
    return rc ? rc : r->route->handler(r, db, &x->err);
}

static int run_slow(struct exchange *x)
{
    struct request *r = &x->request;
    struct db *db;
    int rc = store_reader(x->set->env->store, &db, &x->err);
    if (rc == 0)
        rc = auth_check_again(r, db, &x->err);
    if (rc == 0)
        rc = r->route->handler(r, db, &x->err);
    return rc ? rc : audit_slow(r, db, &x->err);
}

static void slow_task(struct task *task)
{
    struct exchange *x = (struct exchange *)((char *)task - offsetof(struct exchange, task));
    x->rc = run_slow(x);
    unpark(x);
}

static void submit_task(struct exchange *x, struct worker *worker, void (*run)(struct task *task))
{
    x->task.run = run;
    worker_submit(worker, &x->task);
}

bool exchange_dispatch(struct exchange *x)
{
    struct request *r = &x->request;
    unsigned flags = r->dry ? ROUTE_SLOW : r->route->flags;
    if (!(flags & (ROUTE_WRITES | ROUTE_UPLOAD | ROUTE_SLOW | ROUTE_LONG))) {
        x->rc = run_here(x);
        if (x->rc || !r->to_writer)
            return true;
    }
    if (!park(x))
        return true;
    if (r->upload)
        submit_task(x, x->set->worker, store_task);
    else if (flags & ROUTE_SLOW)
        submit_task(x, x->set->worker, slow_task);
    else if (flags & ROUTE_LONG)
        submit_task(x, x->set->env->keeper, slow_task);
    else
        submit_job(x);
    return false;
}
