#include "waiting.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS  64
#define LOOK_MS 100 /* for the end */

struct waiting {
    pthread_t thread;
    int fd; /* epoll */
    pthread_mutex_t lock;
    struct waiter *first;
    bool ending; /* nobody waits any more */
};

static void unlink_waiter(struct waiting *set, struct waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        set->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->prev = w->next = NULL;
    w->waits = false;
}

static void link_waiter(struct waiting *set, struct waiter *w)
{
    w->waits = true;
    w->prev = NULL;
    w->next = set->first;
    if (set->first)
        set->first->prev = w;
    set->first = w;
}

/* Who is not in wait was let go by waiting_stop, and its event came too late. */
static void resume(struct waiting *set, struct waiter *w)
{
    if (!w->waits)
        return;
    unlink_waiter(set, w);
    MHD_resume_connection(w->connection);
}

/* One event for each wait: a socket that is closed leaves the set by itself. */
static bool watch(const struct waiting *set, struct waiter *w)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = w};
    int op = w->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(set->fd, op, w->fd, &event) != 0)
        return false;
    w->known = true;
    return true;
}

void waiting_add(struct waiting *set, struct waiter *w)
{
    pthread_mutex_lock(&set->lock);
    if (!set->ending && !w->waits) {
        MHD_suspend_connection(w->connection);
        link_waiter(set, w);
        if (!watch(set, w))
            resume(set, w);
    }
    pthread_mutex_unlock(&set->lock);
}

static void *run(void *arg)
{
    struct waiting *set = arg;
    struct epoll_event events[EVENTS];
    for (bool ending = false; !ending;) {
        int n = epoll_wait(set->fd, events, EVENTS, LOOK_MS);
        pthread_mutex_lock(&set->lock);
        ending = set->ending;
        for (int i = 0; i < n && !ending; i++)
            resume(set, events[i].data.ptr);
        pthread_mutex_unlock(&set->lock);
    }
    return NULL;
}

int waiting_start(struct waiting **out, struct err *e)
{
    struct waiting *set = calloc(1, sizeof *set);
    if (!set)
        return err_set(e, ERR_INTERNAL, "no memory for handshakes that wait");
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    pthread_mutex_init(&set->lock, NULL);
    if (set->fd < 0 || pthread_create(&set->thread, NULL, run, set) != 0) {
        set->ending = true; /* there is no thread to end */
        waiting_close(set);
        return err_set(e, ERR_INTERNAL, "cannot start the thread that waits for handshakes");
    }
    *out = set;
    return 0;
}

void waiting_stop(struct waiting *set)
{
    if (!set || set->ending)
        return;
    pthread_mutex_lock(&set->lock);
    set->ending = true;
    while (set->first)
        resume(set, set->first);
    pthread_mutex_unlock(&set->lock);
    pthread_join(set->thread, NULL);
}

void waiting_close(struct waiting *set)
{
    if (!set)
        return;
    waiting_stop(set);
    if (set->fd >= 0)
        close(set->fd);
    pthread_mutex_destroy(&set->lock);
    free(set);
}
