/* otad-sim: many simulated devices that take their updates from one otad. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "device.h"
#include "fleet.h"
#include "progress.h"

#include <curl/curl.h>
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOOK_MS 100
#define IDLE_MS 3000 /* all there, none busy, nothing moved for so long: idle */
#define MILLION 1000000
#define BILLION 1000000000

enum kind { KIND_TEXT, KIND_INT, KIND_FLAG, KIND_CHOICE };

struct row {
    const char *name;
    const char *value; /* as the help shows it; of a choice: its words */
    const char *fallback;
    const char *help;
    enum kind kind;
    size_t offset; /* in struct options */
    int64_t min, max;
};

#define AT(member) offsetof(struct options, member)
#define TEXT(name, value, def, at, help)                \
    {                                                   \
        name, value, def, help, KIND_TEXT, AT(at), 0, 0 \
    }
#define INT(name, def, at, low, up, help)               \
    {                                                   \
        name, "N", def, help, KIND_INT, AT(at), low, up \
    }
#define FLAG(name, at, help)                            \
    {                                                   \
        name, NULL, NULL, help, KIND_FLAG, AT(at), 0, 0 \
    }

static const struct row ROWS[] = {
    TEXT("mqtt", "HOST:PORT", NULL, mqtt, "the broker"),
    TEXT("https", "HOST:PORT", NULL, https, "where to fetch files, whatever their URLs say"),
    TEXT("ca", "FILE", NULL, ca, "CA of broker and HTTPS server; without it the system's"),
    FLAG("plain", plain, "MQTT without TLS"),
    TEXT("protocol", "NAME", "native", protocol, "what the devices speak: native, aliyun, onenet, aws"),
    TEXT("product", "KEY", NULL, product, "the devices' product"),
    INT("devices", "10", devices, 1, MILLION, "how many; of --secrets at most"),
    TEXT("name-prefix", "TEXT", "sim-", name_prefix, "names are this and a number of five digits"),
    INT("first", "1", first, 1, BILLION, "number of the first device"),
    TEXT("secret", "TEXT", NULL, secret, "every device's password: the product's enrolment secret"),
    TEXT("secrets", "FILE", NULL, secrets,
         "instead of product, prefix and secret: CSV of product,name,secret"),
    TEXT("certs", "DIR", NULL, certs, "aws: NAME.pem and NAME.key of each device, instead of a secret"),
    TEXT("version", "TEXT", "1.0.0", version, "reported at the start"),
    TEXT("next-version", "TEXT", "2.0.0", next_version, "brought by offers that name none: onenet"),
    TEXT("module", "NAME", "default", module, "reported, and taken offers for"),
    {"transfer", "auto|https|mqtt", "auto", "how devices fetch files: aliyun, aws", KIND_CHOICE, AT(path), 0,
     0},
    {"streams", "cbor|json", "cbor", "aws: how blocks come over MQTT", KIND_CHOICE, AT(json_streams), 0, 0},
    INT("block-bytes", "10240", block_bytes, WIRE_BLOCK_MIN, WIRE_BLOCK_MAX, "of a block over MQTT"),
    INT("connect-rate", "200", connect_rate, 1, MILLION, "sessions begun a second"),
    INT("max-downloads", "64", max_downloads, 1, 10000, "by HTTPS at a time; other devices wait"),
    INT("rate-bytes", "0", rate_bytes, 0, BILLION, "a second and download; 0 unlimited"),
    INT("drop-pct", "0", drop_pct, 0, 100, "of the devices: download cut midway once, and resumed"),
    INT("mqtt-drop-pct", "0", mqtt_drop_pct, 0, 100,
        "of the devices: MQTT session dies during the download once"),
    INT("fail-pct", "0", fail_pct, 0, 100, "of the devices: first attempt reports that verifying failed"),
    INT("never-pct", "0", never_pct, 0, 100, "of the devices: stop for ever while installing"),
    INT("install-ms", "500", install_ms, 0, BILLION, "installing takes about so long"),
    FLAG("reboot", reboot, "after installing the session ends, and begins again with the new version"),
    INT("reboot-ms", "500", reboot_ms, 0, BILLION, "a reboot takes about so long"),
    INT("seed", "1", seed, 0, BILLION, "chooses the devices to which things happen"),
    INT("threads", "1", threads, 1, 64, "each with its share of the devices"),
    {"until", "done|idle|stopped", "done", "when to end", KIND_CHOICE, AT(until), 0, 0},
    INT("duration", "0", duration_s, 0, BILLION, "seconds after which it ends anyway; 0 never"),
    FLAG("json", json, "the summary as one JSON object"),
    FLAG("quiet", quiet, "no line of progress, and only errors in the log"),
    FLAG("help", help, "this"),
};

