#include "config/settings.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/nets.h"
#include "base/str.h"

#include <ctype.h>
#include <ini.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum setting_kind { SETTING_TEXT, SETTING_INT, SETTING_SPAN, SETTING_CHOICE };

static const char *const broker_modes[] = {"managed", "external", NULL};
static const char *const tls_profiles[] = {"modern", "compatible", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

/* Every setting: the one place. conf/otad.conf and docs/settings.md are made from it. */
#define AT(member) offsetof(struct settings, member), sizeof(((struct settings *)0)->member)
static const struct setting_row {
    const char *key;
    enum setting_kind kind;
    size_t offset, size;
    const char *fallback;
    int64_t min, max;
    const char *const *choices;
    const char *help;
} rows[] = {
    {"data_dir", SETTING_TEXT, AT(data_dir), "data", 0, 0, NULL,
     "store, firmware, certificates, keys: all that otad keeps"},
    {"https_listen", SETTING_TEXT, AT(https_listen), "::", 0, 0, NULL,
     "address to listen on for HTTPS (and HTTP); :: is every address, IPv4 too"},
    {"https_port", SETTING_INT, AT(https_port), "8443", 1, 65535, NULL, "port of HTTPS"},
    {"https_cert_port", SETTING_INT, AT(https_cert_port), "0", 0, 65535, NULL,
     "port of HTTPS for devices that show a certificate (docs/tls.md); 0 is off"},
    {"public_url", SETTING_TEXT, AT(public_url), "", 0, 0, NULL,
     "the URL devices reach otad by, as in https://ota.lan:8443; offers carry it"},
    {"http_port", SETTING_INT, AT(http_port), "0", 0, 65535, NULL,
     "port of plain HTTP, for devices that cannot do TLS; 0 is off"},
    {"broker", SETTING_CHOICE, AT(broker), "managed", 0, 0, broker_modes,
     "managed: otad runs its own mosquitto; external: it connects to mqtt_host"},
    {"mqtt_port", SETTING_INT, AT(mqtt_port), "8883", 1, 65535, NULL, "port of MQTT over TLS"},
    {"mqtt_plain_port", SETTING_INT, AT(mqtt_plain_port), "0", 0, 65535, NULL,
     "managed: port of MQTT without TLS; 0 is off"},
    {"mqtt_cert_port", SETTING_INT, AT(mqtt_cert_port), "0", 0, 65535, NULL,
     "managed: port of MQTT over TLS for devices that log in by a certificate, as those of AWS; 0 is off"},
    {"mqtt_psk_port", SETTING_INT, AT(mqtt_psk_port), "0", 0, 65535, NULL,
     "managed: port of MQTT over TLS with a shared key, as some of Aliyun's devices have it; 0 is off"},
    {"mqtt_host", SETTING_TEXT, AT(mqtt_host), "", 0, 0, NULL, "external: the broker's host name"},
    {"mqtt_username", SETTING_TEXT, AT(mqtt_username), "otad", 0, 0, NULL,
     "external: otad's user name at the broker"},
    {"mqtt_password_file", SETTING_TEXT, AT(mqtt_password_file), "", 0, 0, NULL,
     "external: the file that holds otad's password at the broker"},
    {"mqtt_ca", SETTING_TEXT, AT(mqtt_ca), "", 0, 0, NULL,
     "external: PEM file of the CA that signed the broker's certificate; empty connects without TLS"},
    {"cert_file", SETTING_TEXT, AT(cert_file), "", 0, 0, NULL,
     "certificate chain of HTTPS and MQTT; empty: otad makes and renews its own"},
    {"key_file", SETTING_TEXT, AT(key_file), "", 0, 0, NULL, "private key of cert_file"},
    {"tls_profile", SETTING_CHOICE, AT(tls_profile), "modern", 0, 0, tls_profiles,
     "modern; or compatible: RSA and AES-CBC too, for devices that know nothing newer (docs/tls.md)"},
    {"log_level", SETTING_CHOICE, AT(log_level), "info", 0, 0, log_levels,
     "error, warn, info or debug; HUP reads it again"},
    {"max_upload_bytes", SETTING_INT, AT(max_upload_bytes), "4294967296", 1024, 1LL << 40, NULL,
     "largest firmware file that is taken"},
    {"min_free_bytes", SETTING_INT, AT(min_free_bytes), "268435456", 0, 1LL << 40, NULL,
     "free space in data_dir that uploads leave; 0 is none (docs/operations.md)"},
    {"ballast_bytes", SETTING_INT, AT(ballast_bytes), "16777216", 0, 1LL << 32, NULL,
     "size of the file that is given up when the disk is full; 0 keeps none"},
    {"scrub_every", SETTING_SPAN, AT(scrub_every_ms), "7d", 1000, 366LL * 86400000, NULL,
     "so often every firmware file is read again and held against its SHA-256"},
    {"scrub_bytes_per_second", SETTING_INT, AT(scrub_bytes_per_second), "20000000", 0, 1LL << 40, NULL,
     "and no faster than this; 0 leaves it out"},
    {"keep_executions", SETTING_SPAN, AT(keep_executions_ms), "730d", 0, 10000LL * 86400000, NULL,
     "executions are kept for so long after the end of their campaign; 0d for ever (docs/operations.md)"},
    {"keep_timeline", SETTING_SPAN, AT(keep_timeline_ms), "365d", 0, 10000LL * 86400000, NULL,
     "lines of the devices' timelines are kept for so long; 0d for ever"},
    {"keep_audit", SETTING_SPAN, AT(keep_audit_ms), "1825d", 0, 10000LL * 86400000, NULL,
     "lines of the audit are kept for so long; 0d for ever"},
    {"keep_rows", SETTING_INT, AT(keep_rows), "20000000", 0, 1LL << 40, NULL,
     "and of each of the three no more than so many, if the rest may go; 0 any number"},
    {"mosquitto", SETTING_TEXT, AT(mosquitto), "/usr/sbin/mosquitto", 0, 0, NULL,
     "managed: the broker's program"},
    {"broker_plugin", SETTING_TEXT, AT(broker_plugin), "", 0, 0, NULL,
     "managed: otad_broker.so; empty: beside otad, else where make install puts it"},
    {"http_threads", SETTING_INT, AT(http_threads), "0", 0, 256, NULL,
     "threads that serve HTTP; 0 is one a core"},
    {"max_connections", SETTING_INT, AT(max_connections), "10000", 16, 1000000, NULL,
     "HTTP connections open at once; more wait"},
    {"max_connections_per_address", SETTING_INT, AT(max_connections_per_address), "0", 0, 1000000, NULL,
     "of one address, of IPv6 one /64; more are closed; 0 is half of max_connections (docs/limits.md)"},
    {"trusted_nets", SETTING_TEXT, AT(trusted_nets), "127.0.0.0/8, ::1", 0, 0, NULL,
     "networks that no limit of an address and no slowing of logins holds for, separated by commas"},
    {"header_timeout", SETTING_SPAN, AT(header_timeout_ms), "10s", 1000, 3600000, NULL,
     "how long a TLS handshake and the head of a request may take together"},
    {"min_rate", SETTING_INT, AT(min_rate), "1024", 1, 1 << 30, NULL,
     "bytes a second below which uploads (over 15s) and downloads (over 1m) are cut"},
    {"login_failures", SETTING_INT, AT(login_failures), "20", 0, 1000000, NULL,
     "failed logins a minute of one address under one name before it is slowed; 0 is off"},
    {"login_failures_per_address", SETTING_INT, AT(login_failures_per_address), "2000", 0, 1000000, NULL,
     "the same under all names: behind NAT a whole fleet is one address; 0 is off"},
    {"max_waiting", SETTING_INT, AT(max_waiting), "2000", 1, 1000000, NULL,
     "requests that wait for the store's writer at once; more are answered 503 with Retry-After"},
    {"backup_dir", SETTING_TEXT, AT(backup_dir), "", 0, 0, NULL,
     "folder for backups, this otad's alone; empty: backups/ in data_dir, which does not survive the disk"},
    {"backup_every", SETTING_SPAN, AT(backup_every_ms), "24h", 0, 10000LL * 86400000, NULL,
     "a backup is made when the newest one is so old; 0s: only when it is asked for (docs/backup.md)"},
    {"backup_keep", SETTING_INT, AT(backup_keep), "7", 1, 1000, NULL,
     "backups that are kept; when there are more, the oldest go"},
    {"presence_timeout", SETTING_SPAN, AT(presence_timeout_ms), "5m", 1000, 86400000, NULL,
     "external broker without otad's plugin: a device counts as there for so long after it was heard"},
};

static int refuse(const struct setting_row *row, const char *value, const char *allowed, struct err *e)
{
    return err_field(e, ERR_INVALID, row->key, "setting %s cannot be \"%.80s\": %s", row->key, value,
                     allowed);
}

static int set_choice(const struct setting_row *row, const char *value, int64_t *out, struct err *e)
{
    char allowed[128] = "one of";
    for (int i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], value) == 0) {
            *out = i;
            return 0;
        }
        size_t n = strlen(allowed);
        snprintf(allowed + n, sizeof allowed - n, " %s", row->choices[i]);
    }
    return refuse(row, value, allowed, e);
}

