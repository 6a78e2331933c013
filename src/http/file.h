/* file.h: a stored file as a reply, for all routes that send one. */
#ifndef OTAD_HTTP_FILE_H
#define OTAD_HTTP_FILE_H

#include "http/request.h"
#include "store/firmware.h"

/* Opens the bytes of f and makes them r's reply. ERR_NOT_FOUND when f is withdrawn. */
int file_send(struct request *r, const struct firmware *f, struct err *e);

#endif
