/* mqtt_files.c: both ends of files in blocks over MQTT, as little as can be of each, for mqtt_files.py.
 *
 *   mqtt_files devices HOST PORT PRODUCT SECRET DEVICES BLOCK    devices of Aliyun's protocol, without TLS
 *   mqtt_files server SOCKET                                     a bare libmosquitto client that sends blocks
 *
 * Devices say "ready" on stdout when all are connected, subscribed and heard. For each line "STREAM SIZE" on
 * stdin all of them fetch the file at once, one block asked for at a time, and the seconds from the first
 * request to the last block are written. They look at the length of what comes and at nothing else, so that
 * the client is no limit; whether the bytes are right is otad-sim's to check. The server answers each request
 * with as many bytes, of its memory. */
#include "../../src/sim/link.h"
#include "../../src/sim/wire.h"
#include "base/clock.h"
#include "talk.h"

#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    256
#define TICK_MS   1000
#define SILENT_MS 10000 /* no block at all for so long: something is broken */

/* ---- devices */

struct client {
    struct link link;
    struct wire_identity who;
    uint64_t got;
    char name[DEVICE_SIZE];
    bool heard;
};

static struct {
    struct client *client;
    size_t n, heard, done;
    struct wire_habits habits;
    struct wire_offer offer;
    struct timespec from;
    int64_t block_at_ms;
    int epoll_fd;
} fleet;

static void send_message(struct client *c, struct wire_message *m)
{
    if (link_publish(&c->link, m->topic, m->body, m->len, m->qos) < 0)
        die("cannot publish");
    free(m->body);
}

static void ask(struct client *c)
{
    struct wire_message message;
    struct err e;
    if (wire_aliyun.ask(&c->who, &fleet.offer, c->got, &message, &e) < 0)
        die(e.text);
    send_message(c, &message);
}

static void on_up(void *owner)
{
    struct client *c = owner;
    struct wire_message message;
    char topic[WIRE_TOPIC_SIZE];
    struct err e;
    const struct wire_filter *f = wire_aliyun.filters;
    if (wire_topic(f->pattern, &c->who, NULL, topic, &e) < 0 || !link_subscribe(&c->link, topic, f->qos) ||
        wire_aliyun.say(&c->who, &(struct wire_report){.kind = WIRE_INFORM, .version = "1.0.0"}, &message,
                        &e) < 0)
        die("cannot greet");
    send_message(c, &message);
}

static void on_down(void *owner, const char *why)
{
    (void)owner;
    die(why ? why : "a session ended");
}

static void on_refused(void *owner, const char *why)
{
    (void)owner;
    die(why);
}

/* The inform's PUBACK is the first. */
static void on_acknowledged(void *owner, int message_id)
{
    struct client *c = owner;
    (void)message_id;
    if (c->heard)
        return;
    c->heard = true;
    if (++fleet.heard == fleet.n)
        tell("ready");
}

static void finish(void)
{
    struct timespec now;
    char text[32];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "%.6f",
             (double)(now.tv_sec - fleet.from.tv_sec) + (double)(now.tv_nsec - fleet.from.tv_nsec) / 1e9);
    tell(text);
}

/* Two bytes of length, so much JSON, the block, two bytes of CRC. */
static void on_heard(void *owner, const char *topic, const char *body, size_t len)
{
    struct client *c = owner;
    const unsigned char *head = (const unsigned char *)body;
    uint64_t left = fleet.offer.size - c->got,
             due = left < fleet.habits.block_bytes ? left : fleet.habits.block_bytes;
    if (!strstr(topic, "/thing/file/download_reply"))
        return;
    if (len < 4 || len != 4 + (size_t)(head[0] << 8 | head[1]) + due)
        die("a block of another length than asked for");
    fleet.block_at_ms = clock_mono_ms();
    c->got += due;
    if (c->got < fleet.offer.size)
        ask(c);
    else if (++fleet.done == fleet.n)
        finish();
}

static const struct link_hooks hooks = {on_up, on_down, on_refused, on_heard, on_acknowledged};

static void fetch(void)
{
    char line[128], *end;
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    if (n <= 0)
        exit(0);
    line[n] = '\0';
    fleet.offer.size = 0;
    str_copy(fleet.offer.stream, sizeof fleet.offer.stream, strtok_r(line, " ", &end));
    fleet.offer.size = strtoull(end, NULL, 10);
    fleet.offer.file = 1;
    fleet.done = 0;
    fleet.block_at_ms = clock_mono_ms();
    clock_gettime(CLOCK_MONOTONIC, &fleet.from);
    for (size_t i = 0; i < fleet.n; i++) {
        fleet.client[i].got = 0;
        ask(&fleet.client[i]);
    }
}

static void tick(void)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < fleet.n; i++)
        link_tick(&fleet.client[i].link, now_ms);
    if (fleet.offer.size && fleet.done < fleet.n && now_ms - fleet.block_at_ms > SILENT_MS)
        die("no block came any more");
}