static int set_value(const struct setting_row *row, const char *value, struct settings *out, struct err *e)
{
    void *member = (char *)out + row->offset;
    char allowed[80];
    uint64_t n;
    int64_t span;
    snprintf(allowed, sizeof allowed, "a whole number from %lld to %lld", (long long)row->min,
             (long long)row->max);
    switch (row->kind) {
    case SETTING_TEXT:
        if (*value && !str_is_text(value, row->size))
            return refuse(row, value, "too long, or with control characters", e);
        str_copy(member, row->size, value);
        return 0;
    case SETTING_INT:
        if (!str_to_uint(value, (uint64_t)row->max, &n) || (int64_t)n < row->min)
            return refuse(row, value, allowed, e);
        *(int64_t *)member = (int64_t)n;
        return 0;
    case SETTING_SPAN:
        if (clock_span_parse(value, &span) < 0 || span < row->min || span > row->max)
            return refuse(row, value, "a span such as 30s, 5m, 2h or 1d", e);
        *(int64_t *)member = span;
        return 0;
    case SETTING_CHOICE:
        return set_choice(row, value, member, e);
    }
    return refuse(row, value, "its kind is not known", e);
}

static int set_key(const char *key, const char *value, struct settings *out, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].key, key) == 0)
            return set_value(&rows[i], value, out, e);
    return err_field(e, ERR_INVALID, "settings", "there is no setting \"%.60s\"; otad -D lists them", key);
}

