#include "http/auth.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/throttle.h"
#include "http/guard.h"
#include "http/route.h"
#include "http/url.h"
#include "model/board.h"
#include "protocol/onenet.h"
#include "store/login.h"
#include "store/old_secret.h"
#include "store/token.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What a failed token is counted under: it names nobody. */
#define TOKEN "token"

/* Behind the scheme and its blanks, or NULL. */
static const char *credentials(const char *header, const char *scheme)
{
    size_t len = strlen(scheme);
    if (!header || strncasecmp(header, scheme, len) != 0 || header[len] != ' ')
        return NULL;
    return header + len + strspn(header + len, " ");
}

const char *auth_bearer(const char *header)
{
    const char *token = credentials(header, "Bearer");
    return token && *token && !strpbrk(token, " \t,") ? token : NULL;
}

/* The slash of a name and its length. Clients that take their credentials from the URL, where it has to be
 * escaped, send it so; no name holds a "%". */
static char *find_slash(char *name, size_t *len)
{
    char *slash = strchr(name, '/');
    *len = slash ? 1 : 3;
    return slash ? slash : strcasestr(name, "%2f");
}

/* text is NAME:SECRET with NAME PRODUCT/DEVICE. */
static bool split(char *text, struct basic *out)
{
    char *colon = strrchr(text, ':');
    if (!colon || !colon[1])
        return false;
    *colon = '\0';
    size_t len;
    char *slash = find_slash(text, &len);
    if (!slash)
        return false;
    *slash = '\0';
    const char *device = slash + len;
    return str_is_name(text, PRODUCT_SIZE) && str_is_name(device, DEVICE_SIZE) &&
           str_copy(out->product, sizeof out->product, text) &&
           str_copy(out->device, sizeof out->device, device) &&
           str_copy(out->secret, sizeof out->secret, colon + 1);
}

bool auth_basic(const char *header, struct basic *out)
{
    char text[PRODUCT_SIZE + DEVICE_SIZE + SECRET_SIZE + 2]; /* an escaped slash has two more */
    const char *encoded = credentials(header, "Basic");
    int len = encoded ? base64_parse(encoded, text, sizeof text - 1) : -1;
    if (len <= 0 || memchr(text, '\0', (size_t)len))
        return false;
    text[len] = '\0';
    return split(text, out);
}

const char *auth_device(const struct caller *caller, char product[PRODUCT_SIZE])
{
    size_t len = strcspn(caller->name, "/");
    product[0] = '\0';
    if (caller->role != ROLE_DEVICE || len >= PRODUCT_SIZE || caller->name[len] == '\0')
        return "";
    memcpy(product, caller->name, len);
    product[len] = '\0';
    return caller->name + len + 1;
}

bool auth_allows(enum role have, enum role need)
{
    static const unsigned holds[ROLES] = {
        [ROLE_NONE] = 1u << ROLE_NONE,
        [ROLE_DEVICE] = 1u << ROLE_NONE | 1u << ROLE_DEVICE,
        [ROLE_VIEWER] = 1u << ROLE_NONE | 1u << ROLE_DEVICE | 1u << ROLE_VIEWER,
        [ROLE_UPLOADER] = 1u << ROLE_NONE | 1u << ROLE_DEVICE | 1u << ROLE_VIEWER | 1u << ROLE_UPLOADER,
        [ROLE_OPERATOR] = 1u << ROLE_NONE | 1u << ROLE_DEVICE | 1u << ROLE_VIEWER | 1u << ROLE_OPERATOR,
        [ROLE_ADMIN] = ~0u,
    };
    return (holds[have] >> need & 1u) != 0;
}

static bool looks_like_token(const char *text)
{
    return strncmp(text, "otad_", 5) == 0 && strlen(text) == TOKEN_TEXT_SIZE - 1;
}

static bool names_token(const char *name)
{
    return strcasecmp(name, "token") == 0 || strcasecmp(name, "access_token") == 0;
}

/* What a device's firmware adds to its URLs by such a name is its own affair. */
int auth_check_query(const struct request *r, struct err *e)
{
    bool operators = !(r->route->flags & (ROUTE_DEVICE | ROUTE_FILE));
    for (size_t i = 0; r->query && i < r->query->n; i++)
        if (looks_like_token(r->query->item[i].value) || (operators && names_token(r->query->item[i].name)))
            return err_field(e, ERR_BAD_REQUEST, r->query->item[i].name,
                             "a token goes into the header Authorization, never into a URL: others may have "
                             "logged it now, so delete it and make another");
    return 0;
}

