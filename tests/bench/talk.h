/* talk.h: how the programs of the benchmarks speak with the Python that runs them: a line each way. */
#ifndef OTAD_BENCH_TALK_H
#define OTAD_BENCH_TALK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void die(const char *why)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
    exit(1);
}

static inline void tell(const char *text)
{
    puts(text);
    fflush(stdout);
}

#endif
