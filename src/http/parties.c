#include "parties.h"

#include "base/digest.h"
#include "base/nets.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct party {
    struct in6_addr address;
    size_t connections;
    struct party *next; /* in its chain, or of the free ones */
};

struct parties {
    pthread_mutex_t lock;
    uint64_t seed;
    size_t max_each, chains; /* chains: a power of two */
    struct party **chain;
    struct party *free;
    struct party room[];
};

struct parties *parties_open(size_t room, size_t max_each)
{
    size_t chains = 1;
    while (chains < room)
        chains *= 2;
    struct parties *set = calloc(1, sizeof *set + room * sizeof set->room[0]);
    struct party **chain = calloc(chains, sizeof *chain);
    if (!set || !chain) {
        free(set);
        free(chain);
        return NULL;
    }
    pthread_mutex_init(&set->lock, NULL);
    random_bytes(&set->seed, sizeof set->seed);
    set->max_each = max_each;
    set->chains = chains;
    set->chain = chain;
    for (size_t i = 0; i < room; i++) {
        set->room[i].next = set->free;
        set->free = &set->room[i];
    }
    return set;
}

void parties_close(struct parties *set)
{
    if (!set)
        return;
    pthread_mutex_destroy(&set->lock);
    free(set->chain);
    free(set);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 32;
}

static struct party **chain_of(struct parties *set, const struct in6_addr *address)
{
    uint64_t words[2];
    memcpy(words, address, sizeof words);
    return &set->chain[mix(mix(set->seed, words[0]), words[1]) & (set->chains - 1)];
}

static struct party *find(struct parties *set, const struct in6_addr *address)
{
    struct party *p = *chain_of(set, address);
    while (p && memcmp(&p->address, address, sizeof *address) != 0)
        p = p->next;
    return p;
}

static struct party *make(struct parties *set, const struct in6_addr *address)
{
    struct party *p = set->free, **chain = chain_of(set, address);
    if (!p)
        return NULL;
    set->free = p->next;
    *p = (struct party){.address = *address, .next = *chain};
    *chain = p;
    return p;
}

static void drop(struct parties *set, struct party *p)
{
    struct party **at = chain_of(set, &p->address);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->next = set->free;
    set->free = p;
}

bool parties_full(struct parties *set, const struct in6_addr *address)
{
    struct in6_addr party = address_party(address);
    pthread_mutex_lock(&set->lock);
    const struct party *p = find(set, &party);
    bool full = p && p->connections >= set->max_each;
    pthread_mutex_unlock(&set->lock);
    return full;
}

struct party *parties_enter(struct parties *set, const struct in6_addr *address)
{
    struct in6_addr party = address_party(address);
    pthread_mutex_lock(&set->lock);
    struct party *p = find(set, &party);
    if (!p)
        p = make(set, &party);
    if (p)
        p->connections++;
    pthread_mutex_unlock(&set->lock);
    return p;
}

void parties_leave(struct parties *set, struct party *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&set->lock);
    if (--p->connections == 0)
        drop(set, p);
    pthread_mutex_unlock(&set->lock);
}
