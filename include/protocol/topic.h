/* topic.h: MQTT topic names and filters (MQTT 3.1.1, 4.7): levels, wildcards, matching. Pure functions. */
#ifndef OTAD_PROTOCOL_TOPIC_H
#define OTAD_PROTOCOL_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#define TOPIC_SIZE       384 /* the longest topic that any protocol has, with its end */
#define TOPIC_LEVELS_MAX 8

/* Whether the filter, which is well-formed, matches the name. '+' and '#' as the first level match no name
 * that begins with '$' (4.7.2). */
bool topic_matches(const char *filter, const char *name);

/* Level i of name, from 0, copied with its end; false when there is none or it does not fit. An empty level
 * is one. */
bool topic_level(const char *name, size_t i, char *out, size_t size);

/* Levels of name: one more than it has slashes. */
size_t topic_levels(const char *name);

#endif
