/* roster.h: who the devices are: numbered names of one product, or the rows of a file. Constant after
 * loading. */
#ifndef OTAD_SIM_ROSTER_H
#define OTAD_SIM_ROSTER_H

#include "options.h"
#include "wire.h"

#include <stddef.h>

struct roster {
    struct wire_identity *row; /* texts lie in text */
    size_t n;
    char *text;
};

/* Names are the prefix and a number of at least five digits from options->first on. A file has a device a
 * line, product,name,secret, where further columns and a first line of titles are skipped; options->first and
 * ->devices choose among its rows. ERR_INVALID names the line at fault, never its secret. */
int roster_load(const struct options *o, struct roster *out, struct err *e);
void roster_free(struct roster *r);

#endif
