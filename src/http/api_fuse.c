/* OneNET's HTTP service as its devices in the field use it: the same events as by MQTT, answered in the
 * service's envelope. Here: which versions a device has, and whether anything is due. */
#include "api_fuse.h"

#include "base/log.h"
#include "http/route.h"
#include "protocol/liberal.h"
#include "protocol/onenet.h"
#include "rollout/execution.h"

#include <string.h>

int fuse_answer(struct request *r, enum fuse_code code, json_t *data)
{
    r->reply.text = fuse_text(code, NULL, data);
    r->reply.type = FUSE_TYPE;
    return 0;
}

int fuse_event(const struct request *r, enum event_kind kind, struct device_event *ev, struct err *e)
{
    if (r->caller.role != ROLE_DEVICE)
        return err_set(e, ERR_FORBIDDEN, "this is for devices, about themselves");
    *ev = (struct device_event){.kind = kind, .percent = -1, .reason = REASON_NONE};
    str_copy(ev->product, sizeof ev->product, r->arg[0]);
    str_copy(ev->device, sizeof ev->device, r->arg[1]);
    return 0;
}

int fuse_tell(const struct request *r, struct db *w, const struct device_event ev[], size_t n,
              struct outgoing *out, struct err *e)
{
    struct outgoing sent[ROLLOUT_SENDS_MAX];
    int rc = 0;
    *out = (struct outgoing){.kind = OUTGOING_NOTHING};
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t sends = 0;
        rc = rollout_event(r->env->rollout, w, &ev[i], r->now_ms, sent, &sends, e);
        for (size_t k = 0; rc == 0 && k < sends; k++) {
            outgoing_clear(out);
            *out = sent[k];
        }
    }
    if (rc < 0)
        outgoing_clear(out);
    return rc;
}

/* ---- versions: f_version is the radio module's, s_version the application's; each has a module of its own
 * here. A campaign for "default" is about either: whichever it is. */

struct versions {
    char fota[VERSION_SIZE], sota[VERSION_SIZE]; /* "" none */
};

/* Whether a live execution of the device waits for this version of "default". */
static int is_awaited(struct db *db, const struct party *p, const char *version, bool *awaited, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_LIVE_MODULE);
    int rc;
    bind_int(s, ":device_id", p->device_id);
    bind_text(s, ":module", "default");
    bind_int(s, ":cap", LIVE_MAX);
    *awaited = false;
    while ((rc = stmt_step(s, e)) > 0)
        *awaited = *awaited || version_standing(p->scheme, version, col_ptr(s, 1)) == STANDING_ON_TARGET;
    return rc;
}

/* What the device said before: of "default" in *known, and where *v has none of the others. */
static int read_known(struct db *db, int64_t device_id, struct versions *v, char known[VERSION_SIZE],
                      struct err *e)
{
    int rc = device_version_get(db, device_id, "default", known, e);
    if (rc == 0 && !*v->fota)
        rc = device_version_get(db, device_id, ONENET_FOTA, v->fota, e);
    if (rc == 0 && !*v->sota)
        rc = device_version_get(db, device_id, ONENET_SOTA, v->sota, e);
    return rc;
}

/* The version of "default": the one of the two that is waited for, else the one that it was already, else the
 * application's. */
static int pick_default(struct db *db, const struct party *p, const struct versions *said,
                        char out[VERSION_SIZE], struct err *e)
{
    const char *const both[] = {said->sota, said->fota};
    struct versions all = *said;
    char known[VERSION_SIZE];
    bool awaited = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && !awaited && i < ARRAY_SIZE(both); i++) {
        if (*both[i])
            rc = is_awaited(db, p, both[i], &awaited, e);
        if (awaited)
            str_copy(out, VERSION_SIZE, both[i]);
    }
    if (rc < 0 || awaited)
        return rc;
    rc = read_known(db, p->device_id, &all, known, e);
    bool was_fota = *all.fota && strcmp(all.fota, known) == 0 && strcmp(all.sota, known) != 0;
    str_copy(out, VERSION_SIZE, was_fota || !*all.sota ? all.fota : all.sota);
    return rc;
}

#define INFORMS_MAX 3

/* "default" comes last: then all is known when something is offered. */
static int make_informs(const struct request *r, struct db *db, const struct versions *said,
                        struct device_event ev[INFORMS_MAX], size_t *n, struct err *e)
{
    char picked[VERSION_SIZE] = "";
    const char *const modules[INFORMS_MAX] = {ONENET_FOTA, ONENET_SOTA, "default"};
    const char *const versions[INFORMS_MAX] = {said->fota, said->sota, picked};
    struct party p;
    int rc = party_get(db, r->arg[0], r->arg[1], &p, e);
    if (rc == 0)
        rc = pick_default(db, &p, said, picked, e);
    *n = 0;
    for (size_t i = 0; rc == 0 && i < INFORMS_MAX; i++) {
        struct device_event *this = &ev[*n];
        if (!*versions[i])
            continue;
        rc = fuse_event(r, EVENT_INFORM, this, e);
        str_copy(this->module, sizeof this->module, modules[i]);
        str_copy(this->version, sizeof this->version, versions[i]);
        this->more_follows = i + 1 < INFORMS_MAX;
        ++*n;
    }
    return rc;
}

