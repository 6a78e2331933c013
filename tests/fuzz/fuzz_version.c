/* Four lines: a scheme, and three versions. They have one order, whoever is asked first. */
#include "fuzz.h"

#include "base/version.h"

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static bool compare(enum version_scheme scheme, const char *a, const char *b, int *order)
{
    bool known = version_compare(scheme, a, b, order);
    bool valid = version_valid(scheme, a) && version_valid(scheme, b);
    assert(known == (valid || strcmp(a, b) == 0));
    if (known)
        *order = sign(*order);
    return known;
}

static void check_pair(enum version_scheme scheme, const char *a, const char *b)
{
    int there, back, self;
    bool known = compare(scheme, a, b, &there);
    assert(compare(scheme, b, a, &back) == known);
    assert(!known || there == -back);
    assert(compare(scheme, a, a, &self) && self == 0);
}

static void check_triple(enum version_scheme scheme, const char *a, const char *b, const char *c)
{
    int ab, bc, ac;
    if (!compare(scheme, a, b, &ab) || !compare(scheme, b, c, &bc) || !compare(scheme, a, c, &ac))
        return;
    if (ab == bc || !ab || !bc) /* both one way, or one of them the same */
        assert(ac == (ab ? ab : bc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_text(&data, &size, '\n'), *text[3];
    int scheme = version_scheme_parse(name);
    for (int i = 0; i < 3; i++)
        text[i] = fuzz_text(&data, &size, '\n');
    for (int i = 0; i < 3 && scheme >= 0; i++)
        check_pair((enum version_scheme)scheme, text[i], text[(i + 1) % 3]);
    if (scheme >= 0)
        check_triple((enum version_scheme)scheme, text[0], text[1], text[2]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
    free(name);
    return 0;
}
