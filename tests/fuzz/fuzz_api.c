/* First line: a method, a blank and a target; second: the Authorization field, or nothing for an operator who
 * may do all; the rest: the body. The request runs against a small house of products, devices and campaigns,
 * as the server would run it, and is undone again: every input finds the same house.
 *
 * Not here: uploads, backups and certificates' keys, which are slow and have harnesses or tests of their own.
 */
#include "fuzz_folder.h"

#include "../../src/http/exchange.h"
#include "../../src/http/stream.h"

#include "backup/backups.h"
#include "base/log.h"
#include "http/auth.h"
#include "http/route.h"
#include "http/url.h"
#include "store/firmware.h"
#include "store/token_use.h"

#define NOW_MS 1800000000000

static struct settings settings;
static struct rollout rollout;
static struct seal seal;
static struct http_env env = {.settings = &settings, .rollout = &rollout, .seal = &seal};

/* Built with faults, the replay of each request has each statement of its handler fail once. */
#ifdef WITH_FAULTS
#include "faults.h"
#else
static void faults_arm(long nth)
{
    (void)nth;
}

static bool faults_disarm(void)
{
    return false;
}
#endif

/* ---- one request */

struct attempt {
    struct request r;
    struct url url;
    bool keep;  /* what it writes */
    long fault; /* the step of a statement that fails, from 1; 0 none */
    bool hit;   /* it came so far */
    int rc;
    struct err e;
};

/* What a request leaves behind must not stop the clock for all others. */
static void tick(struct db *w)
{
    struct outgoing out[16];
    struct err e;
    bool again;
    size_t n;
    int rc = rollout_tick(&rollout, w, NOW_MS + 1000, out, ARRAY_SIZE(out), &n, &again, &e);
    if (rc)
        fprintf(stderr, "tick: %s\n", e.text);
    assert(rc == 0);
    while (n > 0)
        outgoing_clear(&out[--n]);
}

static void run_handler(struct attempt *a, struct db *db)
{
    faults_arm(a->fault);
    a->rc = a->r.route->handler(&a->r, db, &a->e);
    a->hit = faults_disarm() || a->hit;
}

static int on_writer(struct db *w, void *arg, struct err *e)
{
    struct attempt *a = arg;
    reply_clear(&a->r.reply);
    a->r.on_writer = true;
    run_handler(a, w);
    if (a->rc == 0)
        tick(w);
    return a->rc == 0 && a->keep ? 0 : err_set(e, ERR_CONFLICT, "undone");
}

static void run_on_writer(struct attempt *a)
{
    struct err e;
    store_write(env.store, on_writer, a, &e);
}

static int check_caller(struct attempt *a, const char *authorization, struct db *db)
{
    struct request *r = &a->r;
    if (!*authorization)
        r->caller = (struct caller){.role = ROLE_ADMIN, .name = "socket"};
    int rc = auth_check(r, *authorization ? authorization : NULL, db, &a->e);
    if (rc == 0 && !(r->route->flags & (ROUTE_DEVICE | ROUTE_FILE)))
        rc = request_query_check(r, &a->e);
    r->dry = r->route->flags & ROUTE_DRY && request_query(r, "dry_run");
    return rc;
}

static int take_body(struct attempt *a, const uint8_t *body, size_t size)
{
    struct request *r = &a->r;
    r->raw = malloc(size + 1);
    assert(r->raw);
    if (size)
        memcpy(r->raw, body, size);
    r->raw[size] = '\0';
    r->raw_len = size;
    if (size == 0 || r->route->flags & ROUTE_RAW)
        return 0;
    return json_parse(r->raw, size, &r->body, &a->e);
}

static void handle(struct attempt *a, struct db *db)
{
    struct request *r = &a->r;
    if (r->route->flags & ROUTE_WRITES && !r->dry) {
        run_on_writer(a);
        return;
    }
    run_handler(a, db);
    if (a->rc == 0 && r->to_writer)
        run_on_writer(a);
}

