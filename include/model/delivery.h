/* delivery.h: how otad asks the broker's plugin to send a message to a device's sessions, whether they
 * subscribed or not: a PUBLISH on CONTROL_TOPIC whose payload is one line and, behind it, the message's bytes
 * as they are:
 *
 *   D<qos><when> <product>/<device> <topic>\n<bytes>      qos 0 or 1; when "!" always, "?" where subscribed
 *
 * The plugin sends with min(qos, granted), 0 to a session that did not subscribe. Anything that does not
 * begin with D is a JSON object: {"op":"presence"}, {"op":"kick","product":..,"device":..} (device "": all of
 * the product, product "" too: everybody). What the plugin says of who comes and goes is on PRESENCE_TOPIC.
 * Pure functions. */
#ifndef OTAD_MODEL_DELIVERY_H
#define OTAD_MODEL_DELIVERY_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_TOPIC      "$CONTROL/otad/v1"
#define PRESENCE_TOPIC     "$otad/v1/presence"
#define DELIVERY_HEAD_SIZE (PRODUCT_SIZE + DEVICE_SIZE + TOPIC_SIZE + 8)

struct delivery {
    int qos;
    bool only_subscribed;
    char who[PRODUCT_SIZE + DEVICE_SIZE]; /* "product/device" */
    char topic[TOPIC_SIZE];
    const void *payload; /* borrowed */
    size_t len;
};

/* Writes the line with its end; its length, or 0 when it does not fit. */
size_t delivery_head(const struct delivery *d, char out[DELIVERY_HEAD_SIZE]);
/* False for anything else; d->payload points into bytes. */
bool delivery_parse(const void *bytes, size_t len, struct delivery *d);

#endif
