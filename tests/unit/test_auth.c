#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/throttle.h"
#include "http/auth.h"
#include "http/route.h"
#include "store/device.h"
#include "store/product.h"
#include "store/token.h"
#include "store_fixture.h"

#define NOW_MS 1700000000000

static void takes_a_token_out_of_its_header(void **state)
{
    static const struct {
        const char *header, *token;
    } rows[] = {
        {"Bearer abc", "abc"},
        {"bearer abc", "abc"},
        {"BEARER   abc", "abc"},
        {"Bearer abc def", NULL},
        {"Bearer a,b", NULL},
        {"Bearer abc ", NULL},
        {"Bearer ", NULL},
        {"Bearer", NULL},
        {"Bearerabc def", NULL},
        {"Basic abc", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *token = auth_bearer(rows[i].header);
        if (rows[i].token)
            assert_string_equal(token, rows[i].token);
        else
            assert_null(token);
    }
}

/* "Basic " and the text in base64. */
static const char *basic(const char *text)
{
    static char header[1024];
    strcpy(header, "Basic ");
    base64_format(text, strlen(text), header + 6);
    return header;
}

static void takes_a_device_out_of_its_header(void **state)
{
    static const struct {
        const char *text, *product, *device, *secret;
    } rows[] = {
        {"p/d:s", "p", "d", "s"},
        {"p/a:b:s", "p", "a:b", "s"},
        {"p/aa:bb:cc:dd:ee:ff:secret", "p", "aa:bb:cc:dd:ee:ff", "secret"},
        {"p/d:s/t u", "p", "d", "s/t u"},
        {"p%2Fd:s", "p", "d", "s"},
        {"p%2fd:%2fs", "p", "d", "%2fs"},
        {"p/d@h:\xc3\xa4", "p", "d@h", "\xc3\xa4"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct basic b;
        assert_true(auth_basic(basic(rows[i].text), &b));
        assert_string_equal(b.product, rows[i].product);
        assert_string_equal(b.device, rows[i].device);
        assert_string_equal(b.secret, rows[i].secret);
    }
}

static void refuses_what_names_no_device(void **state)
{
    static const char *const texts[] = {"",       "p/d",     "p/d:",      "p:s",         "/d:s",
                                        "p/:s",   ":",       "p/d/e:s",   "../d:s",      "p/..:s",
                                        "p /d:s", "p/d e:s", "p%2Fd/e:s", "p%2Fd%2Fe:s", "p%2F:s",
                                        "%2Fd:s", "p%2d:s",  "p%252Fd:s"};
    static const char *const headers[] = {
        "Basic",           "Basic ",          "Basic %",       "Basic cC9kOnM",
        "Basic cC9kOnM=x", "Bearer cC9kOnM=", "Basic cC9kADpz" /* p/d\0:s */};
    struct basic b;
    char text[PRODUCT_SIZE + DEVICE_SIZE + SECRET_SIZE + 8] = "p/d:";
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_false(auth_basic(basic(texts[i]), &b));
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        assert_false(auth_basic(headers[i], &b));
    assert_false(auth_basic(NULL, &b));
    memset(text + 4, 's', SECRET_SIZE);
    assert_false(auth_basic(basic(text), &b));
    text[4 + SECRET_SIZE - 1] = '\0';
    assert_true(auth_basic(basic(text), &b));
    memset(text + 4, 's', sizeof text - 5);
    assert_false(auth_basic(basic(text), &b));
}

static void orders_the_roles(void **state)
{
    static const char allowed[ROLES][ROLES + 1] = {
        /* need:            ndvuoa */
        [ROLE_NONE] = "100000",     [ROLE_DEVICE] = "110000",   [ROLE_VIEWER] = "111000",
        [ROLE_UPLOADER] = "111100", [ROLE_OPERATOR] = "111010", [ROLE_ADMIN] = "111111",
    };
    (void)state;
    for (unsigned have = 0; have < ROLES; have++)
        for (unsigned need = 0; need < ROLES; need++)
            assert_int_equal(auth_allows((enum role)have, (enum role)need), allowed[have][need] == '1');
}

/* ---- with a store: product "open" enrols with "enrol", "shut" does not; each has a device "own" with the
 * secret "own", one "bare" without and one "off" that is disabled; product "dead" is disabled. */

static const struct seal seal = {.key = "0123456789abcdef0123456789abcde"};

static int insert_device(struct db *w, const struct product *p, const char *name, bool secret, bool enabled,
                         struct err *e)
{
    struct device d = {.product_id = p->id, .enabled = enabled, .registered_at_ms = 1};
    char owner[PRODUCT_SIZE + DEVICE_SIZE];
    strcpy(d.product, p->key);
    strcpy(d.name, name);
    snprintf(owner, sizeof owner, "%s/%s", p->key, name);
    if (secret && seal_close(&seal, "device", owner, "own", 3, d.secret, e) == 0)
        d.secret_len = 3 + SEAL_OVERHEAD;
    return device_insert(w, &d, e);
}

static int fill_product(struct db *w, const char *key, bool open, bool enabled, struct err *e)
{
    struct product p = {.enrolment_open = open, .enabled = enabled, .created_at_ms = 1};
    strcpy(p.key, key);
    strcpy(p.name, key);
    strcpy(p.protocol, "native");
    int rc = seal_close(&seal, "enrolment", key, "enrol", 5, p.enrolment_secret, e);
    p.enrolment_secret_len = 5 + SEAL_OVERHEAD;
    if (rc == 0)
        rc = product_insert(w, &p, e);
    if (rc == 0)
        rc = insert_device(w, &p, "own", true, true, e);
    if (rc == 0)
        rc = insert_device(w, &p, "bare", false, true, e);
    return rc ? rc : insert_device(w, &p, "off", true, false, e);
}

static const unsigned char token_key[32] = "key of tokens";

static int fill_token(struct db *w, const char *text, enum role role, int64_t expires_at_ms, struct err *e)
{
    unsigned char hash[SHA256_BYTES];
    struct token t = {.role = role, .created_at_ms = 1, .expires_at_ms = expires_at_ms};
    strcpy(t.name, text);
    token_hash(token_key, text, hash);
    return token_insert(w, &t, hash, e);
}

static int fill(struct db *w, void *arg, struct err *e)
{
    (void)arg;
    int rc = fill_product(w, "open", true, true, e);
    if (rc == 0)
        rc = fill_product(w, "shut", false, true, e);
    if (rc == 0)
        rc = fill_product(w, "dead", true, false, e);
    if (rc == 0)
        rc = fill_token(w, "looks", ROLE_VIEWER, 0, e);
    if (rc == 0)
        rc = fill_token(w, "rules", ROLE_ADMIN, NOW_MS + 1, e);
    return rc ? rc : fill_token(w, "ruled", ROLE_ADMIN, NOW_MS, e);
}

static int check(struct fixture *f, const struct route *route, const char *header, struct request *r)
{
    struct http_env env = {.seal = &seal, .token_uses = token_uses_open()};
    struct err e;
    memcpy(env.token_key, token_key, sizeof env.token_key);
    *r = (struct request){.env = &env, .route = route, .now_ms = NOW_MS};
    int rc = auth_check(r, header, f->db, &e);
    assert_int_equal(token_used_at(env.token_uses, r->caller.token_id), r->caller.token_id ? NOW_MS : 0);
    token_uses_close(env.token_uses);
    r->env = NULL;
    return rc;
}

static void knows_devices(void **state)
{
    static const struct {
        const char *user;
        enum err_code code;
        bool known;
    } rows[] = {
        {"open/own:own", ERR_NONE, true},
        {"open/own:enrol", ERR_NONE, true},
        {"open/own:owm", ERR_UNAUTHORIZED, false},
        {"open/own:ow", ERR_UNAUTHORIZED, false},
        {"open/own:ownn", ERR_UNAUTHORIZED, false},
        {"open/bare:enrol", ERR_NONE, true},
        {"open/bare:own", ERR_UNAUTHORIZED, false},
        {"open/new:enrol", ERR_NONE, false},
        {"open/new:own", ERR_UNAUTHORIZED, false},
        {"open/off:own", ERR_FORBIDDEN, false},
        {"open/off:enrol", ERR_FORBIDDEN, false},
        {"open/off:no", ERR_UNAUTHORIZED, false},
        {"shut/own:own", ERR_NONE, true},
        {"shut/own:enrol", ERR_UNAUTHORIZED, false},
        {"shut/bare:enrol", ERR_UNAUTHORIZED, false},
        {"shut/new:enrol", ERR_UNAUTHORIZED, false},
        {"dead/own:own", ERR_FORBIDDEN, false},
        {"dead/own:no", ERR_UNAUTHORIZED, false},
        {"none/own:own", ERR_UNAUTHORIZED, false},
    };
    const struct route route = {.role = ROLE_VIEWER, .flags = ROUTE_DEVICE};
    struct fixture *f = *state;
    struct err e;
    assert_int_equal(store_write(f->store, fill, NULL, &e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct request r;
        int rc = check(f, &route, basic(rows[i].user), &r);
        if (rc != -(int)rows[i].code)
            fail_msg("%s: %d", rows[i].user, rc);
        assert_int_equal(r.caller.role, rc ? ROLE_NONE : ROLE_DEVICE);
        assert_int_equal(r.caller.device_id > 0, rows[i].known);
        if (rc == 0)
            assert_memory_equal(r.caller.name, rows[i].user, strlen(r.caller.name));
    }
}

static void asks_what_the_route_demands(void **state)
{
    static const struct route any = {.role = ROLE_NONE}, file = {.role = ROLE_NONE, .flags = ROUTE_FILE},
                              view = {.role = ROLE_VIEWER}, rule = {.role = ROLE_ADMIN},
                              self = {.role = ROLE_VIEWER, .flags = ROUTE_DEVICE};
    static const char device[] = "Basic b3Blbi9vd246b3du"; /* open/own:own */
    static const struct {
        const struct route *route;
        const char *header;
        enum err_code code;
        enum role role;
    } rows[] = {
        {&any, NULL, ERR_NONE, ROLE_NONE},
        {&any, "Bearer wrong", ERR_NONE, ROLE_NONE},
        {&file, NULL, ERR_NONE, ROLE_NONE},
        {&file, "Bearer wrong", ERR_UNAUTHORIZED, ROLE_NONE},
        {&file, "Bearer looks", ERR_NONE, ROLE_VIEWER},
        {&file, device, ERR_NONE, ROLE_DEVICE},
        {&file, "Basic x", ERR_UNAUTHORIZED, ROLE_NONE},
        {&view, NULL, ERR_UNAUTHORIZED, ROLE_NONE},
        {&view, "", ERR_UNAUTHORIZED, ROLE_NONE},
        {&view, "Bearer wrong", ERR_UNAUTHORIZED, ROLE_NONE},
        {&view, "Bearer looks", ERR_NONE, ROLE_VIEWER},
        {&view, "Bearer rules", ERR_NONE, ROLE_ADMIN},
        {&view, "Bearer ruled", ERR_UNAUTHORIZED, ROLE_NONE},
        {&view, device, ERR_FORBIDDEN, ROLE_DEVICE},
        {&view, "Basic b3Blbi9vd246b3dv", ERR_UNAUTHORIZED, ROLE_NONE},
        {&rule, "Bearer looks", ERR_FORBIDDEN, ROLE_VIEWER},
        {&rule, "Bearer rules", ERR_NONE, ROLE_ADMIN},
        {&self, NULL, ERR_UNAUTHORIZED, ROLE_NONE},
        {&self, device, ERR_NONE, ROLE_DEVICE},
        {&self, "Bearer looks", ERR_NONE, ROLE_VIEWER},
    };
    struct fixture *f = *state;
    struct err e;
    assert_int_equal(store_write(f->store, fill, NULL, &e), 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct request r;
        int rc = check(f, rows[i].route, rows[i].header, &r);
        if (rc != -(int)rows[i].code || r.caller.role != rows[i].role)
            fail_msg("row %zu: %d, role %u", i, rc, (unsigned)r.caller.role);
    }
}

static int check_slowly(struct fixture *f, struct throttle *t, const struct route *route, const char *header)
{
    struct http_env env = {.seal = &seal, .token_uses = token_uses_open()};
    struct request r = {.env = &env, .route = route, .now_ms = NOW_MS, .throttle = t};
    struct err e;
    memcpy(env.token_key, token_key, sizeof env.token_key);
    int rc = auth_check(&r, header, f->db, &e);
    token_uses_close(env.token_uses);
    return rc;
}

/* While a name is slowed its right secret is refused as well, and only its; a right token passes always. What
 * names nobody is not counted. */
static void slows_who_fails(void **state)
{
    static const struct route self = {.role = ROLE_VIEWER, .flags = ROUTE_DEVICE};
    struct throttle *t = throttle_open(3, 100);
    struct fixture *f = *state;
    struct err e;
    assert_int_equal(store_write(f->store, fill, NULL, &e), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(check_slowly(f, t, &self, basic("open/own:guess")), -ERR_UNAUTHORIZED);
        assert_int_equal(check_slowly(f, t, &self, "Bearer wrong"), -ERR_UNAUTHORIZED);
        assert_int_equal(check_slowly(f, t, &self, basic("none/own:guess")), -ERR_UNAUTHORIZED);
    }
    assert_int_equal(check_slowly(f, t, &self, basic("open/own:guess")), -ERR_TOO_MANY);
    assert_int_equal(check_slowly(f, t, &self, basic("open/own:own")), -ERR_TOO_MANY);
    assert_int_equal(check_slowly(f, t, &self, basic("none/own:guess")), -ERR_TOO_MANY);
    assert_int_equal(check_slowly(f, t, &self, basic("open/bare:enrol")), 0);
    assert_int_equal(check_slowly(f, t, &self, "Bearer wrong"), -ERR_TOO_MANY);
    assert_int_equal(check_slowly(f, t, &self, "Bearer looks"), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(check_slowly(f, t, &self, "Basic x"), -ERR_UNAUTHORIZED);
    assert_int_equal(check_slowly(f, t, &self, basic("shut/own:own")), 0);
    throttle_close(t);
}

static void leaves_the_socket_its_role(void **state)
{
    const struct route route = {.role = ROLE_ADMIN};
    struct request r = {.route = &route, .caller.role = ROLE_ADMIN};
    struct err e;
    (void)state;
    assert_int_equal(auth_check(&r, NULL, NULL, &e), 0);
    assert_int_equal(r.caller.role, ROLE_ADMIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_token_out_of_its_header),
        cmocka_unit_test(takes_a_device_out_of_its_header),
        cmocka_unit_test(refuses_what_names_no_device),
        cmocka_unit_test(orders_the_roles),
        cmocka_unit_test_setup_teardown(knows_devices, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(asks_what_the_route_demands, fixture_enter, fixture_leave),
        cmocka_unit_test_setup_teardown(slows_who_fails, fixture_enter, fixture_leave),
        cmocka_unit_test(leaves_the_socket_its_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
