#include "sender.h"

#include "base/json.h"
#include "base/log.h"
#include "dial.h"
#include "model/board.h"
#include "model/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Our own broker's plugin takes a message to the device's sessions, whether they subscribed or not; to
 * another broker it is published as it is. */
static int publish(struct mqtt *m, const struct letter *l, int qos, int *mid)
{
    const struct message *what = &l->message;
    if (!mqtt_is_managed(m))
        return mosquitto_publish(m->client, mid, what->topic, (int)what->len, what->payload, what->qos,
                                 false);
    struct delivery d = {.qos = what->qos, .only_subscribed = what->only_subscribed};
    char head[DELIVERY_HEAD_SIZE];
    snprintf(d.who, sizeof d.who, "%s/%s", l->product, l->device);
    str_copy(d.topic, sizeof d.topic, what->topic);
    size_t n = delivery_head(&d, head);
    char *whole = n ? malloc(n + what->len) : NULL;
    if (!whole)
        return n ? MOSQ_ERR_NOMEM : MOSQ_ERR_INVAL;
    memcpy(whole, head, n);
    memcpy(whole + n, what->payload, what->len);
    int rc = mosquitto_publish(m->client, mid, CONTROL_TOPIC, (int)(n + what->len), whole, qos, false);
    free(whole);
    return rc;
}

static void send_letter(struct mqtt *m, struct letter *l)
{
    int rc = publish(m, l, 1, NULL);
    if (rc != MOSQ_ERR_SUCCESS) {
        log_error("cannot send to %s/%s: %s", l->product, l->device, dial_reason(rc));
        outbox_sent(&m->outbox, -1);
    }
    message_clear(&l->message);
}

/* What cannot be sent is sent again over the next connection. */
static void send_kicks(struct mqtt *m)
{
    struct kick k;
    while (m->connected && kicks_next(&m->kicks, &k)) {
        int mid = 0;
        json_t *wish = json_object();
        json_put_text(wish, "op", "kick");
        json_put_text(wish, "product", k.product);
        json_put_text(wish, "device", k.device);
        char *text = json_text(wish);
        json_decref(wish);
        int rc = mosquitto_publish(m->client, &mid, CONTROL_TOPIC, (int)strlen(text), text, 1, false);
        free(text);
        if (rc != MOSQ_ERR_SUCCESS) {
            log_error("cannot have sessions of %s/%s ended: %s", k.product, k.device, dial_reason(rc));
            return;
        }
        outbox_sent(&m->outbox, 1);
        kicks_sent(&m->kicks, mid);
    }
}

static void send_due(struct mqtt *m)
{
    struct letter l;
    while (m->connected && outbox_take(&m->outbox, &l))
        send_letter(m, &l);
    board_put(BOARD_MQTT_WAITING, (int64_t)outbox_waiting(&m->outbox));
}

/* Blocks go as fast as the broker takes them, QoS 0 on both legs: who misses one asks again. */
static void send_blocks(struct mqtt *m)
{
    struct letter l;
    while (m->connected && files_next(&m->files, &m->inbox, &l)) {
        int mid = 0, rc = publish(m, &l, 0, &mid);
        if (rc == MOSQ_ERR_SUCCESS)
            files_await(&m->files, mid);
        else
            log_error("cannot send a block to %s/%s: %s", l.product, l.device, dial_reason(rc));
        message_clear(&l.message);
    }
}

void sender_turn(struct mqtt *m)
{
    send_kicks(m);
    send_due(m);
    send_blocks(m);
    if (outbox_is_roomy(&m->outbox) && m->env.wake)
        m->env.wake();
}
