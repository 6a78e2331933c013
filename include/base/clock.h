/* clock.h: the two clocks, and times as text. Moments are milliseconds since 1970 (wall) in int64_t named
 * at_ms; spans are named after_ms. Deadlines that must survive a restart use the wall clock, everything
 * inside one run uses the monotonic one. Thread-safe. */
#ifndef OTAD_BASE_CLOCK_H
#define OTAD_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT_SIZE 25 /* "2026-12-01T02:00:00.000Z" and the end */

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);

/* A condition whose timed waits end by the monotonic clock, and such an end. */
void clock_cond_init(pthread_cond_t *condition);
struct timespec clock_mono_until(int64_t mono_ms);

/* RFC 3339 in UTC with milliseconds. Moments before 1970 and after 9999 come out as the first and the last.
 */
void clock_format(int64_t at_ms, char text[CLOCK_TEXT_SIZE]);

/* RFC 3339 with Z or an offset; 0, or -1 when text is not a valid moment, or is before 1970. */
int clock_parse(const char *text, int64_t *at_ms);

/* "30s", "10m", "2h", "7d" -> milliseconds; 0, or -1. At most 10,000 days. */
int clock_span_parse(const char *text, int64_t *after_ms);

/* IMF-fixdate of RFC 9110 5.6.7, for HTTP headers: "Sun, 06 Nov 1994 08:49:37 GMT". Parsing takes the two
 * obsolete forms too, as that section demands; 0, or -1. */
#define CLOCK_HTTP_SIZE 30
void clock_http_format(int64_t at_ms, char text[CLOCK_HTTP_SIZE]);
int clock_http_parse(const char *text, int64_t *at_ms);

#endif
