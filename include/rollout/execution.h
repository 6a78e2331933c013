/* clang-format off */
/* execution.h: one campaign on one device: its states, and the one mover.
 *
 *   pending --> queued --> offered --> downloading --> downloaded --> installing --> testing --> succeeded
 *      |          |  ^        |             |              |              |             |
 *      |          |  +--------+-------------+--------------+--------------+-------------+   another attempt
 *      |          |           +-------------+--------------+--------------+-------------+-> failed timed_out
 *      |          |                                                                         rejected rolled_back
 *      +----------+-------------------------------------------------> cancelled superseded removed
 *
 * A step may be jumped over, none is gone back but to queued. What is right of testing is final.
 *
 * Invariants, cited by number in the code and in its tests:
 *  1 A final state never changes. A target version reported later is a line "late_success" in the timeline.
 *  2 At most one execution per (device, module) is active: the index execution_module_active.
 *  3 Only a report of the target version, for every module, makes an execution succeed; where the product
 *    says success = "report", the device's own word does. 100 % is never success.
 *  4 Reports that go backwards, come twice or come late change nothing, and are counted.
 *  5 A campaign that starts supersedes what is queued or pending of others for the same module; what is
 *    active ends first.
 *  6 Nothing is offered whose version is not above the device's, unless allow_downgrade; who is on the target
 *    has succeeded, already_installed. A device whose version is not known, or not comparable, is offered.
 *  7 A crossed threshold stops the campaign in the transaction of the report that crossed it.
 *  8 The server's own refusals never count as a device's failure or attempt.
 *  9 The counts of a campaign equal what counting its executions gives.
 * 10 A device that is away costs nothing: attempts and clocks begin when an offer goes to a device that is
 *    there.
 * 11 The old version reported in testing is a rollback at once; in installing, when it still holds after
 *    rollback_confirm: a reconnect just before the reboot is none.
 *
 * All of this runs on the writer's thread. */
/* clang-format on */
#ifndef OTAD_ROLLOUT_EXECUTION_H
#define OTAD_ROLLOUT_EXECUTION_H

#include "model/event.h"
#include "rollout/campaign.h"
#include "rollout/choose.h"

#define LIVE_MAX 16 /* live executions of a device that are looked at */

struct execution {
    int64_t id, campaign_id, device_id;
    int wave;
    enum execution_state state;
    int percent, attempt;
    bool suspect;
    bool silent; /* it holds no slot any more: rollout/pace.h */
    int64_t due_at_ms, deadline_at_ms, offered_at_ms, started_at_ms, updated_at_ms;
    enum campaign_state campaign_state;
    struct policy policy;
};

/* Who speaks or is spoken to. */
struct party {
    int64_t product_id, device_id; /* device_id 0: not registered */
    bool product_enabled, enrolment_open, success_by_report, device_enabled, device_paused;
    bool keeps_jobs; /* AWS: its executions have a version counter and details of the device's own */
    /* Aliyun: an offer in the midst of a download begins it anew, or a second one beside it. Who lost its
     * power says its version when it is back. */
    bool begins_anew;
    bool takes_deltas;         /* its protocol has a word for what a file starts from */
    char pinned[VERSION_SIZE]; /* the only version it is offered; "" any */
    int64_t failures, quarantine_until_ms;
    char protocol[16], product[PRODUCT_SIZE], device[DEVICE_SIZE];
    enum version_scheme scheme;
};

/* ERR_NOT_FOUND when there is no such product; product "": no such thing of AWS. */
int party_get(struct db *db, const char *product, const char *device, struct party *out, struct err *e);
int party_get_id(struct db *db, int64_t device_id, struct party *out, struct err *e);

int execution_get(struct db *db, int64_t id, struct execution *out, struct err *e);
/* A campaign's on a device: 1 found, 0 none. */
int execution_of_device(struct db *db, int64_t campaign_id, int64_t device_id, struct execution *out,
                        struct err *e);
/* What is active first, then by campaign, newest first. */
int execution_live(struct db *db, int64_t device_id, struct execution out[LIVE_MAX], size_t *n,
                   struct err *e);

/* An execution that is not over, by the module that is its next. */
struct live_module {
    int64_t id;
    int ord;
    char target[VERSION_SIZE], offered[VERSION_SIZE]; /* offered "": nothing */
};

