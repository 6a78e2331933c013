#include "rollout/presence.h"

#include "store/device.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A table of two levels: a chunk is made when the first of its devices is heard and stays until the end, so
 * that a reader needs no lock. Ids beyond the last chunk are not tracked: they count as away. */
#define CHUNK_DEVICES 4096
#define CHUNKS        8192

struct cell {
    _Atomic uint32_t seen_s; /* wall clock */
    _Atomic uint16_t sessions;
    _Atomic uint16_t unsaved; /* seen_s is newer than the store's */
};

struct presence {
    int64_t timeout_ms;
    atomic_bool reported; /* the broker's plugin speaks to us */
    _Atomic int64_t listens_since_ms;
    _Atomic unsigned count;
    _Atomic int64_t top;            /* above the last chunk that was made */
    size_t flush_chunk, flush_cell; /* where the next flush goes on; the writer's */
    _Atomic(struct cell *) chunk[CHUNKS];
};

struct presence *presence_open(int64_t timeout_ms)
{
    struct presence *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->timeout_ms = timeout_ms;
    return p;
}

void presence_close(struct presence *p)
{
    for (size_t i = 0; i < CHUNKS; i++)
        free(atomic_load(&p->chunk[i]));
    free(p);
}

static struct cell *find(const struct presence *p, int64_t id)
{
    if (id <= 0 || id >= (int64_t)CHUNKS * CHUNK_DEVICES)
        return NULL;
    struct cell *chunk = atomic_load_explicit(&p->chunk[id / CHUNK_DEVICES], memory_order_acquire);
    return chunk ? &chunk[id % CHUNK_DEVICES] : NULL;
}

static struct cell *find_or_make(struct presence *p, int64_t id)
{
    struct cell *cell = find(p, id);
    if (cell || id <= 0 || id >= (int64_t)CHUNKS * CHUNK_DEVICES)
        return cell;
    struct cell *fresh = calloc(CHUNK_DEVICES, sizeof *fresh), *none = NULL;
    if (!fresh)
        abort();
    if (!atomic_compare_exchange_strong(&p->chunk[id / CHUNK_DEVICES], &none, fresh))
        free(fresh); /* another thread was first */
    int64_t end = (id / CHUNK_DEVICES + 1) * CHUNK_DEVICES, top = atomic_load(&p->top);
    while (top < end && !atomic_compare_exchange_weak(&p->top, &top, end))
        ;
    return find(p, id);
}

static void set_sessions(struct presence *p, struct cell *cell, unsigned sessions)
{
    unsigned before =
        atomic_exchange(&cell->sessions, (uint16_t)(sessions > UINT16_MAX ? UINT16_MAX : sessions));
    if (!before && sessions)
        atomic_fetch_add(&p->count, 1);
    else if (before && !sessions)
        atomic_fetch_sub(&p->count, 1);
}

void presence_reported(struct presence *p)
{
    atomic_store(&p->reported, true);
}

void presence_sessions(struct presence *p, int64_t device_id, unsigned sessions)
{
    struct cell *cell = find_or_make(p, device_id);
    presence_reported(p);
    if (cell)
        set_sessions(p, cell, sessions);
}

void presence_joined(struct presence *p, int64_t device_id)
{
    struct cell *cell = find_or_make(p, device_id);
    if (cell && atomic_load(&p->reported))
        set_sessions(p, cell, 1);
}

void presence_forget(struct presence *p, int64_t device_id)
{
    struct cell *cell = find(p, device_id);
    if (cell)
        set_sessions(p, cell, 0);
}

void presence_clear(struct presence *p)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct cell *chunk = atomic_load(&p->chunk[i]);
        for (size_t k = 0; chunk && k < CHUNK_DEVICES; k++)
            set_sessions(p, &chunk[k], 0);
    }
    atomic_store(&p->reported, false);
    atomic_store(&p->listens_since_ms, INT64_MAX);
}

void presence_listen(struct presence *p, int64_t now_ms)
{
    atomic_store(&p->listens_since_ms, now_ms);
}

int64_t presence_listens_since(const struct presence *p)
{
    return atomic_load(&p->listens_since_ms);
}

void presence_touch(struct presence *p, int64_t device_id, int64_t now_ms)
{
    struct cell *cell = find_or_make(p, device_id);
    if (!cell)
        return;
    atomic_store(&cell->seen_s, (uint32_t)(now_ms / 1000));
    atomic_store(&cell->unsaved, 1);
}

bool presence_guesses(const struct presence *p)
{
    return p->timeout_ms && !atomic_load(&p->reported);
}

bool presence_there(const struct presence *p, int64_t device_id, int64_t now_ms)
{
    const struct cell *cell = find(p, device_id);
    if (!cell)
        return false;
    if (atomic_load(&cell->sessions))
        return true;
    int64_t seen_ms = (int64_t)atomic_load(&cell->seen_s) * 1000;
    return !atomic_load(&p->reported) && p->timeout_ms && seen_ms && now_ms - seen_ms <= p->timeout_ms;
}

bool presence_connected(const struct presence *p, int64_t device_id)
{
    const struct cell *cell = find(p, device_id);
    return cell && atomic_load(&cell->sessions);
}

int64_t presence_last_seen(const struct presence *p, int64_t device_id)
{
    const struct cell *cell = find(p, device_id);
    return cell ? (int64_t)atomic_load(&cell->seen_s) * 1000 : 0;
}

int64_t presence_top(const struct presence *p)
{
    return atomic_load(&p->top);
}

unsigned presence_count(const struct presence *p)
{
    return atomic_load(&p->count);
}

/* What a failed flush has taken for saved is undone with it; and a row more that is written does no harm. */
static void begin_again(struct presence *p, size_t chunk, size_t cell)
{
    for (size_t i = chunk; i <= p->flush_chunk; i++) {
        struct cell *cells = atomic_load(&p->chunk[i]);
        size_t end = i < p->flush_chunk ? CHUNK_DEVICES : p->flush_cell + 1;
        for (size_t k = i == chunk ? cell : 0; cells && k < end; k++)
            if (atomic_load(&cells[k].seen_s))
                atomic_store(&cells[k].unsaved, 1);
    }
    p->flush_chunk = chunk;
    p->flush_cell = cell;
}

int presence_flush(struct presence *p, struct db *w, unsigned max, bool *more, struct err *e)
{
    unsigned saved = 0;
    size_t first_chunk = p->flush_chunk, first_cell = p->flush_cell;
    *more = false;
    for (; p->flush_chunk < CHUNKS; p->flush_chunk++, p->flush_cell = 0) {
        struct cell *chunk = atomic_load(&p->chunk[p->flush_chunk]);
        for (; chunk && p->flush_cell < CHUNK_DEVICES; p->flush_cell++) {
            struct cell *cell = &chunk[p->flush_cell];
            if (!atomic_load_explicit(&cell->unsaved, memory_order_relaxed))
                continue;
            if (saved++ == max) {
                *more = true;
                return 0;
            }
            atomic_store(&cell->unsaved, 0);
            int64_t id = (int64_t)(p->flush_chunk * CHUNK_DEVICES + p->flush_cell);
            int rc = device_seen(w, id, (int64_t)atomic_load(&cell->seen_s) * 1000, e);
            if (rc < 0) {
                begin_again(p, first_chunk, first_cell);
                return rc;
            }
        }
    }
    p->flush_chunk = p->flush_cell = 0;
    return 0;
}
