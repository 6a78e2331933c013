#include "mqtt/mqtt.h"

#include "base/clock.h"
#include "base/log.h"
#include "link.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FAREWELL_MS 2000

static void wake(struct mqtt *m)
{
    uint64_t one = 1;
    ssize_t n = write(m->wake_fd, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

/* What is queued still goes out, as far as the broker takes it. */
static void farewell(struct mqtt *m)
{
    int64_t end_ms = clock_mono_ms() + FAREWELL_MS;
    while (m->client && m->connected && outbox_waiting(&m->outbox) > 0 && clock_mono_ms() < end_ms)
        link_turn(m, end_ms);
    link_close(m);
}

static void *run(void *arg)
{
    struct mqtt *m = arg;
    while (!atomic_load(&m->stopping)) {
        if (!m->client && clock_mono_ms() >= m->retry_ms)
            link_connect(m);
        link_turn(m, m->client ? INT64_MAX : m->retry_ms);
    }
    farewell(m);
    return NULL;
}

static int start_thread(struct mqtt *m)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&m->thread, NULL, run, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void free_all(struct mqtt *m)
{
    inbox_free(&m->inbox);
    arrivals_free(&m->arrivals);
    files_free(&m->files);
    outbox_free(&m->outbox);
    kicks_free(&m->kicks);
    if (m->wake_fd >= 0)
        close(m->wake_fd);
    free(m);
    mosquitto_lib_cleanup();
}

int mqtt_start(const struct mqtt_env *env, struct mqtt **out, struct err *e)
{
    if (env->settings->broker == BROKER_EXTERNAL && !*env->settings->mqtt_host)
        return err_field(e, ERR_INVALID, "mqtt_host",
                         "broker = external needs mqtt_host, the broker's host name");
    struct mqtt *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_INTERNAL, "out of memory");
    m->env = *env;
    mosquitto_lib_init();
    outbox_init(&m->outbox);
    kicks_init(&m->kicks);
    inbox_init(&m->inbox, env->store, env->rollout);
    files_init(&m->files, env->store, env->blobs);
    m->files.suspect = env->suspect;
    m->files.suspect_arg = env->suspect_arg;
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int fault = m->wake_fd < 0 ? errno : start_thread(m);
    if (fault) {
        free_all(m);
        return err_set(e, ERR_INTERNAL, "cannot start the thread for MQTT: %s", strerror(fault));
    }
    *out = m;
    return 0;
}

void mqtt_stop(struct mqtt *m)
{
    atomic_store(&m->stopping, true);
    wake(m);
    pthread_join(m->thread, NULL);
    free_all(m);
}

int mqtt_send(struct mqtt *m, struct outgoing out[], size_t n)
{
    struct letters letters = {0};
    size_t dropped;
    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        letters_render(&letters, &out[i]);
    bool open = outbox_add(&m->outbox, letters.at, letters.n, &dropped);
    letters.n = 0;
    letters_free(&letters);
    if (open)
        wake(m);
    if (open && dropped > 0)
        log_warn("%zu messages to devices did not fit the queue", dropped);
    return open ? 0 : -1;
}

size_t mqtt_room(struct mqtt *m)
{
    return outbox_room(&m->outbox);
}

void mqtt_end_sessions(struct mqtt *m, const char *product, const char *device)
{
    if (!mqtt_is_managed(m))
        return;
    kicks_add(&m->kicks, product, device);
    wake(m);
}
