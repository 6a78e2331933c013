/* listener.h: the sockets the server listens on, made here rather than by libmicrohttpd: it would ask for a
 * family by flag, and know nothing of Unix sockets' modes. */
#ifndef OTAD_HTTP_LISTENER_H
#define OTAD_HTTP_LISTENER_H

#include "base/err.h"

#include <stdint.h>

/* address: "::" is every address, IPv4 too. The descriptor is the caller's. */
int listener_tcp(const char *address, int64_t port, int *fd, struct err *e);
/* Replaces what an earlier run left at path; 0600. */
int listener_unix(const char *path, int *fd, struct err *e);

#endif
