#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 256

void outbox_init(struct outbox *o)
{
    memset(o, 0, sizeof *o);
    pthread_mutex_init(&o->lock, NULL);
}

static void clear(struct outbox *o)
{
    for (size_t i = 0; i < o->n; i++)
        message_clear(&o->ring[(o->first + i) % o->cap].message);
    free(o->ring);
    o->ring = NULL;
    o->cap = o->first = o->n = o->unacknowledged = 0;
}

void outbox_free(struct outbox *o)
{
    clear(o);
    pthread_mutex_destroy(&o->lock);
}

void outbox_open(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    clear(o);
    o->open = true;
    pthread_mutex_unlock(&o->lock);
}

void outbox_close(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    clear(o);
    o->open = false;
    pthread_mutex_unlock(&o->lock);
}

/* Doubles the ring and lays what is in it from its start. */
static bool grow(struct outbox *o)
{
    size_t cap = o->cap ? o->cap * 2 : CAP_MIN;
    struct letter *ring = cap <= OUTBOX_MAX ? malloc(cap * sizeof *ring) : NULL;
    if (!ring)
        return false;
    for (size_t i = 0; o->cap > 0 && i < o->n; i++)
        ring[i] = o->ring[(o->first + i) % o->cap];
    free(o->ring);
    o->ring = ring;
    o->cap = cap;
    o->first = 0;
    return true;
}

bool outbox_add(struct outbox *o, struct letter letters[], size_t n, size_t *dropped)
{
    size_t i = 0;
    pthread_mutex_lock(&o->lock);
    bool open = o->open;
    for (; open && i < n && (o->n < o->cap || grow(o)); i++)
        o->ring[(o->first + o->n++) % o->cap] = letters[i];
    pthread_mutex_unlock(&o->lock);
    *dropped = n - i;
    for (; i < n; i++)
        message_clear(&letters[i].message);
    return open;
}

bool outbox_take(struct outbox *o, struct letter *out)
{
    pthread_mutex_lock(&o->lock);
    bool taken = o->n > 0 && o->unacknowledged < OUTBOX_WINDOW;
    if (taken) {
        *out = o->ring[o->first];
        o->first = (o->first + 1) % o->cap;
        o->n--;
        o->unacknowledged++;
    }
    /* a burst's memory is not kept for ever */
    if (taken && o->n == 0 && o->cap > CAP_MIN) {
        free(o->ring);
        o->ring = NULL;
        o->cap = o->first = 0;
    }
    pthread_mutex_unlock(&o->lock);
    return taken;
}

void outbox_sent(struct outbox *o, int n)
{
    pthread_mutex_lock(&o->lock);
    if (n >= 0)
        o->unacknowledged += (size_t)n;
    else
        o->unacknowledged -= (size_t)-n < o->unacknowledged ? (size_t)-n : o->unacknowledged;
    pthread_mutex_unlock(&o->lock);
}

size_t outbox_waiting(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    size_t n = o->n + o->unacknowledged;
    pthread_mutex_unlock(&o->lock);
    return n;
}

size_t outbox_room(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    size_t n = o->n + o->unacknowledged;
    size_t room = o->open && n <= OUTBOX_ROOM - OUTBOX_LEAST ? OUTBOX_ROOM - n : 0;
    o->wanted = room == 0;
    pthread_mutex_unlock(&o->lock);
    return room;
}

bool outbox_is_roomy(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    bool roomy = o->wanted && o->open && o->n + o->unacknowledged <= OUTBOX_ROOM / 2;
    o->wanted = o->wanted && !roomy;
    pthread_mutex_unlock(&o->lock);
    return roomy;
}
