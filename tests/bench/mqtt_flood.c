/* mqtt_flood.c: a fleet that one session speaks for, and the bare ends beside otad, for fleet_mqtt.py.
 *
 *   mqtt_flood fleet HOST PORT PRODUCT DEVICES    all devices of a product, by one session
 *   mqtt_flood publisher HOST PORT PRODUCT        a bare libmosquitto client that sends offers
 *   mqtt_flood subscriber HOST PORT               a bare libmosquitto client that counts reports
 *
 * Each says "ready" on stdout, and a line for each line on stdin. Moments are of the monotonic clock, in
 * seconds.
 *
 * To the fleet:
 *
 *   inform N VERSION                each device's version. "BEGUN ENDED", when all of it was taken
 *   offers ROOT N VERSION           "watching"; then "LAST", once so many devices have that version's offer
 *   sample                          the last offer's body
 *   update ROOT N VERSION FROM TO   messages FROM to TO of N devices. "BEGUN ACKED TAKEN MESSAGES"
 *
 * To the publisher:
 *
 *   publish N BODY                  N times that body, a device each. "BEGUN ACKED"
 *
 * To the subscriber:
 *
 *   count                           how many reports came since it was asked last
 *
 * ROOT is the first level of the topics: "ota", which otad hears, or "otb", which only the bare ends do. The
 * broker answers for a report as soon as it has it, and drops what its queue for a slow reader has no room
 * for: so the fleet asks something as a device of product "marker" after each so many reports, which is
 * answered when all before it are taken, and never has more than a few such questions open.
 *
 * The fleet writes MQTT by itself, many packets with one call: libmosquitto makes several system calls for
 * each, and the client shares the cores with what is measured. */
#include "base/clock.h"
#include "base/str.h"
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW       1000 /* sent and not yet acknowledged: as otad's outbox has it */
#define MARKER_EVERY 2500 /* reports between two questions */
#define MARKERS_MAX  8    /* questions that are open */
#define STEPS        12   /* messages of an update */
#define IN_SIZE      (1 << 18)
#define OUT_SIZE     (1 << 16)
#define OUT_ROOM     1024 /* for one packet more */
#define LINE_SIZE    4096
#define SILENT_MS    30000 /* nothing at all while something is awaited: something is broken */
#define KEEPALIVE_S  3600
#define READS        64

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A line of stdin, without its end; ends the program with stdin. */
static char *hear(void)
{
    static char line[LINE_SIZE];
    size_t n = 0;
    while (n == 0 || line[n - 1] != '\n') {
        ssize_t got = n < sizeof line ? read(STDIN_FILENO, line + n, sizeof line - n) : 0;
        if (got <= 0)
            exit(0);
        n += (size_t)got;
    }
    line[n - 1] = '\0';
    return line;
}

/* ---- the fleet: a session of MQTT 3.1.1 */

struct device {
    char id[24];    /* of its last offer */
    unsigned round; /* in which it came */
};

struct watch { /* for offers */
    char topic[8], version[80];
    size_t want, got;
    unsigned round;
    bool on;
};

struct job { /* what is published now */
    char topic[8], version[32];
    size_t n, device; /* devices, and the next one */
    int from, to;     /* steps of an update; an inform is one of -1 to -1 */
    int slot, slots;  /* passes over all devices */
    size_t said, unasked;
    double begun_s, acked_s;
    bool on, all_said, informs;
};

static struct {
    int fd;
    char product[32];
    struct device *device;
    size_t n;
    struct watch watch;
    struct job job;
    size_t unacknowledged, open_markers;
    uint16_t packet_id;
    size_t in_len, out_len;
    char sample[LINE_SIZE];
    int64_t heard_ms;
    unsigned char in[IN_SIZE], out[OUT_SIZE];
} fleet;

static int connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        die("no such host");
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        die("cannot connect");
    freeaddrinfo(found);
    return fd;
}

static void put(const void *bytes, size_t n)
{
    if (fleet.out_len + n > OUT_SIZE)
        die("no room to write");
    memcpy(fleet.out + fleet.out_len, bytes, n);
    fleet.out_len += n;
}

static void put_byte(unsigned value)
{
    unsigned char byte = (unsigned char)value;
    put(&byte, 1);
}

static void put_short(unsigned value)
{
    put_byte(value >> 8);
    put_byte(value & 0xff);
}

