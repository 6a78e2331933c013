/* version_range.h: ranges of versions as text, ">=1.0.0 <1.2.0 || 2.0.0". Pure functions.
 *
 * Comparators stand between blanks, and a version must suit all of them; of alternatives, which "||" parts,
 * it must suit one. A comparator is = == != > >= < or <= and a version of the scheme, blanks between them or
 * none; a version alone means =. The order is version_compare's: 1.2.0-rc1 is below 1.2.0, and so in <1.2.0.
 */
#ifndef OTAD_BASE_VERSION_RANGE_H
#define OTAD_BASE_VERSION_RANGE_H

#include "base/err.h"
#include "base/version.h"

#define RANGE_SIZE 129 /* with its final zero */

/* ERR_INVALID names the part that is wrong. "" is no range here: who means any version says nothing. */
int version_range_check(enum version_scheme scheme, const char *text, struct err *e);

/* "" holds everything. Nothing else holds a version that does not follow the scheme, and what
 * version_range_check refuses holds nothing: a product's scheme may have changed since. */
bool version_range_has(enum version_scheme scheme, const char *range, const char *version);

/* Whether some version below `version` can be in it: then an alternative's lower bounds are all below
 * `version`, and its bounds leave room. Between two versions there is always taken to be a third, and below a
 * version without a lower bound always one. False when `version` or the range does not follow the scheme. */
bool version_range_below(enum version_scheme scheme, const char *range, const char *version);

#endif
