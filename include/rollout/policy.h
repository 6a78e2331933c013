/* policy.h: how a campaign goes about it: every key with its default, range and meaning in one table
 * (rollout/policy.c), from which parser, JSON and the reference in docs/ come. Pure values; spans in
 * milliseconds, moments since 1970. */
#ifndef OTAD_ROLLOUT_POLICY_H
#define OTAD_ROLLOUT_POLICY_H

#include "base/err.h"
#include "model/words.h"
#include "rollout/window.h"

#include <stdint.h>
#include <stdio.h>

#define STOP_RULES_MAX   8
#define POLICY_TEXT_SIZE 4096 /* of the longest policy as JSON */

enum stop_action { STOP_PAUSE, STOP_CANCEL };

/* Whose yes an offer needs beside the policy's. */
enum confirm {
    CONFIRM_NONE,
    CONFIRM_OPERATOR, /* the campaign waits for it, paused, before its first offer */
    CONFIRM_DEVICE,   /* a device is offered nothing before it asks by itself */
};

/* Invariant 7: of the executions that have finished, at least min_finished, so many per cent ended in one of
 * these states. */
struct stop_rule {
    unsigned on; /* bit 1 << enum execution_state */
    int64_t pct, min_finished;
    enum stop_action then;
};

struct policy {
    int64_t start_at_ms, end_at_ms; /* 0 none */
    struct window window;
    int64_t rate_per_minute, max_in_flight; /* 0 no limit */
    int64_t lease_ms;                       /* silent for so long, a device at work holds no slot */
    int64_t offer_timeout_ms;               /* offer -> first sign of life */
    int64_t finish_timeout_ms;              /* first sign of life -> finished */
    int64_t health_hold_off_ms;             /* new version seen -> succeeded */
    int64_t rollback_confirm_ms;            /* old version seen in installing -> rolled back */
    int64_t max_attempts;
    int64_t retry_after_ms; /* doubled with each attempt */
    unsigned retry_on;      /* bit 1 << enum reason */
    struct stop_rule stop[STOP_RULES_MAX];
    size_t stop_count;
    enum stop_action wave_failed;
    int64_t quarantine_after, quarantine_for_ms;
    bool allow_downgrade, replace;
    enum confirm confirm;
};

struct json_t;
void policy_defaults(struct policy *out);
/* An operator's JSON object over the defaults; ERR_INVALID names the key. object NULL: the defaults. */
int policy_parse(const struct json_t *object, struct policy *out, struct err *e);
/* A start or an end that is over already: ERR_INVALID names it. */
int policy_check_times(const struct policy *p, int64_t now_ms, struct err *e);
/* Of the JSON text in the store. */
int policy_load(const char *text, struct policy *out, struct err *e);
/* Every key with its value; the caller owns it. */
struct json_t *policy_json(const struct policy *p);
/* The reference of docs/, as a table. */
void policy_print(FILE *out);

#endif
