/* backups.h: the backups of a running otad: where they are kept, how many, how the last one went.
 * backups_make belongs to one thread, that may take minutes; all else is for any. */
#ifndef OTAD_BACKUP_BACKUPS_H
#define OTAD_BACKUP_BACKUPS_H

#include "backup/backup.h"

struct backups;

struct backups_setup {
    struct store *store;
    const char *data_dir, *dir; /* copied */
    size_t keep;
    int64_t floor_bytes; /* a backup on the data directory's disk leaves so much */
    atomic_bool *halt;
};

struct backups_state {
    int64_t made_at_ms;   /* the newest that is ok; 0 none */
    int64_t failed_at_ms; /* since then none has gone well; 0 the last one did */
    char error[200];      /* of that */
};

/* Sweeps, and looks for the newest. A folder that cannot be used is for the state to tell, not for the start.
 */
struct backups *backups_open(const struct backups_setup *setup);
void backups_close(struct backups *b); /* NULL is fine */

/* Makes one, and removes the oldest beyond those that are kept. */
int backups_make(struct backups *b, struct backup *out, struct err *e);
int backups_list(const struct backups *b, struct backup **out, size_t *n, struct err *e); /* as backup_list */
void backups_state(struct backups *b, struct backups_state *out);

#endif
