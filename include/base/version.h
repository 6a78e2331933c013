/* version.h: which of two versions is newer, by the product's scheme. Pure functions.
 *
 * dotted   1.2.10, v1.2, 1.2.3.4-rc1: numeric parts compared as numbers, missing parts are 0, a suffix after
 *          '-' makes it older than the same without (semver 2.0.0 clause 11 for suffixes), '+...' is ignored
 * semver   exactly three numeric parts, semver 2.0.0 clause 11
 * date     2026-11-21, 20261121, 2026.11.21 with an optional .N
 * integer  a decimal number
 * A leading v or V is allowed in all of them. Numbers may be of any length; at most 32 parts. */
#ifndef OTAD_BASE_VERSION_H
#define OTAD_BASE_VERSION_H

#include <stdbool.h>

enum version_scheme { VERSION_DOTTED, VERSION_SEMVER, VERSION_DATE, VERSION_INTEGER, VERSION_SCHEMES };

const char *version_scheme_name(enum version_scheme scheme);
int version_scheme_parse(const char *name); /* -1 when unknown */

bool version_valid(enum version_scheme scheme, const char *text);

/* *order is <0, 0 or >0 as a is older than, equal to, or newer than b. False when either does not follow the
 * scheme, unless both are the same text (then 0). */
bool version_compare(enum version_scheme scheme, const char *a, const char *b, int *order);

#endif