static void run(struct attempt *a, const char *method, const char *authorization, const uint8_t *body,
                size_t size)
{
    struct request *r = &a->r;
    char allow[64] = "";
    struct db *db;
    assert(store_reader(env.store, &db, &a->e) == 0);
    r->head = strcmp(method, "HEAD") == 0;
    a->rc = url_parse(r->target, &a->url, &a->e);
    r->path = a->url.path;
    r->query = &a->url.query;
    if (a->rc == 0)
        a->rc = route_find(method, r->path, &r->route, r->arg, allow, &a->e);
    if (a->rc == 0 && (r->route->flags & ROUTE_UPLOAD || r->route->handler == api_certificate_create ||
                       r->route->handler == api_backup_create))
        a->rc = err_set(&a->e, ERR_FORBIDDEN, "not here");
    if (a->rc == 0)
        a->rc = check_caller(a, authorization, db);
    if (a->rc == 0)
        a->rc = take_body(a, body, size);
    if (a->rc == 0)
        handle(a, db);
}

/* ---- what must hold of its answer */

static void read_stream(struct stream *s)
{
    const char *piece;
    struct err e;
    size_t len;
    do
        assert(s->next(s, &piece, &len, &e) == 0);
    while (len > 0);
}

/* What is no success is an error, but for the answer to who asks how the server is. */
static void check_reply(const struct request *r)
{
    const struct reply *reply = &r->reply;
    int status = reply->status ? reply->status : 200;
    assert((status >= 200 && status < 400) || r->route->handler == api_health);
    assert(!strpbrk(reply->location, "\r\n") && !strpbrk(reply->link, "\r\n"));
    if (reply->json) {
        char *text = json_text(reply->json);
        assert(*text);
        free(text);
    }
    if (reply->stream)
        read_stream(reply->stream);
}

static struct attempt *begin(const char *target, bool keep)
{
    struct attempt *a = calloc(1, sizeof *a);
    assert(a);
    a->keep = keep;
    a->r = (struct request){.env = &env, .target = target, .now_ms = NOW_MS, .reply = {.fd = -1}};
    rollout = (struct rollout){.presence = presence_open(0), .public_url = "https://ota.test:8443"};
    return a;
}

static void end(struct attempt *a)
{
    presence_close(rollout.presence);
    reply_clear(&a->r.reply);
    json_decref(a->r.body);
    json_decref(a->r.summary);
    free(a->r.raw);
    free(a);
}

/* ---- the house */

static const char *const steps[][3] = {
    {"POST", "/api/v1/products",
     "{\"key\":\"thermo\",\"protocol\":\"native\",\"public\":true,"
     "\"enrolment_secret\":\"secret-of-all\",\"enrolment\":\"open\"}"},
    {"POST", "/api/v1/products", "{\"key\":\"radio\",\"protocol\":\"onenet\"}"},
    {"POST", "/api/v1/products", "{\"key\":\"plug\",\"protocol\":\"aliyun\",\"version_scheme\":\"semver\"}"},
    {"POST", "/api/v1/products", "{\"key\":\"thing\",\"protocol\":\"aws\"}"},
    {"POST", "/api/v1/devices",
     "{\"product\":\"thermo\",\"name\":\"kitchen\",\"secret\":\"secret-1\",\"tags\":{\"site\":\"A\"}}"},
    {"POST", "/api/v1/devices",
     "{\"product\":\"thermo\",\"name\":\"00:11:22:33:44:55\",\"secret\":\"secret-2\"}"},
    {"POST", "/api/v1/devices",
     "{\"product\":\"radio\",\"name\":\"kitchen\",\"secret\":\"c2VjcmV0LTEyMw==\"}"},
    {"POST", "/api/v1/devices", "{\"product\":\"plug\",\"name\":\"kitchen\",\"secret\":\"secret-3\"}"},
    {"POST", "/api/v1/devices", "{\"product\":\"thing\",\"name\":\"kitchen\",\"secret\":\"secret-4\"}"},
    {"POST", "/api/v1/campaigns", "{\"firmware\":[1],\"policy\":{\"max_attempts\":2}}"},
    {"POST", "/api/v1/campaigns", "{\"firmware\":[2],\"name\":\"radios\"}"},
    {"POST", "/api/v1/campaigns", "{\"firmware\":[1],\"draft\":true,\"target\":{\"tags\":{\"site\":\"A\"}}}"},
    {"POST", "/api/v1/tokens", "{\"name\":\"ci\",\"role\":\"viewer\"}"},
};

static const char bytes[] = "the file of a firmware";

