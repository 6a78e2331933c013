/* chance.h: what happens to which device, by hashes of (seed, device, question): the same in every run, and
 * unrelated from one device or question to the next. Pure. */
#ifndef OTAD_SIM_CHANCE_H
#define OTAD_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

enum chance { CHANCE_CUT, CHANCE_DROP, CHANCE_FAIL, CHANCE_NEVER, CHANCE_CUT_AT, CHANCE_STEP, CHANCE_SPAN };

/* The finishing function of SplitMix64: neighbouring inputs give unrelated outputs. */
static inline uint64_t chance_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static inline uint64_t chance_begin(uint64_t seed, uint64_t number)
{
    return chance_mix(seed ^ chance_mix(number + 0x9E3779B97F4A7C15U));
}

static inline uint64_t chance(uint64_t luck, enum chance what)
{
    return chance_mix(luck + 0x9E3779B97F4A7C15U * ((uint64_t)what + 1));
}

static inline bool chance_happens(uint64_t luck, enum chance what, int64_t pct)
{
    return chance(luck, what) % 100 < (uint64_t)pct;
}

/* From 75 to 125 % of a span, so that the devices of a fleet do not act as one. */
static inline int64_t chance_about(uint64_t luck, int64_t span_ms)
{
    return span_ms * (int64_t)(75 + chance(luck, CHANCE_SPAN) % 51) / 100;
}

#endif
