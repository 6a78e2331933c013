/* cbor.h: the door to libcbor. A message in CBOR (RFC 8949) becomes the JSON object that says the same, so
 * that one reader serves both, and an answer made as JSON becomes CBOR. Pure functions. */
#ifndef OTAD_PROTOCOL_CBOR_H
#define OTAD_PROTOCOL_CBOR_H

#include "base/json.h"

/* One map with texts as keys and nothing behind it, at most JSON_MAX_DEPTH deep; of a key that comes twice
 * the last one counts. Byte strings become texts of hex digits behind "0x", which is how JSON spells them
 * here; what JSON has no word for (undefined, not a number) becomes null; tags are passed over. Strings in
 * pieces are refused. The caller owns *out. */
int cbor_parse(const void *payload, size_t len, json_t **out, struct err *e);

/* The object in CBOR, with one more member behind its own where key is not NULL: the bytes as a byte string.
 * Whole numbers, texts, booleans, null, arrays and objects. The caller frees; never NULL. */
char *cbor_make(const json_t *object, const char *key, const void *bytes, size_t len, size_t *out_len);

#endif
