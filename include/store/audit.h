/* audit.h: what operators did: who, from where, on what, and how that was before and after. A line is added
 * in the transaction of its act and never changed; the store itself refuses. The oldest end by age. */
#ifndef OTAD_STORE_AUDIT_H
#define OTAD_STORE_AUDIT_H

#include "store/db.h"

#define AUDIT_WHO_SIZE     194 /* a token's name, "socket", "otad" */
#define AUDIT_ADDRESS_SIZE 46
#define AUDIT_METHOD_SIZE  8
#define AUDIT_PATH_SIZE    1024 /* the longest path that a route takes */

struct audit_line {
    int64_t id; /* audit_add leaves it alone */
    int64_t at_ms;
    int64_t token_id; /* 0: the socket, or otad itself */
    char who[AUDIT_WHO_SIZE];
    char address[AUDIT_ADDRESS_SIZE]; /* "" the socket */
    char method[AUDIT_METHOD_SIZE];
    char path[AUDIT_PATH_SIZE]; /* without its query */
    int status;
    char *before, *after; /* JSON; owned by who made them (audit_clear); NULL and "" are nothing */
};

/* What is NULL or 0 does not narrow the list. */
struct audit_filter {
    const char *who, *path; /* the path itself, and all below it */
    int64_t since_ms, until_ms;
};

int audit_add(struct db *w, const struct audit_line *line, struct err *e);

/* Newest first: those before before_id, all for INT64_MAX. The caller clears the n lines of out. */
int audit_list(struct db *db, const struct audit_filter *f, int64_t before_id, struct audit_line out[],
               size_t cap, size_t *n, struct err *e);
/* Oldest first: those after after_id. */
int audit_list_on(struct db *db, const struct audit_filter *f, int64_t after_id, struct audit_line out[],
                  size_t cap, size_t *n, struct err *e);

void audit_clear(struct audit_line lines[], size_t n);

#endif
