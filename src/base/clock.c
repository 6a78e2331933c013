#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

void clock_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct timespec clock_mono_until(int64_t mono_ms)
{
    return (struct timespec){mono_ms / 1000, mono_ms % 1000 * 1000000};
}

static int64_t four_digit_years(int64_t at_ms)
{
    static const int64_t last = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    return at_ms < 0 ? 0 : at_ms > last ? last : at_ms;
}

void clock_format(int64_t at_ms, char text[CLOCK_TEXT_SIZE])
{
    at_ms = four_digit_years(at_ms);
    time_t s = (time_t)(at_ms / 1000);
    struct tm t;
    char date[24];
    gmtime_r(&s, &t);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(text, CLOCK_TEXT_SIZE, "%.19s.%03dZ", date, (int)(at_ms % 1000));
}

/* Reads exactly n digits. */
static int digits(const char **p, int n, int *value)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return -1;
        v = v * 10 + (**p - '0');
    }
    *value = v;
    return 0;
}

static int literal(const char **p, const char *any_of)
{
    if (!**p || !strchr(any_of, **p))
        return -1;
    (*p)++;
    return 0;
}

static int parse_offset(const char **p, int *minutes)
{
    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        *minutes = 0;
        return 0;
    }
    int h, m, sign = **p == '-' ? -1 : 1;
    if (literal(p, "+-") || digits(p, 2, &h) || literal(p, ":") || digits(p, 2, &m) || h > 23 || m > 59)
        return -1;
    *minutes = sign * (h * 60 + m);
    return 0;
}

/* ".5" and longer; digits behind the milliseconds are dropped. */
static int parse_fraction(const char **p, int *ms)
{
    *ms = 0;
    if (**p != '.')
        return 0;
    (*p)++;
    if (!isdigit((unsigned char)**p))
        return -1;
    for (int scale = 100; isdigit((unsigned char)**p); (*p)++, scale /= 10)
        *ms += (**p - '0') * scale;
    return 0;
}

/* The day, as midnight in seconds since 1970; -1 when the calendar has none such, or it is before. */
static int64_t parse_day(const char **p)
{
    int year, month, day;
    if (digits(p, 4, &year) || literal(p, "-") || digits(p, 2, &month) || literal(p, "-") ||
        digits(p, 2, &day) || year < 1970)
        return -1;
    struct tm t = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    int64_t s = timegm(&t); /* moves a day that does not exist */
    return t.tm_mon == month - 1 && t.tm_mday == day ? s : -1;
}

int clock_parse(const char *text, int64_t *at_ms)
{
    const char *p = text;
    int hour, minute, second, ms, offset;
    int64_t s = parse_day(&p);
    if (s < 0 || literal(&p, "Tt ") || digits(&p, 2, &hour) || literal(&p, ":") || digits(&p, 2, &minute) ||
        literal(&p, ":") || digits(&p, 2, &second) || parse_fraction(&p, &ms) || parse_offset(&p, &offset) ||
        *p || hour > 23 || minute > 59 || second > 60)
        return -1;
    s += hour * 3600 + minute * 60 + second - offset * 60;
    /* a leap second is the last of a day in UTC, and counts as the first of the next */
    if (s < 0 || (second == 60 && s % 86400 != 0))
        return -1;
    *at_ms = s * 1000 + ms;
    return 0;
}

int clock_span_parse(const char *text, int64_t *after_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    int64_t n = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p) && n < 1000000000; p++)
        n = n * 10 + (*p - '0');
    if (p == text || !*p || p[1])
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*p == units[i].unit) {
            if (n > 10000LL * 86400000 / units[i].ms)
                return -1;
            *after_ms = n * units[i].ms;
            return 0;
        }
    return -1;
}

/* RFC 9110 5.6.7: IMF-fixdate, which is sent, and the two obsolete forms that must be understood. */
static const char *const http_forms[] = {
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
};

enum { HTTP_TEXT_SIZE = 96 };

static void http_write(size_t form, const struct tm *t, char out[HTTP_TEXT_SIZE])
{
    static const char days[][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const char *day = days[t->tm_wday], *month = months[t->tm_mon];
    char time[40];
    int year = t->tm_year + 1900;
    snprintf(time, sizeof time, "%02d:%02d:%02d", t->tm_hour, t->tm_min, t->tm_sec);
    if (form == 0)
        snprintf(out, HTTP_TEXT_SIZE, "%.3s, %02d %s %04d %s GMT", day, t->tm_mday, month, year, time);
    else if (form == 1)
        snprintf(out, HTTP_TEXT_SIZE, "%s, %02d-%s-%02d %s GMT", day, t->tm_mday, month, year % 100, time);
    else
        snprintf(out, HTTP_TEXT_SIZE, "%.3s %s %2d %s %d", day, month, t->tm_mday, time, year);
}

void clock_http_format(int64_t at_ms, char text[CLOCK_HTTP_SIZE])
{
    time_t s = (time_t)(four_digit_years(at_ms) / 1000);
    struct tm t;
    char whole[HTTP_TEXT_SIZE];
    gmtime_r(&s, &t);
    http_write(0, &t, whole);
    memcpy(text, whole, CLOCK_HTTP_SIZE);
}

/* strptime follows the locale, which otad never sets, and takes blanks, cases and days as they come: only
 * what comes out the same again was written so. */
static int http_parse_as(size_t form, const char *text, int64_t *at_ms)
{
    struct tm t = {0};
    char again[HTTP_TEXT_SIZE];
    const char *end = strptime(text, http_forms[form], &t);
    if (!end || *end)
        return -1;
    time_t s = timegm(&t);
    if (!gmtime_r(&s, &t))
        return -1;
    http_write(form, &t, again);
    if (strcmp(again, text) != 0)
        return -1;
    *at_ms = (int64_t)s * 1000;
    return 0;
}

int clock_http_parse(const char *text, int64_t *at_ms)
{
    for (size_t form = 0; form < sizeof http_forms / sizeof *http_forms; form++)
        if (http_parse_as(form, text, at_ms) == 0)
            return 0;
    return -1;
}
