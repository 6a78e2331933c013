#include "broker_log.h"

#include "base/log.h"
#include "base/str.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct broker_log {
    pthread_t thread;
    FILE *lines;
    bool unreadable; /* its own file, to the broker */
};

static const struct {
    const char *begins;
    enum log_level level;
} levels[] = {
    {"Warning: Mosquitto should not be run as root", LOG_LEVEL_DEBUG}, /* it runs as who runs otad */
    {"Warning: Unable to set TCP_NODELAY", LOG_LEVEL_DEBUG},           /* on our Unix socket */
    {"Error", LOG_LEVEL_ERROR},
    {"Warning", LOG_LEVEL_WARN},
};

/* What it says before it has read its settings begins with the seconds since 1970. */
static const char *behind_time(const char *line)
{
    size_t digits = strspn(line, "0123456789");
    return digits > 0 && strncmp(line + digits, ": ", 2) == 0 ? line + digits + 2 : line;
}

static void pass_on(const char *line)
{
    enum log_level level = LOG_LEVEL_INFO;
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (strncmp(line, levels[i].begins, strlen(levels[i].begins)) == 0) {
            level = levels[i].level;
            break;
        }
    log_line(level, "broker: %s", line);
}

/* Of all reasons to end at once this is the one that would be there again the next time, for ever. Only at
 * the beginning of a line are these the broker's own words: further on may stand what a client calls itself.
 */
static bool is_unreadable(const char *line)
{
    static const char words[] = "Error: Couldn't open database";
    return strncmp(line, words, sizeof words - 1) == 0;
}

static void *run(void *arg)
{
    struct broker_log *log = arg;
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&line, &size, log->lines)) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        const char *text = behind_time(line);
        if (*text)
            pass_on(text);
        log->unreadable = log->unreadable || is_unreadable(text);
    }
    free(line);
    return NULL;
}

struct broker_log *broker_log_start(int fd)
{
    sigset_t all, before;
    struct broker_log *log = calloc(1, sizeof *log);
    FILE *lines = fdopen(fd, "r");
    if (!log || !lines) {
        if (lines)
            fclose(lines);
        else
            close(fd);
        free(log);
        return NULL;
    }
    log->lines = lines;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&log->thread, NULL, run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        fclose(log->lines);
        free(log);
        return NULL;
    }
    return log;
}

bool broker_log_join(struct broker_log *log)
{
    if (!log)
        return false;
    pthread_join(log->thread, NULL);
    bool found = log->unreadable;
    fclose(log->lines);
    free(log);
    return found;
}
