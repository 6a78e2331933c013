/* onenet.h: OneNET of China Mobile, both faces of it. By MQTT, below $sys/{product}/{device}/: a command
 * cmd_exec {"cmd":"upgrade_firmware",..} with the file's URL, as ESP32 firmware with esp_https_ota takes it,
 * and ota/inform, the real service's word that its HTTP interface has something. By HTTP, /fuse-ota/...,
 * which http/api_fuse serves and whose numbers stand here. One product speaks both at once. Pure functions.
 *
 * Sources: the service's documents on OTA and on tokens (open.iot.10086.cn/doc/aiot/fuse), and what devices
 * in the field compare byte by byte. */
#ifndef OTAD_PROTOCOL_ONENET_H
#define OTAD_PROTOCOL_ONENET_H

#include "model/event.h"
#include "protocol/protocol.h"

extern const struct protocol onenet_protocol;

#define ONENET_TOKEN_SIZE 1025 /* a longer one is none */

/* ---- tokens: version=..&res=..&et=..&method=..&sign=.., members in any order, percent-encoded where their
 * maker thought fit. sign is base64 of HMAC_method(key, "et\nmethod\nres\nversion"), key what the secret is
 * in base64, res products/{product} or products/{product}/devices/{device}, et seconds since 1970.
 *
 * Whether token, made with secret, speaks for this device now. Either res is taken with either key, the
 * device's own or its product's: which one firmware uses varies, and neither proves more than its key. Other
 * kinds of res (userid/..) speak for whoever owns the account: nobody here. Constant time over the secret. */
bool onenet_token_proves(const char *token, const char *product, const char *device, const char *secret,
                         int64_t now_s);

/* ---- fuse-ota */

#define ONENET_FOTA "fota" /* module of f_version and type=1: the radio module */
#define ONENET_SOTA "sota" /* of s_version and type=2: the application */

#define ONENET_TID_MAX 9999999 /* clients take seven digits */

/* What devices give as a version: text, or a number. False when it is neither, or str_is_text says no. */
bool onenet_version(const json_t *value, char out[VERSION_SIZE]);

/* A step of POST .../{tid}/status: fills kind, state, percent and reason of *ev, and leaves the rest. False:
 * no step that there is. */
bool onenet_step(int64_t step, struct device_event *ev);

/* As the service numbers them: 1 waiting, 2 downloading, 3 upgrading, 4 done, 5 failed, 6 cancelled. */
int onenet_status(enum execution_state state);

#endif
