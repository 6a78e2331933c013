#include "main/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/board.h"
#include "store/token.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

#define TICK_MS   1000
#define FLUSH_MS  60000
#define HOURLY_MS 3600000
#define DRAIN_MS  30000

/* Handlers wake the main thread by it; a signal-like hint, so the one global. */
static int wake_fd = -1;

static void wake(void)
{
    uint64_t one = 1;
    ssize_t n = write(wake_fd, &one, sizeof one);
    (void)n;
}

/* The broker takes what it finds, and would serve a certificate without its key: it is asked only when the
 * pair is known to be good. */
static void reload_certificate(struct otad *o)
{
    struct err e;
    if (http_reload_certificate(o->http, &e) < 0) {
        log_error("the certificate on disk is not used: %s", e.text);
        return;
    }
    log_info("certificate reloaded");
    if (o->broker)
        broker_reload(o->broker);
}

/* Of the settings the log level alone can change while otad runs. */
static void reload_settings(struct otad *o)
{
    struct settings fresh;
    struct err e;
    const char *key;
    if (settings_again(o->loaded, &fresh, &e) < 0) {
        log_error("the settings stay as they are: %s", e.text);
        return;
    }
    log_level_set((enum log_level)fresh.log_level);
    for (size_t at = 0; (key = settings_differ(o->loaded, &fresh, &at));)
        if (strcmp(key, "log_level") != 0)
            log_warn("%s has changed, which takes a restart", key);
}

static void reload(struct otad *o)
{
    reload_settings(o);
    reload_certificate(o);
}

static void each_hour(struct otad *o)
{
    struct err e;
    bool renewed;
    upkeep_hour(o);
    if (setup_certificates(o, &renewed, &e) < 0)
        log_error("cannot look after the certificate: %s", e.text);
    if (renewed)
        reload_certificate(o);
}

static void reap(struct otad *o)
{
    int status;
    pid_t pid;
    /* as process 1 of a container, orphans of the broker come here too */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (o->broker)
            broker_reap(o->broker, pid, status);
}

/* Reads what signals have come; true when otad is to stop. */
static bool take_signals(struct otad *o, int fd)
{
    struct signalfd_siginfo info;
    bool stop = false;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(o);
        else if (info.ssi_signo == SIGHUP)
            reload(o);
        else
            stop = true;
    }
    return stop;
}

static void loop(struct otad *o, int signal_fd)
{
    int64_t next_tick = 0, next_minute = clock_mono_ms() + FLUSH_MS, next_hour = clock_mono_ms() + HOURLY_MS;
    for (;;) {
        int64_t now = clock_mono_ms();
        struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
        int n = poll(fds, ARRAY_SIZE(fds), next_tick > now ? (int)(next_tick - now) : 0);
        if (n > 0 && fds[0].revents && take_signals(o, signal_fd))
            return;
        if (n > 0 && fds[1].revents) {
            uint64_t count;
            ssize_t got = read(wake_fd, &count, sizeof count);
            (void)got;
            next_tick = 0;
        }
        now = clock_mono_ms();
        if (now < next_tick)
            continue;
        next_tick = rollout_turn(o) ? now : now + TICK_MS;
        keeper_tick(o->keeper, clock_wall_ms());
        disk_tick(&o->disk);
        retention_tick(&o->retention, &o->settings, o->store);
        if (o->broker)
            broker_tick(o->broker, now);
        if (now >= next_minute) {
            upkeep_minute(o);
            next_minute = now + FLUSH_MS;
        }
        if (now >= next_hour) {
            each_hour(o);
            next_hour = now + HOURLY_MS;
        }
    }
}

static void prepare_process(void)
{
    struct rlimit files, core = {0, 0};
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &core); /* a core would hold secrets */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Signals are read from a descriptor; every thread made later inherits that they are blocked. */
static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void start_rollout(struct otad *o)
{
    struct rollout *r = &o->rollout;
    bool guess = o->settings.broker == BROKER_EXTERNAL;
    str_copy(r->public_url, sizeof r->public_url, o->settings.public_url);
    seal_derive(&o->seal, "url", r->url_key);
    r->presence = presence_open(guess ? o->settings.presence_timeout_ms : 0);
    presence_clear(r->presence); /* until the link to the broker is up */
}

