#include "http/csv.h"

#include "base/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void put(struct csv *line, char c)
{
    assert(line->len < line->size);
    line->at[line->len++] = c;
}

static void put_all(struct csv *line, const char *text)
{
    while (*text)
        put(line, *text++);
}

static void divide(struct csv *line)
{
    if (line->cells++)
        put(line, ',');
}

static bool is_formula(const char *text)
{
    return *text && strchr("=+-@\t\r", *text);
}

void csv_text(struct csv *line, const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    divide(line);
    if (quoted)
        put(line, '"');
    if (is_formula(text))
        put(line, '\'');
    for (; *text; text++) {
        if (*text == '"')
            put(line, '"');
        put(line, *text);
    }
    if (quoted)
        put(line, '"');
}

void csv_int(struct csv *line, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    divide(line);
    put_all(line, digits);
}

void csv_moment(struct csv *line, int64_t at_ms)
{
    char text[CLOCK_TEXT_SIZE] = "";
    if (at_ms)
        clock_format(at_ms, text);
    divide(line);
    put_all(line, text);
}

void csv_end(struct csv *line)
{
    put_all(line, "\r\n");
}
