/* broker_conf.h: the managed broker's settings file, made from ours. */
#ifndef OTAD_MQTT_BROKER_CONF_H
#define OTAD_MQTT_BROKER_CONF_H

#include "config/settings.h"

struct broker_paths { /* absolute */
    char dir[FILE_PATH_SIZE], conf[FILE_PATH_SIZE], lock[FILE_PATH_SIZE];
    char socket[FILE_PATH_SIZE], password[FILE_PATH_SIZE];
    char store[FILE_PATH_SIZE], seal[FILE_PATH_SIZE];
    char cert[FILE_PATH_SIZE], key[FILE_PATH_SIZE], device_ca[FILE_PATH_SIZE];
    char plugin[FILE_PATH_SIZE];
};

/* ERR_INVALID when the plugin is not there, or a path cannot stand in the broker's settings. */
int broker_paths_find(const struct settings *s, const char *cert_path, const char *key_path,
                      struct broker_paths *out, struct err *e);

/* Writes the settings and a new password for otad. */
int broker_conf_write(const struct settings *s, const struct broker_paths *paths, struct err *e);

#endif
