/* updater.h: who a plain HTTP updater is, and what it says of itself: the HTTPUpdate libraries of Arduino's
 * cores in header fields (x-ESP32-STA-MAC, x-ESP8266-version ...), others in the query.
 *
 * Name and secret are the proof, and where they come nothing else says who it is. A MAC address or a name
 * alone proves nothing: they count where the product is public, and there whoever sends one speaks for that
 * device. */
#ifndef OTAD_HTTP_UPDATER_H
#define OTAD_HTTP_UPDATER_H

#include "http/request.h"
#include "store/product.h"

#define CHIP_FAMILY_SIZE 24

struct updater {
    struct product product;
    char device[DEVICE_SIZE]; /* "": it names none, and the product is public */
    int64_t device_id;        /* 0: not registered; the version that it reports will do that */
    char module[MODULE_SIZE];
    char version[VERSION_SIZE]; /* of the module; "" not said */
    bool asks_version;          /* and for no file: the mode is "version" */
    int64_t room_bytes;         /* for a program; -1 not said */
};

/* Of a request whose route begins with /update/{product}. module NULL: the query's, else the mode's, "sketch"
 * and "version" being "default" and another word the module of that name; else "default". Without a version
 * the MD5 of the running program tells it, where a firmware with these bytes is stored. ERR_NOT_FOUND no such
 * product; ERR_UNAUTHORIZED no proof where one is needed; ERR_FORBIDDEN the device may not; ERR_INVALID for
 * what cannot be read. */
int updater_read(const struct request *r, struct db *db, const char *module, struct updater *out,
                 struct err *e);

/* As ESPHome and ESP Web Tools write it: "esp32c3" is "ESP32-C3". Pure. */
void updater_chip_family(const char *chip, char out[CHIP_FAMILY_SIZE]);

#endif
