/* A device's certificate. */
#include "api.h"

#include "base/clock.h"
#include "base/pki_device.h"
#include "http/route.h"
#include "store/certificate.h"

#include <string.h>

#define CA_SIZE 16384

struct certificate {
    const struct request *request;
    struct pki_device_wish wish;
    struct pki_device_cert made;
};

/* All of it may be left out, the body too. */
static int read_body(const struct request *r, struct pki_device_wish *out, struct err *e)
{
    static const char *const words[] = {[PKI_P256] = "ec", [PKI_RSA_2048] = "rsa"};
    char type[16] = "";
    const struct json_field fields[] = {
        {.key = "csr", .kind = JSON_KIND_LINES, .out = &out->csr},
        {.key = "days", .kind = JSON_KIND_INT, .out = &out->days, .min = 1, .max = PKI_DEVICE_DAYS_MAX},
        {.key = "key_type", .kind = JSON_KIND_TEXT, .out = type, .size = sizeof type},
    };
    int rc = r->body ? json_read(r->body, fields, ARRAY_SIZE(fields), true, e) : 0;
    if (rc || !*type)
        return rc;
    if (out->csr)
        return err_field(e, ERR_INVALID, "key_type",
                         "key_type is for a key that is made here, and csr brings its own");
    for (int key = 0; key < (int)ARRAY_SIZE(words); key++)
        if (strcmp(type, words[key]) == 0) {
            out->key = (enum pki_key)key;
            return 0;
        }
    return err_field(e, ERR_INVALID, "key_type", "key_type must be \"ec\" or \"rsa\"");
}

/* The device may have gone while its key was made. */
static int note(struct db *w, void *arg, struct err *e)
{
    const struct certificate *c = arg;
    char end[CLOCK_TEXT_SIZE];
    struct device d;
    int rc = device_get(w, c->wish.product, c->wish.device, &d, e);
    if (rc)
        return rc;
    struct certificate_row row = {
        .device_id = d.id, .issued_at_ms = c->wish.now_ms, .ends_at_ms = c->made.ends_at_ms};
    str_copy(row.serial, sizeof row.serial, c->made.serial);
    rc = certificate_insert(w, &row, e);
    if (rc)
        return rc;
    clock_format(c->made.ends_at_ms, end);
    return timeline_add(w, d.id, c->wish.now_ms, "certificate", 0, 0, e, "serial %s until %s, by %s",
                        c->made.serial, end, c->request->caller.name);
}

/* Where the operator's own certificate is served, its CA is the operator's to know. */
static int put_server_ca(const struct request *r, json_t *j, struct err *e)
{
    char pem[CA_SIZE];
    size_t len;
    if (*r->env->settings->cert_file)
        return 0;
    int rc = file_read(r->env->ca_path, pem, sizeof pem, &len, e);
    if (rc)
        return err_set(e, ERR_INTERNAL, "cannot read the server's CA %s", r->env->ca_path);
    json_put_text(j, "ca", pem);
    return 0;
}

static int reply(struct request *r, const struct pki_device_cert *made, struct err *e)
{
    json_t *j = json_object();
    json_put_text(j, "certificate", made->cert);
    if (*made->key)
        json_put_text(j, "key", made->key);
    int rc = put_server_ca(r, j, e);
    if (rc) {
        json_decref(j);
        return rc;
    }
    json_put_text(j, "device_ca", made->ca);
    json_put_text(j, "serial", made->serial);
    json_put_moment(j, "not_after", made->ends_at_ms);
    reply_json(r, j);
    r->reply.status = 201;
    return 0;
}

int api_certificate_create(struct request *r, struct db *db, struct err *e)
{
    struct certificate c = {.request = r, .wish = {.days = PKI_DEVICE_DAYS, .now_ms = r->now_ms}};
    struct device d;
    int rc = device_get(db, r->arg[0], r->arg[1], &d, e);
    if (rc == 0)
        rc = read_body(r, &c.wish, e);
    c.wish.product = d.product;
    c.wish.device = d.name;
    if (rc == 0)
        rc = pki_device_issue(r->env->cert_dir, &c.wish, &c.made, e);
    if (rc == 0)
        rc = store_write(r->env->store, note, &c, e);
    if (rc == 0)
        rc = reply(r, &c.made, e);
    explicit_bzero(&c.made, sizeof c.made);
    return rc;
}
