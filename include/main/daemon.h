/* daemon.h: the running daemon: start in order, the main thread's loop, stop in the opposite order.
 *
 * Exit codes (sysexits.h): 0 stopped by TERM or INT, 69 something it needs is missing, 75 another instance
 * has the data directory, or its disk is full, 78 the settings or the store cannot be used. */
#ifndef OTAD_MAIN_DAEMON_H
#define OTAD_MAIN_DAEMON_H

#include "config/settings.h"
#include "http/http.h"
#include "main/disk.h"
#include "main/retention.h"
#include "main/scrub.h"
#include "mqtt/broker.h"
#include "mqtt/mqtt.h"
#include "rollout/campaign.h"

struct keeper;

struct otad { /* all parts; main's own */
    struct settings settings;
    const struct settings *loaded; /* as they were read, before the start filled in what they left open */
    char cert_dir[FILE_PATH_SIZE];
    int lock_fd;
    struct disk disk;
    struct retention_clock retention;
    struct seal seal;
    struct signing_key *signing_key;
    struct store *store;
    bool ended_well; /* the last time, and so the store is looked at while it serves */
    struct keeper *keeper;
    struct blobs *blobs;
    struct rollout rollout;
    struct http_env http_env;
    struct scrub *scrub;
    struct http *http;
    struct mqtt *mqtt;
    struct broker *broker;
};

/* The settings, and what settings_load was given, must outlive it: HUP reads them again. */
int daemon_run(const struct settings *settings);

/* ---- restore.c: commands; named: a backup's folder, NULL the newest good one. Exit codes: 65 it is damaged,
 * 66 there is none, 74 a file cannot be read or written, 75 an otad runs on the data directory. */
int command_restore(const struct settings *settings, const char *named);
int command_verify(const struct settings *settings, const char *named);

/* ---- tick.c: what time brings to the rollout; true: more is waiting, and there is room for it */
bool rollout_turn(struct otad *o);

/* ---- upkeep.c: of the store, by the clock */
void upkeep_minute(struct otad *o);
void upkeep_hour(struct otad *o);

/* ---- rekey.c: another keys/secret.key; exits as above */
int rekey_run(const struct settings *settings);
/* Where a rekey broke off: o->seal is the key that opens the store's secrets. Before anybody uses it. */
int rekey_settle(struct otad *o, struct err *e);
/* What tokens' HMACs are made with: of keys/token.key, which the first rekey writes, else derived. */
int setup_token_key(struct otad *o, unsigned char out[32], struct err *e);

/* ---- setup.c: what must be there before anything runs */
int setup_data_dir(struct otad *o, struct err *e); /* makes it, locks it: ERR_CONFLICT when another has it */
/* ERR_DAMAGED in the middle of a restore: keys, certificates and the store may be of different times. */
int setup_check_restored(const struct otad *o, struct err *e);
int setup_store(struct otad *o, struct err *e); /* opens it; ERR_DAMAGED: nothing was changed */
int setup_keys(struct otad *o, struct err *e);
/* Those that the profile needs. *renewed is written on failure too: one may be new when another failed. */
int setup_certificates(struct otad *o, bool *renewed, struct err *e);
int setup_admin_token(struct otad *o, struct err *e);
int setup_blobs(struct otad *o, struct err *e);      /* opens them and removes those without a row */
void setup_public_url(struct otad *o);               /* fills it in and warns of what devices could not use */
void setup_check_profile(const struct otad *o);      /* warns of a certificate that tls_profile is not for */
void setup_say_how_to_restore(const struct otad *o); /* to the log */
/* The mark of a start whose end has not come yet goes: all is on disk. */
void setup_unmark(const struct otad *o);

/* ---- keeper.c: a thread for work of minutes on the store that changes nothing in it: first the check of the
 * whole of it, if that was not done before the start; then backups. */
int setup_backup_dir(const struct otad *o, char out[FILE_PATH_SIZE], struct err *e);
int keeper_start(struct otad *o, struct keeper **out, struct err *e);
void keeper_serve(struct keeper *k, struct http_env *env); /* what HTTP asks of it */
void keeper_tick(struct keeper *k, int64_t now_ms);        /* has a backup made when one is due */
void keeper_halt(struct keeper *k); /* what it does is given up soon; it may be told more than once */
/* Ends it. NULL is fine. */
void keeper_stop(struct keeper *k);

#endif
