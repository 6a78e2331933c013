#include "kicks.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 16

void kicks_init(struct kicks *k)
{
    memset(k, 0, sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
}

void kicks_free(struct kicks *k)
{
    free(k->at);
    pthread_mutex_destroy(&k->lock);
}

static void make_room(struct kicks *k)
{
    if (k->n < k->cap)
        return;
    k->cap = k->cap ? k->cap * 2 : CAP_MIN;
    k->at = reallocarray(k->at, k->cap, sizeof *k->at);
    if (!k->at)
        abort();
}

void kicks_add(struct kicks *k, const char *product, const char *device)
{
    pthread_mutex_lock(&k->lock);
    bool everybody = k->n == KICKS_MAX;
    if (everybody)
        k->n = k->sent = 0;
    make_room(k);
    struct kick *new = &k->at[k->n++];
    str_copy(new->product, sizeof new->product, everybody ? "" : product);
    str_copy(new->device, sizeof new->device, everybody ? "" : device);
    pthread_mutex_unlock(&k->lock);
}

bool kicks_next(struct kicks *k, struct kick *out)
{
    pthread_mutex_lock(&k->lock);
    bool more = k->sent < k->n;
    if (more)
        *out = k->at[k->sent++];
    pthread_mutex_unlock(&k->lock);
    return more;
}

void kicks_sent(struct kicks *k, int mid)
{
    pthread_mutex_lock(&k->lock);
    k->last = mid;
    pthread_mutex_unlock(&k->lock);
}

void kicks_acknowledged(struct kicks *k, int mid)
{
    pthread_mutex_lock(&k->lock);
    if (k->sent > 0 && mid == k->last) {
        k->n -= k->sent;
        memmove(k->at, k->at + k->sent, k->n * sizeof *k->at);
        k->sent = 0;
    }
    pthread_mutex_unlock(&k->lock);
}

void kicks_undo(struct kicks *k)
{
    pthread_mutex_lock(&k->lock);
    k->sent = 0;
    pthread_mutex_unlock(&k->lock);
}
