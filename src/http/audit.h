/* audit.h: every act of an operator leaves a line, and no handler has to think of it. The thing that a path
 * is about is what its longest beginning that has a GET shows: /campaigns/7/pause is about /campaigns/7. What
 * that GET answers before and after is what the line keeps, so it holds no secret: those are shown by nothing
 * but the answer that makes them. */
#ifndef OTAD_HTTP_AUDIT_H
#define OTAD_HTTP_AUDIT_H

#include "http/request.h"

/* Runs the handler on the writer. What an operator did by it is in the audit when it is done, or it is not
 * done. */
int audit_act(struct request *r, struct db *w, struct err *e);

/* Behind a handler that runs elsewhere and has succeeded: waits for the line to be written. Where it cannot
 * be, the request has failed, whatever was done. */
int audit_slow(const struct request *r, struct db *db, struct err *e);

/* A token that is good was shown for what its role does not allow: one line a minute for each token. Does not
 * wait. */
void audit_refused(const struct request *r);

#endif
