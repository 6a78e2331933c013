#include "base/log.h"

#include "base/clock.h"

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

/* Copies text with everything but printable ASCII and UTF-8 bytes written as \xNN. */
static size_t escape(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < size; p++) {
        if (*p >= 0x20 && *p != 0x7f)
            out[n++] = (char)*p;
        else
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", *p);
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
