/* writer.h: the thread that runs jobs: what has queued up in one transaction, told after its commit; and the
 * checkpoints. */
#ifndef OTAD_STORE_WRITER_H
#define OTAD_STORE_WRITER_H

#include "store/db.h"

struct writer;

/* w is the thread's alone until writer_stop returns, which runs what is queued first. */
int writer_start(const char *path, struct db *w, struct writer **out, struct err *e);
void writer_stop(struct writer *s);

void writer_submit(struct writer *s, struct job *job); /* any thread */
size_t writer_queued(struct writer *s);                /* any thread */
bool writer_is_me(const struct writer *s);             /* whether the caller is this thread */

#endif