/* The operator's, alone; or those that setup_certificates looks after. */
static int find_certificates(struct otad *o, struct err *e)
{
    struct http_env *env = &o->http_env;
    const struct settings *s = &o->settings;
    str_copy(env->cert_dir, sizeof env->cert_dir, o->cert_dir);
    int rc = file_path(env->ca_path, o->cert_dir, "ca.pem", e);
    if (rc == 0 && *s->cert_file) {
        str_copy(env->cert_path, sizeof env->cert_path, s->cert_file);
        str_copy(env->key_path, sizeof env->key_path, s->key_file);
        return 0;
    }
    if (rc == 0)
        rc = file_path(env->cert_path, o->cert_dir, "server.pem", e);
    if (rc == 0)
        rc = file_path(env->key_path, o->cert_dir, "server.key", e);
    if (rc == 0 && s->tls_profile == TLS_COMPATIBLE)
        rc = file_path(env->rsa_cert_path, o->cert_dir, "server-rsa.pem", e);
    if (rc == 0 && s->tls_profile == TLS_COMPATIBLE)
        rc = file_path(env->rsa_key_path, o->cert_dir, "server-rsa.key", e);
    return rc;
}

static int start_http_env(struct otad *o, struct err *e)
{
    struct http_env *env = &o->http_env;
    *env = (struct http_env){.settings = &o->settings,
                             .store = o->store,
                             .blobs = o->blobs,
                             .rollout = &o->rollout,
                             .seal = &o->seal,
                             .signing_key = o->signing_key,
                             .started_at_ms = clock_wall_ms(),
                             .token_uses = token_uses_open(),
                             .wake = wake};
    keeper_serve(o->keeper, env);
    int rc = setup_token_key(o, env->token_key, e);
    return rc ? rc : find_certificates(o, e);
}

static void end_sessions(void *mqtt, const char *product, const char *device)
{
    mqtt_end_sessions(mqtt, product, device);
}

static int start_mqtt(struct otad *o, struct err *e)
{
    struct mqtt_env env = {.settings = &o->settings,
                           .store = o->store,
                           .rollout = &o->rollout,
                           .blobs = o->blobs,
                           .suspect = scrub_suspect,
                           .suspect_arg = o->scrub,
                           .wake = wake};
    /* a listener of mosquitto's has one certificate: the one that all devices can use */
    const struct http_env *h = &o->http_env;
    bool rsa = *h->rsa_cert_path;
    int rc = 0;
    if (o->settings.broker == BROKER_MANAGED)
        rc = broker_start(&o->settings, rsa ? h->rsa_cert_path : h->cert_path,
                          rsa ? h->rsa_key_path : h->key_path, &o->broker, e);
    if (rc == 0)
        rc = mqtt_start(&env, &o->mqtt, e);
    o->http_env.end_sessions = end_sessions;
    o->http_env.end_sessions_arg = o->mqtt;
    return rc;
}

/* Each step needs those before it. *exit_code is what a failure of the step means to who started us. */
static int start(struct otad *o, int *exit_code, struct err *e)
{
    bool renewed;
    *exit_code = EX_TEMPFAIL;
    int rc = setup_data_dir(o, e);
    if (rc < 0)
        return rc;
    *exit_code = EX_CONFIG;
    rc = disk_start(&o->disk, &o->settings, e);
    if (rc == 0)
        rc = file_path(o->cert_dir, o->settings.data_dir, "certs", e);
    if (rc == 0)
        rc = setup_check_restored(o, e);
    if (rc == 0)
        rc = setup_keys(o, e);
    if (rc == 0)
        setup_public_url(o);
    if (rc == 0)
        rc = setup_certificates(o, &renewed, e);
    if (rc == 0)
        setup_check_profile(o);
    if (rc == 0)
        rc = setup_store(o, e);
    if (rc == 0)
        rc = keeper_start(o, &o->keeper, e);
    if (rc == 0)
        rc = rekey_settle(o, e);
    if (rc == 0)
        rc = setup_blobs(o, e);
    if (rc == 0)
        rc = start_http_env(o, e);
    if (rc == 0)
        rc = setup_admin_token(o, e);
    if (rc < 0)
        return rc;
    *exit_code = EX_UNAVAILABLE;
    start_rollout(o);
    rc = scrub_start(&o->settings, o->store, o->blobs, &o->scrub, e);
    o->http_env.suspect = scrub_suspect;
    o->http_env.suspect_arg = o->scrub;
    if (rc == 0)
        rc = start_mqtt(o, e);
    if (rc == 0)
        rc = http_start(&o->http_env, &o->http, e);
    return rc;
}

