/* scrub.h: a thread that reads the firmware files again, slowly, round after round, and looks at once at
 * those that somebody could not read. What is damaged is moved away, listed (rollout/damage), and the
 * campaigns that bring it are paused. */
#ifndef OTAD_MAIN_SCRUB_H
#define OTAD_MAIN_SCRUB_H

#include "config/settings.h"
#include "image/blob.h"
#include "store/db.h"

struct scrub;

/* All of them must outlive it. */
int scrub_start(const struct settings *settings, struct store *store, struct blobs *blobs, struct scrub **out,
                struct err *e);
/* Ends within a moment, in the midst of a file too. NULL is fine. */
void scrub_stop(struct scrub *s);

/* A file that could not be read is to be looked at. Any thread; scrub is a struct scrub. */
void scrub_suspect(void *scrub, const char *sha256);

#endif
