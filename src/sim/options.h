/* options.h: what the command line asked for (main.c holds the table). Constant after the start. */
#ifndef OTAD_SIM_OPTIONS_H
#define OTAD_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_SIZE 256

enum until { UNTIL_DONE, UNTIL_IDLE, UNTIL_STOPPED };

struct options { /* texts are borrowed from the command line; NULL not given */
    const char *mqtt, *https, *ca, *protocol;
    const char *product, *name_prefix, *secret, *secrets, *certs, *version, *next_version, *module;
    int64_t until; /* enum until */
    int64_t path;  /* enum wire_path */
    int64_t json_streams, block_bytes;
    int64_t devices, first, threads, seed;
    int64_t connect_rate;  /* new sessions a second, of the whole fleet */
    int64_t rate_bytes;    /* a second and device; 0 unlimited */
    int64_t max_downloads; /* of the whole fleet at a time */
    int64_t drop_pct, mqtt_drop_pct, fail_pct, never_pct;
    int64_t install_ms, reboot_ms;
    int64_t duration_s; /* 0 none */
    bool plain, reboot, json, quiet, help;
    char host[HOST_SIZE]; /* of mqtt */
    int port;
};

#endif
