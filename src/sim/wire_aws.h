/* wire_aws.h: AWS IoT's file streams, as the client of a job fetches its file: one GetStream a block, as CBOR
 * or JSON. Pure functions; errors as wire.h's. */
#ifndef OTAD_SIM_WIRE_AWS_H
#define OTAD_SIM_WIRE_AWS_H

#include "wire.h"

int aws_ask(const struct wire_identity *who, const struct wire_offer *offer, uint64_t offset,
            struct wire_message *out, struct err *e);

/* What came below .../streams/{stream}/: "data/cbor", "rejected/json" and so on. */
int aws_hear_stream(const struct wire_identity *who, const char *leaf, const struct wire_heard_from *from,
                    struct wire_heard *out, struct err *e);

#endif
