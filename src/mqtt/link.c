#include "link.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "dial.h"
#include "model/board.h"
#include "model/delivery.h"
#include "protocol/protocol.h"
#include "sender.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENT_ID      "otad"
#define BATCH_MAX      1000
#define BATCH_MS       20
#define MISC_MS        1000
#define CONNECT_MS     15000
#define STABLE_MS      10000 /* a connection that lasted so long was a good one */
#define PATIENCE       20    /* attempts at our own broker before it is said */
#define MANAGED_MIN_MS 50    /* our own broker is a moment away */
#define MANAGED_MAX_MS 1000
#define FOREIGN_MIN_MS 1000
#define FOREIGN_MAX_MS 30000

/* The first reason is the one that counts. */
static void trouble(struct mqtt *m, const char *what, const char *why)
{
    if (!*m->trouble)
        snprintf(m->trouble, sizeof m->trouble, "%s%s%s", what, *why ? ": " : "", why);
}

/* ---- what libmosquitto calls while it reads */

static void ask_presence(struct mqtt *m)
{
    static const char wish[] = "{\"op\":\"presence\"}";
    if (mosquitto_publish(m->client, &m->last_wish, CONTROL_TOPIC, sizeof wish - 1, wish, 1, false) ==
        MOSQ_ERR_SUCCESS)
        outbox_sent(&m->outbox, 1);
}

static void say_well(struct mqtt *m)
{
    char text[100];
    drops_text(&m->drops, text, sizeof text);
    board_set(BOARD_BROKER, true, "%s", text);
}

/* At QoS 0: an old number is worth nothing. */
static void ask_drops(struct mqtt *m)
{
    m->drops.asked = !m->drops.unwanted &&
                     mosquitto_subscribe(m->client, &m->drops.wish, DROPS_TOPIC, 0) == MOSQ_ERR_SUCCESS;
}

static void subscribe(struct mqtt *m, const char *filter)
{
    int rc = mosquitto_subscribe(m->client, &m->last_wish, filter, 1);
    if (rc != MOSQ_ERR_SUCCESS)
        trouble(m, "cannot subscribe", dial_reason(rc));
}

static void on_connect(struct mosquitto *client, void *arg, int rc)
{
    struct mqtt *m = arg;
    const struct protocol *p;
    (void)client;
    if (rc != 0) {
        trouble(m, "the broker refuses otad", mosquitto_connack_string(rc));
        return;
    }
    m->connected = true;
    outbox_open(&m->outbox);
    for (size_t i = 0; (p = protocol_at(i)); i++)
        for (const char *const *filter = p->filters; *filter; filter++)
            subscribe(m, *filter);
    /* only our own broker has the plugin, which lets devices in from then on; others may take offence at a
     * topic like that */
    if (mqtt_is_managed(m))
        ask_presence(m);
}

static void on_subscribe(struct mosquitto *client, void *arg, int mid, int n, const int *granted)
{
    struct mqtt *m = arg;
    (void)client;
    m->arrived++;
    if (m->drops.asked && mid == m->drops.wish) { /* a no is an answer, too */
        m->drops.answered = true;
        return;
    }
    for (int i = 0; i < n; i++)
        if (granted[i] >= 0x80)
            trouble(m, "the broker refuses otad a subscription it needs", "");
    m->heard |= mid == m->last_wish;
}

/* Blocks of files are not the writer's business. */
static void take(struct mqtt *m, const char *topic, const void *payload, size_t len)
{
    struct device_event ev;
    const struct protocol *p = inbox_read(&m->inbox, topic, payload, len, &ev);
    if (p && (ev.kind == EVENT_INFORM || ev.kind == EVENT_REQUEST || ev.kind == EVENT_JOB))
        arrivals_answered(&m->arrivals, ev.product, ev.device);
    if (p && ev.kind == EVENT_FILE)
        files_take(&m->files, p, &ev);
    else if (p)
        inbox_add(&m->inbox, &ev);
}

static void on_message(struct mosquitto *client, void *arg, const struct mosquitto_message *message)
{
    struct mqtt *m = arg;
    (void)client;
    m->arrived++;
    size_t len = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
    if (strcmp(message->topic, DROPS_TOPIC) == 0) {
        if (drops_take(&m->drops, message->payload, len, clock_mono_ms()) && m->heard)
            say_well(m);
        return;
    }
    /* a retained report is old: it says nothing of now */
    if (message->retain)
        return;
    if (strcmp(message->topic, PRESENCE_TOPIC) == 0)
        arrivals_take(&m->arrivals, &m->inbox, message->payload, len, clock_mono_ms());
    else
        take(m, message->topic, message->payload, len);
}

