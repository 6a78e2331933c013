/* liberal.h: reading what devices say. They leave commas before a closing bracket, write numbers as strings,
 * and repeat keys; what is meant is taken. Pure functions. */
#ifndef OTAD_PROTOCOL_LIBERAL_H
#define OTAD_PROTOCOL_LIBERAL_H

#include "base/json.h"
#include "model/event.h"

/* A JSON object of at most JSON_MAX_DEPTH, with commas before "}" and "]", keys that come twice (the last one
 * counts), and blanks, line ends or zeros behind it. Nothing at all is an empty object. The caller owns *out.
 */
int liberal_parse(const void *payload, size_t len, json_t **out, struct err *e);

/* What a message says, by the reader of its kind: found, which knows already who speaks, becomes *ev when all
 * is well; else nothing is owned. */
typedef int liberal_reader(const json_t *body, struct device_event *ev, struct err *e);
int liberal_read(const void *payload, size_t len, liberal_reader *read, struct device_event *found,
                 struct device_event *ev, struct err *e);

/* The member, or NULL when it is not there or null. */
const json_t *liberal_member(const json_t *object, const char *key);

/* A whole number from min to max, or a string of its digits; of fractions what stands before the point. False
 * for anything else. */
bool liberal_int(const json_t *value, int64_t min, int64_t max, int64_t *out);

/* A string, or a whole number as its digits, when it fits. NULL: false. */
bool liberal_text(const json_t *value, char *out, size_t size);

/* The device's own words: as much as fits, whole characters only, control characters as blanks. text is
 * UTF-8 or NULL. */
void liberal_detail(char out[DETAIL_SIZE], const char *text);

#endif
