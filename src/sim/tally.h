/* tally.h: what the fleet has done and where its devices stand: counters that any of its threads raises and
 * the main thread reads while they run. Each number is right by itself; two of them may be a moment apart. */
#ifndef OTAD_SIM_TALLY_H
#define OTAD_SIM_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

/* Member, key in the JSON summary, words in the summary for people. */
#define TALLY_TABLE(X)                                                       \
    X(TALLY_DEVICES, "devices", "devices")                                   \
    X(TALLY_CONNECTED, "connected", "connected at least once")               \
    X(TALLY_SESSIONS, "sessions", "MQTT sessions")                           \
    X(TALLY_REFUSED, "refused", "logins or subscriptions refused")           \
    X(TALLY_LOST, "lost", "sessions lost")                                   \
    X(TALLY_OFFERS, "offers", "offers taken")                                \
    X(TALLY_REPEATED, "repeated_offers", "offers heard again")               \
    X(TALLY_NOTHING_DUE, "nothing_due", "answers that nothing is due")       \
    X(TALLY_REPORTS_REFUSED, "reports_refused", "reports that were refused") \
    X(TALLY_BAD_OFFERS, "bad_offers", "offers that make no sense")           \
    X(TALLY_DOWNLOADS, "downloads", "downloads complete and verified")       \
    X(TALLY_CUT, "cut", "downloads cut on purpose")                          \
    X(TALLY_RESUMED, "resumed", "downloads resumed")                         \
    X(TALLY_RESTARTED, "restarted", "resumptions that began again at 0")     \
    X(TALLY_TRANSFER_ERRORS, "transfer_errors", "transfers that went wrong") \
    X(TALLY_DIGEST_ERRORS, "digest_errors", "files with the wrong digest")   \
    X(TALLY_BYTES, "bytes", "bytes downloaded")                              \
    X(TALLY_BLOCKS, "blocks", "blocks downloaded over MQTT")                 \
    X(TALLY_BLOCKS_AGAIN, "blocks_again", "blocks asked for again")          \
    X(TALLY_MQTT_DROPS, "mqtt_drops", "sessions dropped on purpose")         \
    X(TALLY_FAILURES, "failures_simulated", "failures on purpose")           \
    X(TALLY_NEVER, "never", "devices that never finish, on purpose")         \
    X(TALLY_SUCCEEDED, "succeeded", "devices on the new version")

#define TALLY_ENUM(id, key, words) id,
enum tally_key { TALLY_TABLE(TALLY_ENUM) TALLY_KEYS };
#undef TALLY_ENUM

#define WORK_STATES_MAX 16

struct tally {
    _Atomic uint64_t n[TALLY_KEYS];
    _Atomic int64_t in_work[WORK_STATES_MAX];          /* devices by enum work (device.h) */
    _Atomic int64_t online;                            /* sessions up now */
    _Atomic int64_t first_byte_at_ms, last_byte_at_ms; /* monotonic; 0 none yet */
    _Atomic uint64_t moves;                            /* of any device from one state to another */
};

/* Returns what it was before. */
static inline uint64_t tally_add(struct tally *t, enum tally_key key, uint64_t more)
{
    return atomic_fetch_add_explicit(&t->n[key], more, memory_order_relaxed);
}

static inline uint64_t tally_get(struct tally *t, enum tally_key key)
{
    return atomic_load_explicit(&t->n[key], memory_order_relaxed);
}

#endif
