/* First line: a range of versions, second and third: two versions. */
#include "fuzz.h"

#include "base/version_range.h"

static void check(enum version_scheme scheme, const char *range, const char *a, const char *b)
{
    struct err e = {0};
    int rc = version_range_check(scheme, range, &e), order = 0;
    bool has = version_range_has(scheme, range, a), below = version_range_below(scheme, range, b);
    if (rc)
        fuzz_check_failure(rc, &e);
    assert(rc == 0 || !*range || (!has && !below));
    assert(!*range || !has || version_valid(scheme, a));
    assert(!below || version_valid(scheme, b));
    if (!version_valid(scheme, a) || !version_compare(scheme, a, b, &order))
        return;
    /* what is in it and older stands below, and what is as new as another is in what that is in */
    assert(!has || order >= 0 || below);
    assert(order != 0 || has == version_range_has(scheme, range, b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *range = fuzz_text(&data, &size, '\n');
    char *a = fuzz_text(&data, &size, '\n'), *b = fuzz_text(&data, &size, '\n');
    for (int scheme = 0; scheme < VERSION_SCHEMES; scheme++)
        check((enum version_scheme)scheme, range, a, b);
    free(range);
    free(a);
    free(b);
    return 0;
}
