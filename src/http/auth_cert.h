/* auth_cert.h: who is asking where a certificate is demanded (http/client_cert). */
#ifndef OTAD_HTTP_AUTH_CERT_H
#define OTAD_HTTP_AUTH_CERT_H

#include "client_cert.h"
#include "http/request.h"

/* As auth_check, for a caller whose certificate is good as such: fills r->caller with its device, which must
 * be registered, switched on, and not have the certificate revoked; that is asked of the store at each
 * request, so that nothing outlives the moment it is switched off. Routes for operators are not for it. An
 * Authorization header (NULL: none) proves nothing more, and must be the same device's.
 * ERR_UNAUTHORIZED, ERR_FORBIDDEN. */
int auth_cert_check(struct request *r, const struct client_cert *shown, const char *header, struct db *db,
                    struct err *e);

#endif
