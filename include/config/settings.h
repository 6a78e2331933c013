/* settings.h: every setting, from one table (config/settings.c): key, kind, default, help. Order of
 * precedence: the table's default, the file, OTAD_<KEY> in the environment, -o key=value. Constant after the
 * start, but for log_level. */
#ifndef OTAD_CONFIG_SETTINGS_H
#define OTAD_CONFIG_SETTINGS_H

#include "base/err.h"
#include "base/file.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum broker_mode { BROKER_MANAGED, BROKER_EXTERNAL };
enum tls_profile { TLS_MODERN, TLS_COMPATIBLE };

struct settings {
    char data_dir[FILE_PATH_SIZE];
    char https_listen[64]; /* address; "::" is every one, IPv4 too */
    int64_t https_port;
    int64_t https_cert_port; /* with a client certificate; 0 off */
    char public_url[256];    /* "" not given: https://<host name>:<https_port> is used, with a warning */
    int64_t http_port;       /* 0 off */
    int64_t broker;          /* enum broker_mode */
    int64_t mqtt_port;       /* TLS */
    int64_t mqtt_plain_port; /* 0 off */
    int64_t mqtt_cert_port;  /* TLS, with a client certificate; 0 off */
    int64_t mqtt_psk_port;   /* TLS with a shared key; 0 off */
    char mqtt_host[256];     /* external: the broker's host; managed: unused */
    char mqtt_username[129]; /* external */
    char mqtt_password_file[FILE_PATH_SIZE];
    char mqtt_ca[FILE_PATH_SIZE];
    char cert_file[FILE_PATH_SIZE]; /* "" <data_dir>/certs/server.pem, which otad makes and renews */
    char key_file[FILE_PATH_SIZE];
    int64_t tls_profile; /* enum tls_profile */
    int64_t log_level;   /* enum log_level */
    int64_t max_upload_bytes;
    int64_t min_free_bytes;                         /* uploads leave so much; 0 none */
    int64_t ballast_bytes;                          /* 0 none is kept */
    int64_t scrub_every_ms, scrub_bytes_per_second; /* 0 a second: never */
    int64_t keep_executions_ms, keep_timeline_ms, keep_audit_ms, keep_rows; /* 0 for ever, any number */
    char mosquitto[FILE_PATH_SIZE];                                         /* the broker's program */
    char broker_plugin[FILE_PATH_SIZE]; /* "" otad_broker.so beside otad, else the installed one */
    int64_t http_threads;               /* 0 one a core */
    int64_t max_connections;
    int64_t max_connections_per_address; /* 0 half of max_connections */
    char trusted_nets[512];              /* as nets_parse takes it */
    int64_t header_timeout_ms;
    int64_t min_rate;                                   /* bytes a second; 0 off */
    int64_t login_failures, login_failures_per_address; /* a minute; 0 off */
    int64_t max_waiting;
    char backup_dir[FILE_PATH_SIZE]; /* "" <data_dir>/backups */
    int64_t backup_every_ms;         /* 0 never */
    int64_t backup_keep;
    int64_t presence_timeout_ms; /* external broker without our plugin */

    /* where they were found: the caller's, as given to settings_load */
    const char *file;
    char *const *overrides;
    size_t override_count;
};

/* Defaults, then file (NULL: none), environment and `overrides` ("key=value", n of them). ERR_INVALID names
 * the key, the value and what is allowed. */
int settings_load(const char *file, char *const overrides[], size_t n, struct settings *out, struct err *e);

/* Reads them again where `old` was found. */
int settings_again(const struct settings *old, struct settings *out, struct err *e);

/* The key of the first row from *at on whose values differ, or NULL; *at is then behind it. */
const char *settings_differ(const struct settings *a, const struct settings *b, size_t *at);

/* The settings as a file: every key with its default and a line of help. */
void settings_print(FILE *out);

#endif
