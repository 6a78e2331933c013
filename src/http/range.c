#include "http/range.h"

#include <string.h>
#include <strings.h>

/* What one range-spec asks for, before the file's size is known. */
struct spec {
    uint64_t first, last;
    bool suffix; /* the last `last` bytes */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

/* Reads digits; a number beyond 2^64-1 stays there, which is past the end of any file. */
static const char *read_number(const char *p, uint64_t *value)
{
    uint64_t n = 0;
    for (; is_digit(*p); p++) {
        unsigned digit = (unsigned)(*p - '0');
        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    *value = n;
    return p;
}

/* int-range or suffix-range of RFC 9110 14.1.1; NULL when there is none at p. */
static const char *read_spec(const char *p, struct spec *spec)
{
    *spec = (struct spec){.last = UINT64_MAX, .suffix = *p == '-'};
    if (!spec->suffix && !is_digit(*p))
        return NULL;
    p = read_number(p, &spec->first);
    if (*p++ != '-')
        return NULL;
    if (is_digit(*p))
        p = read_number(p, &spec->last);
    else if (spec->suffix)
        return NULL;
    return spec->suffix || spec->first <= spec->last ? p : NULL;
}

/* False when the file has none of these bytes. */
static bool resolve(const struct spec *spec, uint64_t size, struct range *r)
{
    if (spec->suffix)
        *r = (struct range){spec->last < size ? size - spec->last : 0, size};
    else
        *r = (struct range){spec->first, spec->last < size ? spec->last + 1 : size};
    return r->first < r->end;
}

/* Merges r with every part that it overlaps or touches, in the place of the first of them. The parts are
 * disjoint, so one pass finds them all. False when there is no room. */
static bool add_part(struct range parts[RANGES_MAX], size_t *n, struct range r)
{
    size_t kept = 0, place = *n;
    for (size_t i = 0; i < *n; i++) {
        if (parts[i].first > r.end || parts[i].end < r.first) {
            parts[kept++] = parts[i];
            continue;
        }
        r.first = parts[i].first < r.first ? parts[i].first : r.first;
        r.end = parts[i].end > r.end ? parts[i].end : r.end;
        if (place == *n)
            place = kept++;
    }
    if (place == *n) {
        if (kept == RANGES_MAX)
            return false;
        place = kept++;
    }
    parts[place] = r;
    *n = kept;
    return true;
}

/* The range-set behind the unit, or NULL when the header has another unit or none. */
static const char *range_set(const char *header, bool bare_allowed)
{
    const char *p = skip_blanks(header);
    if (strncasecmp(p, "bytes=", 6) == 0)
        return p + 6;
    return bare_allowed && is_digit(*p) ? p : NULL;
}

/* The same as range_parse, but *n may hold what was found before the set turned out to be none. */
static enum range_verdict read_set(const char *p, uint64_t size, struct range parts[RANGES_MAX], size_t *n)
{
    enum range_verdict none = RANGE_WHOLE; /* a set without any element is no set */
    for (p = skip_blanks(p); *p; p = skip_blanks(p)) {
        struct spec spec;
        struct range r;
        if (*p == ',') { /* RFC 9110 5.6.1.2: empty elements of a list count for nothing */
            p++;
            continue;
        }
        p = read_spec(p, &spec);
        p = p ? skip_blanks(p) : NULL;
        if (!p || (*p && *p != ','))
            return RANGE_WHOLE;
        none = RANGE_UNSATISFIABLE;
        if (resolve(&spec, size, &r) && !add_part(parts, n, r))
            return RANGE_WHOLE;
    }
    return *n ? RANGE_PARTS : none;
}

enum range_verdict range_parse(const char *header, uint64_t size, bool bare_allowed,
                               struct range parts[RANGES_MAX], size_t *n)
{
    const char *set = header ? range_set(header, bare_allowed) : NULL;
    size_t found = 0;
    enum range_verdict verdict = set ? read_set(set, size, parts, &found) : RANGE_WHOLE;
    *n = verdict == RANGE_PARTS ? found : 0;
    return verdict;
}