int execution_live_modules(struct db *db, int64_t device_id, const char *module,
                           struct live_module out[LIVE_MAX], size_t *n, struct err *e);

/* What a move changes beside the state; what is left 0 is cleared. */
struct change {
    enum reason reason;
    const char *detail; /* NULL "" */
    int percent, attempt;
    int64_t due_at_ms, deadline_at_ms;
};

/* For rows that are new, and for moves of many at once; of one, execution_move counts. */
int wave_count_add(struct db *w, int64_t campaign_id, int wave, enum execution_state state, int64_t n,
                   struct err *e);

bool execution_may_move(enum execution_state from, enum execution_state to);

/* The one mover: checks the move, writes state, counts, the modules' active flags and a line of the timeline
 * (none where it withdraws what the device never heard of), and brings x up to date; where an end crosses a
 * threshold of the campaign, that stops here and now (invariant 7). An illegal move is a mistake of ours:
 * ERR_INTERNAL. */
int execution_move(struct db *w, struct execution *x, enum execution_state to, const struct change *c,
                   int64_t now_ms, struct err *e);

/* The device of x is there again: where x was silent, it holds its slot again. */
int execution_heard(struct db *w, struct execution *x, struct err *e);

/* What execution_move does, for many that wait, pending or queued: to cancelled or superseded. */
struct waiting {
    int64_t id, campaign_id;
    int wave;
    enum execution_state state;
};
int execution_withdraw(struct db *w, const struct waiting list[], size_t n, enum execution_state to,
                       const char *detail, int64_t now_ms, struct err *e);

/* Devices or executions of which one statement makes, or takes back, the rows, as a JSON array. */
#define EXECUTION_PORTION 256
#define ID_LIST_SIZE(n)   ((n)*21 + 3)
void id_list(char out[], const int64_t ids[], size_t n);

/* An attempt is over without success: another one is queued where the policy has one left, else x ends in
 * final. What would wait beside a newer campaign for the same module is superseded (invariant 5); what failed
 * in testing has its module to do again. */
int execution_attempt_ended(struct db *w, struct execution *x, enum execution_state final, enum reason reason,
                            const char *detail, int64_t now_ms, struct err *e);

/* A stepping stone to module ord was reached: on to the next file, with attempts of its own; failed,
 * incompatible, after too many. */
int execution_step_done(struct db *w, struct execution *x, int ord, const char *version, int64_t now_ms,
                        struct err *e);

/* Rows for its modules, where it has none yet. */
int execution_modules_make(struct db *w, int64_t id, struct err *e);

/* The target version of module ord, the one that x is at, was seen (or the device's word is taken for it): on
 * to the next module, to testing, or to succeeded; of a cancelled campaign nothing more begins. Modules
 * behind it that are on their targets are passed over with it. */
int execution_module_done(struct db *w, const struct party *p, struct execution *x, int ord, int64_t now_ms,
                          struct err *e);

/* The same in two steps, for who marks several: ord as done, *left what is not; then what follows from that.
 */
int execution_module_mark(struct db *w, const struct party *p, int64_t id, int ord, int64_t now_ms,
                          int64_t *left, struct err *e);
int execution_module_marked(struct db *w, struct execution *x, int64_t left, int64_t now_ms, struct err *e);

/* The module that an execution is at, and where it shall lead. */
struct next_module {
    int ord;
    char module[MODULE_SIZE], target[VERSION_SIZE], has[VERSION_SIZE]; /* has "": not known */
    char offered[VERSION_SIZE]; /* what was offered last: the target, a stepping stone, or "" nothing yet, or
                                   gone since */
    int64_t goal_id, offered_id;
    bool no_delta; /* one failed: the full file from now on */
};
/* 1 when there is one, 0 when none is left, <0 on failure. */
int execution_next_module(struct db *db, int64_t id, struct next_module *out, struct err *e);
/* The first that is not done from ord on. */
int execution_module_from(struct db *db, int64_t id, int ord, struct next_module *out, struct err *e);

/* The clock of x has run out. */
int execution_clock_ended(struct rollout *r, struct db *w, struct execution *x, int64_t now_ms,
                          struct err *e);

/* Rows for these devices, ids rising, of which the campaign's planner has been asked; beside them it
 * supersedes what waits for the same modules (invariant 5), with replace also what is being downloaded. */
struct planner;
int execution_create(struct db *w, const struct campaign *c, struct planner *p, const int64_t device_ids[],
                     size_t n, int64_t now_ms, struct err *e);
