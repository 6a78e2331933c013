#include "logins.h"

#include "base/clock.h"
#include "base/digest.h"
#include "certificate.h"
#include "presence.h"
#include "psk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int otad_login(struct plugin *p, const struct mosquitto *client, const char *client_id,
                      const char *password)
{
    const char *address = mosquitto_client_address(client);
    /* a Unix socket's peer has the socket's path for an address, one of a network never has a slash */
    if (!address || !strchr(address, '/') || strcmp(client_id, OTAD) != 0 || !password ||
        !same_secret(p->secret, strlen(p->secret), password, strlen(password))) {
        plugin_complain(p, "login of " OTAD " from %s refused: only otad itself has that name", address);
        return MOSQ_ERR_AUTH;
    }
    p->otad = client;
    return MOSQ_ERR_SUCCESS;
}

/* ---- devices */

static bool proven(struct plugin *p, const struct protocol *protocol, const struct login *login,
                   const struct credentials *c)
{
    const struct login_rules *rules = &protocol->login;
    const struct {
        bool good, old;
        const char *secret;
    } tries[] = {{c->known, false, c->secret},
                 {c->open, false, c->product_secret},
                 {c->known, true, c->old_secret},
                 {c->open, true, c->old_product_secret}};
    int64_t now_s = time(NULL);
    if (rules->certificate)
        return c->known;
    for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
        if (tries[i].good && *tries[i].secret && rules->proven(login, &c->names, tries[i].secret, now_s)) {
            psk_proven(p, &c->names, tries[i].old);
            return true;
        }
    return false;
}

static int judge(struct plugin *p, const struct protocol *protocol, const struct login *login,
                 const struct credentials *c, struct err *e)
{
    if (!c->product_enabled)
        return err_set(e, ERR_FORBIDDEN, "the product is disabled");
    if (c->known && !c->device_enabled)
        return err_set(e, ERR_FORBIDDEN, "the device is disabled");
    if (c->revoked)
        return err_set(e, ERR_FORBIDDEN, "its certificate is revoked, or was made for another device");
    if (!proven(p, protocol, login, c))
        return err_set(e, ERR_UNAUTHORIZED, c->known || c->open ? "wrong secret" : "unknown device");
    if (strcmp(login->client_id, OTAD) == 0)
        return err_set(e, ERR_FORBIDDEN, "the client id \"" OTAD "\" is no device's");
    return 0;
}

/* False: failed logins of this client are not slowed; a certificate is nothing to guess. The name is as the
 * claim has it, with or without its product. */
static bool is_slowable(const struct plugin *p, const struct arrival *a, struct in6_addr *address,
                        char name[WHO_SIZE])
{
    const char *text = mosquitto_client_address(a->client);
    snprintf(name, WHO_SIZE, "%s/%s", a->names.product, a->names.device);
    return !a->protocol->login.certificate && text && address_parse(text, address) &&
           !nets_hold(&p->trusted_nets, address);
}

static int look_up(struct plugin *p, const struct login *login, const char *serial, struct arrival *a,
                   struct err *e)
{
    struct credentials c;
    int rc = lookup_find(p->lookup, a->protocol->name, &a->names, serial, &c, e);
    if (rc < 0)
        return rc;
    a->names = c.names;
    rc = judge(p, a->protocol, login, &c, e);
    credentials_wipe(&c);
    return rc;
}

/* Whose login it is, for the log too: what is not a name of ours stays "". Who has failed too often does not
 * reach the store. */
static int identify(struct plugin *p, const struct login *login, const char *serial, struct arrival *a,
                    struct err *e)
{
    struct in6_addr address;
    char name[WHO_SIZE];
    a->protocol = protocol_by_login(login, &a->names);
    if (!a->protocol)
        return err_set(e, ERR_UNAUTHORIZED, "it is no login of a protocol that otad speaks");
    bool slowable = is_slowable(p, a, &address, name);
    int64_t now_ms = clock_mono_ms();
    if (slowable && throttle_slows(p->throttle, &address, name, now_ms))
        return err_set(e, ERR_TOO_MANY, "too many logins from there have failed");
    int rc = look_up(p, login, serial, a, e);
    if (rc == -ERR_UNAUTHORIZED && slowable)
        throttle_count(p->throttle, &address, name, now_ms);
    return rc;
}