struct file_reader {
    struct settings *out;
    struct err *e;
};

static int on_ini_line(void *arg, const char *section, const char *key, const char *value)
{
    struct file_reader *reader = arg;
    if (*section) {
        err_set(reader->e, ERR_INVALID, "the settings file has no sections, but holds [%.60s]", section);
        return 0;
    }
    return set_key(key, value, reader->out, reader->e) == 0;
}

static int read_file(const char *file, struct settings *out, struct err *e)
{
    struct file_reader reader = {out, e};
    FILE *f = fopen(file, "re");
    if (!f)
        return err_errno(e, "cannot read the settings file %s", file);
    e->code = ERR_NONE;
    int line = ini_parse_file(f, on_ini_line, &reader);
    fclose(f);
    if (line == 0)
        return 0;
    if (e->code == ERR_NONE)
        err_set(e, ERR_INVALID, "not a line of the form key = value");
    return err_wrap(e, "%s, line %d", file, line);
}

static int read_environment(struct settings *out, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char name[64] = "OTAD_";
        for (size_t k = 0; rows[i].key[k]; k++)
            name[5 + k] = (char)toupper((unsigned char)rows[i].key[k]);
        const char *value = getenv(name);
        if (value && set_value(&rows[i], value, out, e) < 0)
            return err_wrap(e, "environment %s", name);
    }
    return 0;
}

