/* daemon.h: the running daemon: start in order, the main thread's loop, stop in the opposite order.
 *
 * Exit codes (sysexits.h): 0 stopped by TERM or INT, 69 something it needs is missing, 75 another instance
 * has the data directory, 78 the settings or the store cannot be used. */
#ifndef OTAD_MAIN_DAEMON_H
#define OTAD_MAIN_DAEMON_H

#include "config/settings.h"
#include "http/http.h"
#include "mqtt/broker.h"
#include "mqtt/mqtt.h"
#include "rollout/campaign.h"

struct otad { /* all parts; main's own */
    struct settings settings;
    char cert_dir[FILE_PATH_SIZE];
    int lock_fd;
    struct seal seal;
    struct signing_key *signing_key;
    struct store *store;
    struct blobs *blobs;
    struct rollout rollout;
    struct http_env http_env;
    struct http *http;
    struct mqtt *mqtt;
    struct broker *broker;
};

int daemon_run(const struct settings *settings);

/* ---- setup.c: what must be there before anything runs */
int setup_data_dir(struct otad *o, struct err *e); /* makes it, locks it: ERR_CONFLICT when another has it */
int setup_keys(struct otad *o, struct err *e);
/* Those that the profile needs. *renewed is written on failure too: one may be new when another failed. */
int setup_certificates(struct otad *o, bool *renewed, struct err *e);
int setup_admin_token(struct otad *o, struct err *e);
int setup_blobs(struct otad *o, struct err *e); /* opens them and removes those without a row */
void setup_public_url(struct otad *o);          /* fills it in and warns of what devices could not use */
void setup_check_profile(const struct otad *o); /* warns of a certificate that tls_profile is not for */

#endif