/* In the opposite order; what never started is NULL. */
static void stop(struct otad *o)
{
    struct board_row check; /* damage stays on it, whoever has met it */
    if (o->keeper)
        keeper_halt(o->keeper);
    if (o->http)
        http_stop(o->http, DRAIN_MS);
    if (o->mqtt)
        mqtt_stop(o->mqtt);
    if (o->broker)
        broker_stop(o->broker);
    scrub_stop(o->scrub);
    if (o->store && o->rollout.presence)
        upkeep_minute(o);
    keeper_stop(o->keeper);
    if (o->store)
        store_close(o->store);
    board_get(BOARD_CHECK, &check);
    if (o->store && check.ok)
        setup_unmark(o);
    token_uses_close(o->http_env.token_uses);
    rollout_forget(&o->rollout);
    if (o->rollout.presence)
        presence_close(o->rollout.presence);
    if (o->blobs)
        blobs_close(o->blobs);
    if (o->signing_key)
        signing_key_close(o->signing_key);
    if (o->lock_fd >= 0)
        close(o->lock_fd);
}

static void greet_mqtt(const struct settings *s)
{
    const struct {
        int64_t port;
        const char *how;
    } ports[] = {{s->mqtt_port, "over TLS"},
                 {s->mqtt_cert_port, "over TLS with a client certificate"},
                 {s->mqtt_psk_port, "over TLS with a shared key"},
                 {s->mqtt_plain_port, "without TLS"}};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        if (ports[i].port)
            log_info("MQTT %s on port %lld", ports[i].how, (long long)ports[i].port);
}

static void greet(const struct otad *o)
{
    const struct settings *s = &o->settings;
    log_info("otad " OTAD_VERSION " serves %s (HTTPS on port %lld)", s->public_url, (long long)s->https_port);
    if (s->https_cert_port)
        log_info("HTTPS with a client certificate on port %lld", (long long)s->https_cert_port);
    if (s->broker == BROKER_MANAGED)
        greet_mqtt(s);
    else
        log_info("MQTT by the broker at %s:%lld", s->mqtt_host, (long long)s->mqtt_port);
    log_info("the CA that devices trust: %s", o->http_env.ca_path);
    log_info("the administrator's token: %s/admin.token", s->data_dir);
}

int daemon_run(const struct settings *settings)
{
    static struct otad o;
    struct err e;
    int exit_code = 0;
    o.settings = *settings;
    o.loaded = settings;
    o.lock_fd = -1;
    log_level_set((enum log_level)settings->log_level);
    prepare_process();
    int signal_fd = block_signals();
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_fd < 0 || wake_fd < 0) {
        log_error("cannot make the main loop's descriptors: %s", strerror(errno));
        return EX_OSERR;
    }
    if (start(&o, &exit_code, &e) < 0) {
        log_error("%s", e.text);
        if (e.code == ERR_NO_SPACE)
            exit_code = EX_TEMPFAIL;
        if (e.code == ERR_DAMAGED)
            setup_say_how_to_restore(&o);
    } else {
        exit_code = 0;
        greet(&o);
        loop(&o, signal_fd);
        log_info("stopping");
    }
    stop(&o);
    close(signal_fd);
    close(wake_fd);
    return exit_code;
}
