/* First line: the file's size, second: a Range field, third: a list of entity tags. */
#include "fuzz.h"

#include "base/str.h"
#include "http/range.h"

static void check_parts(const struct range *parts, size_t n, uint64_t size)
{
    assert(n >= 1 && n <= RANGES_MAX);
    for (size_t i = 0; i < n; i++) {
        assert(parts[i].first < parts[i].end && parts[i].end <= size);
        for (size_t k = 0; k < i; k++)
            assert(parts[k].end < parts[i].first || parts[i].end < parts[k].first);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char etag[] = "\"0123456789abcdefghijkl\"";
    char *number = fuzz_text(&data, &size, '\n');
    char *header = fuzz_text(&data, &size, '\n');
    char *list = fuzz_text(&data, &size, '\n');
    uint64_t bytes = 1000;
    str_to_uint(number, UINT64_MAX, &bytes);
    for (int bare = 0; bare < 2; bare++) {
        struct range parts[RANGES_MAX];
        size_t n = 1;
        enum range_verdict verdict = range_parse(header, bytes, bare, parts, &n);
        if (verdict == RANGE_PARTS)
            check_parts(parts, n, bytes);
        else
            assert(n == 0 && (verdict == RANGE_WHOLE || verdict == RANGE_UNSATISFIABLE));
    }
    bool strong = etag_listed(list, etag, false);
    assert(!strong || etag_listed(list, etag, true));
    assert(!strong || strchr(list, '*') || strstr(list, etag));
    free(number);
    free(header);
    free(list);
    return 0;
}
