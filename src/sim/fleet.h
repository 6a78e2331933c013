/* fleet.h: all devices, spread over threads. Each thread owns its devices, their sockets, one epoll and one
 * libcurl handle; nothing is shared but constants and the tally. */
#ifndef OTAD_SIM_FLEET_H
#define OTAD_SIM_FLEET_H

#include "base/err.h"
#include "options.h"
#include "tally.h"

#include <stdbool.h>
#include <stddef.h>

struct fleet;

/* Makes the devices and starts the threads. The tally and the options must outlive the fleet. */
int fleet_start(const struct options *o, struct tally *tally, struct fleet **out, struct err *e);

/* Sessions end with DISCONNECT, threads end; devices stay for fleet_spans. */
void fleet_stop(struct fleet *f);

/* After fleet_stop: milliseconds from first offer to success of each device that got there, in order. Returns
 * how many; *spans_ms is the caller's to free. */
size_t fleet_spans(const struct fleet *f, int64_t **spans_ms);
void fleet_free(struct fleet *f);

#endif