static int refuse(const struct request *r, struct err *e)
{
    if (r->route->flags & (ROUTE_DEVICE | ROUTE_FILE))
        return err_set(e, ERR_UNAUTHORIZED, "this needs a device's name and secret, or a valid token");
    return err_set(e, ERR_UNAUTHORIZED, "this needs a valid token");
}

bool auth_slowed(const struct request *r, const char *name)
{
    return throttle_slows(r->throttle, &r->caller.peer.address, name, clock_mono_ms());
}

int auth_too_many(struct err *e)
{
    board_count(BOARD_LOGINS_SLOWED, 1);
    return err_set(e, ERR_TOO_MANY, "too many logins from this address have failed: try again later");
}

void auth_count_failure(const struct request *r, const char *name)
{
    board_count(BOARD_LOGINS_FAILED, 1);
    throttle_count(r->throttle, &r->caller.peer.address, name, clock_mono_ms());
}

static int fail(const struct request *r, const char *name, struct err *e)
{
    if (auth_slowed(r, name))
        return auth_too_many(e);
    auth_count_failure(r, name);
    return refuse(r, e);
}

/* A right token is let in however many wrong ones came from its address: nobody guesses 32 random bytes, and
 * so nobody behind the same NAT can lock its owner out. */
static int check_token(struct request *r, struct db *db, const char *text, struct err *e)
{
    unsigned char hash[SHA256_BYTES];
    struct token token;
    token_hash(r->env->token_key, text, hash);
    int rc = token_find(db, hash, r->now_ms, &token, e);
    if (rc == -ERR_NOT_FOUND)
        return fail(r, TOKEN, e);
    if (rc)
        return rc;
    r->caller.role = token.role;
    r->caller.token_id = token.id;
    token_use(r->env->token_uses, token.id, r->now_ms);
    str_copy(r->caller.name, sizeof r->caller.name, token.name);
    return 0;
}

/* What somebody shows to be a device, and how a secret bears it out. */
struct proof {
    const char *product, *device, *shown;
    bool (*made_with)(const struct proof *p, const char *secret, int64_t now_s);
};

static bool is_secret(const struct proof *p, const char *secret, int64_t now_s)
{
    (void)now_s;
    return same_secret(secret, strlen(secret), p->shown, strlen(p->shown));
}

static bool is_token(const struct proof *p, const char *secret, int64_t now_s)
{
    return onenet_token_proves(p->shown, p->product, p->device, secret, now_s);
}

static bool proven_by(const struct request *r, const char *purpose, const char *owner,
                      const unsigned char *sealed, size_t len, const struct proof *p)
{
    char text[SECRET_SIZE];
    struct err ignored;
    if (len < SEAL_OVERHEAD ||
        seal_open(r->env->seal, purpose, owner, sealed, len, text, sizeof text, &ignored) != 0)
        return false;
    bool proven = *text && p->made_with(p, text, r->now_ms / 1000);
    explicit_bzero(text, sizeof text);
    return proven;
}

/* By one that was replaced, and is good for a while yet. */
static bool proven_by_old(const struct request *r, struct db *db, const struct login_row *l,
                          const char *owner, const struct proof *p)
{
    struct old_secret old;
    struct err ignored;
    if (l->device_id && old_secret_of_device(db, l->device_id, r->now_ms, &old, &ignored) == 0 &&
        proven_by(r, "device", owner, old.sealed, old.len, p))
        return true;
    return l->enrolment_open && old_secret_of_product(db, l->product_id, r->now_ms, &old, &ignored) == 0 &&
           proven_by(r, "enrolment", p->product, old.sealed, old.len, p);
}

/* Its own secret, or where the product is open for enrolment the product's: the rule of the broker's plugin.
 */
static bool device_proven(const struct request *r, struct db *db, const struct login_row *l,
                          const struct proof *p)
{
    char owner[PRODUCT_SIZE + DEVICE_SIZE]; /* the slash takes the place of one end */
    snprintf(owner, sizeof owner, "%s/%s", p->product, p->device);
    if (proven_by(r, "device", owner, l->device.sealed, l->device.len, p))
        return true;
    if (l->enrolment_open && proven_by(r, "enrolment", p->product, l->enrolment.sealed, l->enrolment.len, p))
        return true;
    return proven_by_old(r, db, l, owner, p);
}

