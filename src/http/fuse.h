/* fuse.h: the shape of everything that OneNET's HTTP service says, for routes with ROUTE_FUSE. Its clients
 * compare text, so members, order and spelling are the service's:
 *
 *   {"code":0,"msg":"succ","data":{..},"request_id":"<32 hex digits>"}
 *
 * The numbers are the service's own where they were seen: 12012, 20 and 10403 in its answers, the others in
 * its lists. */
#ifndef OTAD_SRC_HTTP_FUSE_H
#define OTAD_SRC_HTTP_FUSE_H

#include "base/json.h"

#include <stdbool.h>

struct MHD_Response;

#define FUSE_TYPE "application/json;charset=UTF-8"

enum fuse_code {
    FUSE_OK = 0,
    FUSE_INVALID_STATE = 17, /* the task has not begun, or waits for its next attempt */
    FUSE_FINISHED = 20,
    FUSE_PARAM = 10001,
    FUSE_AUTH = 10403,
    FUSE_INTERNAL = 10500,
    FUSE_NONE = 12012,
};

/* The answer; data, which is taken over, may be NULL. The caller frees it. */
char *fuse_text(enum fuse_code code, const char *more, json_t *data);

/* The answer to what failed. Its HTTP status is 200, since clients that read it look for the msg, unless the
 * failure is ours, or a file was asked for: then it must not look like one, and Ota-Errno says which it is.
 * NULL without memory. */
struct MHD_Response *fuse_problem(const struct err *e, bool file, unsigned *status);

#endif
