/* fuzz_folder.h: a folder for what a harness keeps over all its inputs; gone when the process ends. */
#ifndef OTAD_TESTS_FUZZ_FOLDER_H
#define OTAD_TESTS_FUZZ_FOLDER_H

#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static char fuzz_folder[64];

static inline int fuzz_folder_forget(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void fuzz_folder_remove(void)
{
    nftw(fuzz_folder, fuzz_folder_forget, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory where that is a file system: a commit need not wait for a disk. */
static inline const char *fuzz_folder_make(void)
{
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/otad-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(fuzz_folder))
        abort();
    atexit(fuzz_folder_remove);
    return fuzz_folder;
}

#endif
