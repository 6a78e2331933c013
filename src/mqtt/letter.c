#include "letter.h"

#include "base/log.h"
#include "model/board.h"

#include <stdlib.h>

#define CAP_MIN 64

void letters_add(struct letters *l, const char *product, const char *device, const struct message *m)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : CAP_MIN;
        l->at = reallocarray(l->at, l->cap, sizeof *l->at);
        if (!l->at)
            abort();
    }
    struct letter *new = &l->at[l->n++];
    str_copy(new->product, sizeof new->product, product);
    str_copy(new->device, sizeof new->device, device);
    new->message = *m;
}

void letters_render(struct letters *l, struct outgoing *what)
{
    struct message messages[MESSAGES_MAX] = {0};
    struct err e;
    size_t n = 0;
    const struct protocol *p = protocol_by_name(what->protocol);
    int rc = p ? p->render(what, messages, &n, &e)
               : err_set(&e, ERR_INTERNAL, "no protocol \"%s\"", what->protocol);
    if (rc < 0)
        log_error("cannot write to %s/%s: %s", what->product, what->device, e.text);
    else if (what->kind == OUTGOING_OFFER)
        board_count(BOARD_MQTT_OFFERS, 1);
    for (size_t i = 0; rc == 0 && i < n; i++)
        letters_add(l, what->product, what->device, &messages[i]);
    for (size_t i = 0; rc < 0 && i < MESSAGES_MAX; i++)
        message_clear(&messages[i]); /* what was made before it failed */
    outgoing_clear(what);
}

void letters_clear(struct letters *l)
{
    for (size_t i = 0; i < l->n; i++)
        message_clear(&l->at[i].message);
    l->n = 0;
}

void letters_free(struct letters *l)
{
    letters_clear(l);
    free(l->at);
    l->at = NULL;
    l->cap = 0;
}