static bool speaks_here(const struct request *r, const struct login_row *l)
{
    return !(r->route->flags & ROUTE_FUSE) || strcmp(l->protocol, onenet_protocol.name) == 0;
}

/* Secrets of devices may be short ones, chosen by people: while a name is slowed, the right secret is refused
 * as the wrong ones are, or guessing would be as fast as ever. */
static int check_device(struct request *r, struct db *db, const struct proof *p, struct err *e)
{
    struct login_row login;
    char name[PRODUCT_SIZE + DEVICE_SIZE];
    snprintf(name, sizeof name, "%s/%s", p->product, p->device);
    if (auth_slowed(r, name))
        return auth_too_many(e);
    int rc = login_get(db, p->product, p->device, &login, e);
    if (rc)
        return rc == -ERR_NOT_FOUND ? fail(r, name, e) : rc;
    if (!device_proven(r, db, &login, p) || !speaks_here(r, &login))
        return fail(r, name, e);
    if (!login.product_enabled || (login.device_id && !login.device_enabled))
        return err_set(e, ERR_FORBIDDEN, "this device is switched off");
    r->caller.role = ROLE_DEVICE;
    r->caller.device_id = login.device_id;
    str_copy(r->caller.name, sizeof r->caller.name, name);
    return 0;
}

static int check_basic(struct request *r, struct db *db, const struct basic *b, struct err *e)
{
    const struct proof proof = {b->product, b->device, b->secret, is_secret};
    return check_device(r, db, &proof, e);
}

/* The header is a token without a scheme, and libmicrohttpd leaves blanks behind it; who speaks stands in the
 * path. Basic is taken too: it is the same secret. */
static int check_onenet(struct request *r, struct db *db, const char *header, struct err *e)
{
    char token[ONENET_TOKEN_SIZE];
    struct proof proof = {r->arg[0], r->arg[1], token, is_token};
    struct basic basic;
    size_t len = guard_trimmed(header, strlen(header));
    if (!str_is_name(r->arg[0], PRODUCT_SIZE) || !str_is_name(r->arg[1], DEVICE_SIZE))
        return refuse(r, e);
    if (auth_basic(header, &basic)) {
        bool own = strcmp(basic.product, r->arg[0]) == 0 && strcmp(basic.device, r->arg[1]) == 0;
        int rc = own ? check_basic(r, db, &basic, e) : refuse(r, e);
        explicit_bzero(&basic, sizeof basic);
        return rc;
    }
    if (len >= sizeof token)
        return refuse(r, e);
    memcpy(token, header, len);
    token[len] = '\0';
    return check_device(r, db, &proof, e);
}

static int check_header(struct request *r, struct db *db, const char *header, struct err *e)
{
    struct basic basic;
    if (r->route->flags & ROUTE_FUSE)
        return check_onenet(r, db, header, e);
    const char *token = auth_bearer(header);
    if (token)
        return check_token(r, db, token, e);
    if (!auth_basic(header, &basic))
        return refuse(r, e);
    int rc = check_basic(r, db, &basic, e);
    explicit_bzero(&basic, sizeof basic);
    return rc;
}

int auth_check(struct request *r, const char *header, struct db *db, struct err *e)
{
    const struct route *route = r->route;
    if (r->caller.role == ROLE_ADMIN ||
        (route->role == ROLE_NONE && !(route->flags & (ROUTE_FILE | ROUTE_DEVICE))))
        return 0;
    if (!header)
        return route->flags & ROUTE_FILE ? 0 : refuse(r, e);
    int rc = check_header(r, db, header, e);
    if (rc)
        return rc;
    bool device_allowed = (route->flags & (ROUTE_DEVICE | ROUTE_FILE)) != 0;
    if (r->caller.role == ROLE_DEVICE ? !device_allowed : !auth_allows(r->caller.role, route->role))
        return err_set(e, ERR_FORBIDDEN, "the token's role, %s, does not allow this",
                       role_word(r->caller.role));
    return 0;
}

int auth_check_again(const struct request *r, struct db *db, struct err *e)
{
    struct token token;
    int rc = r->caller.token_id ? token_get(db, r->caller.token_id, &token, e) : 0;
    if (rc == -ERR_NOT_FOUND)
        return refuse(r, e);
    if (rc || !r->caller.token_id || !token.expires_at_ms || token.expires_at_ms > clock_wall_ms())
        return rc;
    return refuse(r, e);
}