static void put_text(const char *text)
{
    put_short((unsigned)strlen(text));
    put(text, strlen(text));
}

/* Type and flags, and the length of what follows. */
static void put_head(unsigned type, size_t n)
{
    put_byte(type);
    for (; n >= 128; n >>= 7)
        put_byte((unsigned)(n & 127) | 128);
    put_byte((unsigned)n);
}

/* 0 is no packet's. */
static unsigned next_id(void)
{
    fleet.packet_id = fleet.packet_id == UINT16_MAX ? 1 : (uint16_t)(fleet.packet_id + 1);
    return fleet.packet_id;
}

static void put_publish(const char *topic, const char *body)
{
    size_t n = strlen(body);
    put_head(0x32, 2 + strlen(topic) + 2 + n); /* QoS 1 */
    put_text(topic);
    put_short(next_id());
    put(body, n);
    fleet.unacknowledged++;
}

static void put_connect(void)
{
    static const char id[] = "bench-fleet";
    put_head(0x10, 10 + 2 + sizeof id - 1);
    put_text("MQTT");
    put_byte(4);
    put_byte(2); /* a clean session */
    put_short(KEEPALIVE_S);
    put_text(id);
}

static void put_subscribe(const char *filter)
{
    put_head(0x82, 2 + 2 + strlen(filter) + 1);
    put_short(next_id());
    put_text(filter);
    put_byte(1);
}

