/* aws.h: AWS IoT Jobs and MQTT file streams, as their device SDKs speak them. Topics are
 * $aws/things/{thing}/jobs/... and .../streams/...; a device logs in by its certificate, whose common name is
 * the thing, and no topic says the product. An execution is a job: its id is the job's in decimal, its
 * attempt the executionNumber, its files the stream "otad-<id>".
 *
 * Beside AWS's own topics there is a plainer form, for devices that wait for the id of a job and then ask for
 * nothing but its document: $aws/things/{thing}/job/notify, {"timestamp":"1700000000","job_id":"42"}, to
 * those who subscribed to it; job/{id}/get, answered with the document on job/{id}/get/accepted; and
 * job/{id}/update, which is jobs/{id}/update by another name. */
#ifndef OTAD_PROTOCOL_AWS_H
#define OTAD_PROTOCOL_AWS_H

#include "protocol/protocol.h"

extern const struct protocol aws_protocol;

/* [a-zA-Z0-9:_-]{1,128}: the names that AWS gives things. */
bool aws_is_thing(const char *name);

#endif
