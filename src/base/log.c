#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const words[] = {"error", "warn", "info", "debug"};
static _Atomic int threshold = LOG_LEVEL_INFO;

int log_level_parse(const char *word)
{
    for (int i = 0; i <= LOG_LEVEL_DEBUG; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

void log_level_set(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

/* Copies text with every byte that is no part of a printable character written as \xNN. */
static size_t escape(char *out, size_t size, const char *text)
{
    size_t n = 0;
    while (*text && n + 5 < size) {
        size_t whole = str_printable(text);
        if (whole > 0)
            memcpy(out + n, text, whole);
        else
            snprintf(out + n, size - n, "\\x%02x", (unsigned char)*text);
        n += whole ? whole : 4;
        text += whole ? whole : 1;
    }
    return n;
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load(&threshold))
        return;
    char text[1024], line[2048], when[CLOCK_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    clock_format(clock_wall_ms(), when);
    size_t n = (size_t)snprintf(line, sizeof line, "%s %-5s ", when, words[level]);
    n += escape(line + n, sizeof line - n - 1, text);
    line[n++] = '\n';
    /* a log that cannot be written has nowhere to say so */
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written;
}