static void write_some(void)
{
    ssize_t n = send(fleet.fd, fleet.out, fleet.out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        die("cannot write to the broker");
    if (n <= 0)
        return;
    fleet.out_len -= (size_t)n;
    memmove(fleet.out, fleet.out + n, fleet.out_len);
}

/* ---- what it says */

/* As otad-sim's devices of the native protocol: progress in steps, from the first byte to the last, then
 * installing, then the new version. */
static void put_step(const struct job *j, size_t i, int step)
{
    static const int percents[STEPS - 2] = {0, 11, 22, 33, 44, 56, 67, 78, 89, 100};
    char topic[96], body[160];
    bool inform = j->informs || step == STEPS - 1;
    if (inform)
        snprintf(body, sizeof body, "{\"version\":\"%s\",\"module\":\"default\"}", j->version);
    else if (step == STEPS - 2)
        snprintf(body, sizeof body, "{\"id\":\"%s\",\"state\":\"installing\"}", fleet.device[i].id);
    else
        snprintf(body, sizeof body, "{\"id\":\"%s\",\"percent\":%d}", fleet.device[i].id, percents[step]);
    snprintf(topic, sizeof topic, "%s/%s/dev-%06zu/%s", j->topic, fleet.product, i,
             inform ? "inform" : "progress");
    put_publish(topic, body);
}

static void put_marker(const struct job *j)
{
    char topic[64];
    snprintf(topic, sizeof topic, "%s/marker/marker/request", j->topic);
    put_publish(topic, "{}");
    fleet.open_markers++;
}

/* The next message: of each device in turn, each a step behind its neighbour, so that messages of all kinds
 * come together and one device's lie far apart. False when there is none left. */
static bool say_next(struct job *j)
{
    for (; j->slot < j->slots; j->slot++, j->device = 0)
        for (; j->device < j->n; j->device++) {
            int steps = j->to - j->from + 1, step = j->slot - (int)(j->device % (size_t)steps);
            if (step < 0 || step >= steps)
                continue;
            put_step(j, j->device++, j->from + step);
            j->said++;
            j->unasked++;
            return true;
        }
    return false;
}

static void say(struct job *j)
{
    while (!j->all_said && fleet.unacknowledged + 1 < WINDOW && fleet.out_len + 2 * OUT_ROOM < OUT_SIZE &&
           fleet.open_markers < MARKERS_MAX) {
        j->all_said = !say_next(j);
        if (j->unasked == MARKER_EVERY || j->all_said) {
            put_marker(j);
            j->unasked = 0;
        }
    }
}

static void end_job(struct job *j)
{
    char text[128];
    if (!j->all_said || fleet.unacknowledged > 0)
        return;
    j->acked_s = j->acked_s > 0 ? j->acked_s : now_s();
    if (fleet.open_markers > 0)
        return;
    if (j->informs)
        snprintf(text, sizeof text, "%.6f %.6f", j->begun_s, now_s());
    else
        snprintf(text, sizeof text, "%.6f %.6f %.6f %zu", j->begun_s, j->acked_s, now_s(), j->said);
    j->on = false;
    tell(text);
}

/* ---- what it hears */

static void end_watch(struct watch *w)
{
    char text[32];
    if (!w->on || w->got < w->want)
        return;
    w->on = false;
    snprintf(text, sizeof text, "%.6f", now_s());
    tell(text);
}

static void keep_id(struct device *d, const char *body)
{
    static const char key[] = "\"id\":\"";
    const char *id = strstr(body, key);
    size_t n = id ? strcspn(id + sizeof key - 1, "\"") : 0;
    if (n == 0 || n >= sizeof d->id)
        die("an offer without an id");
    memcpy(d->id, id + sizeof key - 1, n);
    d->id[n] = '\0';
}

/* Of another version than the one that is watched: of a campaign that is over. */
static void take_offer(const char *topic, const char *body, struct watch *w)
{
    const char *number = strstr(topic, "/dev-");
    size_t i = number ? strtoul(number + 5, NULL, 10) : fleet.n;
    if (i >= fleet.n)
        die("an offer for nobody");
    if (!w->on || !strstr(body, w->version) || strncmp(topic, w->topic, strlen(w->topic)) != 0)
        return;
    if (strcmp(w->topic, "ota") == 0) {
        keep_id(&fleet.device[i], body);
        str_copy(fleet.sample, sizeof fleet.sample, body);
    }
    if (fleet.device[i].round != w->round)
        w->got++;
    fleet.device[i].round = w->round;
    end_watch(w);
}

/* A PUBLISH of QoS 1: topic, packet id, body. */
static void take_publish(const unsigned char *p, size_t n)
{
    char topic[128], body[LINE_SIZE];
    size_t topic_len = n >= 4 ? (size_t)(p[0] << 8 | p[1]) : n;
    if (topic_len + 4 > n || topic_len >= sizeof topic || n - topic_len - 4 >= sizeof body)
        die("a message that cannot be read");
    memcpy(topic, p + 2, topic_len);
    topic[topic_len] = '\0';
    memcpy(body, p + 4 + topic_len, n - 4 - topic_len);
    body[n - 4 - topic_len] = '\0';
    put_head(0x40, 2);
    put(p + 2 + topic_len, 2);
    if (strcmp(topic + 3, "/marker/marker/offer") != 0)
        take_offer(topic, body, &fleet.watch);
    else if (fleet.open_markers-- == 0)
        die("an answer that nobody asked for");
}

static void take_packet(unsigned type, const unsigned char *p, size_t n)
{
    static unsigned granted;
    if (type >> 4 == 4) {
        fleet.unacknowledged--;
    } else if (type >> 4 == 3) {
        if ((type & 6) != 2)
            die("a message of another QoS");
        take_publish(p, n);
    } else if (type >> 4 == 2) {
        if (n != 2 || p[1] != 0)
            die("the broker refuses the fleet");
        put_subscribe("ota/+/+/offer");
        put_subscribe("otb/+/+/offer");
    } else if (type >> 4 == 9) {
        if (n != 3 || p[2] != 1)
            die("the broker refuses a subscription");
        if (++granted == 2)
            tell("ready");
    } else {
        die("an unknown packet");
    }
}

/* One packet of what was read; 0 when it is not whole yet. PUBACKs find room: what is said leaves some. */
static size_t take_one(const unsigned char *p, size_t n)
{
    size_t len = 0, i = 1;
    for (unsigned shift = 0;; shift += 7, i++) {
        if (i >= n || shift > 21)
            return 0;
        len |= (size_t)(p[i] & 127) << shift;
        if (!(p[i] & 128))
            break;
    }
    if (++i + len > n)
        return 0;
    take_packet(p[0], p + i, len);
    return i + len;
}

static void take_all(void)
{
    size_t at = 0, took;
    while (fleet.out_len + OUT_ROOM < OUT_SIZE && (took = take_one(fleet.in + at, fleet.in_len - at)) > 0)
        at += took;
    fleet.in_len -= at;
    memmove(fleet.in, fleet.in + at, fleet.in_len);
}

static void read_some(void)
{
    if (fleet.in_len == IN_SIZE)
        return; /* no answer has room before the broker has read more */
    ssize_t n = recv(fleet.fd, fleet.in + fleet.in_len, IN_SIZE - fleet.in_len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("the broker ended the session");
    if (n > 0)
        fleet.in_len += (size_t)n;
    fleet.heard_ms = clock_mono_ms();
}

/* ---- commands */

static size_t number(char **rest)
{
    char *word = strtok_r(NULL, " ", rest);
    return word ? strtoul(word, NULL, 10) : 0;
}

static void copy_word(char *out, size_t size, char **rest)
{
    char *word = strtok_r(NULL, " ", rest);
    if (!word || !str_copy(out, size, word))
        die("a command that cannot be understood");
}

static void begin_watch(char **rest)
{
    char version[32];
    struct watch *w = &fleet.watch;
    copy_word(w->topic, sizeof w->topic, rest);
    w->want = number(rest);
    copy_word(version, sizeof version, rest);
    snprintf(w->version, sizeof w->version, "\"version\":\"%s\"", version);
    w->got = 0;
    w->round++;
    w->on = true;
    tell("watching");
}

static void begin_job(bool informs, char **rest)
{
    struct job *j = &fleet.job;
    *j = (struct job){.informs = informs, .on = true};
    if (informs)
        strcpy(j->topic, "ota");
    else
        copy_word(j->topic, sizeof j->topic, rest);
    j->n = number(rest);
    copy_word(j->version, sizeof j->version, rest);
    if (!informs) {
        j->from = (int)number(rest);
        j->to = (int)number(rest);
    }
    if (j->n > fleet.n || j->from > j->to || j->to >= STEPS)
        die("a command beyond the fleet");
    j->slots = 2 * (j->to - j->from + 1) - 1;
    j->begun_s = now_s();
}

static void command(void)
{
    char *rest, *word = strtok_r(hear(), " ", &rest);
    fleet.heard_ms = clock_mono_ms();
    if (word && strcmp(word, "inform") == 0)
        begin_job(true, &rest);
    else if (word && strcmp(word, "update") == 0)
        begin_job(false, &rest);
    else if (word && strcmp(word, "offers") == 0)
        begin_watch(&rest);
    else if (word && strcmp(word, "sample") == 0)
        tell(fleet.sample);
    else
        die("an unknown command");
}

static void run_fleet(char **argv)
{
    fleet.fd = connect_to(argv[0], argv[1]);
    if (!str_copy(fleet.product, sizeof fleet.product, argv[2]))
        die("the product's key is too long");
    fleet.n = strtoul(argv[3], NULL, 10);
    fleet.device = calloc(fleet.n, sizeof *fleet.device);
    if (!fleet.device)
        die("no memory");
    put_connect();
    for (;;) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = fleet.fd, .events = (short)(POLLIN | (fleet.out_len ? POLLOUT : 0))}};
        poll(fds, 2, 1000);
        if (fds[0].revents)
            command();
        if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
            read_some();
        take_all();
        if (fleet.job.on)
            say(&fleet.job);
        if (fleet.out_len > 0)
            write_some();
        if (fleet.out_len == 0)
            take_all(); /* what had no room for its answers */
        if (fleet.job.on)
            end_job(&fleet.job);
        if ((fleet.job.on || fleet.watch.on) && clock_mono_ms() - fleet.heard_ms > SILENT_MS)
            die("the broker says nothing any more");
    }
}

