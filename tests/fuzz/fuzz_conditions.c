/* Five lines: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range; an empty one is a
 * field that is not there. */
#include "fuzz.h"

#include "base/clock.h"
#include "http/range.h"

#define MODIFIED_MS 784111777000 /* Sun, 06 Nov 1994 08:49:37 GMT */

static const char etag[] = "\"0123456789abcdefghijkl\"";

/* A verdict has its field, and the strong comparison finds no more than the weak one. */
static void check(const struct conditions *c, enum precondition verdict, bool use_range)
{
    assert(verdict != PRECONDITION_FAILED || c->if_match || c->if_unmodified_since);
    assert(verdict != PRECONDITION_NOT_MODIFIED || c->if_none_match || c->if_modified_since);
    assert(c->if_range || use_range);
    if (c->if_match)
        assert((verdict == PRECONDITION_FAILED) == !etag_listed(c->if_match, etag, false));
    const char *const lists[] = {c->if_match, c->if_none_match, c->if_range};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        if (lists[i] && etag_listed(lists[i], etag, false))
            assert(etag_listed(lists[i], etag, true));
}

/* A date that is none is as good as no field. */
static void check_dates(struct conditions c, enum precondition verdict)
{
    int64_t at_ms;
    bool use_range;
    if (c.if_modified_since && clock_http_parse(c.if_modified_since, &at_ms) != 0)
        c.if_modified_since = NULL;
    if (c.if_unmodified_since && clock_http_parse(c.if_unmodified_since, &at_ms) != 0)
        c.if_unmodified_since = NULL;
    assert(conditions_judge(&c, etag, MODIFIED_MS, &use_range) == verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conditions c = {0};
    const char **const members[] = {&c.if_match, &c.if_none_match, &c.if_modified_since,
                                    &c.if_unmodified_since, &c.if_range};
    char *lines[ARRAY_SIZE(members)];
    bool use_range = false;
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        lines[i] = fuzz_text(&data, &size, '\n');
        *members[i] = *lines[i] ? lines[i] : NULL;
    }
    enum precondition verdict = conditions_judge(&c, etag, MODIFIED_MS, &use_range);
    check(&c, verdict, use_range);
    check_dates(c, verdict);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        free(lines[i]);
    return 0;
}
