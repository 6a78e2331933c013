/* words.h: the words of a rollout as values: states, reasons, roles. One table each, from which enum and text
 * come. Numbers of execution states are on disk: append, never reorder. Pure. */
#ifndef OTAD_MODEL_WORDS_H
#define OTAD_MODEL_WORDS_H

#include <stdbool.h>

/* States of an execution; the diagram and the invariants stand in rollout/execution.h. */
#define EXECUTION_STATE_TABLE(X)            \
    X(EXECUTION_PENDING, "pending")         \
    X(EXECUTION_QUEUED, "queued")           \
    X(EXECUTION_OFFERED, "offered")         \
    X(EXECUTION_DOWNLOADING, "downloading") \
    X(EXECUTION_DOWNLOADED, "downloaded")   \
    X(EXECUTION_INSTALLING, "installing")   \
    X(EXECUTION_TESTING, "testing")         \
    X(EXECUTION_SUCCEEDED, "succeeded")     \
    X(EXECUTION_FAILED, "failed")           \
    X(EXECUTION_TIMED_OUT, "timed_out")     \
    X(EXECUTION_REJECTED, "rejected")       \
    X(EXECUTION_ROLLED_BACK, "rolled_back") \
    X(EXECUTION_CANCELLED, "cancelled")     \
    X(EXECUTION_SUPERSEDED, "superseded")   \
    X(EXECUTION_REMOVED, "removed")

#define CAMPAIGN_STATE_TABLE(X)        \
    X(CAMPAIGN_DRAFT, "draft")         \
    X(CAMPAIGN_PREPARING, "preparing") \
    X(CAMPAIGN_SCHEDULED, "scheduled") \
    X(CAMPAIGN_RUNNING, "running")     \
    X(CAMPAIGN_PAUSED, "paused")       \
    X(CAMPAIGN_COMPLETED, "completed") \
    X(CAMPAIGN_CANCELLED, "cancelled")

/* Why an attempt ended. The first eleven are the taxonomy every protocol maps into. */
#define REASON_TABLE(X)                              \
    X(REASON_UNKNOWN, "unknown")                     \
    X(REASON_DOWNLOAD, "download")                   \
    X(REASON_VERIFY, "verify")                       \
    X(REASON_FLASH, "flash")                         \
    X(REASON_BOOT, "boot")                           \
    X(REASON_POWER, "power")                         \
    X(REASON_SPACE, "space")                         \
    X(REASON_INCOMPATIBLE, "incompatible")           \
    X(REASON_EXPIRED, "expired")                     \
    X(REASON_REJECTED, "rejected")                   \
    X(REASON_SERVER, "server")                       \
    X(REASON_TIMED_OUT, "timed_out")                 \
    X(REASON_ROLLED_BACK, "rolled_back")             \
    X(REASON_ALREADY_INSTALLED, "already_installed") \
    X(REASON_NEWER_INSTALLED, "newer_installed")     \
    X(REASON_NONE, "")

#define ROLE_TABLE(X)            \
    X(ROLE_NONE, "none")         \
    X(ROLE_DEVICE, "device")     \
    X(ROLE_VIEWER, "viewer")     \
    X(ROLE_UPLOADER, "uploader") \
    X(ROLE_OPERATOR, "operator") \
    X(ROLE_ADMIN, "admin")

#define WORD_ENUM(id, word) id,
enum execution_state { EXECUTION_STATE_TABLE(WORD_ENUM) EXECUTION_STATES };
enum campaign_state { CAMPAIGN_STATE_TABLE(WORD_ENUM) CAMPAIGN_STATES };
enum reason { REASON_TABLE(WORD_ENUM) REASONS };
enum role { ROLE_TABLE(WORD_ENUM) ROLES };
#undef WORD_ENUM

/* Parsers return the member, or -1 for a word that is not in the table. */
const char *execution_state_word(enum execution_state state);
int execution_state_parse(const char *word);
const char *campaign_state_word(enum campaign_state state);
int campaign_state_parse(const char *word);
const char *reason_word(enum reason reason);
int reason_parse(const char *word);
const char *role_word(enum role role);
int role_parse(const char *word);

static inline bool execution_is_active(enum execution_state s)
{
    return s >= EXECUTION_OFFERED && s <= EXECUTION_TESTING;
}

static inline bool execution_is_final(enum execution_state s)
{
    return s >= EXECUTION_SUCCEEDED;
}

#endif
