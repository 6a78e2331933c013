#include "base/throttle.h"

#include "base/digest.h"
#include "base/nets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SETS       1024 /* a power of two */
#define WAYS       8
#define MINUTE_MS  60000
#define FNV_OFFSET 14695981039346656037ull
#define FNV_PRIME  1099511628211ull

struct bucket {
    uint64_t key;  /* 0: free */
    int64_t level; /* of failures times MINUTE_MS, at at_ms */
    int64_t at_ms;
    int64_t limit; /* failures that it holds, and leaks in a minute */
};

struct throttle {
    pthread_mutex_t lock;
    uint64_t seed;
    int64_t per_name, per_address;
    struct bucket buckets[SETS][WAYS];
};

struct throttle *throttle_open(int64_t per_name, int64_t per_address)
{
    struct throttle *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    random_bytes(&t->seed, sizeof t->seed);
    t->per_name = per_name;
    t->per_address = per_address;
    return t;
}

void throttle_close(struct throttle *t)
{
    if (t)
        pthread_mutex_destroy(&t->lock);
    free(t);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * FNV_PRIME;
    return hash;
}

static uint64_t key_of(const struct throttle *t, const struct in6_addr *address, const char *name)
{
    struct in6_addr party = address_party(address);
    uint64_t hash = mix(FNV_OFFSET ^ t->seed, &party, sizeof party);
    if (name)
        hash = mix(hash, name, strlen(name) + 1);
    /* FNV's low bits know nothing of the high ones */
    hash = (hash ^ t->seed ^ hash >> 32) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

static int64_t level_at(const struct bucket *b, int64_t now_ms)
{
    int64_t leaked = b->key ? (now_ms - b->at_ms) * b->limit : b->level;
    return b->level > leaked ? b->level - leaked : 0;
}

static struct bucket *find(struct throttle *t, uint64_t key)
{
    struct bucket *set = t->buckets[key & (SETS - 1)];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

static struct bucket *take_place(struct throttle *t, uint64_t key, int64_t limit, int64_t now_ms)
{
    struct bucket *set = t->buckets[key & (SETS - 1)], *emptiest = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (level_at(&set[i], now_ms) < level_at(emptiest, now_ms))
            emptiest = &set[i];
    *emptiest = (struct bucket){.key = key, .at_ms = now_ms, .limit = limit};
    return emptiest;
}

static bool is_full(struct throttle *t, uint64_t key, int64_t limit, int64_t now_ms)
{
    const struct bucket *b = limit ? find(t, key) : NULL;
    return b && level_at(b, now_ms) > (limit - 1) * MINUTE_MS;
}

static void add(struct throttle *t, uint64_t key, int64_t limit, int64_t now_ms)
{
    if (!limit)
        return;
    struct bucket *b = find(t, key);
    if (!b)
        b = take_place(t, key, limit, now_ms);
    b->level = level_at(b, now_ms) + MINUTE_MS;
    b->at_ms = now_ms;
}

bool throttle_slows(struct throttle *t, const struct in6_addr *address, const char *name, int64_t now_ms)
{
    if (!t)
        return false;
    uint64_t all = key_of(t, address, NULL), one = name ? key_of(t, address, name) : 0;
    pthread_mutex_lock(&t->lock);
    bool full = is_full(t, all, t->per_address, now_ms) || (name && is_full(t, one, t->per_name, now_ms));
    pthread_mutex_unlock(&t->lock);
    return full;
}

void throttle_count(struct throttle *t, const struct in6_addr *address, const char *name, int64_t now_ms)
{
    if (!t)
        return;
    uint64_t all = key_of(t, address, NULL), one = name ? key_of(t, address, name) : 0;
    pthread_mutex_lock(&t->lock);
    add(t, all, t->per_address, now_ms);
    if (name)
        add(t, one, t->per_name, now_ms);
    pthread_mutex_unlock(&t->lock);
}
