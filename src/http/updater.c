#include "updater.h"

#include "http/auth.h"
#include "http/guard.h"
#include "http/route.h"
#include "store/device.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FIELD_SIZE 130 /* longer ones are cut, and still too long for what they are */

/* A header field of either family, without the blanks behind it. False when it is
 * missing or empty. */
static bool field(const struct request *r, const char *name, char out[FIELD_SIZE])
{
    static const char *const families[] = {"x-ESP32-", "x-ESP8266-"};
    const char *value = NULL;
    char whole[40];
    for (size_t i = 0; !value && i < ARRAY_SIZE(families); i++) {
        snprintf(whole, sizeof whole, "%s%s", families[i], name);
        value = request_header(r, whole);
    }
    snprintf(out, FIELD_SIZE, "%s", value ? value : "");
    out[guard_trimmed(out, strlen(out))] = '\0';
    return *out;
}

/* ---- who it is */

static int found(const struct device *d, struct updater *u, struct err *e)
{
    if (!d->enabled)
        return err_set(e, ERR_FORBIDDEN, "this device is switched off");
    str_copy(u->device, sizeof u->device, d->name);
    u->device_id = d->id;
    return 0;
}

/* A device that nobody knows yet will have its MAC address for a name. */
static int by_mac(struct db *db, const char *text, struct updater *u, struct err *e)
{
    struct device d;
    char mac[MAC_SIZE];
    if (!str_mac(text, mac))
        return err_field(e, ERR_INVALID, "STA-MAC", "the device's MAC address must be 12 hex digits");
    int rc = device_get_mac(db, u->product.key, mac, &d, e);
    if (rc == 0)
        return found(&d, u, e);
    str_copy(u->device, sizeof u->device, mac);
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}

static int by_name(struct db *db, const char *name, struct updater *u, struct err *e)
{
    struct device d;
    if (!str_is_name(name, sizeof u->device))
        return err_field(e, ERR_INVALID, "device", "device must be 1 to %d of A-Z a-z 0-9 _ . : @ -",
                         DEVICE_SIZE - 1);
    int rc = device_get(db, u->product.key, name, &d, e);
    if (rc == 0)
        return found(&d, u, e);
    str_copy(u->device, sizeof u->device, name);
    return rc == -ERR_NOT_FOUND ? 0 : rc;
}

/* It was looked up, and found enabled, when its secret was. */
static int by_proof(const struct request *r, struct updater *u, struct err *e)
{
    char product[PRODUCT_SIZE];
    const char *device = auth_device(&r->caller, product);
    if (strcmp(product, u->product.key) != 0)
        return err_set(e, ERR_FORBIDDEN, "this is for devices of %s, about themselves", u->product.key);
    str_copy(u->device, sizeof u->device, device);
    u->device_id = r->caller.device_id;
    return 0;
}

static int identify(const struct request *r, struct db *db, struct updater *u, struct err *e)
{
    const char *name = request_query(r, "device");
    char mac[FIELD_SIZE];
    if (r->caller.role != ROLE_NONE)
        return by_proof(r, u, e);
    if (!u->product.public)
        return err_set(e, ERR_UNAUTHORIZED, "%s is not public: this needs a device's name and secret",
                       u->product.key);
    if (field(r, "STA-MAC", mac) || field(r, "BASE-MAC", mac)) /* a chip without Wi-Fi has the latter only */
        return by_mac(db, mac, u, e);
    return name ? by_name(db, name, u, e) : 0;
}

/* ---- what it says */

static int read_module(const struct request *r, const char *module, struct updater *u, struct err *e)
{
    char mode[FIELD_SIZE];
    bool told = field(r, "mode", mode);
    u->asks_version = told && strcmp(mode, "version") == 0;
    if (!module)
        module = request_query(r, "module");
    if (!module)
        module = told && !u->asks_version && strcmp(mode, "sketch") != 0 ? mode : "default";
    if (!str_is_name(module, sizeof u->module))
        return err_field(e, ERR_INVALID, "module", "module must be 1 to %d of A-Z a-z 0-9 _ . : @ -",
                         MODULE_SIZE - 1);
    str_copy(u->module, sizeof u->module, module);
    return 0;
}

/* The MD5 is of the program, whatever the mode. */
static int version_of_program(const struct request *r, struct db *db, struct updater *u, struct err *e)
{
    char md5[FIELD_SIZE];
    unsigned char bytes[(MD5_TEXT_SIZE - 1) / 2];
    if (strcmp(u->module, "default") != 0 || !field(r, "sketch-md5", md5) ||
        !hex_parse(md5, bytes, sizeof bytes))
        return 0;
    hex_format(bytes, sizeof bytes, md5);
    struct stmt *s STMT_AUTO = db_stmt(db, Q_UPDATE_VERSION_OF_MD5);
    bind_int(s, ":product_id", u->product.id);
    bind_text(s, ":module", u->module);
    bind_text(s, ":md5", md5);
    int rc = stmt_step(s, e);
    if (rc > 0)
        col_text(s, 0, u->version, sizeof u->version);
    return rc < 0 ? rc : 0;
}

static int read_version(const struct request *r, struct db *db, struct updater *u, struct err *e)
{
    char text[FIELD_SIZE];
    const char *version = field(r, "version", text) ? text : request_query(r, "version");
    if (!version || !*version)
        return version_of_program(r, db, u, e);
    if (!str_is_text(version, sizeof u->version))
        return err_field(e, ERR_INVALID, "version", "version must be 1 to %d bytes of text",
                         VERSION_SIZE - 1);
    str_copy(u->version, sizeof u->version, version);
    return 0;
}

static int64_t read_room(const struct request *r, const struct updater *u)
{
    char text[FIELD_SIZE];
    uint64_t room;
    bool told = strcmp(u->module, "default") == 0 && field(r, "free-space", text) &&
                str_to_uint(text, INT64_MAX, &room);
    return told ? (int64_t)room : -1;
}

static int check_known(const struct updater *u, struct err *e)
{
    if (u->device_id || !*u->device)
        return 0;
    if (!u->product.enrolment_open)
        return err_set(e, ERR_FORBIDDEN, "%s is no device of %s, whose enrolment is closed", u->device,
                       u->product.key);
    if (!*u->version)
        return err_set(e, ERR_FORBIDDEN, "%s is not registered yet: the first version it reports does that",
                       u->device);
    return 0;
}

int updater_read(const struct request *r, struct db *db, const char *module, struct updater *out,
                 struct err *e)
{
    *out = (struct updater){0};
    int rc = product_get(db, r->arg[0], &out->product, e);
    if (rc == 0 && !out->product.enabled)
        rc = err_set(e, ERR_FORBIDDEN, "the product %s is switched off", out->product.key);
    if (rc == 0)
        rc = identify(r, db, out, e);
    if (rc == 0)
        rc = read_module(r, module, out, e);
    if (rc == 0)
        rc = read_version(r, db, out, e);
    if (rc == 0)
        rc = check_known(out, e);
    if (rc == 0)
        out->room_bytes = read_room(r, out);
    return rc;
}

void updater_chip_family(const char *chip, char out[CHIP_FAMILY_SIZE])
{
    size_t n = 0;
    for (; *chip && n < CHIP_FAMILY_SIZE - 2; chip++) {
        if (n == 5 && strncmp(out, "ESP32", 5) == 0)
            out[n++] = '-';
        out[n++] = (char)toupper((unsigned char)*chip);
    }
    out[n] = '\0';
}