static int read_versions(const struct request *r, struct versions *out, struct err *e)
{
    const struct {
        const char *name;
        char *out;
    } members[] = {{"f_version", out->fota}, {"s_version", out->sota}};
    json_t *body;
    int rc = liberal_parse(r->raw ? r->raw : "", r->raw_len, &body, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(members); i++) {
        const json_t *value = liberal_member(body, members[i].name);
        bool empty = !value || (json_is_string(value) && !*json_string_value(value));
        if (!empty && !onenet_version(value, members[i].out))
            rc = err_field(e, ERR_INVALID, members[i].name, "%s must be 1 to %d bytes of text",
                           members[i].name, VERSION_SIZE - 1);
    }
    json_decref(body);
    if (rc == 0 && !*out->fota && !*out->sota)
        rc = err_set(e, ERR_INVALID, "f_version and s_version are missing");
    return rc;
}

int api_fuse_version_put(struct request *r, struct db *db, struct err *e)
{
    struct versions said = {0};
    struct device_event ev[INFORMS_MAX];
    struct outgoing out;
    bool idle;
    size_t n = 0;
    int rc = read_versions(r, &said, e);
    if (rc == 0)
        rc = make_informs(r, db, &said, ev, &n, e);
    if (rc == 0)
        rc = api_idle(r, db, r->caller.device_id, ev, n, &idle, e);
    if (rc)
        return rc;
    if (!r->on_writer)
        return idle ? fuse_answer(r, FUSE_OK, NULL) : request_to_writer(r);
    rc = fuse_tell(r, db, ev, n, &out, e);
    if (rc)
        return rc;
    outgoing_clear(&out);
    return fuse_answer(r, FUSE_OK, NULL);
}

int api_fuse_version_get(struct request *r, struct db *db, struct err *e)
{
    struct device_event self;
    struct versions v = {0};
    char known[VERSION_SIZE];
    int rc = fuse_event(r, EVENT_HEARD, &self, e);
    if (rc == 0)
        rc = read_known(db, r->caller.device_id, &v, known, e);
    if (rc)
        return rc;
    json_t *data = json_object();
    json_put_text(data, "f_version", v.fota);
    json_put_text(data, "s_version", *v.sota ? v.sota : known);
    return fuse_answer(r, FUSE_OK, data);
}

/* ---- is anything due? */

/* ?type=: 1 the radio module, 2 the application, 0 not given. version, which comes with it, is a report like
 * any other. */
static int read_question(const struct request *r, int64_t *type, struct versions *said, struct err *e)
{
    const char *version = request_query(r, "version");
    int rc = request_query_int(r, "type", 1, 2, 0, type, e);
    if (rc == 0 && version && *version && !str_is_text(version, VERSION_SIZE))
        rc = err_field(e, ERR_INVALID, "version", "version must be 1 to %d bytes of text", VERSION_SIZE - 1);
    if (rc == 0)
        str_copy(*type == 1 ? said->fota : said->sota, VERSION_SIZE, version);
    return rc;
}

static int make_question(const struct request *r, struct db *db, const struct versions *said,
                         struct device_event ev[INFORMS_MAX], size_t *n, struct err *e)
{
    if (*said->fota || *said->sota)
        return make_informs(r, db, said, ev, n, e);
    int rc = fuse_event(r, EVENT_REQUEST, &ev[0], e);
    str_copy(ev[0].module, sizeof ev[0].module, "default");
    *n = 1;
    return rc;
}

static bool is_of_type(const char *module, int64_t type)
{
    return strcmp(module, "default") == 0 || (type != 2 && strcmp(module, ONENET_FOTA) == 0) ||
           (type != 1 && strcmp(module, ONENET_SOTA) == 0);
}

static json_t *task_json(const struct offer *o, enum execution_state state)
{
    json_t *data = json_object();
    json_put_text(data, "target", o->file.version);
    json_put_int(data, "tid", o->campaign_id);
    json_put_int(data, "size", (int64_t)o->file.size);
    json_put_text(data, "md5", o->file.digests.md5);
    json_put_int(data, "status", onenet_status(state));
    json_put_int(data, "type", *o->file.delta_from ? 2 : 1);
    return data;
}

static int answer_offer(struct request *r, struct db *w, const struct outgoing *out, int64_t type,
                        struct err *e)
{
    struct execution x;
    if (out->kind != OUTGOING_OFFER || !is_of_type(out->offer.file.module, type))
        return fuse_answer(r, FUSE_NONE, NULL);
    if (out->offer.campaign_id > ONENET_TID_MAX) {
        log_warn("campaign %lld cannot be told to %s: OneNET's devices take seven digits",
                 (long long)out->offer.campaign_id, r->caller.name);
        return fuse_answer(r, FUSE_NONE, NULL);
    }
    int rc = execution_get(w, out->offer.id, &x, e);
    return rc ? rc : fuse_answer(r, FUSE_OK, task_json(&out->offer, x.state));
}

int api_fuse_check(struct request *r, struct db *db, struct err *e)
{
    struct versions said = {0};
    struct device_event ev[INFORMS_MAX];
    struct outgoing out;
    bool idle;
    int64_t type;
    size_t n = 0;
    int rc = read_question(r, &type, &said, e);
    if (rc == 0)
        rc = make_question(r, db, &said, ev, &n, e);
    if (rc == 0)
        rc = api_idle(r, db, r->caller.device_id, ev, n, &idle, e);
    if (rc)
        return rc;
    if (!r->on_writer)
        return idle ? fuse_answer(r, FUSE_NONE, NULL) : request_to_writer(r);
    rc = fuse_tell(r, db, ev, n, &out, e);
    if (rc)
        return rc;
    rc = answer_offer(r, db, &out, type, e);
    outgoing_clear(&out);
    return rc;
}