/* ---- arguments */

static void print_help(void)
{
    puts("usage: otad-sim --mqtt HOST:PORT (--ca FILE | --plain) --product KEY --secret TEXT [--devices N] "
         "...");
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        char left[48];
        snprintf(left, sizeof left, "--%s %s", ROWS[i].name, ROWS[i].value ? ROWS[i].value : "");
        printf("  %-28s %s%s%s%s\n", left, ROWS[i].help, ROWS[i].fallback ? " (" : "",
               ROWS[i].fallback ? ROWS[i].fallback : "", ROWS[i].fallback ? ")" : "");
    }
    puts("Ends with 0 when what --until says was reached, or on TERM and INT; with 1 otherwise. done: every "
         "device is on the\n"
         "new version or stuck on purpose. idle: all are connected and have nothing to do.");
}

/* The position of word among words "a|b|c"; -1 when it is not there. */
static int64_t choice_parse(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (int64_t i = 0; words; i++) {
        if (strncmp(words, word, len) == 0 && (words[len] == '|' || words[len] == '\0'))
            return i;
        words = strchr(words, '|');
        words += words != NULL;
    }
    return -1;
}

static int set_option(const struct row *row, const char *value, struct options *o, struct err *e)
{
    void *at = (char *)o + row->offset;
    uint64_t n;
    switch (row->kind) {
    case KIND_TEXT:
        *(const char **)at = value;
        return 0;
    case KIND_FLAG:
        *(bool *)at = true;
        return 0;
    case KIND_INT:
        if (!str_to_uint(value, (uint64_t)row->max, &n) || (int64_t)n < row->min)
            return err_set(e, ERR_INVALID, "--%s must be a number from %lld to %lld", row->name,
                           (long long)row->min, (long long)row->max);
        *(int64_t *)at = (int64_t)n;
        return 0;
    case KIND_CHOICE:
        *(int64_t *)at = choice_parse(row->value, value);
        if (*(int64_t *)at < 0)
            return err_set(e, ERR_INVALID, "--%s must be one of %s", row->name, row->value);
        return 0;
    }
    return 0;
}

static const struct row *find_row(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++)
        if (strlen(ROWS[i].name) == len && strncmp(ROWS[i].name, name, len) == 0)
            return &ROWS[i];
    return NULL;
}

/* "--name value", "--name=value" and "--flag". */
static int read_arguments(int argc, char **argv, struct options *o, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++)
        if (ROWS[i].fallback && set_option(&ROWS[i], ROWS[i].fallback, o, e))
            return -(int)e->code;
    for (int i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const struct row *row =
            len > 2 && strncmp(argv[i], "--", 2) == 0 ? find_row(argv[i] + 2, len - 2) : NULL;
        const char *value = equals ? equals + 1 : NULL;
        if (!row)
            return err_set(e, ERR_INVALID, "unknown option %s; --help lists them", argv[i]);
        if (row->kind == KIND_FLAG && value)
            return err_set(e, ERR_INVALID, "--%s takes no value", row->name);
        if (row->kind != KIND_FLAG && !value && !(value = argv[++i]))
            return err_set(e, ERR_INVALID, "--%s needs a value", row->name);
        if (set_option(row, value, o, e))
            return -(int)e->code;
    }
    return 0;
}

/* "host:port", "[address]:port". */
static int split_address(const char *option, const char *text, char host[HOST_SIZE], int *port, struct err *e)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t n;
    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_SIZE || !str_to_uint(colon + 1, 65535, &n) || n == 0)
        return err_set(e, ERR_INVALID, "--%s must be HOST:PORT", option);
    memcpy(host, text, len);
    host[len] = '\0';
    *port = (int)n;
    return 0;
}

