/* letter.h: a message with its address: the device whose sessions it is for. What the rollout says becomes
 * letters here, in the words of the device's protocol. */
#ifndef OTAD_SRC_MQTT_LETTER_H
#define OTAD_SRC_MQTT_LETTER_H

#include "protocol/protocol.h"

struct letter {
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE];
    struct message message; /* owns its payload */
};

struct letters { /* grows; zeroed: empty */
    struct letter *at;
    size_t n, cap;
};

/* Takes the message's payload over. */
void letters_add(struct letters *l, const char *product, const char *device, const struct message *m);
/* Renders what is to be said, which is logged where it cannot be, and clears it. */
void letters_render(struct letters *l, struct outgoing *what);
/* Forgets them and what they own. */
void letters_clear(struct letters *l);
void letters_free(struct letters *l);

#endif
