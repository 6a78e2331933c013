/* What the plugin says: to the broker's log, and to sessions. */
#include "plugin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_LINES_MAX 30 /* a minute */

void plugin_complain(struct plugin *p, const char *format, ...)
{
    char text[400];
    va_list args;
    time_t minute = time(NULL) / 60;
    if (minute != p->minute) {
        if (p->unlogged)
            mosquitto_log_printf(MOSQ_LOG_WARNING, "otad: %u more complaints in that minute", p->unlogged);
        p->minute = minute;
        p->logged = p->unlogged = 0;
    }
    if (p->logged >= LOG_LINES_MAX) {
        p->unlogged++;
        return;
    }
    p->logged++;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "otad: %s", text);
}

/* The broker frees the payload, and counts its own memory: it has to come from its allocator, or the count
 * runs off. */
void plugin_send(const char *client_id, const char *topic, const void *bytes, size_t len, int qos)
{
    void *payload = mosquitto_malloc(len + 1);
    if (!payload)
        return;
    memcpy(payload, bytes, len);
    if (mosquitto_broker_publish(client_id, topic, (int)len, payload, qos, false, NULL) != MOSQ_ERR_SUCCESS)
        mosquitto_free(payload);
}