static void serve_devices(void)
{
    struct epoll_event events[EVENTS];
    for (int64_t tick_ms = 0;;) {
        int n = epoll_wait(fleet.epoll_fd, events, EVENTS, TICK_MS);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                link_ready(&((struct client *)events[i].data.ptr)->link, events[i].events);
            else
                fetch();
        }
        if (clock_mono_ms() - tick_ms >= TICK_MS) {
            tick_ms = clock_mono_ms();
            tick();
        }
    }
}

static void open_device(struct client *c, size_t number, const struct link_settings *settings, char **argv)
{
    struct wire_login login;
    struct err e;
    const char *why;
    snprintf(c->name, sizeof c->name, "bench-%05zu", number);
    c->who = (struct wire_identity){
        .product = argv[0], .device = c->name, .secret = argv[1], .habits = &fleet.habits};
    if (wire_aliyun.login(&c->who, &login, &e) < 0)
        die(e.text);
    struct link_login as = {
        .client_id = login.client_id, .username = login.username, .password = login.password};
    if (link_open(&c->link, settings, &hooks, c, &as, &e) < 0)
        die(e.text);
    if (!link_connect(&c->link, clock_mono_ms(), &why))
        die(why);
}

static void run_devices(char **argv)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    fleet.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    fleet.habits = (struct wire_habits){.module = "default", .block_bytes = (uint32_t)atoi(argv[5])};
    fleet.n = (size_t)atoi(argv[4]);
    fleet.client = calloc(fleet.n, sizeof *fleet.client);
    struct link_settings settings = {
        .host = argv[0], .port = atoi(argv[1]), .plain = true, .epoll_fd = fleet.epoll_fd};
    if (!fleet.client || epoll_ctl(fleet.epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        die("cannot begin");
    for (size_t i = 0; i < fleet.n; i++)
        open_device(&fleet.client[i], i + 1, &settings, argv + 2);
    serve_devices();
}

/* ---- the bare server */

#define HEAD                                                                                            \
    "{\"code\":200,\"data\":{\"fileToken\":\"default\",\"bOffset\":0,\"fileLength\":4194304,\"bSize\":" \
    "10240},\"id\":\"0\","                                                                              \
    "\"message\":\"success\"}"

static char reply[2 + sizeof HEAD - 1 + WIRE_BLOCK_MAX + 2] = {'\0', sizeof HEAD - 1};

static void on_server_up(struct mosquitto *m, void *arg, int code)
{
    (void)arg;
    if (code != 0 || mosquitto_subscribe(m, NULL, "/sys/+/+/thing/file/download", 0) != MOSQ_ERR_SUCCESS)
        die("the server cannot log in");
}

static void on_server_subscribed(struct mosquitto *m, void *arg, int id, int n, const int *granted)
{
    (void)m;
    (void)arg;
    (void)id;
    (void)n;
    if (granted[0] > 2)
        die("the server may not subscribe");
    tell("ready");
}

static void on_request(struct mosquitto *m, void *arg, const struct mosquitto_message *request)
{
    static const char SIZE[] = "\"size\":";
    char topic[WIRE_TOPIC_SIZE];
    const char *at = memmem(request->payload, (size_t)request->payloadlen, SIZE, sizeof SIZE - 1);
    int size = at ? atoi(at + sizeof SIZE - 1) : 0;
    (void)arg;
    snprintf(topic, sizeof topic, "%s_reply", request->topic);
    if (size <= 0 || size > WIRE_BLOCK_MAX ||
        mosquitto_publish(m, NULL, topic, (int)(2 + sizeof HEAD - 1 + 2) + size, reply, 0, false) !=
            MOSQ_ERR_SUCCESS)
        die("the server cannot answer");
}

static void run_server(const char *socket_path)
{
    struct mosquitto *m = mosquitto_new("server", true, NULL);
    if (!m)
        die("no memory");
    memcpy(reply + 2, HEAD, sizeof HEAD - 1);
    mosquitto_connect_callback_set(m, on_server_up);
    mosquitto_subscribe_callback_set(m, on_server_subscribed);
    mosquitto_message_callback_set(m, on_request);
    if (mosquitto_connect(m, socket_path, 0, 60) != MOSQ_ERR_SUCCESS)
        die("the server cannot connect");
    mosquitto_loop_forever(m, -1, 1);
    die("the server lost its broker");
}

int main(int argc, char **argv)
{
    mosquitto_lib_init();
    if (argc == 8 && strcmp(argv[1], "devices") == 0)
        run_devices(argv + 2);
    else if (argc == 3 && strcmp(argv[1], "server") == 0)
        run_server(argv[2]);
    fprintf(stderr, "usage: mqtt_files devices HOST PORT PRODUCT SECRET DEVICES BLOCK | server SOCKET\n");
    return 2;
}
