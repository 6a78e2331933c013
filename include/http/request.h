/* request.h: one request as handlers see it.
 *
 * A handler is int f(struct request *r, struct db *db, struct err *e). It reads r, asks the store through db,
 * and fills r->reply; what it returns as an error becomes problem+json (RFC 9457). All have one shape:
 *   - a route without ROUTE_WRITES gets a reader's connection, on libmicrohttpd's thread: it must not wait;
 *   - a route with ROUTE_WRITES gets the writer's connection: the server suspends the connection, the handler
 *     runs as a job of the writer in its own savepoint, the reply leaves after the commit. An error undoes
 *     what it wrote;
 *   - a route with ROUTE_SLOW gets a reader's connection on the upload thread, with its own connection
 * suspended: it may take its time, and writes by store_write;
 *   - a route with ROUTE_LONG the same on the keeper's thread, for minutes;
 *   - a route with ROUTE_DRY is called like one with ROUTE_SLOW when it is to say only what it would do:
 *     request.dry;
 *   - a reading handler that finds it has to write returns request_to_writer(r) and is called again, whole,
 *     on the writer.
 * So handlers (but for slow ones, which may wait) never lock, wait or think of threads. Idempotency-Key is
 * the server's business, not theirs. */
#ifndef OTAD_HTTP_REQUEST_H
#define OTAD_HTTP_REQUEST_H

#include "base/json.h"
#include "http/http.h"
#include "http/peer.h"
#include "model/words.h"

#define PATH_ARGS_MAX 3
#define PAGE_MAX      1000
#define PAGE_DEFAULT  100

struct MHD_Connection;
struct stream;
struct url_query;
struct route;
struct throttle;

struct caller {
    enum role role;   /* ROLE_NONE: nobody; ROLE_DEVICE: device_id is set */
    int64_t token_id; /* 0: the Unix socket, or not an operator */
    char name[194];   /* the token's name, "socket", or product/device */
    int64_t device_id;
    struct peer peer;
};

/* Devices whose sessions at the broker end once the reply's change is committed. */
struct ending {
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE]; /* "": all of the product */
};

struct reply {
    int status;            /* 0: the handler set none, 200 is meant */
    json_t *json;          /* owned; NULL with text NULL: no body */
    char *text;            /* owned; a body that is not JSON */
    const char *type;      /* of text, and of stream */
    struct stream *stream; /* owned; a body that is made while it is sent (http/stream), or NULL */
    char location[256];    /* "" none */
    char etag[40];         /* with quotes; "" none */
    char link[300];        /* "" none: Link header of a page */
    int fd;                /* >= 0: a file of size bytes follows (http/download); owned */
    uint64_t size;
    unsigned char sha256[32]; /* of the file */
    int64_t modified_at_ms;
    int64_t execution_id;       /* which the file is fetched for; 0 none is known */
    char md5[MD5_TEXT_SIZE];    /* of the file, for the header field x-MD5; "" none */
    char version[VERSION_SIZE]; /* for the header field x-version; "" none */
    char attachment[129];       /* "" none: the name a browser shall save the file under */
    struct ending *endings;     /* owned */
    size_t ending_count;
};

struct upload; /* http/upload: the temporary file of PUT /firmware */

struct request {
    const struct http_env *env;
    const struct route *route;
    bool head; /* the method is HEAD: handlers of routes that begin something then must not */
    struct MHD_Connection *connection;
    struct caller caller;
    struct throttle *throttle;     /* of failed logins; NULL: this caller's are not slowed */
    const char *target;            /* path and query as they came; never logged: it may hold a signature */
    const char *path;              /* decoded once, no query */
    const struct url_query *query; /* decoded; NULL is none */
    char arg[PATH_ARGS_MAX][257];  /* {..} of the route's path, decoded */
    json_t *body;                  /* the JSON object; NULL when the route takes none or it was empty */
    char *raw;                     /* the body as it came, for routes with ROUTE_RAW; ends with a zero */
    size_t raw_len;
    struct upload *upload; /* finished, for the route that takes one */
    bool dry;              /* ?dry_run=1: the handler says what it would do, and writes nothing */
    json_t *summary;       /* owned; for the audit, of an act that is about no one thing: counts */
    bool on_writer;
    bool to_writer; /* set by request_to_writer */
    struct reply reply;
    int64_t now_ms;
};

typedef int handler_fn(struct request *r, struct db *db, struct err *e);

/* NULL when absent. Valid until the request ends. */
const char *request_query(const struct request *r, const char *name);
const char *request_header(const struct request *r, const char *name);

/* See above. */
int request_to_writer(struct request *r);

/* Once what the handler does is committed, these sessions end: who has them is no more let in like that.
 * device "": all of the product. */
void request_end_sessions(struct request *r, const char *product, const char *device);

/* A number in the query: fallback when absent; ERR_INVALID names it. */
int request_query_int(const struct request *r, const char *name, int64_t min, int64_t max, int64_t fallback,
                      int64_t *out, struct err *e);
/* ERR_INVALID for a query parameter that the route does not take. */
int request_query_check(const struct request *r, struct err *e);
/* A path argument that must be an id. ERR_NOT_FOUND otherwise. */
int request_id(const struct request *r, int arg, int64_t *id, struct err *e);

/* For lists: reads ?limit= and ?after=, then gives the reply {"items": items, "next": "..."} and the Link
 * header. next 0: the last page. items is taken over. */
struct page {
    int64_t limit, after;
};
int page_read(const struct request *r, struct page *out, struct err *e);
void page_reply(struct request *r, json_t *items, int64_t next);

/* ETag of a thing that can be edited, and the If-Match that guards its edit: ERR_PRECONDITION when it names
 * another revision; fine when absent. */
void revision_etag(struct request *r, int64_t revision);
int revision_check(const struct request *r, int64_t revision, struct err *e);

/* 201 with the object and its Location; json is taken over. */
void reply_created(struct request *r, json_t *json, const char *location_format, ...)
    __attribute__((format(printf, 3, 4)));
void reply_json(struct request *r, json_t *json); /* 200; taken over */
void reply_nothing(struct request *r);            /* 204 */

#endif
