#include "base/zone.h"

#include "base/file.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT "/usr/share/zoneinfo"
#define DAY  86400

/* A day of every year and a time of it: Jn counts without February 29, n with it, M is a weekday of a month.
 */
struct rule_day {
    char kind;  /* 'J', 'n' or 'M' */
    int month;  /* M: 1 to 12 */
    int week;   /* M: 1 to 5, the last */
    int day;    /* J: 1 to 365, n: 0 to 365, M: 0 to 6, Sunday first */
    int32_t at; /* seconds from midnight, -167 to 167 hours and more */
};

/* What a POSIX TZ string says: how it goes on for good behind the last change of the table. */
struct rules {
    bool given;
    bool changes; /* between the two offsets, every year */
    int32_t standard, summer;
    struct rule_day start, end; /* of summer time, each in the time that ends there */
};

struct zone {
    struct rules rules;
    int32_t before; /* the offset before the first change */
    size_t n;
    struct change {
        int64_t at;
        int32_t offset;
    } changes[];
};

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "not a valid TZif file: %s", what);
}

static bool offset_possible(int64_t offset)
{
    return offset >= -ZONE_OFFSET_MAX && offset <= ZONE_OFFSET_MAX;
}

/* ---- the TZ string */

static bool skip_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* One to three digits. */
static bool number(const char **p, int min, int max, int *out)
{
    const char *start = *p;
    int value = 0;
    for (; *p - start < 3 && isdigit((unsigned char)**p); (*p)++)
        value = value * 10 + (**p - '0');
    *out = value;
    return *p > start && value >= min && value <= max;
}

/* "CET", or "<+0330>" where it holds more than letters. It is not kept: an offset is all that windows need.
 */
