/* log.h: one line to stderr for each thing a person should know. Called at the edges only; a function
 * that returns an error does not log it. Thread-safe: one write(2) a line. What is not
 * printable UTF-8 comes out as \xNN, so that nothing from outside can forge a line or steer a terminal.
 * Secrets are never passed in. */
#ifndef OTAD_BASE_LOG_H
#define OTAD_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* "error", "warn", "info", "debug" -> level; -1 for any other word. */
int log_level_parse(const char *word);
void log_level_set(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
