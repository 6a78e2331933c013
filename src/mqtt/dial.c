#include "dial.h"

#include "base/str.h"
#include "mqtt/broker.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_S 20
#define PROBE_MS    10000

const char *dial_reason(int rc)
{
    if (rc == MOSQ_ERR_CONN_LOST)
        return "the broker closed it";
    return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
}

static int use_tls(struct mosquitto *client, const struct settings *s, struct err *e)
{
    if (s->broker == BROKER_MANAGED || !*s->mqtt_ca)
        return 0;
    int rc = mosquitto_tls_set(client, s->mqtt_ca, NULL, NULL, NULL, NULL);
    /* 1 demands and checks the broker's certificate; the version is the lowest */
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_tls_opts_set(client, 1, "tlsv1.2", NULL);
    return rc == MOSQ_ERR_SUCCESS
               ? 0
               : err_set(e, ERR_INVALID, "mqtt_ca %.200s: %s", s->mqtt_ca, dial_reason(rc));
}

/* Read at each attempt: our own broker gets a new password at each start, a foreign one's may have been
 * corrected. */
static int use_password(struct mosquitto *client, const struct settings *s, struct err *e)
{
    bool managed = s->broker == BROKER_MANAGED;
    const char *user = managed ? BROKER_USER : s->mqtt_username;
    char path[FILE_PATH_SIZE], password[512] = "";
    size_t len;
    int rc = 0;
    if (managed)
        rc = file_path(path, s->data_dir, BROKER_PASSWORD, e);
    else
        str_copy(path, sizeof path, s->mqtt_password_file);
    if (rc == 0 && *path)
        rc = file_read(path, password, sizeof password, &len, e);
    if (rc < 0 || !*user)
        return rc;
    password[strcspn(password, "\r\n")] = '\0';
    if (mosquitto_username_pw_set(client, user, *password ? password : NULL) != MOSQ_ERR_SUCCESS)
        rc = err_set(e, ERR_INVALID, "the user name or the password for the broker cannot be used");
    explicit_bzero(password, sizeof password);
    return rc;
}

/* 0, or errno. */
static int try_address(const struct addrinfo *a, int wake_fd)
{
    int fault = 0;
    socklen_t size = sizeof fault;
    int fd FD_AUTO = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT}, {.fd = wake_fd, .events = POLLIN}};
    if (fd < 0 || (connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS))
        return errno;
    if (poll(fds, 2, PROBE_MS) <= 0 || !fds[0].revents)
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size) < 0 ? errno : fault;
}

/* Whether anybody answers there. libmosquitto tries one address after the other too, but blocks, for minutes
 * when a host is dead: it is asked only when this has gone well. */
static int probe(const struct settings *s, int wake_fd, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8];
    int fault = EHOSTUNREACH;
    snprintf(port, sizeof port, "%u", (unsigned)(uint16_t)s->mqtt_port);
    int rc = getaddrinfo(s->mqtt_host, port, &hints, &found);
    if (rc != 0)
        return err_set(e, ERR_INTERNAL, "%.200s: %s", s->mqtt_host, gai_strerror(rc));
    for (const struct addrinfo *a = found; a && fault; a = a->ai_next)
        fault = try_address(a, wake_fd);
    freeaddrinfo(found);
    errno = fault;
    return fault ? err_errno(e, "%.200s:%s", s->mqtt_host, port) : 0;
}

int dial(struct mosquitto *client, const struct settings *s, int wake_fd, struct err *e)
{
    bool managed = s->broker == BROKER_MANAGED;
    char path[FILE_PATH_SIZE] = "";
    int rc = use_tls(client, s, e);
    if (rc == 0)
        rc = use_password(client, s, e);
    if (rc == 0)
        rc = managed ? file_path(path, s->data_dir, BROKER_SOCKET, e) : probe(s, wake_fd, e);
    if (rc < 0)
        return rc;
    rc = mosquitto_connect(client, managed ? path : s->mqtt_host, managed ? 0 : (int)s->mqtt_port,
                           KEEPALIVE_S);
    return rc == MOSQ_ERR_SUCCESS ? 0 : err_set(e, ERR_INTERNAL, "%s", dial_reason(rc));
}
