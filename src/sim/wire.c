#include "wire.h"

#include <stdio.h>
#include <string.h>

const struct wire *wire_by_name(const char *name)
{
    static const struct wire *const ROWS[] = {&wire_native, &wire_aliyun, &wire_onenet, &wire_aws};
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++)
        if (strcmp(ROWS[i]->name, name) == 0)
            return ROWS[i];
    return NULL;
}

/* What stands for the two characters at in a pattern; NULL: they are themselves. */
static const char *meaning(const char *at, const struct wire_identity *who, const char *extra)
{
    if (at[0] != '%')
        return NULL;
    return at[1] == 'p' ? who->product : at[1] == 'd' ? who->device : at[1] == 'x' ? extra : NULL;
}

int wire_topic(const char *pattern, const struct wire_identity *who, const char *extra,
               char topic[WIRE_TOPIC_SIZE], struct err *e)
{
    size_t used = 0;
    for (const char *at = pattern; *at; at++) {
        const char *text = meaning(at, who, extra);
        size_t len = text ? strlen(text) : 1;
        if (used + len >= WIRE_TOPIC_SIZE)
            return err_set(e, ERR_INVALID, "the topic of device %s is too long", who->device);
        memcpy(topic + used, text ? text : at, len);
        used += len;
        at += text != NULL;
    }
    topic[used] = '\0';
    return 0;
}

bool wire_topic_is(const char *topic, const char *pattern, const struct wire_identity *who)
{
    char mine[WIRE_TOPIC_SIZE];
    struct err e;
    return wire_topic(pattern, who, NULL, mine, &e) == 0 && strcmp(topic, mine) == 0;
}

void wire_body(struct wire_message *out, json_t *object)
{
    out->body = json_text(object);
    out->len = strlen(out->body);
    json_decref(object);
}

/* ---- offers */

static bool is_digest(const char *text, size_t bytes)
{
    unsigned char value[SHA256_BYTES];
    return !*text || (hex_parse(text, value, bytes) && strspn(text, "0123456789abcdef") == 2 * bytes);
}

/* Leaves one of url and stream. */
static int choose_path(enum wire_path path, struct wire_offer *offer, struct err *e)
{
    if (path == WIRE_PATH_MQTT && !*offer->stream)
        return err_set(e, ERR_INVALID, "the offer has no file over MQTT");
    if (path == WIRE_PATH_HTTPS && !*offer->url)
        return err_field(e, ERR_INVALID, "url", "the offer has no url");
    if (path == WIRE_PATH_MQTT)
        offer->url[0] = '\0';
    if (*offer->url)
        offer->stream[0] = '\0';
    return 0;
}

int wire_offer_check(const struct wire_identity *who, struct wire_offer *offer, struct err *e)
{
    if (!is_digest(offer->sha256, SHA256_BYTES))
        return err_field(e, ERR_INVALID, "sha256", "a SHA-256 must be 64 lower-case hex digits");
    if (!is_digest(offer->md5, 16) || !(*offer->sha256 || *offer->md5))
        return err_field(e, ERR_INVALID, "md5", "an MD5 must be 32 lower-case hex digits");
    int rc = choose_path(who->habits->path, offer, e);
    if (rc < 0 || *offer->stream)
        return rc;
    if (strncmp(offer->url, "https://", 8) != 0 && strncmp(offer->url, "http://", 7) != 0)
        return err_field(e, ERR_INVALID, "url", "url must begin with https:// or http://");
    return 0;
}
