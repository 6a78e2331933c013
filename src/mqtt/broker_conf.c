#include "broker_conf.h"

#include "base/digest.h"
#include "base/str.h"
#include "mqtt/broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* The plugin as set, else beside otad's own file, else where it is installed. */
static int find_plugin(const struct settings *s, char out[FILE_PATH_SIZE], struct err *e)
{
    if (*s->broker_plugin) {
        if (!realpath(s->broker_plugin, out))
            return err_field(e, ERR_INVALID, "broker_plugin", "broker_plugin %.200s is not there",
                             s->broker_plugin);
        return 0;
    }
    char self[FILE_PATH_SIZE];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    if (slash && file_path(out, self, "otad_broker.so", e) == 0 && access(out, R_OK) == 0)
        return 0;
    str_copy(out, FILE_PATH_SIZE, OTAD_LIBDIR "/otad_broker.so");
    if (access(out, R_OK) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "otad_broker.so is neither beside otad nor %s", out);
}

static int check(const char *path, struct err *e)
{
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < 0x20)
            return err_set(e, ERR_INVALID, "the broker's settings cannot name %s", path);
    return 0;
}

int broker_paths_find(const struct settings *s, const char *cert_path, const char *key_path,
                      struct broker_paths *out, struct err *e)
{
    const struct {
        char *out;
        const char *name;
    } rows[] = {{out->dir, BROKER_DIR},           {out->conf, BROKER_DIR "/mosquitto.conf"},
                {out->lock, BROKER_DIR "/lock"},  {out->socket, BROKER_SOCKET},
                {out->password, BROKER_PASSWORD}, {out->store, "otad.db"},
                {out->seal, "keys/secret.key"},   {out->device_ca, "certs/device-ca.pem"}};
    int rc = check(s->data_dir, e);
    for (size_t i = 0; i < ARRAY_SIZE(rows) && rc == 0; i++)
        rc = file_path(rows[i].out, s->data_dir, rows[i].name, e);
    if (rc == 0)
        rc = find_plugin(s, out->plugin, e);
    if (rc == 0)
        rc = check(cert_path, e);
    if (rc == 0)
        rc = check(key_path, e);
    if (rc < 0)
        return rc;
    str_copy(out->cert, sizeof out->cert, cert_path);
    str_copy(out->key, sizeof out->key, key_path);
    size_t longest = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(out->socket) > longest)
        return err_field(e, ERR_INVALID, "data_dir",
                         "data_dir is too long: %s is a socket, and may have %zu bytes at most", out->socket,
                         longest);
    return 0;
}

/* Limits that hold for a fleet behind one broker: its queue for otad is what reports wait in while otad is
 * away, and what is in it is on disk within a second. */
static const char limits[] = "persistence true\n"
                             "autosave_interval 1\n"
                             "persistent_client_expiration 7d\n"
                             "max_inflight_messages 1000\n"
                             "max_queued_messages 200000\n"
                             "max_queued_bytes 268435456\n"
                             "max_packet_size 270000\n"
                             "max_keepalive 3600\n"
                             "memory_limit 1073741824\n"
                             "set_tcp_nodelay true\n";

static void print_listeners(FILE *f, const struct settings *s, const struct broker_paths *p)
{
    fprintf(f, "listener 0 %s\n", p->socket);
    fprintf(f, "listener %d\nmax_connections 20000\ncertfile %s\nkeyfile %s\ntls_version tlsv1.2\n",
            (int)s->mqtt_port, p->cert, p->key);
    /* not use_identity_as_username: the plugin would not be asked */
    if (s->mqtt_cert_port)
        fprintf(f,
                "listener %d\nmax_connections 20000\ncertfile %s\nkeyfile %s\ntls_version tlsv1.2\n"
                "cafile %s\nrequire_certificate true\n",
                (int)s->mqtt_cert_port, p->cert, p->key, p->device_ca);
    if (s->mqtt_psk_port)
        fprintf(f, "listener %d\nmax_connections 20000\npsk_hint otad\ntls_version tlsv1.2\n",
                (int)s->mqtt_psk_port);
    if (s->mqtt_plain_port)
        fprintf(f, "listener %d\nmax_connections 20000\n", (int)s->mqtt_plain_port);
}

static void print_throttle(FILE *f, const struct settings *s)
{
    fprintf(f, "plugin_opt_login_failures %lld\nplugin_opt_login_failures_per_address %lld\n",
            (long long)s->login_failures, (long long)s->login_failures_per_address);
    if (*s->trusted_nets)
        fprintf(f, "plugin_opt_trusted_nets %s\n", s->trusted_nets);
}

/* Anonymous only to the broker: its plugin is asked about everybody. If it were refused here, each new
 * certificate would end the sessions of those whose certificate says who they are. */
static void print_conf(FILE *f, const struct settings *s, const struct broker_paths *p)
{
    fprintf(f, "# Written by otad at each start of the broker: changes are lost.\n"
               "per_listener_settings false\n"
               "allow_anonymous true\nallow_zero_length_clientid true\n"
               "log_dest stderr\nlog_timestamp false\nconnection_messages false\n"
               "log_type error\nlog_type warning\nlog_type notice\n");
    /* without this a broker that root starts becomes another user, who may not read what is ours */
    if (geteuid() == 0)
        fprintf(f, "user root\n");
    fprintf(f, "plugin %s\nplugin_opt_store %s\nplugin_opt_seal %s\nplugin_opt_secret %s\n", p->plugin,
            p->store, p->seal, p->password);
    print_throttle(f, s);
    fprintf(f, "%spersistence_location %s/\n", limits, p->dir);
    print_listeners(f, s, p);
}

static int write_password(const char *path, struct err *e)
{
    unsigned char bytes[24];
    char text[BASE64_SIZE(sizeof bytes) + 1];
    random_bytes(bytes, sizeof bytes);
    base64url_format(bytes, sizeof bytes, text);
    int rc = file_replace(path, text, strlen(text), 0600, e);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text, sizeof text);
    return rc;
}

int broker_conf_write(const struct settings *s, const struct broker_paths *paths, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return err_set(e, ERR_INTERNAL, "out of memory");
    print_conf(f, s, paths);
    int rc = fclose(f) == 0 ? file_make_dir(paths->dir, 0700, e) : err_set(e, ERR_INTERNAL, "out of memory");
    if (rc == 0)
        rc = file_replace(paths->conf, text, len, 0600, e);
    if (rc == 0)
        rc = write_password(paths->password, e);
    free(text);
    return rc;
}
