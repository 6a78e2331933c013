/* reports.c: devices that report without pause, at QoS 1, and know what was acknowledged to them.
 *
 *   reports PORT PRODUCT DEVICES CONNECTIONS RATE
 *
 * Report k of a device says that its module m<k % MODULES> has version k, so that each of the last MODULES
 * reports of a device can be found in the store. Commands come by stdin: "run", and "pause", which is
 * answered when the broker has acknowledged all that was said, by a line with each device's newest k. */
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MODULES         16
#define OUTSTANDING_MAX 20000
#define BURST_MAX       500
#define TURN_MS         2

struct fleet {
    const char *product;
    size_t devices, connections;
    int64_t rate;
    struct mosquitto **client;
    struct pollfd *fds; /* of the clients, then stdin */
    uint64_t *newest;   /* by device */
    size_t turn;
    int64_t outstanding, run_at_us, said; /* since run_at_us */
    bool running, pausing, ended;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void must(int rc, const char *what)
{
    if (rc == MOSQ_ERR_SUCCESS)
        return;
    fprintf(stderr, "reports: %s: %s\n", what,
            rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
    exit(1);
}

static void on_publish(struct mosquitto *client, void *arg, int mid)
{
    struct fleet *f = arg;
    (void)client;
    (void)mid;
    f->outstanding--;
}

static void connect_all(struct fleet *f, int port)
{
    f->client = calloc(f->connections, sizeof *f->client);
    f->fds = calloc(f->connections + 1, sizeof *f->fds);
    f->newest = calloc(f->devices, sizeof *f->newest);
    if (!f->client || !f->fds || !f->newest)
        abort();
    for (size_t i = 0; i < f->connections; i++) {
        f->client[i] = mosquitto_new(NULL, true, f);
        if (!f->client[i])
            abort();
        mosquitto_max_inflight_messages_set(f->client[i], 0);
        mosquitto_publish_callback_set(f->client[i], on_publish);
        must(mosquitto_connect(f->client[i], "localhost", port, 60), "connect");
    }
}

static void say_next(struct fleet *f)
{
    char topic[200], body[100];
    size_t i = f->turn++ % f->devices;
    uint64_t k = ++f->newest[i];
    snprintf(topic, sizeof topic, "ota/%s/d%05zu/inform", f->product, i);
    int len = snprintf(body, sizeof body, "{\"version\":\"%llu\",\"module\":\"m%llu\"}",
                       (unsigned long long)k, (unsigned long long)k % MODULES);
    f->outstanding++;
    f->said++;
    must(mosquitto_publish(f->client[i % f->connections], NULL, topic, len, body, 1, false), "publish");
}

static void say_what_is_due(struct fleet *f)
{
    int64_t due = (now_us() - f->run_at_us) * f->rate / 1000000 - f->said;
    for (int64_t i = 0; i < due && i < BURST_MAX && f->outstanding < OUTSTANDING_MAX; i++)
        say_next(f);
}

static void obey(struct fleet *f)
{
    char line[32];
    if (!fgets(line, sizeof line, stdin)) {
        f->ended = true;
    } else if (strcmp(line, "run\n") == 0) {
        f->running = true;
        f->run_at_us = now_us();
        f->said = 0;
    } else {
        f->running = false;
        f->pausing = true;
    }
}

static void answer(struct fleet *f)
{
    f->pausing = false;
    for (size_t i = 0; i < f->devices; i++)
        printf("%llu ", (unsigned long long)f->newest[i]);
    putchar('\n');
    fflush(stdout);
}

static void turn(struct fleet *f)
{
    for (size_t i = 0; i < f->connections; i++)
        f->fds[i] = (struct pollfd){.fd = mosquitto_socket(f->client[i]),
                                    .events = mosquitto_want_write(f->client[i]) ? POLLIN | POLLOUT : POLLIN};
    f->fds[f->connections] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    poll(f->fds, f->connections + 1, TURN_MS);
    for (size_t i = 0; i < f->connections; i++) {
        if (f->fds[i].revents & (POLLIN | POLLHUP))
            must(mosquitto_loop_read(f->client[i], 1), "read");
        if (f->fds[i].revents & POLLOUT)
            must(mosquitto_loop_write(f->client[i], 1), "write");
        must(mosquitto_loop_misc(f->client[i]), "keep alive");
    }
    if (f->running)
        say_what_is_due(f);
    if (f->pausing && f->outstanding == 0)
        answer(f);
    if (f->fds[f->connections].revents)
        obey(f);
}

int main(int argc, char *argv[])
{
    if (argc != 6) {
        fprintf(stderr, "usage: reports PORT PRODUCT DEVICES CONNECTIONS RATE\n");
        return 2;
    }
    struct fleet f = {.product = argv[2],
                      .devices = strtoul(argv[3], NULL, 10),
                      .connections = strtoul(argv[4], NULL, 10),
                      .rate = strtol(argv[5], NULL, 10)};
    setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what is not read yet */
    mosquitto_lib_init();
    connect_all(&f, atoi(argv[1]));
    while (!f.ended)
        turn(&f);
    for (size_t i = 0; i < f.connections; i++)
        mosquitto_destroy(f.client[i]);
    mosquitto_lib_cleanup();
    free(f.client);
    free(f.fds);
    free(f.newest);
    return 0;
}
