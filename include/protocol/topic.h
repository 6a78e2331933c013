/* topic.h: MQTT topic names and filters (MQTT 3.1.1, 4.7): levels, wildcards, matching; and what a device may
 * use of them. Pure functions. */
#ifndef OTAD_PROTOCOL_TOPIC_H
#define OTAD_PROTOCOL_TOPIC_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define TOPIC_LEVELS_MAX 10

/* Whether the filter, which is well-formed, matches the name. '+' and '#' as the first level match no name
 * that begins with '$' (4.7.2). */
bool topic_matches(const char *filter, const char *name);

/* Level i of name, from 0, copied with its end; false when there is none or it does not fit. An empty level
 * is one. */
bool topic_level(const char *name, size_t i, char *out, size_t size);

/* Levels of name: one more than it has slashes. */
size_t topic_levels(const char *name);

/* ---- a device's own topics: patterns whose level "%p" is the product and "%d" the device; "+" is any level
 * and "#" all that follow. Lists end with NULL. */
struct topic_rules {
    const char *const *publish; /* what it may say */
    const char *const *hear;    /* what may be delivered to it */
    const char *const
        *subscribe; /* filters it may subscribe to: each level is the pattern's, or below "+", "#" */
    const char *const *offers; /* of hear: whoever subscribes to one is ready for an offer; no wildcards */
    const char *const *blocks; /* of publish: what asks for blocks of a file; NULL none */
};

/* Whether name is one of the patterns'. A wildcard in name is a level like any other: it fits only where the
 * pattern has one. */
bool topic_fits(const char *const patterns[], const char *name, const char *product, const char *device);

/* The topic that a pattern without wildcards is for a device; false when it does not fit. */
bool topic_spell(const char *pattern, const char *product, const char *device, char out[TOPIC_SIZE]);

/* Whether the filter brings one of the patterns' topics, which have no wildcards. */
bool topic_brings(const char *filter, const char *const patterns[], const char *product, const char *device);

#endif
