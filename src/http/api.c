#include "api.h"

#include "base/digest.h"
#include "protocol/aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int api_read(const struct request *r, const struct json_field fields[], size_t n, struct err *e)
{
    if (!r->body)
        return err_set(e, ERR_BAD_REQUEST, "the body is empty, a JSON object is expected");
    return json_read(r->body, fields, n, true, e);
}

void api_wake(const struct request *r)
{
    if (r->env->wake)
        r->env->wake();
}

int api_idle(const struct request *r, struct db *db, int64_t device_id, const struct device_event ev[],
             size_t n, bool *idle, struct err *e)
{
    int rc = 0;
    *idle = device_id && !r->on_writer;
    for (size_t i = 0; rc == 0 && *idle && i < n; i++)
        rc = rollout_poll_idle(db, device_id, ev[i].module, ev[i].version, r->now_ms, idle, e);
    if (rc == 0 && *idle)
        presence_touch(r->env->rollout->presence, device_id, r->now_ms);
    return rc;
}

int api_tell(const struct request *r, struct db *w, const struct device_event *ev, struct outgoing *answer,
             struct err *e)
{
    struct outgoing out[ROLLOUT_SENDS_MAX];
    size_t n = 0;
    *answer = (struct outgoing){.kind = OUTGOING_NOTHING};
    int rc = rollout_event(r->env->rollout, w, ev, r->now_ms, out, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (out[i].kind == OUTGOING_OFFER && answer->kind != OUTGOING_OFFER)
            *answer = out[i];
        else
            outgoing_clear(&out[i]);
    return rc;
}

void *api_rows(size_t n, size_t size)
{
    void *rows = calloc(n, size);
    if (!rows)
        abort();
    return rows;
}

void api_secret_make(const char *protocol, char secret[SECRET_SIZE])
{
    unsigned char bytes[32];
    const struct protocol *p = protocol_by_name(protocol);
    random_bytes(bytes, sizeof bytes);
    if (p && p->login.base64_secret)
        base64_format(bytes, sizeof bytes, secret);
    else
        base64url_format(bytes, sizeof bytes, secret);
    explicit_bzero(bytes, sizeof bytes);
}

int api_secret_check(const char *field, const char *secret, struct err *e)
{
    if (!str_is_text(secret, SECRET_SIZE) || strlen(secret) < API_SECRET_BYTES_MIN || strchr(secret, ':'))
        return err_field(e, ERR_INVALID, field, "%s must be %d to %d bytes of text without a colon", field,
                         API_SECRET_BYTES_MIN, SECRET_SIZE - 1);
    return 0;
}

int api_secret_seal(const struct request *r, const char *purpose, const char *owner, const char *secret,
                    unsigned char out[SEALED_SIZE], size_t *len, struct err *e)
{
    size_t n = strlen(secret);
    int rc = seal_close(r->env->seal, purpose, owner, secret, n, out, e);
    if (rc == 0)
        *len = n + SEAL_OVERHEAD;
    return rc;
}

int api_device_seal(const struct request *r, struct device *d, const char *secret, struct err *e)
{
    char owner[PRODUCT_SIZE + DEVICE_SIZE];
    snprintf(owner, sizeof owner, "%s/%s", d->product, d->name);
    return api_secret_seal(r, "device", owner, secret, d->secret, &d->secret_len, e);
}

int api_tag_check(const char *key, const char *value, const char *field, struct err *e)
{
    char path[sizeof e->field];
    snprintf(path, sizeof path, "%s.%s", field, key);
    if (!str_is_name(key, TAG_KEY_SIZE))
        return err_field(e, ERR_INVALID, field, "tag \"%.64s\" must be 1 to %d of A-Z a-z 0-9 _ . : @ -", key,
                         TAG_KEY_SIZE - 1);
    if (!value || (*value && !str_is_text(value, TAG_VALUE_SIZE)))
        return err_field(e, ERR_INVALID, path, "tag %s must be at most %d bytes of text", key,
                         TAG_VALUE_SIZE - 1);
    return 0;
}

int api_tags_read(const json_t *object, const char *field, struct device_tag out[TAGS_MAX], size_t *n,
                  struct err *e)
{
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        const char *text = json_string_value(value);
        int rc = api_tag_check(key, text, field, e);
        if (rc)
            return rc;
        if (count == TAGS_MAX)
            return err_field(e, ERR_INVALID, field, "there may be at most %d tags", TAGS_MAX);
        str_copy(out[count].key, sizeof out[count].key, key);
        str_copy(out[count].value, sizeof out[count].value, text);
        count++;
    }
    *n = count;
    return 0;
}

int api_product(struct db *db, const char *key, struct product *out, struct err *e)
{
    int rc = product_get(db, key, out, e);
    if (rc == -ERR_NOT_FOUND)
        return err_field(e, ERR_INVALID, "product", "there is no product %.64s", key);
    return rc;
}

int api_name_check(const struct product *p, const char *name, struct err *e)
{
    if (protocol_by_name(p->protocol) == &aws_protocol && !aws_is_thing(name))
        return err_field(e, ERR_INVALID, "name", "the name of a thing of AWS is 1 to %d of A-Z a-z 0-9 : _ -",
                         DEVICE_SIZE - 1);
    return 0;
}

int api_state_read(const struct request *r, int (*parse)(const char *word), int *out, struct err *e)
{
    const char *word = request_query(r, "state");
    *out = word ? parse(word) : -1;
    if (word && *out < 0)
        return err_field(e, ERR_INVALID, "state", "\"%.32s\" is not a state", word);
    return 0;
}

json_t *api_execution_json(const struct execution_view *x)
{
    json_t *j = json_object();
    json_put_int(j, "id", x->id);
    json_put_int(j, "campaign", x->campaign_id);
    json_put_text(j, "product", x->product);
    json_put_text(j, "device", x->device);
    json_put(j, "wave", x->wave == NO_WAVE ? json_null() : json_integer(x->wave));
    json_put_text(j, "state", execution_state_word(x->state));
    json_put_int(j, "percent", x->percent);
    json_put_int(j, "attempt", x->attempt);
    json_put_text(j, "reason", x->reason);
    json_put_text(j, "detail", x->detail);
    json_put_moment(j, "due_at", x->due_at_ms);
    json_put_moment(j, "offered_at", x->offered_at_ms);
    json_put_moment(j, "started_at", x->started_at_ms);
    json_put_moment(j, "finished_at", x->finished_at_ms);
    json_put_moment(j, "updated_at", x->updated_at_ms);
    return j;
}
