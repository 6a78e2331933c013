/* api_fuse.h: what the handlers of OneNET's HTTP service share. */
#ifndef OTAD_SRC_HTTP_API_FUSE_H
#define OTAD_SRC_HTTP_API_FUSE_H

#include "api.h"
#include "fuse.h"
#include "model/event.h"

/* data, which is taken over, may be NULL. 0. */
int fuse_answer(struct request *r, enum fuse_code code, json_t *data);

/* An event of the device that the path names. ERR_FORBIDDEN for an administrator at the socket, who is let in
 * everywhere and is no device. */
int fuse_event(const struct request *r, enum event_kind kind, struct device_event *ev, struct err *e);

/* On the writer. *out is the last thing that these events have to be answered with, all zero but its kind,
 * OUTGOING_NOTHING, when there is none; the caller clears it. */
int fuse_tell(const struct request *r, struct db *w, const struct device_event ev[], size_t n,
              struct outgoing *out, struct err *e);

#endif
