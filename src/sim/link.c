#include "link.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define KEEPALIVE_S 60
#define OPEN_MS     20000

static void on_connect(struct mosquitto *client, void *arg, int code)
{
    struct link *l = arg;
    (void)client;
    if (code != 0) {
        l->hooks->refused(l->owner, mosquitto_connack_string(code));
        return;
    }
    l->greeted = true;
}

struct parcel {
    struct parcel *next;
    size_t topic_size, len;
    char bytes[]; /* the topic with its end, then the payload */
};

/* Kept until libmosquitto has let go of its locks: it takes them in another order where a callback publishes,
 * as devices do that ask for the next block. */
static void on_message(struct mosquitto *client, void *arg, const struct mosquitto_message *message)
{
    struct link *l = arg;
    size_t topic_size = strlen(message->topic) + 1, len = (size_t)message->payloadlen;
    struct parcel *p = malloc(sizeof *p + topic_size + len);
    (void)client;
    if (!p)
        abort();
    *p = (struct parcel){.topic_size = topic_size, .len = len};
    memcpy(p->bytes, message->topic, topic_size);
    if (len)
        memcpy(p->bytes + topic_size, message->payload, len);
    *l->end = p;
    l->end = &p->next;
}

/* The first of what came; the caller's. */
static struct parcel *take(struct link *l)
{
    struct parcel *p = l->first;
    if (p && !(l->first = p->next))
        l->end = &l->first;
    return p;
}

static void hand_over(struct link *l)
{
    for (struct parcel *p; (p = take(l)); free(p))
        l->hooks->heard(l->owner, p->bytes, p->bytes + p->topic_size, p->len);
}

static void on_publish(struct mosquitto *client, void *arg, int message_id)
{
    const struct link *l = arg;
    (void)client;
    l->hooks->acknowledged(l->owner, message_id);
}

static void on_subscribe(struct mosquitto *client, void *arg, int message_id, int n, const int *granted)
{
    const struct link *l = arg;
    (void)client;
    (void)message_id;
    for (int i = 0; i < n; i++)
        if (granted[i] >= 128)
            l->hooks->refused(l->owner, "a subscription was refused");
}