static int check_options(struct options *o, struct err *e)
{
    if (!o->mqtt)
        return err_set(e, ERR_INVALID, "--mqtt is missing; --help lists the options");
    const struct wire *wire = wire_by_name(o->protocol);
    if (!wire)
        return err_set(e, ERR_INVALID, "--protocol must be native, aliyun, onenet or aws");
    if (wire->certificate && (!o->certs || o->plain))
        return err_set(e, ERR_INVALID, "%s devices log in with certificates over TLS: --certs", wire->name);
    if (o->path == WIRE_PATH_MQTT && !wire->ask)
        return err_set(e, ERR_INVALID, "%s has no files over MQTT", wire->name);
    if (!o->secrets && (!o->product || !(o->secret || wire->certificate)))
        return err_set(e, ERR_INVALID, "either --product and --secret, or --secrets");
    if (o->product && !str_is_name(o->product, PRODUCT_SIZE))
        return err_set(e, ERR_INVALID, "--product must be 1 to 64 of A-Z a-z 0-9 _ . : @ -");
    if (!str_is_name(o->name_prefix, DEVICE_SIZE - 10))
        return err_set(e, ERR_INVALID, "--name-prefix must be 1 to 118 of A-Z a-z 0-9 _ . : @ -");
    if (o->ca && access(o->ca, R_OK) != 0)
        return err_errno(e, "cannot read %s", o->ca);
    char host[HOST_SIZE]; /* libcurl takes the text as it is */
    int port;
    if (o->https && split_address("https", o->https, host, &port, e) < 0)
        return -(int)e->code;
    return split_address("mqtt", o->mqtt, o->host, &o->port, e);
}

/* ---- running */

static int64_t in_work(struct tally *t, enum work work)
{
    return atomic_load_explicit(&t->in_work[work], memory_order_relaxed);
}

struct watch { /* how long nothing has moved */
    uint64_t moves;
    int64_t since_ms;
};

static bool reached(const struct options *o, struct tally *t, struct watch *w, int64_t now_ms)
{
    int64_t devices = (int64_t)tally_get(t, TALLY_DEVICES);
    int64_t ended = in_work(t, WORK_DONE) + in_work(t, WORK_STUCK);
    uint64_t moves = atomic_load_explicit(&t->moves, memory_order_relaxed);
    bool all_there = atomic_load_explicit(&t->online, memory_order_relaxed) == devices;
    if (moves != w->moves || !all_there || ended + in_work(t, WORK_IDLE) != devices) {
        w->moves = moves;
        w->since_ms = now_ms;
    }
    if (o->until == UNTIL_DONE)
        return ended == devices;
    return o->until == UNTIL_IDLE && now_ms - w->since_ms >= IDLE_MS;
}

static bool signalled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, LOOK_MS) > 0;
}

/* Signals come by a descriptor, so they are blocked before the first thread starts. */
static int block_signals(struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_errno(e, "cannot block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd >= 0 ? fd : err_errno(e, "cannot wait for signals");
}

/* True when the goal was reached or a person ended it. */
static bool watch_fleet(const struct options *o, struct tally *t, int signals)
{
    struct progress progress;
    struct watch watch = {.since_ms = clock_mono_ms()};
    int64_t now_ms = watch.since_ms;
    int64_t end_ms = o->duration_s ? now_ms + o->duration_s * 1000 : INT64_MAX;
    bool asked = false, goal = false;
    progress_begin(&progress, o->quiet);
    while (!asked && !goal && now_ms < end_ms) {
        asked = signalled(signals);
        now_ms = clock_mono_ms();
        goal = reached(o, t, &watch, now_ms);
        progress_draw(&progress, t, now_ms);
    }
    progress_end(&progress);
    return asked || goal || o->until == UNTIL_STOPPED;
}

static int run(const struct options *o, struct err *e)
{
    struct tally tally = {0};
    struct fleet *fleet;
    int64_t *spans_ms;
    int64_t from_ms = clock_mono_ms();
    int signals = block_signals(e);
    int rc = signals < 0 ? signals : fleet_start(o, &tally, &fleet, e);
    if (rc)
        return rc;
    struct summary summary = {.tally = &tally, .goal_reached = watch_fleet(o, &tally, signals)};
    summary.took_ms = clock_mono_ms() - from_ms;
    fleet_stop(fleet);
    summary.spans = fleet_spans(fleet, &spans_ms);
    summary.spans_ms = spans_ms;
    if (o->json)
        summary_print_json(&summary);
    else
        summary_print(&summary);
    free(spans_ms);
    fleet_free(fleet);
    close(signals);
    return summary.goal_reached ? 0 : err_set(e, ERR_INTERNAL, "the time was over before all was done");
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct err e;
    if (read_arguments(argc, argv, &options, &e) || (!options.help && check_options(&options, &e))) {
        fprintf(stderr, "otad-sim: %s\n", e.text);
        return 2;
    }
    if (options.help) {
        print_help();
        return 0;
    }
    if (options.quiet)
        log_level_set(LOG_LEVEL_ERROR);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    mosquitto_lib_init();
    int rc = run(&options, &e);
    if (rc)
        fprintf(stderr, "otad-sim: %s\n", e.text);
    mosquitto_lib_cleanup();
    curl_global_cleanup();
    return rc ? 1 : 0;
}