static void on_publish(struct mosquitto *client, void *arg, int mid)
{
    struct mqtt *m = arg;
    (void)client;
    m->arrived++;
    if (files_sent(&m->files, mid))
        return;
    m->heard |= mid == m->last_wish;
    kicks_acknowledged(&m->kicks, mid);
    outbox_sent(&m->outbox, -1);
}

/* ---- a connection's beginning and end */

/* 50 ms to 1 s for our own broker, 1 to 30 s for another and after a failed commit; three quarters to five
 * quarters of it, so that servers do not come back in step. */
static int64_t delay_ms(const struct mqtt *m, bool gently)
{
    unsigned doublings = m->failures < 10 ? m->failures : 10;
    int64_t least_ms = gently ? FOREIGN_MIN_MS : MANAGED_MIN_MS,
            most_ms = gently ? FOREIGN_MAX_MS : MANAGED_MAX_MS;
    int64_t ms = least_ms << doublings;
    unsigned char dice;
    random_bytes(&dice, sizeof dice);
    ms = ms < most_ms ? ms : most_ms;
    return ms * 3 / 4 + ms * dice / 512;
}

/* The same trouble again and again is said once. */
static void tell(struct mqtt *m)
{
    /* our own broker takes a moment to come up, and the one who starts it knows better why it does not */
    bool starting = mqtt_is_managed(m) && !m->connected;
    if (!starting)
        board_set(BOARD_BROKER, false, "%s", m->trouble);
    if (strcmp(m->told, m->trouble) == 0 || (starting && m->failures < PATIENCE))
        return;
    str_copy(m->told, sizeof m->told, m->trouble);
    log_warn("no connection to the broker: %s", m->trouble);
}

static void drop(struct mqtt *m, bool gently)
{
    if (m->connected && clock_mono_ms() - m->since_ms > STABLE_MS)
        m->failures = 0;
    int64_t after_ms = delay_ms(m, gently || !mqtt_is_managed(m));
    tell(m);
    if (m->client)
        mosquitto_destroy(m->client); /* closes the socket, and throws away what was not written */
    m->client = NULL;
    outbox_close(&m->outbox);
    arrivals_clear(&m->arrivals);
    inbox_clear(&m->inbox);
    files_clear(&m->files);
    kicks_undo(&m->kicks);
    drops_close(&m->drops, !mqtt_is_managed(m));
    if (m->connected)
        presence_clear(m->env.rollout->presence);
    m->connected = m->heard = m->more = false;
    m->failures++;
    m->retry_ms = clock_mono_ms() + after_ms;
}

/* A new struct mosquitto for each connection: nothing of the last one is sent again. */
void link_connect(struct mqtt *m)
{
    struct err e;
    m->since_ms = clock_mono_ms();
    m->misc_ms = m->since_ms + MISC_MS;
    m->trouble[0] = '\0';
    m->client = mosquitto_new(CLIENT_ID, false, m);
    if (!m->client) {
        trouble(m, "cannot make a connection", strerror(errno));
        drop(m, false);
        return;
    }
    mosquitto_threaded_set(m->client, true);
    mosquitto_int_option(m->client, MOSQ_OPT_SEND_MAXIMUM, OUTBOX_WINDOW + 1);
    mosquitto_connect_callback_set(m->client, on_connect);
    mosquitto_subscribe_callback_set(m->client, on_subscribe);
    mosquitto_message_callback_set(m->client, on_message);
    mosquitto_publish_callback_set(m->client, on_publish);
    if (dial(m->client, m->env.settings, m->wake_fd, &e) < 0) {
        trouble(m, "cannot connect", e.text);
        drop(m, false);
    }
}

void link_close(struct mqtt *m)
{
    if (!m->client)
        return;
    if (m->connected && mosquitto_disconnect(m->client) == MOSQ_ERR_SUCCESS)
        mosquitto_loop_write(m->client, 1);
    mosquitto_destroy(m->client);
    m->client = NULL;
    m->connected = false;
    outbox_close(&m->outbox);
}

/* ---- a turn */

