/* A TZif file, or what claims to be one. Offsets are possible ones, and change where it is said and nowhere
 * before. */
#include "fuzz.h"

#include "base/zone.h"

static int32_t offset(const struct zone *z, int64_t at_s)
{
    int32_t value = zone_offset(z, at_s);
    assert(value >= -ZONE_OFFSET_MAX && value <= ZONE_OFFSET_MAX);
    return value;
}

/* At or after first, and before end. */
static int64_t between(int64_t first, int64_t end)
{
    return (int64_t)((uint64_t)first + ((uint64_t)end - (uint64_t)first) / 2);
}

static void walk(const struct zone *z, int64_t at_s)
{
    for (int i = 0; i < 12; i++) {
        int64_t next = INT64_MAX;
        bool found = zone_next_change(z, at_s, &next);
        assert(!found || next > at_s);
        assert(offset(z, at_s) == offset(z, found ? next - 1 : INT64_MAX));
        if (!found)
            return;
        assert(offset(z, between(at_s, next)) == offset(z, at_s));
        assert(offset(z, next) != offset(z, next - 1));
        at_s = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *bytes = fuzz_copy(data, size);
    struct zone *z = NULL;
    struct err e = {0};
    int rc = zone_parse(bytes, size, &z, &e);
    free(bytes);
    if (rc) {
        fuzz_check_failure(rc, &e);
        return 0;
    }
    static const int64_t moments[] = {-62135596800, 0, 1795240800, 4102444800};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
        walk(z, moments[i]);
    walk(z, INT64_MIN);
    offset(z, INT64_MAX);
    zone_close(z);
    return 0;
}
