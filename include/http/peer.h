/* peer.h: the address at the other end of a connection, as a value: IPv4 is carried as IPv6 has it
 * (RFC 4291 2.5.5.2), so that one kind of address is compared and counted. Pure. */
#ifndef OTAD_HTTP_PEER_H
#define OTAD_HTTP_PEER_H

#include <netinet/in.h>
#include <stdbool.h>

#define PEER_TEXT_SIZE INET6_ADDRSTRLEN

struct peer {
    struct in6_addr address; /* all zero: none, as over a Unix socket */
};

/* NULL, or of another family: none. */
struct peer peer_of(const struct sockaddr *address);
bool peer_is_none(const struct peer *p);

/* "192.168.0.7", "fd00::7"; "" for none. */
void peer_format(const struct peer *p, char out[PEER_TEXT_SIZE]);

#endif
