/* str.h: fixed-size text, and the encodings every room needs. Pure functions, no allocation. */
#ifndef OTAD_BASE_STR_H
#define OTAD_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))

/* Names of products and devices, modules, versions, names of files, and topics, with their final zero. */
#define PRODUCT_SIZE  65
#define DEVICE_SIZE   129
#define MODULE_SIZE   65
#define VERSION_SIZE  65
#define FILENAME_SIZE 129
#define TOPIC_SIZE    384 /* the longest topic of MQTT that any protocol has, with its end */

/* Copies text with its end; false, and out is "", when it does not fit. NULL copies as "". */
bool str_copy(char *out, size_t size, const char *text);

/* [A-Za-z0-9_.:@-]{1,size-1}, and neither "." nor "..": safe as a topic level, a path segment, a file name.
 */
bool str_is_name(const char *text, size_t size);

/* A version, a module, a display name: 1 to size-1 bytes of valid UTF-8 without control characters. */
bool str_is_text(const char *text, size_t size);

/* Length in bytes of the character that text begins with; 0 when it is a control character (C0, DEL, C1, and
 * Unicode's that end a line or turn its order), not UTF-8 (RFC 3629: shortest form, no surrogates), or the
 * end.
 */
size_t str_printable(const char *text);

/* Replaces in place by '?' every byte that is no part of a printable character. */
void str_clean(char *text);

/* A MAC address as 12 lower-case hex digits, however it is written: either case, with ":", "-" and "."
 * between the digits or without. False, and out is "", for anything else. */
#define MAC_SIZE 13
bool str_mac(const char *text, char out[MAC_SIZE]);

/* Decimal digits only, at most max; false on anything else (signs, blanks, overflow, empty). */
bool str_to_uint(const char *text, uint64_t max, uint64_t *value);

/* FNV-1a, mixed so that the low bits may choose a slot. For tables in memory: not against a sender who picks
 * the text. */
uint64_t str_hash(const char *text, size_t len);

/* Lower-case hex; out holds 2*len+1. Parsing takes either case and exactly len bytes. */
void hex_format(const void *bytes, size_t len, char *out);
bool hex_parse(const char *text, void *bytes, size_t len);

/* RFC 4648 base64 with padding (4) and base64url without (5). out holds BASE64_SIZE(len).
 * base64_parse takes the padded standard alphabet, and of each value only its one spelling (3.5: unused bits
 * are zero); returns the length, or -1. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void base64_format(const void *bytes, size_t len, char *out);
void base64url_format(const void *bytes, size_t len, char *out);
int base64_parse(const char *text, void *bytes, size_t size);

/* Percent-encodes everything but RFC 3986's unreserved characters; false when it does not fit. */
bool url_encode(const char *text, char *out, size_t size);

#endif
