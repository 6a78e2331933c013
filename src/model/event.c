#include "model/event.h"

#include <stdlib.h>

void device_event_clear(struct device_event *ev)
{
    if (ev->job)
        free(ev->job->details);
    free(ev->job);
    free(ev->file);
    ev->job = NULL;
    ev->file = NULL;
}

void outgoing_clear(struct outgoing *out)
{
    struct offer_more *more = out->offer.more;
    if (more) {
        free(more->ext_data);
        free(more->job_document);
        free(more->job_details);
    }
    free(more);
    out->offer.more = NULL;
}
