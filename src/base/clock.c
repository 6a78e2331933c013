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

void clock_format(int64_t at_ms, char text[CLOCK_TEXT_SIZE])
{
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

int clock_parse(const char *text, int64_t *at_ms)
{
    const char *p = text;
    struct tm t = {0};
    int year, month, offset, ms = 0;
    if (digits(&p, 4, &year) || literal(&p, "-") || digits(&p, 2, &month) || literal(&p, "-") ||
        digits(&p, 2, &t.tm_mday) || literal(&p, "Tt ") || digits(&p, 2, &t.tm_hour) || literal(&p, ":") ||
        digits(&p, 2, &t.tm_min) || literal(&p, ":") || digits(&p, 2, &t.tm_sec))
        return -1;
    if (*p == '.') {
        int scale = 100;
        for (p++; isdigit((unsigned char)*p); p++, scale /= 10)
            ms += (*p - '0') * scale;
    }
    if (parse_offset(&p, &offset) || *p || year < 1970 || month < 1 || month > 12 || t.tm_hour > 23 ||
        t.tm_min > 59 || t.tm_sec > 60)
        return -1;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    int day = t.tm_mday;
    time_t s = timegm(&t);
    if (t.tm_mday != day && t.tm_sec != 0) /* timegm moved a day that does not exist */
        return -1;
    if (t.tm_mon != month - 1)
        return -1;
    *at_ms = ((int64_t)s - offset * 60) * 1000 + ms;
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

/* strftime and strptime would follow the locale; otad never calls setlocale, so "C" it is. */
void clock_http_format(int64_t at_ms, char text[CLOCK_HTTP_SIZE])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm t;
    gmtime_r(&s, &t);
    strftime(text, CLOCK_HTTP_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &t);
}

int clock_http_parse(const char *text, int64_t *at_ms)
{
    struct tm t = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &t);
    if (!end || *end)
        return -1;
    *at_ms = (int64_t)timegm(&t) * 1000;
    return 0;
}