/* What the socket is ready for now; 0 when it is closed. */
static short socket_state(const struct mqtt *m)
{
    struct pollfd p = {.fd = mosquitto_socket(m->client), .events = POLLIN};
    return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/* errno cannot tell an empty socket here, the callbacks change it: the socket is asked. Under TLS it may be
 * empty while more packets of one record wait behind it: as long as packets come, another read is tried. */
static void read_batch(struct mqtt *m)
{
    int64_t end_ms = clock_mono_ms() + BATCH_MS;
    int rc;
    do {
        unsigned before = m->arrived;
        rc = mosquitto_loop_read(m->client, 1);
        bool waits = socket_state(m) != 0 || (!mqtt_is_managed(m) && m->arrived != before);
        m->more = rc == MOSQ_ERR_SUCCESS && !*m->trouble && waits;
    } while (m->more && m->inbox.n < BATCH_MAX && clock_mono_ms() < end_ms);
    if (rc != MOSQ_ERR_SUCCESS)
        trouble(m, m->connected ? "connection lost" : "cannot connect", dial_reason(rc));
}

/* Everything that was read is in the store when this answers true. */
static bool commit(struct mqtt *m)
{
    struct err e;
    size_t dropped = 0;
    if (inbox_commit(&m->inbox, &e) < 0) {
        snprintf(m->trouble, sizeof m->trouble, "the store takes no reports: %s", e.text);
        return false;
    }
    if (m->inbox.letters.n > 0)
        outbox_add(&m->outbox, m->inbox.letters.at, m->inbox.letters.n, &dropped);
    if (dropped > 0)
        log_warn("%zu messages to devices did not fit the queue", dropped);
    m->inbox.letters.n = 0;
    return true;
}

static void write_out(struct mqtt *m)
{
    int rc = mosquitto_loop_write(m->client, 1);
    if (rc == MOSQ_ERR_SUCCESS && clock_mono_ms() >= m->misc_ms) {
        m->misc_ms = clock_mono_ms() + MISC_MS;
        rc = mosquitto_loop_misc(m->client);
    }
    if (rc != MOSQ_ERR_SUCCESS)
        trouble(m, m->connected ? "connection lost" : "cannot connect", dial_reason(rc));
    if (!m->connected && clock_mono_ms() - m->since_ms > CONNECT_MS)
        trouble(m, "it does not answer", "");
}

static int wait_ms(const struct mqtt *m, int64_t end_ms)
{
    int64_t now_ms = clock_mono_ms(), due_ms = arrivals_next_ms(&m->arrivals);
    if (m->client && m->misc_ms < end_ms)
        end_ms = m->misc_ms;
    if (due_ms >= 0 && due_ms < end_ms)
        end_ms = due_ms;
    bool busy = m->more || m->inbox.n > 0 || (m->connected && files_ready(&m->files));
    return busy || end_ms <= now_ms ? 0 : (int)(end_ms - now_ms);
}

/* Answers what the socket is ready for. */
static short wait_for_work(struct mqtt *m, int64_t end_ms)
{
    struct pollfd fds[2] = {{.fd = m->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (m->client && !*m->trouble) {
        fds[1].fd = mosquitto_socket(m->client);
        if (mosquitto_want_write(m->client))
            fds[1].events |= POLLOUT;
    }
    int n = poll(fds, 2, wait_ms(m, end_ms));
    if (n > 0 && fds[0].revents) {
        uint64_t count;
        ssize_t got = read(m->wake_fd, &count, sizeof count);
        (void)got;
    }
    return n > 0 ? fds[1].revents : 0;
}

static void say_connected(struct mqtt *m)
{
    presence_listen(m->env.rollout->presence, clock_wall_ms());
    log_info("connected to the broker");
    m->told[0] = '\0';
    say_well(m);
    ask_drops(m);
}

void link_turn(struct mqtt *m, int64_t end_ms)
{
    bool was_heard = m->heard;
    short ready = wait_for_work(m, end_ms);
    if (!m->client)
        return;
    /* a TLS handshake goes on by reading, whatever it waits for */
    if (m->more || ready & (POLLIN | POLLHUP | POLLERR) || (ready && !m->connected))
        read_batch(m);
    /* libmosquitto does not take a connection that breaks in the handshake for broken */
    if (ready & (POLLHUP | POLLERR) && !m->connected && !m->more)
        trouble(m, "cannot connect", "the broker closed it");
    arrivals_due(&m->arrivals, &m->inbox, clock_mono_ms());
    /* what came before the connection was lost is stored all the same */
    if (!commit(m)) {
        drop(m, true);
        return;
    }
    if (socket_state(m) & POLLHUP) {
        /* a write would throw away what a broker that was killed has left us: it is read to its end */
        m->more = true;
    } else if (!*m->trouble) {
        write_out(m);
        sender_turn(m);
        if (!*m->trouble)
            write_out(m);
    }
    if (*m->trouble)
        drop(m, false);
    else if (m->heard && !was_heard)
        say_connected(m);
}
