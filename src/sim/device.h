/* device.h: one simulated device: what it does with an offer, from the first word to the new version.
 *
 *   IDLE --offer--> DOWNLOADING --cut, broken--> PAUSED --later--> DOWNLOADING
 *     ▲                  │
 *     │◄── error ────────┤ verified
 *     │                  ▼
 *     │             INSTALLING --(never)--> STUCK
 *     │                  │ installed
 *     │                  ├── with --reboot --> REBOOTING (no session) --back-->┐
 *     │                  └──────────────────────────────────────────────────► CONFIRMING --PUBACK--> DONE
 *     └ another offer: DONE behaves as IDLE
 *
 * 1. Every new session subscribes, then informs of the version; nothing else is said again.
 * 2. An offer of the version that runs is answered by informing; one that is already worked on is left alone;
 * another one replaces what is not yet installing.
 * 3. DONE is reached only when the broker has acknowledged the inform of the new version; where the device's
 * own word counts (wire.h: own_word), when the server has taken it.
 * 4. What goes wrong on purpose is decided by hashes of (seed, device), so that a run can be repeated.
 *
 * A device belongs to one thread. */
#ifndef OTAD_SIM_DEVICE_H
#define OTAD_SIM_DEVICE_H

#include "link.h"
#include "options.h"
#include "tally.h"
#include "transfer.h"
#include "wire.h"

#define WORK_TABLE(X)                  \
    X(WORK_IDLE, "waiting")            \
    X(WORK_DOWNLOADING, "downloading") \
    X(WORK_PAUSED, "paused")           \
    X(WORK_INSTALLING, "installing")   \
    X(WORK_STUCK, "stuck")             \
    X(WORK_REBOOTING, "rebooting")     \
    X(WORK_CONFIRMING, "confirming")   \
    X(WORK_DONE, "done")

#define WORK_ENUM(id, word) id,
enum work { WORK_TABLE(WORK_ENUM) WORKS };
#undef WORK_ENUM

struct device_env { /* of a thread; constant but for now_ms */
    const struct options *options;
    const struct wire *wire;
    struct wire_habits habits;
    unsigned char *scratch; /* wire.h */
    const struct link_settings *link;
    struct transfers *transfers;
    struct tally *tally;
    int64_t now_ms; /* monotonic */
};

struct update; /* an offer that is being worked on */

struct device {
    struct link link;
    struct device_env *env;
    struct wire_identity who;          /* borrowed texts */
    struct update *update;             /* NULL: none */
    uint64_t luck;                     /* chance.h */
    int64_t work_at_ms;                /* when the state is to go on by itself; 0 not by itself */
    int64_t connect_at_ms;             /* link DOWN: not before; INT64_MAX never */
    int64_t offered_at_ms, done_at_ms; /* of the first offer, and its success; 0 not yet */
    enum work work;
    int inform_id;   /* of the last inform; -1 none */
    uint32_t serial; /* of what it said last */
    unsigned connect_tries;
    bool online, was_online;
    bool succeeded;  /* with its last update, and counted */
    bool asked;      /* something that is answered, in this session; not yet */
    bool inform_due; /* when all that came is heard: one for it all */
    bool will_cut, will_drop, will_fail, will_never; /* each happens once */
    char version[VERSION_SIZE];
};

/* number: of the whole fleet, for what goes wrong on purpose. */
int device_open(struct device *d, struct device_env *env, const struct wire_identity *who, uint64_t number,
                struct err *e);
void device_close(struct device *d); /* fine on a device that is all zero */

bool device_wants_connection(const struct device *d);
void device_connect(struct device *d);
void device_ready(struct device *d, uint32_t events);
void device_step(struct device *d); /* often: moves on what is due */
void device_tick(struct device *d); /* once a second */
void device_leave(struct device *d);

/* Hooks of transfer.h, for owners that are devices. */
void device_took(void *device, size_t len);
void device_ended(void *device, enum transfer_end end, const char *why);

const char *work_word(enum work work);

#endif