static int read_overrides(char *const overrides[], size_t n, struct settings *out, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        char key[64];
        const char *equals = strchr(overrides[i], '=');
        size_t len = equals ? (size_t)(equals - overrides[i]) : 0;
        if (len == 0 || len >= sizeof key)
            return err_set(e, ERR_INVALID, "-o takes key=value, not \"%.60s\"", overrides[i]);
        memcpy(key, overrides[i], len);
        key[len] = '\0';
        if (set_key(key, equals + 1, out, e) < 0)
            return -(int)e->code;
    }
    return 0;
}

/* The managed broker would end again and again, and say so only in its own words. */
static int check_mqtt_ports(const struct settings *s, struct err *e)
{
    const int64_t ports[] = {s->mqtt_port, s->mqtt_plain_port, s->mqtt_cert_port, s->mqtt_psk_port};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        for (size_t k = 0; k < i; k++)
            if (ports[i] && ports[i] == ports[k])
                return err_field(e, ERR_INVALID, "mqtt_port", "port %lld is given to two listeners for MQTT",
                                 (long long)ports[i]);
    return 0;
}

static int check_nets(const struct settings *s, struct err *e)
{
    struct nets ignored;
    struct err inner;
    if (nets_parse(s->trusted_nets, &ignored, &inner) == 0)
        return 0;
    return err_field(e, ERR_INVALID, "trusted_nets", "setting trusted_nets: %s", inner.text);
}

/* Rules that no single row can hold. */
static int check_together(struct settings *s, struct err *e)
{
    size_t n = strlen(s->public_url);
    while (n > 0 && s->public_url[n - 1] == '/')
        s->public_url[--n] = '\0';
    if (n > 0 && strncmp(s->public_url, "https://", 8) != 0 && strncmp(s->public_url, "http://", 7) != 0)
        return err_field(e, ERR_INVALID, "public_url",
                         "setting public_url must begin with https:// or http://");
    if (s->broker == BROKER_EXTERNAL && !*s->mqtt_host)
        return err_field(e, ERR_INVALID, "mqtt_host", "broker = external needs mqtt_host");
    if (!*s->cert_file != !*s->key_file)
        return err_field(e, ERR_INVALID, "cert_file", "cert_file and key_file go together");
    if (!*s->data_dir)
        return err_field(e, ERR_INVALID, "data_dir", "data_dir cannot be empty");
    int rc = check_nets(s, e);
    return rc ? rc : check_mqtt_ports(s, e);
}

int settings_load(const char *file, char *const overrides[], size_t n, struct settings *out, struct err *e)
{
    struct settings s = {.file = file, .overrides = overrides, .override_count = n};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows) && rc == 0; i++)
        rc = set_value(&rows[i], rows[i].fallback, &s, e);
    if (rc == 0 && file)
        rc = read_file(file, &s, e);
    if (rc == 0)
        rc = read_environment(&s, e);
    if (rc == 0)
        rc = read_overrides(overrides, n, &s, e);
    if (rc == 0)
        rc = check_together(&s, e);
    if (rc == 0)
        *out = s;
    return rc;
}

int settings_again(const struct settings *old, struct settings *out, struct err *e)
{
    return settings_load(old->file, old->overrides, old->override_count, out, e);
}

const char *settings_differ(const struct settings *a, const struct settings *b, size_t *at)
{
    while (*at < ARRAY_SIZE(rows)) {
        const struct setting_row *row = &rows[(*at)++];
        const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
        bool same = row->kind == SETTING_TEXT ? strcmp(x, y) == 0 : memcmp(x, y, row->size) == 0;
        if (!same)
            return row->key;
    }
    return NULL;
}

void settings_print(FILE *out)
{
    fputs("# otad.conf: every setting with its default. OTAD_<KEY> in the environment overrides this file,\n"
          "# -o key=value on the command line overrides both.\n",
          out);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        fprintf(out, "\n# %s\n%s%s =%s%s\n", rows[i].help, *rows[i].fallback ? "" : "#", rows[i].key,
                *rows[i].fallback ? " " : "", rows[i].fallback);
}
