/* The job document: who it is for and its files in a plain form, and the same files as AWS's OTA library
 * wants them (afr_ota), with the operator's own members over both. One document serves either kind of device.
 */
#include "aws_parts.h"

#include <stdio.h>
#include <string.h>

/* The files of devices that have modules are told apart by the chip they are for; the module that is the
 * whole device is the chip that talks to us. */
static const char *ota_type(const struct offer_file *f)
{
    return strcmp(f->module, "default") == 0 ? "esp32" : f->module;
}

static json_t *plain_file(const struct offer_file *f)
{
    json_t *j = json_object();
    json_put_text(j, "ota_type", ota_type(f));
    json_put_text(j, "url", f->url);
    json_put_text(j, "md5", f->digests.md5);
    json_put_text(j, "version", f->version);
    json_put_int(j, "size", (int64_t)f->size);
    return j;
}

static bool over_mqtt(const struct offer *o)
{
    return o->transfer != TRANSFER_HTTPS;
}

static bool over_http(const struct offer *o)
{
    return o->transfer != TRANSFER_MQTT;
}

/* Which file of the device's flash and which certificate it checks the signature by are names that only its
 * firmware knows: the operator's members replace these. */
static json_t *afr_file(const struct offer *o, const struct offer_file *f)
{
    json_t *j = json_object();
    json_put_text(j, "filepath", f->filename);
    json_put_int(j, "filesize", (int64_t)f->size);
    json_put_int(j, "fileid", f->index);
    json_put_text(j, "certfile", "signing-key.pem");
    json_put_int(j, "fileType", 0);
    if (over_http(o)) {
        json_put_text(j, "update_data_url", f->url);
        json_put_text(j, "auth_scheme", "aws.s3.presigned");
    }
    json_put_text(j, "sig-sha256-ecdsa", f->signature);
    return j;
}

static json_t *files(const struct offer *o, bool afr)
{
    json_t *list = json_array();
    for (size_t i = 0; o->more && i < o->more->n; i++) {
        const struct offer_file *f = &o->more->file[i];
        json_array_append_new(list, afr ? afr_file(o, f) : plain_file(f));
    }
    return list;
}

static json_t *afr_ota(const struct offer *o)
{
    char stream[40];
    json_t *j = json_object(), *protocols = json_array();
    if (over_mqtt(o))
        json_array_append_new(protocols, json_string("MQTT"));
    if (over_http(o))
        json_array_append_new(protocols, json_string("HTTP"));
    json_put(j, "protocols", protocols);
    if (over_mqtt(o)) {
        snprintf(stream, sizeof stream, AWS_STREAM_PREFIX "%lld", (long long)o->id);
        json_put_text(j, "streamname", stream);
    }
    json_put(j, "files", files(o, true));
    return j;
}

/* ---- the operator's own members */

/* value in place of what object has by that key; null takes it away. */
static void lay(json_t *object, const char *key, json_t *value)
{
    if (json_is_null(value))
        json_object_del(object, key);
    else
        json_put(object, key, json_incref(value));
}

static bool is_of_file(const char *key)
{
    return strcmp(key, "filepath") == 0 || strcmp(key, "certfile") == 0 || strcmp(key, "fileType") == 0;
}

/* The list may be the operator's own too, of anything. */
static void lay_on_files(json_t *list, const char *key, json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_object(json_array_get(list, i)))
            lay(json_array_get(list, i), key, value);
}

static void lay_on_afr(json_t *afr, json_t *own)
{
    const char *key;
    json_t *value;
    json_object_foreach(own, key, value)
    {
        if (is_of_file(key))
            lay_on_files(json_object_get(afr, "files"), key, value);
        else
            lay(afr, key, value);
    }
}

static void lay_own(json_t *document, const char *text)
{
    const char *key;
    json_t *own = NULL, *value;
    struct err e;
    if (json_parse(text, strlen(text), &own, &e) < 0)
        return;
    json_object_foreach(own, key, value)
    {
        if (strcmp(key, "afr_ota") == 0 && json_is_object(value))
            lay_on_afr(json_object_get(document, key), value);
        else
            lay(document, key, value);
    }
    json_decref(own);
}

json_t *aws_document(const struct offer *o)
{
    json_t *j = json_object();
    json_put_text(j, "product", o->more ? o->more->product_name : "");
    json_put_text(j, "group", o->more ? o->more->group : "");
    json_put(j, "firmware", files(o, false));
    json_put(j, "afr_ota", afr_ota(o));
    if (o->more && o->more->job_document)
        lay_own(j, o->more->job_document);
    return j;
}
