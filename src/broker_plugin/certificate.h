/* certificate.h: whom the certificate names that a connection's other end has shown. Only listeners that
 * demand one ask for it, and they have verified it against otad's CA of devices, when the session began that
 * this one may go on from. */
#ifndef OTAD_BROKER_PLUGIN_CERTIFICATE_H
#define OTAD_BROKER_PLUGIN_CERTIFICATE_H

#include "base/pki_client.h"

struct mosquitto;

struct certificate {
    char common_name[DEVICE_SIZE];
    char product[PRODUCT_SIZE]; /* "" it names none */
    char serial[PKI_CLIENT_SERIAL_SIZE];
};

/* 1; 0 when none was shown. ERR_UNAUTHORIZED for one that has expired or is none of a device's. */
int certificate_of(const struct mosquitto *client, struct certificate *out, struct err *e);

#endif
