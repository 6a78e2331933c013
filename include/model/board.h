/* board.h: what the parts of the daemon say of themselves, for /health and /status. Each part writes its own
 * row, anyone reads; so that rooms which do not know each other can be seen together. Thread-safe. */
#ifndef OTAD_MODEL_BOARD_H
#define OTAD_MODEL_BOARD_H

#include <stdbool.h>
#include <stdint.h>

enum board_part {
    BOARD_STORE, /* whether it takes changes */
    BOARD_CHECK, /* whether it is whole, as far as it has been looked at */
    BOARD_BROKER,
    BOARD_DISK,
    BOARD_FILES, /* whether those that were looked at are what their names say */
    BOARD_PARTS
};

struct board_row {
    bool ok;
    char text[160]; /* one sentence: why not, or since when */
};

/* Counters anyone may add to. */
enum board_counter {
    BOARD_MQTT_REPORTS,        /* messages of devices taken in */
    BOARD_MQTT_BAD,            /* of them, those that were not understood */
    BOARD_MQTT_OFFERS,         /* offers published */
    BOARD_MQTT_WAITING,        /* offers queued or not yet acknowledged, now */
    BOARD_MQTT_BLOCKS,         /* blocks of files sent */
    BOARD_MQTT_BLOCKS_DROPPED, /* requests for blocks beyond what is taken of one device */
    BOARD_MQTT_DROPPED,        /* messages the broker has dropped since its start, as it says */
    BOARD_DOWNLOADS,           /* file answers begun */
    BOARD_DOWNLOAD_BYTES,
    BOARD_REQUESTS,
    BOARD_REQUESTS_SHED,       /* of them, those answered 503 since too many wait for the writer */
    BOARD_LOGINS_FAILED,       /* of HTTP: 401 for what was shown */
    BOARD_LOGINS_SLOWED,       /* and 429 */
    BOARD_CONNECTIONS_CUT,     /* clients too slow */
    BOARD_CONNECTIONS_REFUSED, /* beyond what an address may have */
    BOARD_FILES_CHECKED,       /* by the scrub */
    BOARD_NO_SPACE,            /* changes of the store for which the disk had no room */
    BOARD_COUNTERS
};

const char *board_part_name(enum board_part part);
void board_set(enum board_part part, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
void board_get(enum board_part part, struct board_row *out);

const char *board_counter_name(enum board_counter counter);
void board_count(enum board_counter counter, int64_t add);
void board_put(enum board_counter counter, int64_t value);
int64_t board_value(enum board_counter counter);

#endif
