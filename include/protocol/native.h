/* native.h: otad's own protocol. Topics ota/{product}/{device}/inform, progress and request from the device,
 * offer to it; bodies are small JSON objects. What devices say is read liberally: unknown members are
 * ignored, numbers may be strings. What they are told has always the same members in the same order. HTTPS
 * devices use the same bodies. */
#ifndef OTAD_PROTOCOL_NATIVE_H
#define OTAD_PROTOCOL_NATIVE_H

#include "base/json.h"
#include "model/event.h"
#include "protocol/protocol.h"

extern const struct protocol native_protocol;

/* {"id":"42","version":..,"module":..,"size":..,"sha256":..,"md5":..,"signature":..,"url":..,"delta_from":null,
 * "expires_at":..}; {"id":null} when o is NULL: nothing is due. The caller owns the result. */
json_t *native_offer_json(const struct offer *o);

/* {"id":"42","percent":35}, {"id":"42","state":"installing"} or {"id":"42","error":"verify","detail":".."}:
 * fills kind, execution_id, state, percent, reason and detail of *ev, and leaves the rest of it. ERR_INVALID
 * names the field. */
int native_report_parse(const json_t *body, struct device_event *ev, struct err *e);

#endif