/* The broker calls logins_ended for it meanwhile. No will is sent: otad ended it, or the device itself. */
static void kick(const struct session *s)
{
    char client_id[CLIENT_ID_SIZE];
    memcpy(client_id, s->client_id, sizeof client_id);
    mosquitto_kick_client_by_clientid(client_id, false);
}

static void end_others(const struct session *stays)
{
    const struct session *next;
    for (const struct session *s = stays->visitor->first; s; s = next) {
        next = s->next;
        if (s != stays)
            kick(s);
    }
}

static int begin(struct plugin *p, const struct arrival *a, struct err *e)
{
    const struct session *squatter = sessions_squatter(&p->sessions, a);
    if (squatter)
        kick(squatter);
    const struct session *s = sessions_begin(&p->sessions, a);
    if (!s)
        return err_set(e, ERR_UNAUTHORIZED, "its client id is too long, or that of another device's session");
    if (a->protocol->login.one_session)
        end_others(s);
    presence_tell_login(p, s);
    return 0;
}

static int device_login(struct plugin *p, const struct mosquitto *client, struct login login)
{
    struct err e;
    struct certificate shown = {.serial = ""};
    struct arrival a = {
        .client = client, .client_id = login.client_id, .clean = mosquitto_client_clean_session(client)};
    /* until otad's session is there, a report would be acknowledged and go nowhere; the device tries again */
    if (!p->served)
        return MOSQ_ERR_UNKNOWN;
    int rc = certificate_of(client, &shown, &e);
    if (rc > 0) {
        login.common_name = shown.common_name;
        login.common_name_product = shown.product;
    }
    if (rc >= 0)
        rc = identify(p, &login, shown.serial, &a, &e);
    if (rc == 0)
        rc = begin(p, &a, &e);
    if (rc == 0)
        return MOSQ_ERR_SUCCESS;
    plugin_complain(p, "login of %s/%s from %s refused: %s", a.names.product, a.names.device,
                    mosquitto_client_address(client), e.text);
    /* "not authorised" is for good in many a device: it is not said where the store is to blame, or others
     * who failed */
    return rc == -ERR_UNAUTHORIZED || rc == -ERR_FORBIDDEN ? MOSQ_ERR_AUTH : MOSQ_ERR_UNKNOWN;
}

int logins_check(struct plugin *p, struct mosquitto *client, const char *username, const char *password)
{
    const struct login login = {mosquitto_client_id(client), username, password, NULL, NULL};
    /* with new settings the broker asks about sessions that are proved already, and about those that are away
     */
    if (p->reloading)
        return MOSQ_ERR_SUCCESS;
    if (!login.client_id)
        return MOSQ_ERR_AUTH;
    if (username && strcmp(username, OTAD) == 0)
        return otad_login(p, client, login.client_id, password);
    return device_login(p, client, login);
}

/* ---- ends */

void logins_ended(struct plugin *p, const struct mosquitto *client)
{
    const char *client_id = mosquitto_client_id(client);
    if (p->otad == client) {
        p->otad = NULL;
        return;
    }
    struct session *s = client_id ? sessions_find(&p->sessions, client, client_id) : NULL;
    if (!s)
        return;
    struct login_claim names = s->visitor->names;
    unsigned left = s->visitor->sessions - 1;
    sessions_end(&p->sessions, s, !mosquitto_client_clean_session(client));
    presence_tell(p, &names, left, "logout");
}

static void kick_device(struct plugin *p, const char *product, const char *device)
{
    char who[WHO_SIZE];
    snprintf(who, sizeof who, "%s/%s", product, device);
    const struct visitor *v = sessions_visitor(&p->sessions, who);
    const struct session *next;
    /* with its last session the visitor is gone */
    for (const struct session *s = v ? v->first : NULL; s; s = next) {
        next = s->next;
        kick(s);
    }
}

void logins_kick(struct plugin *p, const char *product, const char *device)
{
    const struct session *s;
    size_t n = 0;
    if (*device) {
        kick_device(p, product, device);
        return;
    }
    /* a table that shrinks cannot be walked: first who, then the ends */
    const struct session **doomed = calloc(p->sessions.by_client_id.used + 1, sizeof(struct session *));
    if (!doomed)
        return;
    for (size_t at = 0; (s = table_next(&p->sessions.by_client_id, &at));)
        if (!*product || strcmp(s->visitor->names.product, product) == 0)
            doomed[n++] = s;
    for (size_t i = 0; i < n; i++)
        kick(doomed[i]);
    free(doomed);
}
