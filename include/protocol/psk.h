/* psk.h: TLS with a key that both sides share, as Aliyun's Link SDK for C has it (core/utils/core_auth.c):
 *
 *   identity   devicename|hmacsha256|{product}&{device}|{timestamp}
 *   key        the upper-case hex digits, as text, of HMAC-SHA256(secret, text)
 *   text       id{product}&{device}timestamp{timestamp}
 *
 * "devicename" is that word itself, which says what kind of identity follows; the device's name in its place
 * is taken too. The timestamp is not looked at. What follows on the connection logs in as any device does.
 * Pure functions.
 */
#ifndef OTAD_PROTOCOL_PSK_H
#define OTAD_PROTOCOL_PSK_H

#include "protocol/login.h"

#define PSK_KEY_SIZE 65 /* 64 digits and the end */

/* Whose identity it is; false for anything else. */
bool psk_claim(const char *identity, struct login_claim *out);

/* The key for an identity that psk_claim took. False when its text is longer than any that devices send. */
bool psk_key(const char *identity, const struct login_claim *claim, const char *secret,
             char key[PSK_KEY_SIZE]);

#endif
