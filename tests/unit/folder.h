/* folder.h: a folder of its own for a test, gone at the end of the block: FOLDER_AUTO struct folder f =
 * folder_make(); */
#ifndef OTAD_TESTS_UNIT_FOLDER_H
#define OTAD_TESTS_UNIT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[256];
};

struct folder_file {
    char path[512];
};

static inline struct folder folder_make(void)
{
    struct folder f;
    const char *base = getenv("TMPDIR");
    snprintf(f.path, sizeof f.path, "%s/otad-unit-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(f.path))
        abort();
    return f;
}

static inline int folder_forget(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void folder_cleanup(struct folder *f)
{
    nftw(f->path, folder_forget, 16, FTW_DEPTH | FTW_PHYS);
}
#define FOLDER_AUTO __attribute__((cleanup(folder_cleanup)))

static inline struct folder_file folder_file(const struct folder *f, const char *name)
{
    struct folder_file file;
    snprintf(file.path, sizeof file.path, "%s/%s", f->path, name);
    return file;
}

#endif
