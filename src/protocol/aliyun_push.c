/* The push. Devices in the field read it by sscanf with the text that the platform sent to their authors, so
 * every member stands where the platform puts it: its members come out in the order of a Java HashMap with 16
 * buckets. "code" is a text and "id" a number there, whatever the documents say; signMethod is "Md5" and not
 * "MD5", which Link SDK does not know. */
#include "aliyun_private.h"

#include <string.h>

static const char *const members[] = {
    "code",         "data", "id",       "message",   "size",    "streamId", "digestsign", "extData",
    "module",       "sign", "files",    "dProtocol", "version", "isDiff",   "url",        "signMethod",
    "streamFileId", "md5",  "fileSize", "fileName",  "fileUrl", "fileMd5",  "fileSign"};

bool aliyun_is_member(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (strcmp(members[i], text) == 0)
            return true;
    return false;
}

bool aliyun_url_suits(const char *url)
{
    const char *host = strstr(url, "://");
    if (!host || strlen(url) > ALIYUN_URL_MAX)
        return false;
    host += 3;
    return !memchr(host, ':', strcspn(host, "/"));
}

struct goods { /* the files of one firmware, and how they travel */
    const struct offer_file *file;
    size_t n;
    uint64_t size; /* of all */
    bool by_mqtt;
};

static struct goods goods_of(const struct offer *o)
{
    struct goods g = {.file = &o->file, .n = 1, .size = o->file.size};
    const struct offer_more *more = o->more;
    bool urls = aliyun_url_suits(o->file.url), small = o->file.size <= ALIYUN_BLOCKS_FILE_MAX;
    if (more && more->n > 0)
        g.file = more->file;
    for (; more && g.n < more->n && g.file[g.n].firmware_id == o->file.firmware_id; g.n++) {
        const struct offer_file *f = &g.file[g.n];
        g.size += f->size;
        urls = urls && aliyun_url_suits(f->url);
        small = small && f->size <= ALIYUN_BLOCKS_FILE_MAX;
    }
    g.by_mqtt = o->transfer == TRANSFER_MQTT || (o->transfer == TRANSFER_AUTO && !urls && small);
    return g;
}

static const char *sign_of(const struct offer *o, const struct offer_file *f)
{
    return o->sha256_sign ? f->digests.sha256 : f->digests.md5;
}

static json_t *files_json(const struct offer *o, const struct goods *g)
{
    json_t *files = json_array();
    for (size_t i = 0; i < g->n; i++) {
        const struct offer_file *f = &g->file[i];
        json_t *j = json_object();
        json_put_int(j, "fileSize", (int64_t)f->size);
        json_put_text(j, "fileName", f->filename);
        if (g->by_mqtt)
            json_put_int(j, "streamFileId", f->number);
        else
            json_put_text(j, "fileUrl", f->url);
        json_put_text(j, "fileMd5", f->digests.md5);
        json_put_text(j, "fileSign", sign_of(o, f));
        json_array_append_new(files, j);
    }
    return files;
}

static void put_ext_data(json_t *data, const struct offer_more *more)
{
    struct err e;
    json_t *ext = NULL;
    if (more && more->ext_data && json_parse(more->ext_data, strlen(more->ext_data), &ext, &e) == 0)
        json_put(data, "extData", ext);
}

/* A firmware of one file has the form of one file: Link SDK reads a list of one as that. The platform's own
 * signature is of one file too. */
static json_t *push_data(const struct offer *o)
{
    const struct offer_file *f = &o->file;
    const struct goods g = goods_of(o);
    bool one = g.n == 1;
    json_t *data = json_object();
    json_put_int(data, "size", (int64_t)g.size);
    if (g.by_mqtt)
        json_put_int(data, "streamId", f->firmware_id);
    if (one && o->digest_sign && *f->signature)
        json_put_text(data, "digestsign", f->signature);
    put_ext_data(data, o->more);
    if (strcmp(f->module, "default") != 0)
        json_put_text(data, "module", f->module);
    if (one)
        json_put_text(data, "sign", sign_of(o, f));
    else
        json_put(data, "files", files_json(o, &g));
    if (g.by_mqtt)
        json_put_text(data, "dProtocol", "mqtt");
    json_put_text(data, "version", f->version);
    if (*f->delta_from)
        json_put_int(data, "isDiff", 1);
    if (one && !g.by_mqtt)
        json_put_text(data, "url", f->url);
    json_put_text(data, "signMethod", o->sha256_sign ? "SHA256" : "Md5");
    if (one && g.by_mqtt)
        json_put_int(data, "streamFileId", f->number);
    if (one)
        json_put_text(data, "md5", f->digests.md5);
    return data;
}

static const char *const topics[] = {[ALIYUN_UNASKED] = "/ota/device/upgrade/%p/%d",
                                     [ALIYUN_GET] = "/sys/%p/%d/thing/ota/firmware/get_reply",
                                     [ALIYUN_LEGACY] = "/ota/device/request/%p/%d"};

/* data is taken over. The id is the request's where that is a number, as the platform's are. */
static int add_message(const struct outgoing *what, enum aliyun_form form, json_t *data,
                       struct message out[MESSAGES_MAX], size_t *n, struct err *e)
{
    struct message m = {.qos = 1};
    uint64_t id;
    bool echo = form != ALIYUN_UNASKED && str_to_uint(what->reply.token, INT64_MAX, &id);
    int rc = message_address(topics[form], what->product, what->device, &m, e);
    if (rc < 0) {
        json_decref(data);
        return rc;
    }
    json_t *body = json_object();
    json_put_text(body, "code", "1000");
    json_put(body, "data", data);
    json_put_int(body, "id", echo ? (int64_t)id : what->now_ms);
    json_put_text(body, "message", "success");
    message_json(&m, body);
    out[(*n)++] = m;
    return 0;
}

/* Who asks for the file of one module is not given another's for it: that one is pushed. */
static bool is_asked_for(const struct outgoing *what)
{
    const char *module = what->reply.name;
    return what->reply.form != ALIYUN_GET || !*module || strcmp(module, what->offer.file.module) == 0;
}

int aliyun_render(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n, struct err *e)
{
    enum aliyun_form form = (enum aliyun_form)what->reply.form;
    bool offer = what->kind == OUTGOING_OFFER, asked = form == ALIYUN_GET || form == ALIYUN_LEGACY;
    int rc = 0;
    *n = 0;
    if (asked && (what->kind == OUTGOING_NOTHING || (offer && !is_asked_for(what)))) {
        rc = add_message(what, form, json_object(), out, n, e);
        form = ALIYUN_UNASKED;
    }
    return offer && rc == 0 ? add_message(what, form, push_data(&what->offer), out, n, e) : rc;
}
