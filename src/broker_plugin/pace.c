#include "pace.h"

bool pace_allows(struct pace *p, int64_t now_ms)
{
    int64_t drained = (now_ms - p->at_ms) * PACE_PER_MS;
    p->level = p->level > drained ? p->level - drained : 0;
    p->at_ms = now_ms;
    if (p->level >= PACE_BURST)
        return false;
    p->level++;
    return true;
}
