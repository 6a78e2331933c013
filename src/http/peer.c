#include "http/peer.h"

#include <arpa/inet.h>
#include <string.h>

#define MAPPED 12 /* bytes before those of an IPv4 address */

struct peer peer_of(const struct sockaddr *address)
{
    struct peer p = {IN6ADDR_ANY_INIT};
    if (address && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        p.address = v6.sin6_addr;
    } else if (address && address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        p.address.s6_addr[MAPPED - 2] = p.address.s6_addr[MAPPED - 1] = 0xff;
        memcpy(&p.address.s6_addr[MAPPED], &v4.sin_addr, sizeof v4.sin_addr);
    }
    return p;
}

bool peer_is_none(const struct peer *p)
{
    return IN6_IS_ADDR_UNSPECIFIED(&p->address);
}

void peer_format(const struct peer *p, char out[PEER_TEXT_SIZE])
{
    const unsigned char *bytes = p->address.s6_addr;
    out[0] = '\0';
    if (IN6_IS_ADDR_V4MAPPED(&p->address))
        inet_ntop(AF_INET, bytes + MAPPED, out, PEER_TEXT_SIZE);
    else if (!peer_is_none(p))
        inet_ntop(AF_INET6, bytes, out, PEER_TEXT_SIZE);
}
