/* table.h: from text to pointer: an open-addressing table with linear probing. Owns copies of its keys, not
 * its values. For one thread. */
#ifndef OTAD_BROKER_PLUGIN_TABLE_H
#define OTAD_BROKER_PLUGIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
    char *key; /* NULL: free */
    void *value;
    uint64_t hash;
};

struct table { /* zeroed: empty */
    struct table_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t used;
};

void *table_get(const struct table *t, const char *key); /* NULL when there is none */

/* Adds or replaces; value is not NULL. False for want of memory. */
bool table_put(struct table *t, const char *key, void *value);

/* The value that was there, or NULL. */
void *table_remove(struct table *t, const char *key);

/* The next value, *at from 0; NULL at the end. The table must not change meanwhile. */
void *table_next(const struct table *t, size_t *at);

void table_free(struct table *t);

#endif
