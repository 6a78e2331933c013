/* link.h: one connection to the broker at a time, and the loop over it. The mqtt thread's alone;
 * libmosquitto's own loop is never used: it acknowledges a message before its callback has stored anything,
 * and ends for good when its socket's number reaches 1024.
 *
 * A turn of the loop:   wait -> read a batch -> commit it -> let the acknowledgements out -> send what is due
 * Acknowledgements are made while reading, and wait in libmosquitto's queue because it takes us for threaded;
 * nothing is written between reading and the commit. A commit that fails drops the connection with the queue
 * in it. */
#ifndef OTAD_MQTT_LINK_H
#define OTAD_MQTT_LINK_H

#include "side.h"

/* Makes a connection, which link_turn brings up. */
void link_connect(struct mqtt *m);

/* One turn, at most until end_ms when there is nothing to do. */
void link_turn(struct mqtt *m, int64_t end_ms);

/* Says goodbye and forgets the connection. */
void link_close(struct mqtt *m);

#endif
