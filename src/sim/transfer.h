/* transfer.h: downloads of many devices over one libcurl multi handle, a bounded number at a time, the others
 * in a queue. Connections and TLS sessions are used again. The bytes are hashed as they come and kept
 * nowhere; a download that broke off goes on with Range and If-Range, and the hash with it.
 *
 * One thread an instance. `took` comes from within libcurl: its owner must not call transfers_* there.
 * `ended` may. */
#ifndef OTAD_SIM_TRANSFER_H
#define OTAD_SIM_TRANSFER_H

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum transfer_end {
    TRANSFER_DONE,    /* size bytes are there */
    TRANSFER_CUT,     /* cut_at was reached */
    TRANSFER_BROKEN,  /* to be tried again: the line, or 5xx, 429 */
    TRANSFER_REFUSED, /* not to be tried again: 4xx, or more bytes than offered */
};

/* One device's download, owned by the device; zero at first but for url, size, owner and digests. It is
 * handed to transfers_add as often as it takes, and between two of them holds what is known so far. */
struct download {
    const char *url; /* borrowed until the end */
    void *owner;
    uint64_t size, got;
    unsigned digests;       /* of digest.h: those that the file has to have */
    uint64_t cut_at;        /* the connection is cut there once; 0 never */
    struct digester *hash;  /* of the first got bytes; NULL before the first */
    int64_t retry_after_ms; /* what the server asked for, with TRANSFER_BROKEN; 0 nothing */
    char etag[48];
    struct download *next; /* in the queue */
    struct slot *slot;     /* while it runs */
    bool queued;
    bool resumed, restarted; /* of the last transfer: went on by Range; had to begin again */
};

struct transfer_settings {
    const char *ca;     /* NULL: the system's */
    const char *server; /* "host:port" to connect to, whatever the URL says; NULL: as it says */
    int64_t rate_bytes; /* a second and download; 0 unlimited */
    size_t max_downloads;
    void (*took)(void *owner, size_t len);
    void (*ended)(void *owner, enum transfer_end end, const char *why); /* why NULL with DONE and CUT */
};

struct transfers;

int transfers_open(const struct transfer_settings *settings, struct transfers **out, struct err *e);
void transfers_close(struct transfers *t); /* NULL is fine */

int transfers_fd(const struct transfers *t); /* readable: transfers_run has something to do */
/* Milliseconds until transfers_run is to be called although the descriptor is silent, at most limit_ms. */
int transfers_wait_ms(const struct transfers *t, int64_t now_ms, int limit_ms);
void transfers_run(struct transfers *t, int64_t now_ms);

void transfers_add(struct transfers *t, struct download *d);
/* Ends the download's business here, wherever it stands, and frees its hash. */
void transfers_drop(struct transfers *t, struct download *d);

#endif
