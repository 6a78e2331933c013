#include "table.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64

/* The slot of key, or the free one where it would go. There is always a free one. */
static struct table_slot *slot_of(const struct table *t, const char *key, uint64_t hash)
{
    size_t i = hash & (t->cap - 1);
    while (t->slots[i].key && (t->slots[i].hash != hash || strcmp(t->slots[i].key, key) != 0))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

static bool grow(struct table *t)
{
    struct table bigger = {.cap = t->cap ? t->cap * 2 : CAP_MIN, .used = t->used};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].key)
            *slot_of(&bigger, t->slots[i].key, t->slots[i].hash) = t->slots[i];
    free(t->slots);
    *t = bigger;
    return true;
}

void *table_get(const struct table *t, const char *key)
{
    return t->cap ? slot_of(t, key, str_hash(key, strlen(key)))->value : NULL;
}

bool table_put(struct table *t, const char *key, void *value)
{
    if (t->used + 1 > t->cap / 4 * 3 && !grow(t))
        return false;
    uint64_t hash = str_hash(key, strlen(key));
    struct table_slot *slot = slot_of(t, key, hash);
    if (!slot->key) {
        slot->key = strdup(key);
        if (!slot->key)
            return false;
        slot->hash = hash;
        t->used++;
    }
    slot->value = value;
    return true;
}

/* Closes the hole at i: what probed past it moves up, so that no search ends too early. */
static void close_hole(struct table *t, size_t i)
{
    size_t mask = t->cap - 1;
    for (size_t k = (i + 1) & mask; t->slots[k].key; k = (k + 1) & mask) {
        size_t home = t->slots[k].hash & mask;
        if (((k - home) & mask) >= ((k - i) & mask)) {
            t->slots[i] = t->slots[k];
            i = k;
        }
    }
    t->slots[i] = (struct table_slot){0};
}

void *table_remove(struct table *t, const char *key)
{
    struct table_slot *slot = t->cap ? slot_of(t, key, str_hash(key, strlen(key))) : NULL;
    if (!slot || !slot->key)
        return NULL;
    void *value = slot->value;
    free(slot->key);
    close_hole(t, (size_t)(slot - t->slots));
    t->used--;
    return value;
}

void *table_next(const struct table *t, size_t *at)
{
    while (*at < t->cap) {
        const struct table_slot *slot = &t->slots[(*at)++];
        if (slot->key)
            return slot->value;
    }
    return NULL;
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->cap; i++)
        free(t->slots[i].key);
    free(t->slots);
    *t = (struct table){0};
}
