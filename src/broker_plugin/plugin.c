/* plugin.c: what mosquitto calls (plugin interface 5), and its loading. */
#include "plugin.h"

#include "base/file.h"
#include "logins.h"
#include "model/delivery.h"
#include "psk.h"
#include "topics.h"
#include "wishes.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- events */

static int on_basic_auth(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_basic_auth *login = data;
    (void)event;
    return logins_check(userdata, login->client, login->username, login->password);
}

static int on_disconnect(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_disconnect *end = data;
    (void)event;
    logins_ended(userdata, end->client);
    return MOSQ_ERR_SUCCESS;
}

static int on_acl_check(int event, void *data, void *userdata)
{
    (void)event;
    return topics_may(userdata, data) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

static int on_control(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_control *wish = data;
    struct plugin *p = userdata;
    (void)event;
    if (p->otad == wish->client)
        wishes_take(p, wish->payload, wish->payloadlen);
    return MOSQ_ERR_SUCCESS;
}

static int on_psk_key(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_psk_key *ask = data;
    (void)event;
    return ask->identity && ask->max_key_len > 0 &&
                   psk_find(userdata, ask->identity, ask->key, (size_t)ask->max_key_len)
               ? MOSQ_ERR_SUCCESS
               : MOSQ_ERR_AUTH;
}

/* A reload is one pass of the broker's loop: it begins with RELOAD and ends with TICK. */
static int on_reload(int event, void *data, void *userdata)
{
    struct plugin *p = userdata;
    (void)event;
    (void)data;
    p->reloading = true;
    return MOSQ_ERR_SUCCESS;
}

static int on_tick(int event, void *data, void *userdata)
{
    struct plugin *p = userdata;
    (void)event;
    (void)data;
    p->reloading = false;
    return MOSQ_ERR_SUCCESS;
}

/* ---- loading */

static const struct {
    int event;
    MOSQ_FUNC_generic_callback call;
    const char *topic;
} callbacks[] = {
    {MOSQ_EVT_BASIC_AUTH, on_basic_auth, NULL}, {MOSQ_EVT_ACL_CHECK, on_acl_check, NULL},
    {MOSQ_EVT_DISCONNECT, on_disconnect, NULL}, {MOSQ_EVT_CONTROL, on_control, CONTROL_TOPIC},
    {MOSQ_EVT_RELOAD, on_reload, NULL},         {MOSQ_EVT_TICK, on_tick, NULL},
    {MOSQ_EVT_PSK_KEY, on_psk_key, NULL},
};

EXPORT int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++)
        if (supported_versions[i] == MOSQ_PLUGIN_VERSION)
            return MOSQ_PLUGIN_VERSION;
    return -1;
}

static const char *option(const struct mosquitto_opt *options, int n, const char *key)
{
    for (int i = 0; i < n; i++)
        if (strcmp(options[i].key, key) == 0)
            return options[i].value;
    return NULL;
}

static int64_t number(const char *text)
{
    uint64_t n = 0;
    return text && str_to_uint(text, INT64_MAX, &n) ? (int64_t)n : 0;
}

static int load_throttle(struct plugin *p, const struct mosquitto_opt *options, int n, struct err *e)
{
    const char *nets = option(options, n, "trusted_nets");
    p->throttle = throttle_open(number(option(options, n, "login_failures")),
                                number(option(options, n, "login_failures_per_address")));
    if (!p->throttle)
        return err_set(e, ERR_INTERNAL, "out of memory");
    return nets ? nets_parse(nets, &p->trusted_nets, e) : 0;
}

static int load(struct plugin *p, const struct mosquitto_opt *options, int n, struct err *e)
{
    const char *store = option(options, n, "store"), *seal = option(options, n, "seal");
    const char *secret = option(options, n, "secret");
    size_t len;
    if (!store || !seal || !secret)
        return err_set(e, ERR_INVALID,
                       "plugin_opt_store, plugin_opt_seal and plugin_opt_secret must be given");
    int rc = seal_load(seal, &p->seal, e);
    if (rc == 0)
        rc = file_read(secret, p->secret, sizeof p->secret, &len, e);
    if (rc < 0)
        return rc;
    p->secret[strcspn(p->secret, "\r\n")] = '\0';
    if (!*p->secret)
        return err_set(e, ERR_INVALID, "%s is empty", secret);
    p->lookup = lookup_open(store, &p->seal);
    return p->lookup ? load_throttle(p, options, n, e) : err_set(e, ERR_INTERNAL, "out of memory");
}

static void unload(struct plugin *p)
{
    if (p->lookup)
        lookup_close(p->lookup);
    throttle_close(p->throttle);
    sessions_free(&p->sessions);
    explicit_bzero(p, sizeof *p);
    free(p);
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                 struct mosquitto_opt *options, int option_count)
{
    struct err e;
    struct plugin *p = calloc(1, sizeof *p);
    if (!p)
        return MOSQ_ERR_NOMEM;
    p->id = identifier;
    if (load(p, options, option_count, &e) < 0) {
        mosquitto_log_printf(MOSQ_LOG_ERR, "Error: otad: %s", e.text);
        unload(p);
        return MOSQ_ERR_INVAL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(callbacks); i++)
        if (mosquitto_callback_register(identifier, callbacks[i].event, callbacks[i].call, callbacks[i].topic,
                                        p) != MOSQ_ERR_SUCCESS) {
            /* what is registered already would be called with p: the broker ends, so p stays */
            mosquitto_log_printf(MOSQ_LOG_ERR, "Error: otad: this broker does not know event %d",
                                 callbacks[i].event);
            return MOSQ_ERR_NOT_SUPPORTED;
        }
    *userdata = p;
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
    struct plugin *p = userdata;
    (void)options;
    (void)option_count;
    if (!p)
        return MOSQ_ERR_SUCCESS;
    for (size_t i = 0; i < ARRAY_SIZE(callbacks); i++)
        mosquitto_callback_unregister(p->id, callbacks[i].event, callbacks[i].call, callbacks[i].topic);
    unload(p);
    return MOSQ_ERR_SUCCESS;
}