static int keep_firmware(struct db *w, void *arg, struct err *e)
{
    static const char *const modules[] = {"default", "fota"};
    struct digests *d = arg;
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        struct firmware f = {.product_id = i + 1,
                             .version = "2.0.0",
                             .size = sizeof bytes,
                             .created_at_ms = NOW_MS - 1000,
                             .signature = "c2ln",
                             .digests = *d};
        bool existed;
        str_copy(f.module, sizeof f.module, modules[i]);
        str_copy(f.filename, sizeof f.filename, "thermo-2.0.0.bin");
        rc = firmware_insert(w, &f, &existed, e);
    }
    return rc;
}

static void store_firmware(void)
{
    struct blob_upload *up;
    struct digests d;
    struct err e;
    assert(blob_upload_begin(env.blobs, &up, &e) == 0);
    assert(blob_upload_write(up, bytes, sizeof bytes, &e) == 0);
    blob_upload_digests(up, &d);
    assert(blob_upload_keep(up, &e) == 0);
    assert(store_write(env.store, keep_firmware, &d, &e) == 0);
}

static void furnish(void)
{
    bool has_firmware = false;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        const char *body = steps[i][2];
        if (!has_firmware && strstr(body, "firmware")) {
            store_firmware();
            has_firmware = true;
        }
        struct attempt *a = begin(steps[i][1], true);
        run(a, steps[i][0], "", (const uint8_t *)body, strlen(body));
        if (a->rc)
            fprintf(stderr, "%s: %s\n", body, a->e.text);
        assert(a->rc == 0);
        end(a);
    }
}

static void close_house(void)
{
    store_close(env.store);
    blobs_close(env.blobs);
    signing_key_close((struct signing_key *)env.signing_key);
    token_uses_close(env.token_uses);
    backups_close(env.backups);
}

static void build_house(void)
{
    struct signing_key *key;
    char path[FILE_PATH_SIZE];
    struct err e;
    const char *folder = fuzz_folder_make();
    log_level_set(LOG_LEVEL_ERROR);
    str_copy(settings.data_dir, sizeof settings.data_dir, folder);
    snprintf(path, sizeof path, "%s/otad.db", folder);
    assert(store_open(path, &env.store, &e) == 0);
    assert(blobs_open(folder, &env.blobs, &e) == 0);
    snprintf(path, sizeof path, "%s/sign.pem", folder);
    assert(signing_key_open(path, &key, &e) == 0);
    env.signing_key = key;
    env.token_uses = token_uses_open();
    static atomic_bool halt;
    snprintf(path, sizeof path, "%s/backups", folder);
    env.backups = backups_open(&(struct backups_setup){
        .store = env.store, .data_dir = folder, .dir = path, .keep = 1, .halt = &halt});
    snprintf(env.ca_path, sizeof env.ca_path, "%s/ca.pem", folder);
    snprintf(env.cert_path, sizeof env.cert_path, "%s/server.pem", folder);
    atexit(close_house);
    furnish();
}

/* Whether the fault was met: then there are more statements to try. */
static bool try_request(const char *method, const char *target, const char *authorization,
                        const uint8_t *body, size_t size, long fault)
{
    struct attempt *a = begin(target, false);
    a->fault = fault;
    run(a, method, authorization, body, size);
    bool hit = a->hit;
    if (a->rc)
        fuzz_check_failure(a->rc, &a->e);
    else
        check_reply(&a->r);
    if (hit && a->rc != -ERR_INTERNAL)
        fprintf(stderr, "%s %s: statement %ld failed, and nobody says so: %d %s\n", method, target, fault,
                a->rc, a->e.text);
    assert(hit ? a->rc == -ERR_INTERNAL : a->rc != -ERR_INTERNAL || a->r.route->handler == api_ca);
    end(a);
    return hit;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!env.store)
        build_house();
    char *method = fuzz_text(&data, &size, '\n'), *target = strchr(method, ' ');
    char *authorization = fuzz_text(&data, &size, '\n');
    if (target) {
        long fault = 0;
        *target++ = '\0';
#ifdef WITH_FAULTS
        fault = 1;
#endif
        while (try_request(method, target, authorization, data, size, fault))
            fault++;
    }
    free(authorization);
    free(method);
    return 0;
}
