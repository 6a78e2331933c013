/* sender.h: what otad says, in its order: whose sessions are to end, then what is due to devices, then blocks
 * of files. The mqtt thread's. */
#ifndef OTAD_MQTT_SENDER_H
#define OTAD_MQTT_SENDER_H

#include "side.h"

/* As much as the broker takes now. */
void sender_turn(struct mqtt *m);

#endif
