#include "model/board.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static const char *const part_names[BOARD_PARTS] = {"store", "check", "broker", "disk", "files"};
static const char *const counter_names[BOARD_COUNTERS] = {
    "mqtt_reports",        "mqtt_bad",      "mqtt_offers",   "mqtt_waiting",    "mqtt_blocks",
    "mqtt_blocks_dropped", "mqtt_dropped",  "downloads",     "download_bytes",  "requests",
    "requests_shed",       "logins_failed", "logins_slowed", "connections_cut", "connections_refused",
    "files_checked",       "no_space"};

/* The one piece of shared state beside the store: it holds nothing that anyone decides by. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct board_row rows[BOARD_PARTS];
static _Atomic int64_t counters[BOARD_COUNTERS];

const char *board_part_name(enum board_part part)
{
    return part_names[part];
}

void board_set(enum board_part part, bool ok, const char *format, ...)
{
    struct board_row row = {.ok = ok};
    va_list args;
    va_start(args, format);
    vsnprintf(row.text, sizeof row.text, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    rows[part] = row;
    pthread_mutex_unlock(&lock);
}

void board_get(enum board_part part, struct board_row *out)
{
    pthread_mutex_lock(&lock);
    *out = rows[part];
    pthread_mutex_unlock(&lock);
}

const char *board_counter_name(enum board_counter counter)
{
    return counter_names[counter];
}

void board_count(enum board_counter counter, int64_t add)
{
    atomic_fetch_add_explicit(&counters[counter], add, memory_order_relaxed);
}

void board_put(enum board_counter counter, int64_t value)
{
    atomic_store_explicit(&counters[counter], value, memory_order_relaxed);
}

int64_t board_value(enum board_counter counter)
{
    return atomic_load_explicit(&counters[counter], memory_order_relaxed);
}
