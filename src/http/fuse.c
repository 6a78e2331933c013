#include "fuse.h"

#include "base/digest.h"
#include "base/str.h"
#include "exchange.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum fuse_code code;
    const char *msg;
} words[] = {
    {FUSE_OK, "succ"},
    {FUSE_INVALID_STATE, "invalid state"},
    {FUSE_FINISHED, "task finish"},
    {FUSE_PARAM, "param error"},
    {FUSE_AUTH, "authentication failed:invalid authorization"},
    {FUSE_INTERNAL, "internal error"},
    {FUSE_NONE, "not exist"},
};

/* ota_errno: 2 there is no such file, 3 it cannot be read, 4 it has no such bytes, 5 the task is over, 6 the
 * device is not known. */
static const struct {
    enum err_code from;
    enum fuse_code code;
    const char *ota_errno;
} failures[] = {
    {ERR_UNAUTHORIZED, FUSE_AUTH, "6"}, {ERR_FORBIDDEN, FUSE_AUTH, "6"}, {ERR_NOT_FOUND, FUSE_NONE, "5"},
    {ERR_INTERNAL, FUSE_INTERNAL, "3"}, {ERR_BUSY, FUSE_INTERNAL, "3"},  {ERR_NO_SPACE, FUSE_INTERNAL, "3"},
    {ERR_TOO_MANY, FUSE_INTERNAL, "3"}, {ERR_RANGE, FUSE_PARAM, "4"},    {ERR_PRECONDITION, FUSE_PARAM, "4"},
    {ERR_NONE, FUSE_PARAM, "2"},
};

static const char *word_of(enum fuse_code code)
{
    size_t i = 0;
    while (words[i].code != code)
        i++;
    return words[i].msg;
}

char *fuse_text(enum fuse_code code, const char *more, json_t *data)
{
    unsigned char random[16];
    char id[2 * sizeof random + 1], msg[400];
    json_t *answer = json_object();
    random_bytes(random, sizeof random);
    hex_format(random, sizeof random, id);
    snprintf(msg, sizeof msg, "%s%s%s", word_of(code), more ? ":" : "", more ? more : "");
    json_put_int(answer, "code", code);
    json_put_text(answer, "msg", msg);
    if (data)
        json_put(answer, "data", data);
    json_put_text(answer, "request_id", id);
    char *text = json_text(answer);
    json_decref(answer);
    return text;
}

/* An unknown token and a wrong one are told apart neither by a word nor by a status; a 401 would owe a
 * challenge in a scheme that OneNET's is not. */
static unsigned status_of(enum err_code code, bool file)
{
    int status = err_status(code);
    if (file)
        return code == ERR_UNAUTHORIZED ? 403 : (unsigned)status;
    return status >= 500 || code == ERR_TOO_MANY ? (unsigned)status : 200;
}

struct MHD_Response *fuse_problem(const struct err *e, bool file, unsigned *status)
{
    size_t i = 0;
    while (failures[i].from != e->code && failures[i].from != ERR_NONE)
        i++;
    const char *more = failures[i].code == FUSE_PARAM ? e->text : NULL;
    struct MHD_Response *response = text_response(fuse_text(failures[i].code, more, NULL), FUSE_TYPE);
    *status = status_of(e->code, file);
    if (response && file)
        MHD_add_response_header(response, "Ota-Errno", failures[i].ota_errno);
    return response;
}
