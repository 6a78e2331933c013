/* disk.h: room in the data directory. A floor of free space under which uploads are refused, and a ballast: a
 * file that is given up when the disk is full, so that the store can go on, and operators can delete things.
 * It is made again when there is room. Main's own. */
#ifndef OTAD_MAIN_DISK_H
#define OTAD_MAIN_DISK_H

#include "base/file.h"
#include "config/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct disk {
    const char *dir;
    char path[FILE_PATH_SIZE]; /* of the ballast */
    int64_t ballast_bytes;     /* 0 none is kept */
    int64_t floor_bytes;       /* 0 none */
    bool whole;                /* the ballast is there */
    bool told;                 /* that it cannot be made */
    int64_t refused;           /* writes for which there was no room, when last looked */
    int64_t refused_at_ms;     /* and when one was, monotonic; 0 none since the ballast was made */
};

/* Before the store is opened: on a disk that is full already, that needs the ballast's room. */
int disk_start(struct disk *d, const struct settings *s, struct err *e);

/* Once a second. */
void disk_tick(struct disk *d);

#endif
