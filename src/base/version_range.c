#include "base/version_range.h"

#include "base/str.h"

#include <stddef.h>
#include <string.h>

/* Which versions each operator admits, as they are below, equal to or above its own. One that admits none
 * below is a lower bound, one that admits none above an upper bound. */
static const struct relation {
    const char *sign;
    bool below, equal, above;
} relations[] = {
    {"", false, true, false},  {"=", false, true, false}, {"==", false, true, false},
    {"!=", true, false, true}, {">", false, false, true}, {">=", false, true, true},
    {"<", true, false, false}, {"<=", true, true, false},
};

struct span {
    const char *at;
    size_t len;
};

struct comparator {
    const struct relation *is; /* NULL: its sign is none */
    char sign[RANGE_SIZE];
    char version[RANGE_SIZE];
};

/* The next alternative of *rest, which is NULL behind the last one. */
static bool next_alternative(const char **rest, struct span *out)
{
    if (!*rest)
        return false;
    const char *bars = strstr(*rest, "||");
    out->at = *rest;
    out->len = bars ? (size_t)(bars - *rest) : strlen(*rest);
    *rest = bars ? bars + 2 : NULL;
    return true;
}

/* Cuts off the characters that are in `set`, or those up to the first that is. */
static struct span take_while(struct span *from, const char *set, bool in)
{
    struct span taken = {from->at, 0};
    for (; from->len && (strchr(set, *from->at) != NULL) == in; from->at++, from->len--)
        taken.len++;
    return taken;
}

/* Fits: spans are parts of a text shorter than RANGE_SIZE. */
static void copy(char out[RANGE_SIZE], struct span s)
{
    memcpy(out, s.at, s.len);
    out[s.len] = '\0';
}

static const struct relation *find_relation(const char *sign)
{
    for (size_t i = 0; i < ARRAY_SIZE(relations); i++)
        if (strcmp(sign, relations[i].sign) == 0)
            return &relations[i];
    return NULL;
}

/* Signs of other languages of ranges, ~1.2 and ^1.2, are read as signs too, to be refused by their name. */
static bool next_comparator(struct span *alternative, struct comparator *out)
{
    take_while(alternative, " ", true);
    if (alternative->len == 0)
        return false;
    copy(out->sign, take_while(alternative, "=!<>~^", true));
    take_while(alternative, " ", true);
    copy(out->version, take_while(alternative, " ", false));
    out->is = find_relation(out->sign);
    return true;
}

static int check_comparator(enum version_scheme scheme, const struct comparator *c, struct err *e)
{
    if (!c->is)
        return err_set(e, ERR_INVALID, "%s is no operator of a range: those are = == != > >= < <=", c->sign);
    if (!*c->version)
        return err_set(e, ERR_INVALID, "no version stands behind %s", c->sign);
    if (!version_valid(scheme, c->version))
        return err_set(e, ERR_INVALID, "%s is no version of scheme %s", c->version,
                       version_scheme_name(scheme));
    return 0;
}

static int check_alternative(enum version_scheme scheme, struct span alternative, bool alone, struct err *e)
{
    struct comparator c;
    size_t n = 0;
    int rc = 0;
    for (; rc == 0 && next_comparator(&alternative, &c); n++)
        rc = check_comparator(scheme, &c, e);
    if (rc == 0 && n == 0)
        rc = err_set(e, ERR_INVALID, alone ? "a range of versions is empty" : "beside || stands no version");
    return rc;
}

int version_range_check(enum version_scheme scheme, const char *text, struct err *e)
{
    if (strnlen(text, RANGE_SIZE) == RANGE_SIZE)
        return err_set(e, ERR_INVALID, "a range of versions has at most %d bytes", RANGE_SIZE - 1);
    bool alone = !strstr(text, "||");
    struct span alternative;
    int rc = 0;
    while (rc == 0 && next_alternative(&text, &alternative))
        rc = check_alternative(scheme, alternative, alone, e);
    return rc;
}

static bool checked(enum version_scheme scheme, const char *range, const char *version)
{
    struct err ignored;
    return version_valid(scheme, version) && version_range_check(scheme, range, &ignored) == 0;
}

/* Of versions that follow the scheme. */
static int order_of(enum version_scheme scheme, const char *a, const char *b)
{
    int order = 0;
    version_compare(scheme, a, b, &order);
    return order;
}

static bool alternative_has(enum version_scheme scheme, struct span alternative, const char *version)
{
    struct comparator c;
    bool has = true;
    while (has && next_comparator(&alternative, &c)) {
        int order = order_of(scheme, version, c.version);
        has = order < 0 ? c.is->below : order > 0 ? c.is->above : c.is->equal;
    }
    return has;
}

bool version_range_has(enum version_scheme scheme, const char *range, const char *version)
{
    bool has = !*range;
    struct span alternative;
    if (!has && !checked(scheme, range, version))
        return false;
    while (!has && next_alternative(&range, &alternative))
        has = alternative_has(scheme, alternative, version);
    return has;
}

/* Its greatest lower and its least upper bound; "" where it has none. */
static void find_bounds(enum version_scheme scheme, struct span alternative, char lower[RANGE_SIZE],
                        char upper[RANGE_SIZE])
{
    struct comparator c;
    *lower = *upper = '\0';
    while (next_comparator(&alternative, &c)) {
        if (!c.is->below && (!*lower || order_of(scheme, c.version, lower) > 0))
            str_copy(lower, RANGE_SIZE, c.version);
        if (!c.is->above && (!*upper || order_of(scheme, c.version, upper) < 0))
            str_copy(upper, RANGE_SIZE, c.version);
    }
}

/* Where the bounds meet, the version that they meet at is the only one left. */
static bool alternative_below(enum version_scheme scheme, struct span alternative, const char *version)
{
    char lower[RANGE_SIZE], upper[RANGE_SIZE];
    find_bounds(scheme, alternative, lower, upper);
    if (!*lower)
        return true;
    if (order_of(scheme, lower, version) >= 0)
        return false;
    int gap = *upper ? order_of(scheme, lower, upper) : -1;
    return gap < 0 || (gap == 0 && alternative_has(scheme, alternative, lower));
}

bool version_range_below(enum version_scheme scheme, const char *range, const char *version)
{
    bool below = !*range && version_valid(scheme, version);
    struct span alternative;
    if (!below && !checked(scheme, range, version))
        return false;
    while (!below && next_alternative(&range, &alternative))
        below = alternative_below(scheme, alternative, version);
    return below;
}
