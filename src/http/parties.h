/* parties.h: how many connections each address has open: of IPv6 each /64 (base/nets). Thread-safe; of fixed
 * size, made once: what has no room is not counted, and let in. */
#ifndef OTAD_HTTP_PARTIES_H
#define OTAD_HTTP_PARTIES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct parties;
struct party;

/* room: connections there may be at all. NULL without memory. */
struct parties *parties_open(size_t room, size_t max_each);
void parties_close(struct parties *set); /* NULL is fine */

/* True when the address has all the connections that it may have. Two that come in the same moment may both
 * be told no. */
bool parties_full(struct parties *set, const struct in6_addr *address);

/* One more; NULL is not counted. Each is left again, with NULL too. */
struct party *parties_enter(struct parties *set, const struct in6_addr *address);
void parties_leave(struct parties *set, struct party *p);

#endif
