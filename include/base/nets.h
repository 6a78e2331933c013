/* nets.h: networks by address and prefix, as a setting names them. Addresses are IPv6; those of IPv4 stand in
 * ::ffff:0:0/96 (RFC 4291 2.5.5.2). Pure. */
#ifndef OTAD_BASE_NETS_H
#define OTAD_BASE_NETS_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define NETS_MAX 32

struct nets { /* zeroed: none */
    size_t n;
    struct net {
        struct in6_addr address;
        unsigned bits; /* of the address that count, 0 to 128 */
    } item[NETS_MAX];
};

/* "10.0.0.0/8, fd00::/8, ::1": an address without a prefix is one machine; "" is none. ERR_INVALID names what
 * is no network, or has bits set behind its prefix, which one is easily mistaken about. */
int nets_parse(const char *text, struct nets *out, struct err *e);

bool nets_hold(const struct nets *nets, const struct in6_addr *address);

/* "192.168.0.7", "fd00::7", "fe80::1%eth0". False for what is no address. */
bool address_parse(const char *text, struct in6_addr *out);

/* What one party has: of IPv4 an address, of IPv6 a /64, of which a household has all. */
struct in6_addr address_party(const struct in6_addr *address);

#endif
