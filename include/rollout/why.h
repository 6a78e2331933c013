/* why.h: the questions between a device and its offer, in their order, in one table. The offer asks them
 * until the first no; `why` asks the same ones for an operator and shows the answers. */
#ifndef OTAD_ROLLOUT_WHY_H
#define OTAD_ROLLOUT_WHY_H

#include "rollout/execution.h"
#include "rollout/pace.h"

enum question {
    ASK_PRODUCT, /* enabled */
    ASK_ENABLED, /* the device is */
    ASK_PAUSED,  /* the device is not */
    ASK_QUARANTINE,
    ASK_CAMPAIGN, /* runs */
    ASK_TARGET,   /* the device has an execution in it that is not over */
    ASK_PINNED,
    ASK_VERSION, /* below the target's, and allowed by what that requires */
    ASK_WAVE,    /* has started */
    ASK_NEWER,   /* nothing else is under way, and no newer campaign is due */
    ASK_RETRY,   /* the pause after an attempt is over */
    ASK_CONFIRM, /* it, or an operator, has said yes */
    ASK_WINDOW,
    ASK_RATE,
    ASK_SLOTS,
    ASK_AWAY, /* it is there */
    QUESTIONS
};

struct answer {
    enum question question;
    bool yes;
    char text[200];   /* a sentence for a no, what was found for a yes; "" */
    int64_t until_ms; /* when a no may turn by itself; 0 not known */
};

struct why {
    int64_t campaign_id, execution_id; /* 0: it has none */
    char campaign[CAMPAIGN_NAME_SIZE];
    enum execution_state state; /* of the execution */
    struct answer answers[QUESTIONS];
    size_t n; /* up to the first no */
};

const char *question_word(enum question q);

/* Every campaign of the device's product that is not over, newest first. Reads only. */
int why_device(struct rollout *r, struct db *db, int64_t device_id, int64_t now_ms, struct why out[],
               size_t cap, size_t *n, struct err *e);

/* ---- for those who offer. From ASK_WINDOW on the questions are the campaign's own, but for windows by
 * devices' zones: there p and x may be NULL, and a no holds for everyone. */
struct asking {
    struct rollout *r;
    struct db *db;
    const struct party *p;
    struct execution *x; /* NULL: it has none, which ends at ASK_TARGET */
    const struct policy *policy;
    int64_t campaign_id;
    enum campaign_state campaign_state;
    const char *campaign_reason;
    bool here;         /* the device is there: it has just spoken */
    bool asks;         /* and asks by itself */
    int64_t busy_with; /* the campaign of another execution of it that is active; 0 none */
    int64_t due_first; /* a newer campaign that has an offer for it; 0 none */
    int64_t now_ms;
    /* what the questions have found out on the way */
    bool has_part;
    struct next_module part; /* ASK_VERSION: the module that x is at */
    enum standing standing;
    struct chosen file; /* and what it would be sent */
    bool has_pace;
    struct pace pace;
};
/* 1 yes, 0 no, <0 the store failed. */
int ask_question(struct asking *a, enum question q, struct answer *out, struct err *e);
/* The first no from one question on; QUESTIONS when all is yes. */
int ask_from(struct asking *a, enum question from, enum question *first_no, struct answer *out,
             struct err *e);

#endif