/* ---- the bare ends: libmosquitto, in a loop of its own as otad has one */

struct bare {
    struct mosquitto *client;
    size_t wanted, sent, unacknowledged;
    size_t wishes; /* subscriptions without an answer */
    size_t counted;
    double begun_s;
};

static void on_up(struct mosquitto *m, void *arg, int code)
{
    static const char *const filters[] = {"otb/+/+/inform", "otb/+/+/progress", "otb/+/+/request"};
    struct bare *b = arg;
    if (code != 0)
        die("the broker refuses a bare client");
    if (b->wishes == 0)
        tell("ready");
    for (size_t i = 0; i < b->wishes; i++)
        if (mosquitto_subscribe(m, NULL, filters[i], 1) != MOSQ_ERR_SUCCESS)
            die("cannot subscribe");
}

static void on_granted(struct mosquitto *m, void *arg, int id, int n, const int *granted)
{
    struct bare *b = arg;
    (void)m;
    (void)id;
    if (n != 1 || granted[0] != 1)
        die("the broker refuses a subscription");
    if (--b->wishes == 0)
        tell("ready");
}

static void on_report(struct mosquitto *m, void *arg, const struct mosquitto_message *message)
{
    struct bare *b = arg;
    if (strcmp(message->topic, "otb/marker/marker/request") != 0)
        b->counted++;
    else if (mosquitto_publish(m, NULL, "otb/marker/marker/offer", 11, "{\"id\":null}", 1, false) !=
             MOSQ_ERR_SUCCESS)
        die("cannot answer");
    else
        b->unacknowledged++;
}