/* A device that a dynamic campaign takes in, if there is one. */
int execution_take_in(struct db *w, const struct party *p, int64_t now_ms, struct err *e);
/* Whether there is one. Reads only. */
int execution_would_take_in(struct db *db, const struct party *p, bool *would, struct err *e);

/* How a device's version stands to a target: invariant 6 in one place. */
enum standing { STANDING_BELOW, STANDING_ON_TARGET, STANDING_ABOVE, STANDING_UNKNOWN };
enum standing version_standing(enum version_scheme scheme, const char *has, const char *target);

/* Whether the module has got beyond its target, which x does not take back. */
bool module_is_beyond(const struct party *p, const struct execution *x, const struct next_module *m);
/* The file that p would be sent of the module. */
int module_file(struct db *db, const struct party *p, const struct next_module *m, struct chosen *out,
                struct err *e);

/* What of that which is active is offered once more. */
enum again {
    AGAIN_NOTHING,
    AGAIN_OFFERED, /* what the device has not begun */
    AGAIN_BEGUN,   /* also what it has: it may have lost its power */
};

/* What is due for a device that is there: the offer of what is active where again says so, else the next
 * queued execution, which is moved to offered. asks: the device asks by itself. *sends 0: nothing is due. */
int dispatch_device(struct rollout *r, struct db *w, const struct party *p, enum again again, bool asks,
                    int64_t now_ms, struct outgoing *out, size_t *sends, struct err *e);

/* Whether that could offer or change anything for a device that asks. Reads only. */
int dispatch_would(struct db *db, const struct party *p, int64_t now_ms, bool *would, struct err *e);

/* The offer of what is active, for a device that asks, where it is the one that was made and nothing is to be
 * noted of it. *sends 0: dispatch_device is to see. Reads only. */
int dispatch_look_again(struct rollout *r, struct db *db, const struct party *p, int64_t now_ms,
                        struct outgoing *out, size_t *sends, struct err *e);

/* ---- rollout/prepare.c: makes a campaign's rows, one stretch a call; *done: there are no more. */
int prepare_step(struct rollout *r, struct db *w, struct campaign *c, int64_t now_ms, bool *done,
                 struct err *e);

/* ---- rollout/wave_progress.c: what time does to the waves of a campaign that runs: a wave's executions are
 * queued, its success is found met, the next one starts. *more: call again. */
int wave_step(struct rollout *r, struct db *w, int64_t campaign_id, int wave, int64_t queued_to,
              int64_t now_ms, bool *more, struct err *e);

/* ---- rollout/offer.c, for rollout/job.c: the offer of what x is at, whatever state it is in. *sends 0: it
 * has no module left. */
int offer_now(struct rollout *r, struct db *w, const struct party *p, const struct execution *x,
              int64_t now_ms, struct outgoing *out, size_t *sends, struct err *e);
/* Addresses *out to the party; all else is zero. */
void outgoing_begin(struct outgoing *out, enum outgoing_kind kind, const struct party *p, int64_t now_ms);

/* ---- rollout/report.c: what reports do to the execution they are about */
void execution_ignored(struct rollout *r); /* counts a report that changed nothing (invariants 1 and 4) */
/* The device says that x stands at `to`, with percent, reason and detail of ev. all: its "succeeded" is of
 * all modules that are left, not of the one it was offered. */
int execution_said(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                   enum execution_state to, bool all, const struct device_event *ev, int64_t now_ms,
                   struct err *e);

/* ---- rollout/job_view.c: an execution as its device sees it, where that keeps jobs. What it has ended is
 * over for it: an attempt that waits to be tried again has failed, one in its health hold-off has succeeded.
 */
enum execution_state job_own_state(const struct execution *x);
/* The counter and details of x for what is said of it; *details, which may be NULL, is the caller's to free.
 */
int job_read(struct db *db, const struct execution *x, struct device_job *out, char **details, struct err *e);

/* ---- rollout/job.c: an EVENT_JOB of a device; the answer comes first. Two things to send at most. */
int job_event(struct rollout *r, struct db *w, const struct party *p, const struct device_event *ev,
              int64_t now_ms, struct outgoing out[], size_t *sends, struct err *e);
/* The answer that there is no such job, to whom ev names. */
void job_unknown(const struct device_event *ev, const char *protocol, int64_t now_ms, struct outgoing *out);

#endif
