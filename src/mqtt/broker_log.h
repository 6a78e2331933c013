/* broker_log.h: what the managed broker says, line by line in our log. A thread of its own, which ends with
 * the broker. */
#ifndef OTAD_MQTT_BROKER_LOG_H
#define OTAD_MQTT_BROKER_LOG_H

#include <stdbool.h>

struct broker_log;

/* Takes fd over. NULL when there can be no thread: then the broker's words are lost. */
struct broker_log *broker_log_start(int fd);

/* Once the broker has ended: whether it said that it cannot read its own file. NULL is fine. */
bool broker_log_join(struct broker_log *log);

#endif