static void on_acknowledged(struct mosquitto *m, void *arg, int id)
{
    struct bare *b = arg;
    char text[64];
    (void)m;
    (void)id;
    b->unacknowledged--;
    if (b->wanted == 0 || b->sent < b->wanted || b->unacknowledged > 0)
        return;
    b->wanted = 0;
    snprintf(text, sizeof text, "%.6f %.6f", b->begun_s, now_s());
    tell(text);
}

static void send_offers(struct bare *b, const char *product, const char *body)
{
    char topic[96];
    for (; b->sent < b->wanted && b->unacknowledged < WINDOW; b->sent++, b->unacknowledged++) {
        snprintf(topic, sizeof topic, "otb/%s/dev-%06zu/offer", product, b->sent);
        if (mosquitto_publish(b->client, NULL, topic, (int)strlen(body), body, 1, false) != MOSQ_ERR_SUCCESS)
            die("cannot publish");
    }
}

static void turn(struct bare *b, short ready)
{
    int rc = MOSQ_ERR_SUCCESS;
    for (int i = 0; i < READS && ready & (POLLIN | POLLHUP | POLLERR) && rc == MOSQ_ERR_SUCCESS; i++)
        rc = mosquitto_loop_read(b->client, 1);
    if (rc == MOSQ_ERR_SUCCESS && mosquitto_want_write(b->client))
        rc = mosquitto_loop_write(b->client, 1);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_loop_misc(b->client);
    if (rc != MOSQ_ERR_SUCCESS)
        die(mosquitto_strerror(rc));
}

static void bare_command(struct bare *b, char body[LINE_SIZE])
{
    char text[32], *rest, *word = strtok_r(hear(), " ", &rest);
    if (word && strcmp(word, "count") == 0) {
        snprintf(text, sizeof text, "%zu", b->counted);
        b->counted = 0;
        tell(text);
        return;
    }
    if (!word || strcmp(word, "publish") != 0)
        die("an unknown command");
    b->wanted = number(&rest);
    b->sent = 0;
    str_copy(body, LINE_SIZE, rest);
    b->begun_s = now_s();
}

/* product NULL: the subscriber. */
static void run_bare(const char *id, const char *host, int port, const char *product)
{
    static char body[LINE_SIZE];
    struct bare b = {.wishes = product ? 0 : 3};
    b.client = mosquitto_new(id, false, &b);
    if (!b.client)
        die("no memory");
    mosquitto_int_option(b.client, MOSQ_OPT_SEND_MAXIMUM, WINDOW + 1);
    mosquitto_int_option(b.client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(b.client, on_up);
    mosquitto_subscribe_callback_set(b.client, on_granted);
    mosquitto_message_callback_set(b.client, on_report);
    mosquitto_publish_callback_set(b.client, on_acknowledged);
    if (mosquitto_connect(b.client, host, port, KEEPALIVE_S) != MOSQ_ERR_SUCCESS)
        die("cannot connect");
    for (;;) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                {.fd = mosquitto_socket(b.client), .events = POLLIN}};
        if (mosquitto_want_write(b.client))
            fds[1].events |= POLLOUT;
        poll(fds, 2, 1000);
        turn(&b, fds[1].revents);
        if (fds[0].revents)
            bare_command(&b, body);
        if (product)
            send_offers(&b, product, body);
    }
}

int main(int argc, char **argv)
{
    mosquitto_lib_init();
    if (argc == 6 && strcmp(argv[1], "fleet") == 0)
        run_fleet(argv + 2);
    else if (argc == 5 && strcmp(argv[1], "publisher") == 0)
        run_bare("bench-publisher", argv[2], atoi(argv[3]), argv[4]);
    else if (argc == 4 && strcmp(argv[1], "subscriber") == 0)
        run_bare("bench-subscriber", argv[2], atoi(argv[3]), NULL);
    fprintf(stderr, "usage: mqtt_flood fleet HOST PORT PRODUCT DEVICES | publisher HOST PORT PRODUCT | "
                    "subscriber HOST PORT\n");
    return 2;
}