static bool skip_name(const char **p)
{
    bool quoted = skip_char(p, '<');
    const char *start = *p;
    while (isalpha((unsigned char)**p) ||
           (quoted && (isdigit((unsigned char)**p) || **p == '+' || **p == '-')))
        (*p)++;
    return *p - start >= 3 && (!quoted || skip_char(p, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool hours(const char **p, int max, int32_t *seconds)
{
    bool negative = **p == '-';
    int h, m = 0, s = 0;
    if (**p == '+' || **p == '-')
        (*p)++;
    if (!number(p, 0, max, &h))
        return false;
    if (skip_char(p, ':') && (!number(p, 0, 59, &m) || (skip_char(p, ':') && !number(p, 0, 59, &s))))
        return false;
    *seconds = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
    return true;
}

static bool offset_west(const char **p, int32_t *east)
{
    int32_t west;
    if (!hours(p, 24, &west))
        return false;
    *east = -west;
    return true;
}

/* ",M3.5.0/2": the time is optional, and two o'clock without. Hours beyond a day are an extension of version
 * 3, and taken in any: they have one meaning only. */
static bool rule_day(const char **p, struct rule_day *out)
{
    struct rule_day d = {.kind = 'n', .at = 2 * 3600};
    if (!skip_char(p, ','))
        return false;
    if (skip_char(p, 'M')) {
        d.kind = 'M';
        if (!number(p, 1, 12, &d.month) || !skip_char(p, '.') || !number(p, 1, 5, &d.week) ||
            !skip_char(p, '.') || !number(p, 0, 6, &d.day))
            return false;
    } else if (skip_char(p, 'J')) {
        d.kind = 'J';
        if (!number(p, 1, 365, &d.day))
            return false;
    } else if (!number(p, 0, 365, &d.day)) {
        return false;
    }
    if (skip_char(p, '/') && !hours(p, 167, &d.at))
        return false;
    *out = d;
    return true;
}

/* Summer time without days of its own would be for each reader to guess, so that is refused. */
static bool parse_rules(const char *text, struct rules *out)
{
    struct rules r = {.given = true};
    const char *p = text;
    if (!skip_name(&p) || !offset_west(&p, &r.standard))
        return false;
    if (*p) {
        if (!skip_name(&p))
            return false;
        r.summer = r.standard + 3600;
        if (*p != ',' && !offset_west(&p, &r.summer))
            return false;
        if (!rule_day(&p, &r.start) || !rule_day(&p, &r.end) || *p)
            return false;
        r.changes = r.summer != r.standard;
    }
    *out = r;
    return true;
}

/* ---- TZif */

struct reader {
    const unsigned char *p;
    size_t left;
};

static const unsigned char *take(struct reader *r, uint64_t n)
{
    const unsigned char *p = r->p;
    if (n > r->left)
        return NULL;
    r->p += n;
    r->left -= (size_t)n;
    return p;
}

static uint64_t big_endian(const unsigned char *p, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | p[i];
    return value;
}

struct header {
    unsigned char version;
    uint64_t ut, standard, leaps, times, types, chars; /* how many of each follow */
};

static bool take_header(struct reader *r, struct header *h)
{
    const unsigned char *p = take(r, 44);
    uint64_t *counts[] = {&h->ut, &h->standard, &h->leaps, &h->times, &h->types, &h->chars};
    if (!p || memcmp(p, "TZif", 4) != 0)
        return false;
    h->version = p[4];
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        *counts[i] = big_endian(p + 20 + 4 * i, 4);
    return true;
}

/* width: of a moment in bytes, 4 in the first block and 8 in the second. */
static const unsigned char *take_block(struct reader *r, const struct header *h, size_t width)
{
    return take(r, h->times * (width + 1) + h->types * 6 + h->chars + h->leaps * (width + 4) + h->standard +
                       h->ut);
}

static const char *wrong_counts(const struct header *h)
{
    if (h->types == 0 || h->types > 256 || h->chars == 0)
        return "it has no types of time, or too many";
    if ((h->ut && h->ut != h->types) || (h->standard && h->standard != h->types))
        return "its indicators are not as many as its types";
    /* otad's clock is POSIX's, and has none */
    return h->leaps ? "it counts leap seconds" : NULL;
}

static const char *wrong_types(const unsigned char *types, const struct header *h)
{
    for (size_t i = 0; i < h->types; i++) {
        const unsigned char *type = types + 6 * i;
        if (!offset_possible((int32_t)big_endian(type, 4)))
            return "an offset of more than a day";
        if (type[4] > 1 || type[5] >= h->chars)
            return "a type of time that is none";
    }
    return NULL;
}

/* The block at p, which is whole; NULL, and *wrong says why. */
static struct zone *read_block(const unsigned char *p, const struct header *h, size_t width,
                               const char **wrong)
{
    const unsigned char *which = p + h->times * width, *types = which + h->times;
    *wrong = wrong_counts(h);
    if (!*wrong)
        *wrong = wrong_types(types, h);
    if (*wrong)
        return NULL;
    struct zone *z = calloc(1, sizeof *z + h->times * sizeof *z->changes);
    if (!z)
        abort();
    z->before = (int32_t)big_endian(types, 4);
    for (; z->n < h->times; z->n++) {
        uint64_t at = big_endian(p + width * z->n, width);
        struct change *c = &z->changes[z->n];
        c->at = width == 4 ? (int32_t)at : (int64_t)at;
        if (which[z->n] >= h->types)
            *wrong = "a change to a type of time that is not there";
        else if (z->n && c->at <= c[-1].at)
            *wrong = "its changes are out of order";
        if (*wrong) {
            free(z);
            return NULL;
        }
        c->offset = (int32_t)big_endian(types + 6 * (size_t)which[z->n], 4);
    }
    return z;
}

/* A line of its own, which may be empty: then nobody knows what comes after the last change. */
static bool read_footer(struct reader *r, struct rules *out)
{
    char text[128];
    const unsigned char *p = take(r, 1);
    const unsigned char *end = p && *p == '\n' && r->left ? memchr(r->p, '\n', r->left) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - r->p);
    if (len >= sizeof text || memchr(r->p, '\0', len))
        return false;
    memcpy(text, r->p, len);
    text[len] = '\0';
    return len == 0 || parse_rules(text, out);
}

/* From version 2 on a second block follows that has room for all of time; the first is for old readers, and
 * may be empty. */
int zone_parse(const unsigned char *bytes, size_t len, struct zone **out, struct err *e)
{
    struct reader r = {bytes, len};
    struct header h;
    struct rules rules = {0};
    size_t width = 4;
    const char *wrong = NULL;
    if (len > ZONE_FILE_MAX)
        return damaged(e, "it is too large");
    if (!take_header(&r, &h))
        return damaged(e, "it does not begin like one");
    unsigned char version = h.version;
    if (version != 0 && (version < '2' || version > '4'))
        return damaged(e, "its version is not known");
    const unsigned char *block = take_block(&r, &h, width);
    if (block && version) {
        width = 8;
        if (!take_header(&r, &h) || h.version != version)
            return damaged(e, "it has no second part");
        block = take_block(&r, &h, width);
    }
    if (!block)
        return damaged(e, "it is cut short");
    if (version && !read_footer(&r, &rules))
        return damaged(e, "its last line is no rule");
    struct zone *z = read_block(block, &h, width, &wrong);
    if (!z)
        return damaged(e, wrong);
    z->rules = rules;
    *out = z;
    return 0;
}

void zone_close(struct zone *z)
{
    free(z);
}

/* ---- the calendar of the rules */

/* Days from 1970 to the first of January. */
static int64_t year_begins(int64_t year)
{
    int64_t y = year - 1;
    return 365 * y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 719162;
}

static int64_t year_of(int64_t at_s)
{
    int64_t day = floor_div(at_s, DAY);
    int64_t year = 1970 + floor_div(day * 400, 146097); /* off by one at most */
    while (year_begins(year) > day)
        year--;
    while (year_begins(year + 1) <= day)
        year++;
    return year;
}

/* When the rule's day comes in that year, by the clock on the wall. */
static int64_t rule_moment(const struct rule_day *d, int64_t year)
{
    static const short begins[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t first = year_begins(year), day = d->day;
    bool leap = year_begins(year + 1) - first == 366;
    if (d->kind == 'J') {
        day += leap && d->day >= 60 ? 0 : -1;
    } else if (d->kind == 'M') {
        int64_t month = begins[d->month - 1] + (leap && d->month > 2);
        int64_t month_end = begins[d->month] + (leap && d->month >= 2);
        int64_t weekday = floor_mod(first + month + 4, 7); /* 1970 began on a Thursday */
        day = month + floor_mod(d->day - weekday, 7) + 7 * (d->week - 1);
        if (day >= month_end)
            day -= 7;
    }
    return (first + day) * DAY + d->at;
}

static int64_t summer_begins(const struct rules *r, int64_t year)
{
    return rule_moment(&r->start, year) - r->standard;
}

static int64_t summer_ends(const struct rules *r, int64_t year)
{
    return rule_moment(&r->end, year) - r->summer;
}

/* Beyond it, some 285 million years, the clock stands still: years stay numbers that can be reckoned with. */
#define FAR (INT64_C(1) << 53)

/* Summer goes from its beginning to the end of the same year or, in the south, of the next one. An end that
 * is the next beginning makes it last for ever. A rule's hours may carry it over New Year, either way. */
static int32_t rules_offset(const struct rules *r, int64_t at_s)
{
    int64_t at = at_s > FAR ? FAR : at_s < -FAR ? -FAR : at_s;
    if (!r->changes)
        return r->standard;
    int64_t year = year_of(at);
    for (int64_t y = year - 2; y <= year + 1; y++) {
        int64_t start = summer_begins(r, y), end = summer_ends(r, y);
        if (at >= start && at < (end >= start ? end : summer_ends(r, y + 1)))
            return r->summer;
    }
    return r->standard;
}

/* Of the first change behind at_s, or n. */
static size_t change_after(const struct zone *z, int64_t at_s)
{
    size_t low = 0, high = z->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->changes[middle].at <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset(const struct zone *z, int64_t at_s)
{
    size_t i = change_after(z, at_s);
    if (i == z->n && z->rules.given)
        return rules_offset(&z->rules, at_s);
    return i == 0 ? z->before : z->changes[i - 1].offset;
}

static bool changes_at(const struct zone *z, int64_t at_s)
{
    return zone_offset(z, at_s) != zone_offset(z, at_s - 1);
}

/* The calendar repeats after 400 years: what has not changed by then never will. A year's days are looked at
 * in no order, and those of its neighbours may come between them. */
static bool next_by_rules(const struct zone *z, int64_t after_s, int64_t *at_s)
{
    const struct rules *r = &z->rules;
    bool found = false;
    if (!r->changes || after_s >= FAR)
        return false;
    int64_t first = year_of(after_s) - 1, last = first + 402, best = INT64_MAX;
    for (int64_t y = first; y <= last; y++) {
        const int64_t days[] = {summer_begins(r, y), summer_ends(r, y)};
        for (size_t i = 0; i < ARRAY_SIZE(days); i++)
            if (days[i] > after_s && days[i] < best && changes_at(z, days[i])) {
                best = days[i];
                last = found ? last : y + 2;
                found = true;
            }
    }
    if (found)
        *at_s = best;
    return found;
}

bool zone_next_change(const struct zone *z, int64_t after_s, int64_t *at_s)
{
    for (size_t i = change_after(z, after_s); i < z->n; i++) {
        after_s = z->changes[i].at;
        if (changes_at(z, after_s)) {
            *at_s = after_s;
            return true;
        }
    }
    return next_by_rules(z, after_s < -FAR ? -FAR : after_s, at_s);
}

/* ---- names */

/* Letters, digits and "_+-" in segments, the first of which begins with a capital, as all of IANA's do. With
 * that none can lead out of the folder, and "posixrules", "right/..." and the tables beside them are none. */
static bool possible_name(const char *name)
{
    size_t len = strlen(name);
    if (len >= ZONE_NAME_SIZE || name[0] < 'A' || name[0] > 'Z' || name[len - 1] == '/')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_+-/", name[i]))
            return false;
    return !strstr(name, "//");
}

static int find(const char *name, char path[FILE_PATH_SIZE], struct err *e)
{
    struct stat st;
    int rc = file_path(path, ROOT, name, e);
    if (rc < 0)
        return rc;
    if (stat(path, &st) == 0) {
        if (S_ISREG(st.st_mode))
            return 0;
    } else if (errno != ENOENT && errno != ENOTDIR) {
        return err_errno(e, "cannot look for %s", path);
    } else if (stat(ROOT, &st) != 0) {
        return err_set(e, ERR_INTERNAL, "no time zones are installed here: %s is missing", ROOT);
    }
    return err_set(e, ERR_NOT_FOUND, "there is no time zone \"%s\"", name);
}

static int read_zone(const char *path, struct zone **out, struct err *e)
{
    size_t len;
    char *bytes = malloc(ZONE_FILE_MAX + 1);
    if (!bytes)
        abort();
    int rc = file_read(path, bytes, ZONE_FILE_MAX + 1, &len, e);
    if (rc == 0)
        rc = zone_parse((const unsigned char *)bytes, len, out, e);
    free(bytes);
    return rc;
}

/* What a window without a zone means must not depend on a package. */
static struct zone *make_utc(void)
{
    struct zone *z = calloc(1, sizeof *z);
    if (!z)
        abort();
    return z;
}

int zone_load(const char *name, struct zone **out, struct err *e)
{
    char path[FILE_PATH_SIZE];
    if (strcmp(name, "UTC") == 0) {
        *out = make_utc();
        return 0;
    }
    if (!possible_name(name))
        return err_set(e, ERR_INVALID, "there is no time zone \"%.64s\"", name);
    int rc = find(name, path, e);
    if (rc == 0 && read_zone(path, out, e) < 0)
        rc = err_wrap(e, "time zone %s", name);
    return rc;
}

/* ---- the zones that were asked for. IANA has some 600 names, so the table never fills. */

static struct {
    pthread_mutex_t lock;
    struct known {
        char name[ZONE_NAME_SIZE];
        struct zone *zone;
    } all[1024];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock, which is held while the file is read: that is short, and comes once. */
static const struct zone *get(const char *name, struct err *e)
{
    size_t size = ARRAY_SIZE(cache.all), at = str_hash(name, strlen(name)) % size;
    struct known *k = &cache.all[at];
    for (size_t i = 0; i < size && k->zone; i++, k = &cache.all[(at + i) % size])
        if (strcmp(k->name, name) == 0)
            return k->zone;
    if (k->zone) {
        err_set(e, ERR_INTERNAL, "more than %zu time zones are in use", size);
        return NULL;
    }
    if (zone_load(name, &k->zone, e) < 0)
        return NULL;
    str_copy(k->name, sizeof k->name, name);
    return k->zone;
}

const struct zone *zone_get(const char *name, struct err *e)
{
    pthread_mutex_lock(&cache.lock);
    const struct zone *z = get(name, e);
    pthread_mutex_unlock(&cache.lock);
    return z;
}
