/* aliyun_private.h: what the files aliyun*.c share. */
#ifndef OTAD_SRC_PROTOCOL_ALIYUN_PRIVATE_H
#define OTAD_SRC_PROTOCOL_ALIYUN_PRIVATE_H

#include "protocol/aliyun.h"

/* reply.form. token is the request's id; name is what GET asks for by module, and an EVENT_FILE's fileToken.
 */
enum aliyun_form { ALIYUN_UNASKED, ALIYUN_GET, ALIYUN_LEGACY };

/* ---- aliyun_text.c */

/* A string, or a whole number as its digits: what of it may stand in a JSON string as it is, and fits. "" for
 * anything else. */
void aliyun_plain(const json_t *value, char *out, size_t size);

/* ---- aliyun_push.c */
int aliyun_render(const struct outgoing *what, struct message out[MESSAGES_MAX], size_t *n, struct err *e);

/* ---- aliyun_file.c: a request for a block into an EVENT_FILE, and its answers */
int aliyun_read_download(const json_t *body, struct device_event *ev, struct err *e);
int aliyun_refuse_download(const void *payload, size_t len, const char *product, const char *device,
                           struct message *out, struct err *e);
int aliyun_block(const struct device_event *ev, const struct file_block *b, struct message *out,
                 struct err *e);
int aliyun_no_file(const struct device_event *ev, enum file_fault fault, struct message *out, struct err *e);

/* ---- aliyun_login.c */
bool aliyun_claim(const struct login *login, struct login_claim *out);
bool aliyun_proven(const struct login *login, const struct login_claim *claim, const char *secret,
                   int64_t now_s);

#endif
