/* token_use.h: when each token was used last, and when it was last refused. Kept in memory, because a request
 * that reads must not write; a minute's worth is written at once. Thread-safe. */
#ifndef OTAD_STORE_TOKEN_USE_H
#define OTAD_STORE_TOKEN_USE_H

#include "store/db.h"

struct token_uses;

struct token_uses *token_uses_open(void);       /* never NULL: out of memory aborts */
void token_uses_close(struct token_uses *uses); /* NULL is fine */

void token_use(struct token_uses *uses, int64_t id, int64_t now_ms);
/* In this process; 0: not yet. */
int64_t token_used_at(struct token_uses *uses, int64_t id);

/* Whether it is the first time in a minute that this token is refused something. */
bool token_use_refused(struct token_uses *uses, int64_t id, int64_t now_ms);

/* Writes the moments of at most cap tokens that were used since they were written last; *more: some are left.
 * A token that is gone is fine. */
int token_uses_flush(struct token_uses *uses, struct db *w, size_t cap, bool *more, struct err *e);

#endif
