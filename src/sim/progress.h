/* progress.h: what a person sees: a line that moves while the fleet works, and the summary at its end. */
#ifndef OTAD_SIM_PROGRESS_H
#define OTAD_SIM_PROGRESS_H

#include "tally.h"

#include <stdbool.h>
#include <stddef.h>

struct progress {
    bool quiet, terminal;
    int64_t next_ms;
};

void progress_begin(struct progress *p, bool quiet);
/* Draws when it is time to: often in a terminal, seldom elsewhere. On stderr. */
void progress_draw(struct progress *p, struct tally *t, int64_t now_ms);
void progress_end(struct progress *p);

struct summary {
    struct tally *tally;
    int64_t took_ms;
    const int64_t *spans_ms; /* from first offer to success, in order */
    size_t spans;
    bool goal_reached;
};

/* On stdout, for people or as one JSON object. */
void summary_print(const struct summary *s);
void summary_print_json(const struct summary *s);

#endif
