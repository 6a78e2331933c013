/* rollout.h: the rules' front door. What a device says comes in by rollout_event, what time does by
 * rollout_tick; both run on the writer's thread and answer with what is to be sent, which the caller sends
 * after the commit. Nothing here knows of sockets, topics or JSON. */
#ifndef OTAD_ROLLOUT_ROLLOUT_H
#define OTAD_ROLLOUT_ROLLOUT_H

#include "model/event.h"
#include "rollout/presence.h"
#include "store/db.h"

#include <stdatomic.h>

#define SCANS_MAX   64
#define CHANGED_MAX 64

/* Campaigns whose devices that are there have yet to be looked at. The walk goes over presence, which is in
 * memory, in an order that scatters devices: neighbours by registration are far apart in it. */
struct scans {
    struct scan {
        int64_t campaign_id;
        uint64_t at, left; /* where the walk stands, and how far it has yet to go */
        uint64_t circle;   /* what it goes round */
        int64_t slots_at;  /* device whose slot was looked at last */
    } at[SCANS_MAX];
    size_t n, turn;
};

struct survey;

/* Constant after the start but for what only the writer's thread touches, and the counters. */
struct rollout {
    char public_url[256];      /* "https://ota.lan:8443", no slash at the end */
    unsigned char url_key[32]; /* HMAC key of signed URLs */
    struct presence *presence;
    struct scans scans;
    struct { /* the campaign whose waves by number are being measured: rollout/prepare.c */
        int64_t campaign_id, after_id;
        struct survey *survey;
        bool measured; /* all of them; the limits are being found */
    } preparing;
    struct changed { /* devices that somebody has changed: the tick looks what is due for them */
        int64_t ids[CHANGED_MAX];
        size_t n;
    } changed;
    int64_t campaigns_after;    /* the tick's round over campaigns */
    int64_t ticked_ms;          /* and when it last began one */
    _Atomic int64_t done_to_ms; /* what was due by then is done: the last tick that left nothing */
    struct lost {               /* offers that may never have left: see rollout_tick */
        int64_t since_ms, after_id;
    } lost;
    _Atomic uint64_t
        ignored; /* reports that changed nothing: late, doubled, backwards, unknown (invariant 4) */
    _Atomic uint64_t refused; /* messages of unknown or disabled devices */
};

#define ROLLOUT_SENDS_MAX 2 /* an answer, and what is due after it */

/* One thing a device said; EVENT_FILE is none. *sends of out are to be sent, the caller clears them; ev stays
 * the caller's. An unknown device is registered by an
 * INFORM where its product's enrolment is open. What a device may not say is counted, not an error; an error
 * is the store's. */
int rollout_event(struct rollout *r, struct db *w, const struct device_event *ev, int64_t now_ms,
                  struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e);

/* A PROGRESS event that the server itself saw: so much of the file is with the device's socket. A device that
 * has a session at the broker tells its progress itself, and better; for it nothing happens. */
int rollout_download(struct rollout *r, struct db *w, const struct device_event *ev, int64_t now_ms,
                     struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e);

/* What time brings: prepares campaigns, ends clocks, offers what has become due, completes what is done. When
 * the link to a broker without our plugin is up again, what was offered before and has no answer is offered
 * once more: it may never have left, and such a device does not know that it should ask. At most cap things
 * to send. *again: more is waiting, call again without waiting for the next second. No call holds the store
 * long. After a failure, which undoes it, the next call looks at all that this one would have. */
int rollout_tick(struct rollout *r, struct db *w, int64_t now_ms, struct outgoing out[], size_t cap,
                 size_t *n, bool *again, struct err *e);

/* What the tick keeps in memory alone: whom to look at, and which hours have begun. A tick whose commit fails
 * is undone in the store and not here: the next one comes after rollout_untick with the marks from before it,
 * and looks at all that it would have, and at what was asked for meanwhile. On the writer's thread. */
struct rollout_marks {
    struct scans scans;
    struct changed changed;
    struct lost lost;
    int64_t campaigns_after, ticked_ms;
};
struct rollout_marks rollout_marks(const struct rollout *r);
int rollout_untick(struct rollout *r, struct db *w, const struct rollout_marks *before, struct err *e);

/* A device is not what it was: not paused any more, pinned to another version, tagged anew. Where it is
 * there, nothing else would tell it what is due now: the tick is to look. */
int rollout_device_changed(struct rollout *r, struct db *w, int64_t device_id, struct err *e);

/* Frees what the tick keeps of a campaign that it prepares, which then begins anew. */
void rollout_forget(struct rollout *r);

/* The tick is to look at all devices that are there for the campaign: rollout/scan.c. */
void scan_campaign(struct rollout *r, int64_t campaign_id);

/* For a device that asks by HTTPS. Reads only: *idle when rollout_event with this INFORM could neither change
 * nor answer anything, which means 204 without a write. */
int rollout_poll_idle(struct db *reader, int64_t device_id, const char *module, const char *version,
                      int64_t now_ms, bool *idle, struct err *e);

struct polled {
    bool idle;
    struct outgoing offer; /* what rollout_event would send once more, and all; or OUTGOING_NOTHING */
};

/* The same, and the offer of a device that was offered something already. Neither idle nor an offer: ask
 * rollout_event. The caller clears the offer. */
int rollout_poll(struct rollout *r, struct db *reader, int64_t device_id, const char *module,
                 const char *version, int64_t now_ms, struct polled *out, struct err *e);

/* What a device would be sent if it asked now, whole files only: the firmware, and its execution; ids 0:
 * nothing. Reads only. */
int rollout_look(struct rollout *r, struct db *reader, int64_t device_id, int64_t now_ms,
                 int64_t *execution_id, int64_t *firmware_id, struct err *e);

/* Signed URLs: /firmware/{sha256}?d=product/device&e=unix-seconds&s=base64url(HMAC-SHA-256). */
bool offer_url_make(const struct rollout *r, const char *sha256, const char *product, const char *device,
                    int64_t expires_at_ms, char url[URL_SIZE]);
bool offer_url_check(const struct rollout *r, const char *sha256, const char *device_path,
                     const char *expires, const char *signature, int64_t now_ms);

#endif
