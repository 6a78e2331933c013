/* throttle.h: slows whoever fails to log in. Failures are counted twice: of an address under a name, so that
 * guessing one secret is slow; and of an address under all names, with a high ceiling, since behind NAT or a
 * container's proxy a whole fleet is one address. Each count is a bucket that leaks: it takes so many at
 * once, and so many a minute from then on.
 *
 * The table is of fixed size and never full: a new bucket takes the place of the emptiest of the few where it
 * may stand. So of the failures of very many addresses at once some are forgotten, those of the most eager
 * last. Thread-safe; the hash has a random seed, and nobody can choose whose bucket is lost. */
#ifndef OTAD_BASE_THROTTLE_H
#define OTAD_BASE_THROTTLE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct throttle;

/* Failures a minute; 0: that count is off. NULL without memory. */
struct throttle *throttle_open(int64_t per_name, int64_t per_address);
void throttle_close(struct throttle *t); /* NULL is fine */

/* True while the address has failed too often under this name, or under all; name NULL: asks of all alone.
 * now_ms: monotonic. t NULL: never. */
bool throttle_slows(struct throttle *t, const struct in6_addr *address, const char *name, int64_t now_ms);
/* One more failure. */
void throttle_count(struct throttle *t, const struct in6_addr *address, const char *name, int64_t now_ms);

#endif
