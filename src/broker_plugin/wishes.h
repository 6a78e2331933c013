/* wishes.h: what otad asks of the plugin, by messages on CONTROL_TOPIC (model/delivery.h). */
#ifndef OTAD_BROKER_PLUGIN_WISHES_H
#define OTAD_BROKER_PLUGIN_WISHES_H

#include "plugin.h"

/* From otad's own connection. What is not understood is logged. */
void wishes_take(struct plugin *p, const void *payload, size_t len);

#endif
