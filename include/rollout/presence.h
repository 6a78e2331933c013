/* presence.h: which devices are there, and when each was last heard: a table in memory, indexed by device id,
 * that every thread may read and touch without a lock. Presence is a hint that is gone with the process; the
 * store is the truth. last_seen reaches the store once a minute (presence_flush), never with a request. */
#ifndef OTAD_ROLLOUT_PRESENCE_H
#define OTAD_ROLLOUT_PRESENCE_H

#include "store/db.h"

struct presence;

/* timeout_ms > 0: a device without a known session counts as there for so long after it was heard (a broker
 * without our plugin); 0: only a session counts. */
struct presence *presence_open(int64_t timeout_ms);
void presence_close(struct presence *p);

/* The broker's plugin has spoken: from now on a device without a session is away, whenever it was heard. */
void presence_reported(struct presence *p);
/* The broker says how many sessions the device has. */
void presence_sessions(struct presence *p, int64_t device_id, unsigned sessions);
/* A device was registered by what it said over a session that began before it had an id. */
void presence_joined(struct presence *p, int64_t device_id);
/* The link to the broker is up: what devices say reaches otad from now on. */
void presence_listen(struct presence *p, int64_t now_ms);
/* Since when; INT64_MAX: it does not reach otad, and a device's silence says nothing. 0 until the first
 * presence_clear. */
int64_t presence_listens_since(const struct presence *p);
/* It is deleted: whatever sessions it has are nobody's. */
void presence_forget(struct presence *p, int64_t device_id);
/* The link to the broker is down, or not up yet: nobody is known to be there. */
void presence_clear(struct presence *p);
void presence_touch(struct presence *p, int64_t device_id, int64_t now_ms);

/* There is no plugin that tells who is there: it is guessed from what was heard. */
bool presence_guesses(const struct presence *p);
bool presence_there(const struct presence *p, int64_t device_id, int64_t now_ms);
/* The broker has told of a session of it. */
bool presence_connected(const struct presence *p, int64_t device_id);
/* Milliseconds, rounded to seconds; 0 when not heard since the start. */
int64_t presence_last_seen(const struct presence *p, int64_t device_id);
/* Above every id that was ever heard of. */
int64_t presence_top(const struct presence *p);
/* Devices with a session. */
unsigned presence_count(const struct presence *p);

/* On the writer: stores last_seen of up to max devices heard since the last flush; *more when some are left.
 */
int presence_flush(struct presence *p, struct db *w, unsigned max, bool *more, struct err *e);

#endif
