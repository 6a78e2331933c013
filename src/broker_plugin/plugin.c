/* plugin.c: what mosquitto calls (plugin interface 5). The broker has one thread, which runs all of this: one
 * read of the store at a login, and nothing slow anywhere else.
 *
 * otad's own session has the client id "otad". Only the user "otad", over the Unix socket, with the password
 * that otad wrote at its start, gets it; so the id alone tells otad's session from a device's, in the
 * broker's offline sessions too. */
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "lookup.h"
#include "rules.h"

/* mosquitto_plugin.h needs it before */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT        __attribute__((visibility("default")))
#define OTAD          "otad"
#define CONTROL_TOPIC "$CONTROL/otad/v1"
#define PRESENCE      "$otad/v1/presence"
#define LOG_LINES_MAX 30 /* refused logins a minute that are logged; a broken fleet would fill the disk */

struct plugin {
    mosquitto_plugin_id_t *id;
    struct seal seal;
    char secret[SECRET_SIZE];
    struct lookup *lookup;
    struct sessions sessions;
    const void *otad; /* its connection, NULL while it is away */
    bool served;      /* otad's session is there, and keeps what devices say while otad is away */
    bool reloading;   /* the broker asks again about everybody it knows */
    time_t minute;
    unsigned logged, unlogged;
};

/* ---- presence: what otad is told */

/* The broker frees the payload, and counts its own memory: it has to come from its allocator, or the count
 * runs off. */
static void tell_otad(struct plugin *p, const char *who, unsigned sessions, const char *event)
{
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    if (!p->otad || !rules_split(who, product, device))
        return;
    json_t *message = json_object();
    json_put_text(message, "product", product);
    json_put_text(message, "device", device);
    json_put_int(message, "sessions", sessions);
    json_put_text(message, "event", event);
    char *text = json_text(message);
    json_decref(message);
    size_t len = strlen(text);
    void *payload = mosquitto_malloc(len);
    if (payload) {
        memcpy(payload, text, len);
        if (mosquitto_broker_publish(OTAD, PRESENCE, (int)len, payload, 1, false, NULL) != MOSQ_ERR_SUCCESS)
            mosquitto_free(payload);
    }
    free(text);
}

static void tell_all(struct plugin *p)
{
    const struct session *s;
    for (size_t at = 0; (s = table_next(&p->sessions.by_client_id, &at));) {
        tell_otad(p, s->visitor->who, s->visitor->sessions, "login");
        if (s->ready)
            tell_otad(p, s->visitor->who, s->visitor->sessions, "ready");
    }
}

/* ---- logins */

static void log_refusal(struct plugin *p, const struct mosquitto *client, const char *who, const char *why)
{
    time_t minute = time(NULL) / 60;
    if (minute != p->minute) {
        if (p->unlogged)
            mosquitto_log_printf(MOSQ_LOG_WARNING, "otad: %u more logins refused in that minute",
                                 p->unlogged);
        p->minute = minute;
        p->logged = p->unlogged = 0;
    }
    if (p->logged++ < LOG_LINES_MAX)
        mosquitto_log_printf(MOSQ_LOG_NOTICE, "otad: login of %s from %s refused: %s", who,
                             mosquitto_client_address(client), why);
    else
        p->unlogged++;
}

static int otad_login(struct plugin *p, const struct mosquitto *client, const char *client_id,
                      const char *password)
{
    const char *address = mosquitto_client_address(client);
    /* a Unix socket's peer has the socket's path for an address, one of a network never has a slash */
    if (!address || !strchr(address, '/') || strcmp(client_id, OTAD) != 0 ||
        !same_secret(p->secret, strlen(p->secret), password, strlen(password))) {
        log_refusal(p, client, OTAD, "only otad itself has that name");
        return MOSQ_ERR_AUTH;
    }
    p->otad = client;
    return MOSQ_ERR_SUCCESS;
}

