/* kicks.h: whose sessions the managed broker is to end. Any thread may add; what is here is kept until the
 * broker has acknowledged it, over its absences too, since a session lives on without it. Beyond so many all
 * sessions end, once: those that may will be back in a moment. */
#ifndef OTAD_MQTT_KICKS_H
#define OTAD_MQTT_KICKS_H

#include "base/str.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define KICKS_MAX 4096

struct kick {
    char product[PRODUCT_SIZE]; /* "": everybody */
    char device[DEVICE_SIZE];   /* "": all of the product */
};

struct kicks {
    pthread_mutex_t lock; /* of all below */
    struct kick *at;
    size_t n, cap;
    size_t sent; /* of them, from the first on */
    int last;    /* the packet that carried the last one sent */
};

void kicks_init(struct kicks *k);
void kicks_free(struct kicks *k);

void kicks_add(struct kicks *k, const char *product, const char *device);

/* ---- the mqtt thread's */

/* The next one that was not sent on this connection, which counts as sent; false: none. kicks_sent says what
 * carries it. */
bool kicks_next(struct kicks *k, struct kick *out);
void kicks_sent(struct kicks *k, int mid);
/* The broker has acknowledged a packet: when it is the last one that carried a kick, all that were sent are
 * done. */
void kicks_acknowledged(struct kicks *k, int mid);
/* The connection is lost: what was not acknowledged is to be sent again. */
void kicks_undo(struct kicks *k);

#endif
