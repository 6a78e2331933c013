#include "mqtt/broker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "broker_conf.h"
#include "broker_log.h"
#include "model/board.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESTART_MIN_MS 1000
#define RESTART_MAX_MS 30000
#define STABLE_MS      10000 /* one that lived so long was a good one */
#define LEFTOVER_MS    3000  /* what the broker of an otad that was killed gets to end by itself */
#define STOP_MS        5000
#define LOCK_FD        3 /* in the child */

struct broker {
    struct settings settings;
    struct broker_paths paths;
    pid_t pid; /* 0: it does not run */
    int64_t started_ms, start_at_ms;
    unsigned failures;
    char told[200];
    struct broker_log *log;
};

static void sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* ---- what must be so before a start */

/* The lock is held by whatever broker runs on this directory, through a descriptor it inherits: when otad was
 * killed its broker still stores its queue, and the next one must not read it before. */
static int try_lock(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int rc = errno == EWOULDBLOCK ? err_set(e, ERR_BUSY, "the broker of an earlier otad has not ended yet")
                                  : err_errno(e, "cannot lock %s", path);
    close(fd);
    return rc;
}

/* Who holds the lock wrote its number into it. */
static void kill_leftover(const char *path)
{
    char text[32];
    struct err e;
    size_t len;
    if (file_read(path, text, sizeof text, &len, &e) < 0)
        return;
    long pid = strtol(text, NULL, 10);
    if (pid > 1) {
        log_warn("the broker of an earlier otad does not end, process %ld is killed", pid);
        kill((pid_t)pid, SIGKILL);
    }
}

/* The first start has the patience that an end takes; later ones come back anyway. */
static int take_lock(const char *path, bool patient, struct err *e)
{
    int64_t begun_ms = clock_mono_ms();
    bool killed = false;
    for (;;) {
        int fd = try_lock(path, e);
        int64_t waited_ms = clock_mono_ms() - begun_ms;
        if (fd != -ERR_BUSY || !patient || waited_ms > 2 * LEFTOVER_MS)
            return fd;
        if (!killed && waited_ms > LEFTOVER_MS) {
            kill_leftover(path);
            killed = true;
        }
        sleep_ms(20);
    }
}

/* The broker would end and say so in its own words, again and again; here it is a sentence with the port in
 * it. */
static int check_port(int64_t port, struct err *e)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const struct sockaddr *addresses[] = {(struct sockaddr *)&six, (struct sockaddr *)&four};
    const socklen_t sizes[] = {sizeof six, sizeof four};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        int fd FD_AUTO = socket(addresses[i]->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (addresses[i]->sa_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (bind(fd, addresses[i], sizes[i]) < 0 && (errno == EADDRINUSE || errno == EACCES))
            return err_set(e, ERR_CONFLICT, "port %d for MQTT cannot be used: %s", (int)port,
                           strerror(errno));
    }
    return 0;
}

/* ---- the child */

/* Between fork and exec, beside other threads: only what a signal handler might call. */
static void become_broker(const struct broker *b, pid_t parent, int lock_fd, int log_fd)
{
    sigset_t none;
    char *const args[] = {(char *)b->settings.mosquitto, "-c", (char *)b->paths.conf, NULL};
    /* TERM: it stores its queue before it ends, so that nothing it acknowledged is lost when otad is killed
     */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    setpgid(0, 0); /* a ^C in the terminal is for otad, which stops its broker last */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    int null_fd = open("/dev/null", O_RDWR);
    /* the lock goes last: the descriptor it has may be one of those that are overwritten */
    int high = fcntl(lock_fd, F_DUPFD, 10), high_log = fcntl(log_fd, F_DUPFD, 10);
    if (null_fd < 0 || high < 0 || high_log < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(high_log, STDOUT_FILENO) < 0 || dup2(high_log, STDERR_FILENO) < 0 || dup2(high, LOCK_FD) < 0)
        _exit(126);
    closefrom(LOCK_FD + 1);
    execv(args[0], args);
    _exit(127);
}

static int spawn(struct broker *b, int lock_fd, struct err *e)
{
    int pipe_fd[2];
    if (pipe2(pipe_fd, O_CLOEXEC) < 0)
        return err_errno(e, "cannot make a pipe");
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        become_broker(b, self, lock_fd, pipe_fd[1]);
    int rc = pid < 0 ? err_errno(e, "cannot start the broker") : 0;
    close(pipe_fd[1]);
    if (rc < 0) {
        close(pipe_fd[0]);
        return rc;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)pid);
    if (ftruncate(lock_fd, 0) < 0 || pwrite(lock_fd, text, (size_t)n, 0) != n)
        log_warn("cannot note the broker's process: %s", strerror(errno));
    b->pid = pid;
    b->log = broker_log_start(pipe_fd[0]);
    return 0;
}