static int device_login(struct plugin *p, const struct mosquitto *client, const char *client_id,
                        const char *username, const char *password)
{
    char product[PRODUCT_SIZE], device[DEVICE_SIZE];
    struct err e;
    /* until otad's session is there, a report would be acknowledged and go nowhere; the device tries again */
    if (!p->served)
        return MOSQ_ERR_UNKNOWN;
    if (!rules_split(username, product, device)) {
        log_refusal(p, client, "somebody", "the user name is not product/device");
        return MOSQ_ERR_AUTH;
    }
    int rc = lookup_check(p->lookup, product, device, password, &e);
    if (rc == 0 && (strcmp(client_id, OTAD) == 0 || strlen(client_id) >= CLIENT_ID_SIZE))
        rc = err_set(&e, ERR_UNAUTHORIZED, "it may not have that client id");
    const struct session *s = rc == 0 ? sessions_begin(&p->sessions, client, client_id, username) : NULL;
    if (s) {
        tell_otad(p, username, s->visitor->sessions, "login");
        return MOSQ_ERR_SUCCESS;
    }
    if (rc == 0)
        rc = err_set(&e, ERR_UNAUTHORIZED, "its client id is that of another device's session");
    log_refusal(p, client, username, e.text);
    /* "not authorised" is for good in many a device: where the store is to blame it is not said */
    return rc == -ERR_UNAUTHORIZED ? MOSQ_ERR_AUTH : MOSQ_ERR_UNKNOWN;
}

static int on_basic_auth(int event, void *data, void *userdata)
{
    struct mosquitto_evt_basic_auth *login = data;
    struct plugin *p = userdata;
    const char *client_id = mosquitto_client_id(login->client);
    (void)event;
    /* with new settings the broker asks about sessions that are proved already, and about those that are away
     */
    if (p->reloading)
        return MOSQ_ERR_SUCCESS;
    if (!client_id || !login->username || !login->password)
        return MOSQ_ERR_AUTH;
    if (strcmp(login->username, OTAD) == 0)
        return otad_login(p, login->client, client_id, login->password);
    return device_login(p, login->client, client_id, login->username, login->password);
}

/* Every connection that ends comes by here, also one that ends between the check of its password and its
 * CONNACK. */
static int on_disconnect(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_disconnect *end = data;
    struct plugin *p = userdata;
    char who[WHO_SIZE];
    unsigned left;
    const char *client_id = mosquitto_client_id(end->client);
    (void)event;
    if (p->otad == end->client)
        p->otad = NULL;
    else if (client_id && sessions_end(&p->sessions, end->client, client_id, who, &left))
        tell_otad(p, who, left, "logout");
    return MOSQ_ERR_SUCCESS;
}

/* ---- topics */

static void became_ready(struct plugin *p, const struct mosquitto *client, const char *client_id)
{
    struct session *s = sessions_find(&p->sessions, client, client_id);
    if (!s || s->ready)
        return;
    s->ready = true;
    tell_otad(p, s->visitor->who, s->visitor->sessions, "ready");
}

static int on_acl_check(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_acl_check *wish = data;
    const char *client_id = mosquitto_client_id(wish->client), *who = mosquitto_client_username(wish->client);
    bool may = false;
    (void)event;
    if (client_id && strcmp(client_id, OTAD) == 0)
        return MOSQ_ERR_SUCCESS;
    if (!client_id || !who)
        return MOSQ_ERR_ACL_DENIED;
    switch (wish->access) {
    case MOSQ_ACL_WRITE:
        may = rules_may_publish(who, wish->topic, wish->retain, wish->payloadlen);
        break;
    case MOSQ_ACL_READ:
        may = rules_may_hear(who, wish->topic);
        break;
    case MOSQ_ACL_SUBSCRIBE:
        may = rules_may_subscribe(who, wish->topic);
        if (may && rules_is_offer(who, wish->topic))
            became_ready(userdata, wish->client, client_id);
        break;
    case MOSQ_ACL_UNSUBSCRIBE:
        may = true;
        break;
    default:
        break;
    }
    return may ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

/* ---- otad's wishes: {"op":"presence"} asks for everybody who is there. */

static int on_control(int event, void *data, void *userdata)
{
    const struct mosquitto_evt_control *wish = data;
    struct plugin *p = userdata;
    struct err e;
    json_t *body = NULL;
    (void)event;
    if (p->otad != wish->client)
        return MOSQ_ERR_SUCCESS;
    if (json_parse(wish->payload, wish->payloadlen, &body, &e) < 0) {
        mosquitto_log_printf(MOSQ_LOG_WARNING, "otad: a wish that was not understood: %s", e.text);
        return MOSQ_ERR_SUCCESS;
    }
    const char *op = json_string_value(json_object_get(body, "op"));
    if (op && strcmp(op, "presence") == 0) {
        p->served = true; /* it comes behind otad's subscriptions */
        tell_all(p);
    }
    json_decref(body);
    return MOSQ_ERR_SUCCESS;
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
    return p->lookup ? 0 : err_set(e, ERR_INTERNAL, "out of memory");
}

static void unload(struct plugin *p)
{
    if (p->lookup)
        lookup_close(p->lookup);
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
