/* auth.h: who is asking. Operators by Bearer token, devices by Basic with their secret, those of OneNET by a
 * token made with it, whoever may open the Unix socket as admin. A wrong secret, an unknown device and an
 * unknown product give one and the same answer. */
#ifndef OTAD_HTTP_AUTH_H
#define OTAD_HTTP_AUTH_H

#include "base/seal.h"
#include "base/str.h"
#include "http/request.h"

struct basic { /* product/device:secret */
    char product[PRODUCT_SIZE];
    char device[DEVICE_SIZE];
    char secret[SECRET_SIZE];
};

/* The token of "Bearer token", or NULL. Pure. */
const char *auth_bearer(const char *header);

/* "Basic base64(product/device:secret)". Names of devices may hold colons, secrets do not: the last colon
 * divides. The slash may be escaped as in a URL. False for anything else. Pure. */
bool auth_basic(const char *header, struct basic *out);

/* The name of a caller of ROLE_DEVICE taken apart; "", and product is "", for another's. Pure. */
const char *auth_device(const struct caller *caller, char product[PRODUCT_SIZE]);

/* viewer < uploader, operator < admin: an uploader may not operate, an operator may not upload. A route for
 * devices takes every operator too. Pure. */
bool auth_allows(enum role have, enum role need);

/* ERR_BAD_REQUEST for a token in the query, wherever it is one of ours, and for a parameter that asks for one
 * where an operator calls. It stands in histories and in the logs of others by then. */
int auth_check_query(const struct request *r, struct err *e);

/* Fills r->caller from the Authorization header (NULL: none) as r->route demands. ERR_UNAUTHORIZED,
 * ERR_FORBIDDEN; ERR_TOO_MANY for whose address has failed too often (base/throttle). A route of ROLE_NONE
 * asks nothing; one of ROUTE_FILE accepts a caller without a header and leaves the judgement to its handler.
 * A caller that is admin already stays so. */
int auth_check(struct request *r, const char *header, struct db *db, struct err *e);

/* Once the body is there, which its sender may hold back for long: an operator's token still exists, and has
 * not expired. ERR_UNAUTHORIZED. */
int auth_check_again(const struct request *r, struct db *db, struct err *e);

/* For proofs that stand elsewhere than in that header: whether this caller has failed too often, under a name
 * or (NULL) under all; ERR_TOO_MANY for one who has; one more failure. */
bool auth_slowed(const struct request *r, const char *name);
int auth_too_many(struct err *e);
void auth_count_failure(const struct request *r, const char *name);

#endif