static int set_up_tls(struct link *l, const struct link_login *login)
{
    const char *ca = l->settings->ca;
    int rc = ca ? MOSQ_ERR_SUCCESS : mosquitto_int_option(l->client, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
    if (rc == MOSQ_ERR_SUCCESS && (ca || login->cert))
        rc = mosquitto_tls_set(l->client, ca, NULL, login->cert, login->key, NULL);
    return rc;
}

static int set_up(struct link *l, const struct link_login *login)
{
    int rc = *login->username ? mosquitto_username_pw_set(l->client, login->username, login->password)
                              : MOSQ_ERR_SUCCESS;
    if (rc == MOSQ_ERR_SUCCESS && !l->settings->plain)
        rc = set_up_tls(l, login);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_int_option(l->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(l->client, on_connect);
    mosquitto_message_callback_set(l->client, on_message);
    mosquitto_publish_callback_set(l->client, on_publish);
    mosquitto_subscribe_callback_set(l->client, on_subscribe);
    return rc;
}

int link_open(struct link *l, const struct link_settings *settings, const struct link_hooks *hooks,
              void *owner, const struct link_login *login, struct err *e)
{
    *l = (struct link){.settings = settings, .hooks = hooks, .owner = owner, .fd = -1, .end = &l->first};
    l->client = mosquitto_new(login->client_id, true, l);
    if (!l->client)
        return err_errno(e, "cannot make an MQTT client");
    int rc = set_up(l, login);
    if (rc != MOSQ_ERR_SUCCESS) {
        link_close(l);
        return err_set(e, ERR_INVALID, "cannot set up an MQTT client: %s", mosquitto_strerror(rc));
    }
    return 0;
}

void link_close(struct link *l)
{
    if (l->client)
        mosquitto_destroy(l->client);
    l->client = NULL;
    for (struct parcel *p; (p = take(l));)
        free(p);
    l->fd = -1;
}

static void go_down(struct link *l, const char *why)
{
    bool leaving = l->leaving;
    l->state = LINK_DOWN;
    l->fd = -1;
    l->leaving = l->greeted = false;
    l->hooks->down(l->owner, leaving ? NULL : why);
}

static const char *reason(int rc)
{
    return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
}

/* libmosquitto does not always see that an attempt has failed: a handshake on a refused connection goes on
 * for ever. The descriptor stays its own until the next attempt closes it. */
static void give_up(struct link *l, const char *why)
{
    epoll_ctl(l->settings->epoll_fd, EPOLL_CTL_DEL, l->fd, NULL);
    go_down(l, why);
}

/* While a session opens, libmosquitto does not say what its handshake waits for: told of every change, it
 * tries again. */
static uint32_t wanted(const struct link *l)
{
    if (l->state == LINK_OPENING)
        return EPOLLIN | EPOLLOUT | EPOLLET;
    return EPOLLIN | (mosquitto_want_write(l->client) ? EPOLLOUT : 0U);
}

/* Every call into libmosquitto may have closed the socket or left something to write. A closed descriptor
 * leaves epoll by itself. */
static void settle(struct link *l, int rc)
{
    if (l->state == LINK_DOWN)
        return;
    int fd = mosquitto_socket(l->client);
    if (fd < 0) {
        go_down(l, reason(rc));
        return;
    }
    uint32_t interest = wanted(l);
    if (fd == l->fd && interest == l->interest)
        return;
    struct epoll_event event = {.events = interest, .data.ptr = l->owner};
    epoll_ctl(l->settings->epoll_fd, fd == l->fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    l->fd = fd;
    l->interest = interest;
}

bool link_connect(struct link *l, int64_t now_ms, const char **why)
{
    int rc = mosquitto_connect_async(l->client, l->settings->host, l->settings->port, KEEPALIVE_S);
    if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(l->client) < 0) {
        *why = reason(rc);
        return false;
    }
    l->state = LINK_OPENING;
    l->deadline_ms = now_ms + OPEN_MS;
    settle(l, rc);
    return true;
}

void link_ready(struct link *l, uint32_t events)
{
    int rc = MOSQ_ERR_SUCCESS;
    if (l->state == LINK_DOWN)
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) || l->state == LINK_OPENING)
        rc = mosquitto_loop_read(l->client, 1);
    if (l->greeted) {
        l->greeted = false;
        l->state = LINK_UP;
        l->hooks->up(l->owner);
    }
    hand_over(l);
    if (mosquitto_socket(l->client) >= 0 && mosquitto_want_write(l->client))
        rc = mosquitto_loop_write(l->client, 1);
    if (mosquitto_socket(l->client) >= 0 && (rc != MOSQ_ERR_SUCCESS || events & (EPOLLHUP | EPOLLERR)))
        give_up(l, rc != MOSQ_ERR_SUCCESS ? reason(rc) : "the connection failed");
    else
        settle(l, rc);
}

void link_tick(struct link *l, int64_t now_ms)
{
    if (l->state == LINK_DOWN)
        return;
    if (l->state == LINK_OPENING && now_ms > l->deadline_ms)
        give_up(l, "no answer to the login");
    else
        settle(l, mosquitto_loop_misc(l->client));
}

int link_publish(struct link *l, const char *topic, const void *body, size_t len, int qos)
{
    int message_id = -1;
    if (l->state != LINK_UP)
        return -1;
    int rc = mosquitto_publish(l->client, &message_id, topic, (int)len, body, qos, false);
    settle(l, rc);
    return rc == MOSQ_ERR_SUCCESS ? message_id : -1;
}

bool link_subscribe(struct link *l, const char *topic, int qos)
{
    return mosquitto_subscribe(l->client, NULL, topic, qos) == MOSQ_ERR_SUCCESS;
}

void link_leave(struct link *l)
{
    if (l->state == LINK_DOWN)
        return;
    l->leaving = true;
    if (l->state == LINK_UP)
        settle(l, mosquitto_disconnect(l->client));
    else
        give_up(l, NULL);
}

/* The descriptor stays libmosquitto's: its next read finds the end and closes it. */
void link_cut(struct link *l)
{
    if (l->state != LINK_DOWN && mosquitto_socket(l->client) >= 0)
        shutdown(mosquitto_socket(l->client), SHUT_RDWR);
}
