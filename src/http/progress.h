/* progress.h: a download as a report. What the socket took is the truth about the progress of a device that
 * has no session at the broker and so says nothing itself: it becomes events of the rollout, one at the start
 * and one each twentieth of the file, never a row a request. */
#ifndef OTAD_SRC_HTTP_PROGRESS_H
#define OTAD_SRC_HTTP_PROGRESS_H

#include "http/request.h"

struct progress {
    const struct http_env *env; /* NULL: nobody to report for */
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    int64_t execution_id; /* the file is its offer's */
    uint64_t size;        /* of the whole file */
};

/* Who downloads stands in request.caller as product/device: by its secret, or by the URL of its offer; what
 * for, in reply.execution_id. */
void progress_begin(struct progress *p, const struct request *r);

/* The bytes from first to end of the file are with the socket. Never waits. */
void progress_step(const struct progress *p, uint64_t first, uint64_t end);

#endif
