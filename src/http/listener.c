#include "listener.h"

#include "base/file.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int listen_on(int fd, const struct sockaddr *address, socklen_t len, const char *what, struct err *e)
{
    if (bind(fd, address, len) != 0 || listen(fd, BACKLOG) != 0)
        return err_errno(e, "cannot listen on %s", what);
    return 0;
}

int listener_tcp(const char *address, int64_t port, int *fd, struct err *e)
{
    char service[16], what[96];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    snprintf(service, sizeof service, "%u", (unsigned)port & 0xffff);
    snprintf(what, sizeof what, "%s port %s", address, service);
    if (getaddrinfo(address, service, &hints, &found) != 0)
        return err_field(e, ERR_INVALID, "https_listen", "%s is not an address", address);
    FD_AUTO int s = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = s < 0 ? err_errno(e, "cannot make a socket for %s", what) : 0;
    if (rc == 0) {
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (found->ai_family == AF_INET6)
            setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
        rc = listen_on(s, found->ai_addr, found->ai_addrlen, what, e);
    }
    freeaddrinfo(found);
    if (rc)
        return rc;
    *fd = s;
    s = -1;
    return 0;
}

int listener_unix(const char *path, int *fd, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!str_copy(address.sun_path, sizeof address.sun_path, path))
        return err_set(e, ERR_INVALID, "the path of the socket %s is longer than a socket's may be", path);
    FD_AUTO int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0)
        return err_errno(e, "cannot make a socket");
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(e, "cannot remove the old %s", path);
    mode_t before = umask(0177);
    int rc = listen_on(s, (const struct sockaddr *)&address, sizeof address, path, e);
    umask(before);
    if (rc)
        return rc;
    *fd = s;
    s = -1;
    return 0;
}
