#include "base/version.h"

#include <stddef.h>
#include <string.h>

enum { PARTS_MAX = 32 };

struct span {
    const char *at;
    size_t len;
};

struct version {
    struct span part[PARTS_MAX];
    size_t parts;
    struct span suffix; /* after '-'; at is NULL when there is none */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_identifier_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static bool all_digits(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.at[i]))
            return false;
    return s.len > 0;
}

static bool add_part(struct version *v, const char *at, size_t len)
{
    if (v->parts == PARTS_MAX || len == 0)
        return false;
    v->part[v->parts++] = (struct span){at, len};
    return true;
}

static size_t count_digits(const char *p)
{
    size_t n = 0;
    while (is_digit(p[n]))
        n++;
    return n;
}

/* Digits and dots from *p on, which then points behind them. */
static bool parse_numbers(const char **p, struct version *v)
{
    for (;; (*p)++) {
        size_t n = count_digits(*p);
        if (!add_part(v, *p, n))
            return false;
        *p += n;
        if (**p != '.')
            return true;
    }
}

/* The next identifier of a list with dots; false at its end. */
static bool next_identifier(struct span *list, struct span *out)
{
    if (!list->at)
        return false;
    const char *dot = memchr(list->at, '.', list->len);
    out->at = list->at;
    out->len = dot ? (size_t)(dot - list->at) : list->len;
    list->at = dot ? dot + 1 : NULL;
    list->len -= dot ? out->len + 1 : out->len;
    return true;
}

static bool leading_zero(struct span s)
{
    return s.len > 1 && s.at[0] == '0' && all_digits(s);
}

/* Identifiers with dots, none empty; strict: numbers without leading zeros (semver 2.0.0 clause 9). */
static bool identifiers_valid(struct span list, bool strict)
{
    struct span id;
    while (next_identifier(&list, &id)) {
        for (size_t i = 0; i < id.len; i++)
            if (!is_identifier_char(id.at[i]))
                return false;
        if (id.len == 0 || (strict && leading_zero(id)))
            return false;
    }
    return true;
}

/* "-suffix+build" or less; the build is handed out, for semver is strict about it. */
static bool parse_tail(const char *p, bool strict, struct version *v, struct span *build)
{
    const char *plus = strchr(p, '+');
    const char *end = plus ? plus : p + strlen(p);
    *build = plus ? (struct span){plus + 1, strlen(plus + 1)} : (struct span){NULL, 0};
    if (*p == '-') {
        v->suffix = (struct span){p + 1, (size_t)(end - p - 1)};
        return identifiers_valid(v->suffix, strict);
    }
    return p == end;
}

static bool parse_dotted(const char *p, struct version *v)
{
    struct span build;
    return parse_numbers(&p, v) && parse_tail(p, false, v, &build);
}

static bool parse_semver(const char *p, struct version *v)
{
    struct span build;
    if (!parse_numbers(&p, v) || v->parts != 3 || !parse_tail(p, true, v, &build))
        return false;
    for (size_t i = 0; i < v->parts; i++)
        if (leading_zero(v->part[i]))
            return false;
    return identifiers_valid(build, false);
}

static int two_digits(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

static bool day_exists(const char *year, const char *month, const char *day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y = two_digits(year) * 100 + two_digits(year + 2), m = two_digits(month), d = two_digits(day);
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] + (m == 2 && leap);
}

/* Year, month, day as parts, whatever stands between them; then the optional number. */
static bool parse_date(const char *p, struct version *v)
{
    size_t digits = count_digits(p);
    char separator = p[digits];
    if (digits != 8 && (digits != 4 || (separator != '-' && separator != '.')))
        return false;
    size_t gap = digits == 4; /* a short text ends in a zero, where count_digits stops */
    const char *month = p + 4 + gap, *day = month + 2 + gap;
    if (gap && (count_digits(month) != 2 || month[2] != separator || count_digits(day) != 2))
        return false;
    if (!day_exists(p, month, day))
        return false;
    add_part(v, p, 4);
    add_part(v, month, 2);
    add_part(v, day, 2);
    p = day + 2;
    if (!*p)
        return true;
    size_t n = count_digits(p + 1);
    return *p == '.' && add_part(v, p + 1, n) && !p[1 + n];
}

static bool parse_integer(const char *p, struct version *v)
{
    size_t n = count_digits(p);
    return add_part(v, p, n) && !p[n];
}

static const struct {
    const char *name;
    bool (*parse)(const char *p, struct version *v);
} schemes[VERSION_SCHEMES] = {
    [VERSION_DOTTED] = {"dotted", parse_dotted},
    [VERSION_SEMVER] = {"semver", parse_semver},
    [VERSION_DATE] = {"date", parse_date},
    [VERSION_INTEGER] = {"integer", parse_integer},
};

const char *version_scheme_name(enum version_scheme scheme)
{
    return schemes[scheme].name;
}

int version_scheme_parse(const char *name)
{
    for (int i = 0; i < VERSION_SCHEMES; i++)
        if (strcmp(name, schemes[i].name) == 0)
            return i;
    return -1;
}

static bool parse(enum version_scheme scheme, const char *text, struct version *v)
{
    v->parts = 0;
    v->suffix = (struct span){NULL, 0};
    return schemes[scheme].parse(text + (*text == 'v' || *text == 'V'), v);
}

bool version_valid(enum version_scheme scheme, const char *text)
{
    struct version v;
    return parse(scheme, text, &v);
}

static int sign_of(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* Numbers of any length: without leading zeros the longer one is larger. */
static int compare_numbers(struct span a, struct span b)
{
    for (; a.len > 1 && *a.at == '0'; a.at++)
        a.len--;
    for (; b.len > 1 && *b.at == '0'; b.at++)
        b.len--;
    return a.len != b.len ? sign_of(a.len, b.len) : memcmp(a.at, b.at, a.len);
}

/* Semver 2.0.0 clause 11.4: numbers as numbers and before words, words by their bytes. */
static int compare_identifiers(struct span a, struct span b)
{
    bool a_number = all_digits(a), b_number = all_digits(b);
    if (a_number && b_number)
        return compare_numbers(a, b);
    if (a_number != b_number)
        return a_number ? -1 : 1;
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : sign_of(a.len, b.len);
}

static int compare_suffixes(struct span a, struct span b)
{
    if (!a.at || !b.at)
        return (a.at == NULL) - (b.at == NULL);
    for (;;) {
        struct span x, y;
        bool more_a = next_identifier(&a, &x), more_b = next_identifier(&b, &y);
        if (!more_a || !more_b)
            return more_a - more_b;
        int order = compare_identifiers(x, y);
        if (order != 0)
            return order;
    }
}

bool version_compare(enum version_scheme scheme, const char *a, const char *b, int *order)
{
    static const struct span zero = {"0", 1};
    struct version x, y;
    if (strcmp(a, b) == 0) {
        *order = 0;
        return true;
    }
    if (!parse(scheme, a, &x) || !parse(scheme, b, &y))
        return false;
    int result = 0;
    for (size_t i = 0; result == 0 && (i < x.parts || i < y.parts); i++)
        result = compare_numbers(i < x.parts ? x.part[i] : zero, i < y.parts ? y.part[i] : zero);
    *order = result != 0 ? result : compare_suffixes(x.suffix, y.suffix);
    return true;
}
