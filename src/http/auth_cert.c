#include "auth_cert.h"

#include "http/auth.h"
#include "http/route.h"
#include "protocol/onenet.h"
#include "store/certificate.h"
#include "store/device.h"
#include "store/product.h"

#include <stdio.h>
#include <string.h>

/* A certificate without a product is a thing's of AWS, as at the broker. */
static int find_device(const struct client_cert *shown, struct db *db, struct device *out, struct err *e)
{
    int rc = *shown->product ? device_get(db, shown->product, shown->device, out, e)
                             : device_get_thing(db, shown->device, out, e);
    if (rc == -ERR_NOT_FOUND)
        return err_set(e, ERR_UNAUTHORIZED, "the client certificate names a device that is not registered");
    return rc;
}

static int check_enabled(const struct device *d, const struct product *product, struct err *e)
{
    if (!d->enabled || !product->enabled)
        return err_set(e, ERR_FORBIDDEN, "this device is switched off");
    return 0;
}

static int check_route(const struct request *r, const struct device *d, const struct product *product,
                       struct err *e)
{
    const struct route *route = r->route;
    if (route->role != ROLE_NONE && !(route->flags & (ROUTE_DEVICE | ROUTE_FILE)))
        return err_set(e, ERR_FORBIDDEN, "this port is for devices with a certificate, about themselves");
    if ((route->flags & ROUTE_FUSE) &&
        (strcmp(r->arg[0], d->product) != 0 || strcmp(r->arg[1], d->name) != 0 ||
         strcmp(product->protocol, onenet_protocol.name) != 0))
        return err_set(e, ERR_FORBIDDEN, "this is for devices of OneNET, about themselves");
    return 0;
}

static int check_header(struct request *r, const char *header, struct db *db, struct err *e)
{
    const struct caller own = r->caller;
    int rc = header ? auth_check(r, header, db, e) : 0;
    if (rc)
        return rc;
    if (r->caller.role != ROLE_DEVICE || strcmp(r->caller.name, own.name) != 0)
        return err_set(e, ERR_FORBIDDEN,
                       "the client certificate is that of %s, the Authorization header is not", own.name);
    return 0;
}

int auth_cert_check(struct request *r, const struct client_cert *shown, const char *header, struct db *db,
                    struct err *e)
{
    struct device d;
    struct product product;
    int rc = find_device(shown, db, &d, e);
    if (rc == 0)
        rc = product_get(db, d.product, &product, e);
    if (rc == 0)
        rc = certificate_check(db, shown->serial, d.id, e);
    if (rc == 0)
        rc = check_enabled(&d, &product, e);
    if (rc == 0)
        rc = check_route(r, &d, &product, e);
    if (rc)
        return rc;
    r->caller.role = ROLE_DEVICE;
    r->caller.device_id = d.id;
    snprintf(r->caller.name, sizeof r->caller.name, "%s/%s", d.product, d.name);
    return check_header(r, header, db, e);
}
