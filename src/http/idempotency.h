/* idempotency.h: a POST that creates, sent again with the same Idempotency-Key, is answered from memory. */
#ifndef OTAD_HTTP_IDEMPOTENCY_H
#define OTAD_HTTP_IDEMPOTENCY_H

#include "http/request.h"

/* Runs the route's handler on the writer, or gives the remembered reply to the same request; both in one
 * transaction, so that of two copies that arrive together one creates and the other is answered. Without the
 * header: just runs it. */
int idempotency_run(struct request *r, struct db *w, struct err *e);

#endif