static int start(struct broker *b, bool patient, struct err *e)
{
    const struct settings *s = &b->settings;
    int rc = file_make_dir(b->paths.dir, 0700, e);
    if (rc < 0)
        return rc;
    int lock_fd = take_lock(b->paths.lock, patient, e);
    if (lock_fd < 0)
        return lock_fd;
    const int64_t ports[] = {s->mqtt_port, s->mqtt_plain_port, s->mqtt_cert_port, s->mqtt_psk_port};
    for (size_t i = 0; i < ARRAY_SIZE(ports) && rc == 0; i++)
        rc = ports[i] ? check_port(ports[i], e) : 0;
    if (rc == 0)
        rc = broker_conf_write(s, &b->paths, e);
    if (rc == 0) {
        unlink(b->paths.socket);
        rc = spawn(b, lock_fd, e);
    }
    close(lock_fd); /* the child has its own */
    b->started_ms = clock_mono_ms();
    return rc;
}

/* ---- its life */

/* The same reason again and again is said once. */
static void tell(struct broker *b, const char *why)
{
    board_set(BOARD_BROKER, false, "%s", why);
    if (strncmp(b->told, why, sizeof b->told - 1) == 0)
        return;
    snprintf(b->told, sizeof b->told, "%s", why);
    log_error("the broker does not run: %s", why);
}

static void try_start(struct broker *b, bool patient)
{
    struct err e;
    if (start(b, patient, &e) == 0)
        return;
    b->start_at_ms = clock_mono_ms() + RESTART_MIN_MS;
    tell(b, e.text);
}

int broker_start(const struct settings *settings, const char *cert_path, const char *key_path,
                 struct broker **out, struct err *e)
{
    if (access(settings->mosquitto, X_OK) < 0)
        return err_field(e, ERR_INVALID, "mosquitto",
                         "mosquitto %.200s: %s (is the package mosquitto installed?)", settings->mosquitto,
                         strerror(errno));
    struct broker *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_INTERNAL, "out of memory");
    b->settings = *settings;
    int rc = broker_paths_find(settings, cert_path, key_path, &b->paths, e);
    if (rc < 0) {
        free(b);
        return rc;
    }
    board_set(BOARD_BROKER, false, "the broker is starting");
    try_start(b, true);
    *out = b;
    return 0;
}

/* A broker that finds no room for its file leaves half of it, says nothing, and cannot begin with it later.
 * What it held is lost; what is due is offered again, and devices repeat what they say. */
static void put_aside(const struct broker *b)
{
    char path[FILE_PATH_SIZE], aside[FILE_PATH_SIZE];
    struct err e;
    if (file_path(path, b->paths.dir, "mosquitto.db", &e) < 0 ||
        file_path(aside, b->paths.dir, "mosquitto.db.damaged", &e) < 0)
        return;
    if (rename(path, aside) == 0)
        log_error("the broker's file %s is damaged and put aside: what waited in it is lost", path);
    else
        log_error("the broker's file %s is damaged: %s", path, strerror(errno));
}

static void ended(struct broker *b)
{
    b->pid = 0;
    if (broker_log_join(b->log))
        put_aside(b);
    b->log = NULL;
}

bool broker_reap(struct broker *b, pid_t pid, int status)
{
    char why[200];
    int64_t now_ms = clock_mono_ms(), after_ms = RESTART_MIN_MS;
    if (b->pid == 0 || pid != b->pid)
        return false;
    ended(b);
    b->failures = now_ms - b->started_ms > STABLE_MS ? 0 : b->failures + 1;
    for (unsigned i = 1; i < b->failures && after_ms < RESTART_MAX_MS; i++)
        after_ms *= 2;
    if (after_ms > RESTART_MAX_MS)
        after_ms = RESTART_MAX_MS;
    b->start_at_ms = now_ms + after_ms;
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "it was ended by signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof why, "it ended with status %d", WEXITSTATUS(status));
    b->told[0] = '\0';
    tell(b, why);
    return true;
}

void broker_tick(struct broker *b, int64_t now_ms)
{
    if (b->pid == 0 && now_ms >= b->start_at_ms)
        try_start(b, false);
}

void broker_reload(struct broker *b)
{
    if (b->pid)
        kill(b->pid, SIGHUP);
}

void broker_stop(struct broker *b)
{
    int64_t end_ms = clock_mono_ms() + STOP_MS;
    if (b->pid) {
        kill(b->pid, SIGTERM);
        while (waitpid(b->pid, NULL, WNOHANG) == 0) {
            if (clock_mono_ms() > end_ms)
                kill(b->pid, SIGKILL);
            sleep_ms(10);
        }
        ended(b);
    }
    unlink(b->paths.socket);
    unlink(b->paths.password);
    free(b);
}
