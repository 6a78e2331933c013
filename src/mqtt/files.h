/* files.h: firmware files in blocks over MQTT, for devices that ask so (EVENT_FILE). Blocks are not the
 * writer's business and wait for no commit. Devices take turns, one block each, so that one that asks as fast
 * as it can does not slow the others down; at most FILES_WINDOW blocks are on their way to the broker, so
 * that nothing piles up in memory. The mqtt thread's alone.
 *
 * Who may have which file is looked up with the reader's connection (rollout/stream) and remembered for some
 * seconds; of files that are open a few descriptors are kept. */
#ifndef OTAD_SRC_MQTT_FILES_H
#define OTAD_SRC_MQTT_FILES_H

#include "image/blob.h"
#include "inbox.h"
#include "rollout/stream.h"

#define FILES_WINDOW      64    /* blocks handed to libmosquitto and not yet written */
#define FILES_PENDING_MAX 32    /* requests of one device that wait; more are dropped */
#define FILES_WAITING_MAX 65536 /* of all devices */
#define FILES_KNOWN       4096
#define FILES_KNOWN_MS    5000
#define FILES_OPEN        16
#define FILES_BUCKETS     1024
#define FILES_BLOCK_MAX   131072

struct reader; /* a device with requests that wait */

struct known_file { /* who asked for what, and what it is */
    char who[PRODUCT_SIZE + DEVICE_SIZE];
    bool by_execution;
    int64_t stream, file, until_ms;
    struct stream_file found;
};

struct kept_file {
    char sha256[SHA256_TEXT_SIZE]; /* "" free */
    int fd;
    uint64_t used; /* when last, in turns taken */
};

struct files {
    struct store *store;
    struct blobs *blobs;
    unsigned generation;                            /* of the blobs, when open was filled */
    void (*suspect)(void *arg, const char *sha256); /* NULL: nobody asks */
    void *suspect_arg;
    struct reader *next; /* a ring: whose turn it is; NULL nobody waits */
    struct reader *bucket[FILES_BUCKETS];
    size_t waiting;           /* requests */
    struct known_file *known; /* FILES_KNOWN slots, made at the first request */
    struct kept_file open[FILES_OPEN];
    uint64_t turns;
    int mids[FILES_WINDOW]; /* a queue: QoS 0 leaves in the order it came */
    size_t mid_first, mid_count;
    unsigned char block[FILES_BLOCK_MAX];
};

void files_init(struct files *f, struct store *store, struct blobs *blobs);
void files_free(struct files *f);

/* The link is down: nothing waits any more. */
void files_clear(struct files *f);

/* A request; takes the event over. */
void files_take(struct files *f, const struct protocol *p, struct device_event *ev);

/* The next block, or another answer, as a letter, the caller's. What its device has of a file now is told to
 * the inbox as progress. False: none is due now. */
bool files_next(struct files *f, struct inbox *in, struct letter *out);

/* Whether files_next has something. */
bool files_ready(const struct files *f);

/* libmosquitto has the letter as message mid, and writes it some time; true when mid is such a one. */
void files_await(struct files *f, int mid);
bool files_sent(struct files *f, int mid);

#endif
