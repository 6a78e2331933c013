/* The tests' faults: preloaded, it lets one call of a family fail, or ends the process there. It acts in the
 * program that FAULT_PROGRAM names and in none of its children; FAULT_CALL is the family, FAULT_ERRNO what
 * the call fails with; FAULT_KILL=1 ends the process at the call instead, and a write has done half by then.
 * FAULT_FOREVER=1 lets every later call fail as well; FAULT_TRACE=1 shows where it happened.
 *
 * The file FAULT_CONTROL holds three numbers: which call it is to be, 0 none; how many were counted since the
 * test last wrote there; how many of them were hit. So that a test can start the program in peace. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

static const char *const names[] = {"", "write", "fsync", "rename", "open", "mmap", "malloc"};
enum family { NONE, WRITE, FSYNC, RENAME, OPEN, MMAP, MALLOC, FAMILIES };

struct control {
    _Atomic int64_t at, calls, hits;
};

static struct control *control; /* NULL: this process is not the one */
static enum family chosen;
static pid_t self;
static int fault_errno;
static bool kills, forever, traces;

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && strcmp(value, "1") == 0;
}

static bool is_program(const char *name)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    return name && slash && strcmp(slash + 1, name) == 0;
}

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("FAULT_CONTROL"), *call = getenv("FAULT_CALL"), *code = getenv("FAULT_ERRNO");
    void *frame[1];
    for (int i = 1; call && i < FAMILIES; i++)
        if (strcmp(call, names[i]) == 0)
            chosen = (enum family)i;
    if (!path || !chosen || !is_program(getenv("FAULT_PROGRAM")))
        return;
    fault_errno = code ? atoi(code) : EIO;
    kills = is_set("FAULT_KILL");
    forever = is_set("FAULT_FOREVER");
    traces = is_set("FAULT_TRACE") && backtrace(frame, 1) > 0; /* its first use loads a library */
    self = getpid();
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    void *at = fd >= 0 ? (void *)syscall(SYS_mmap, NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED,
                                         fd, (off_t)0)
                       : MAP_FAILED;
    if (at != MAP_FAILED)
        control = at;
    if (fd >= 0)
        close(fd);
}

/* Whether this call is the one; a child between fork and exec is not the program. */
static bool is_hit(enum family family)
{
    int64_t at = control && family == chosen ? control->at : 0;
    if (at <= 0 || getpid() != self)
        return false;
    int64_t call = ++control->calls;
    if (call < at || (call > at && !forever))
        return false;
    control->hits++;
    if (traces) {
        void *frames[40];
        backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
    }
    return true;
}

static void end_process(void)
{
    syscall(SYS_kill, self, SIGKILL);
    for (;;)
        pause();
}

/* True: the call is to answer with an error. */
static bool fails(enum family family)
{
    if (!is_hit(family))
        return false;
    if (kills)
        end_process();
    errno = fault_errno;
    return true;
}

/* ---- write: to files; what goes to sockets, pipes and the log is another matter */

static bool is_file(int fd)
{
    struct stat st;
    return control && chosen == WRITE && fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* A disk that is full takes the first half. */
static bool write_fails(int fd, const void *bytes, size_t len, off_t offset)
{
    if (!is_file(fd) || !is_hit(WRITE))
        return false;
    if (kills && offset >= 0)
        syscall(SYS_pwrite64, fd, bytes, len / 2, offset);
    else if (kills)
        syscall(SYS_write, fd, bytes, len / 2);
    if (kills)
        end_process();
    errno = fault_errno;
    return true;
}

VISIBLE ssize_t write(int fd, const void *bytes, size_t len)
{
    return write_fails(fd, bytes, len, -1) ? -1 : syscall(SYS_write, fd, bytes, len);
}

VISIBLE ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    return write_fails(fd, bytes, len, offset) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, offset);
}

VISIBLE ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite64(fd, bytes, len, offset);
}

VISIBLE ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return is_file(fd) && fails(WRITE) ? -1 : syscall(SYS_writev, fd, parts, n);
}

VISIBLE int ftruncate64(int fd, off64_t len)
{
    return is_file(fd) && fails(WRITE) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

VISIBLE int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

VISIBLE int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return is_file(fd) && fails(WRITE) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

VISIBLE int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fallocate64(fd, mode, offset, len);
}

VISIBLE int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return fallocate64(fd, 0, offset, len) == 0 ? 0 : errno;
}

VISIBLE int posix_fallocate(int fd, off_t offset, off_t len)
{
    return posix_fallocate64(fd, offset, len);
}

/* ---- fsync */

VISIBLE int fsync(int fd)
{
    return fails(FSYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

VISIBLE int fdatasync(int fd)
{
    return fails(FSYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

VISIBLE int syncfs(int fd)
{
    return fails(FSYNC) ? -1 : (int)syscall(SYS_syncfs, fd);
}

VISIBLE int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
    return fails(FSYNC) ? -1 : (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
}

/* ---- rename: what gives and takes names */

VISIBLE int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
}

VISIBLE int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return renameat2(from_at, from, to_at, to, 0);
}

VISIBLE int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

VISIBLE int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
}

VISIBLE int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

VISIBLE int unlinkat(int at, const char *name, int flags)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_unlinkat, at, name, flags);
}

VISIBLE int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

/* ---- open: what gives descriptors and folders */

static int open_as(int at, const char *path, int flags, mode_t mode)
{
    return fails(OPEN) ? -1 : (int)syscall(SYS_openat, at, path, flags | O_LARGEFILE, mode);
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

VISIBLE int openat(int at, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_as(at, path, flags, mode);
}

VISIBLE int openat64(int at, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_as(at, path, flags, mode);
}

VISIBLE int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_as(AT_FDCWD, path, flags, mode);
}

VISIBLE int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return open_as(AT_FDCWD, path, flags, mode);
}

/* What the C library makes of them when it is to check its callers. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);

VISIBLE int __open_2(const char *path, int flags)
{
    return open_as(AT_FDCWD, path, flags, 0);
}

VISIBLE int __open64_2(const char *path, int flags)
{
    return open_as(AT_FDCWD, path, flags, 0);
}

VISIBLE int __openat_2(int at, const char *path, int flags)
{
    return open_as(at, path, flags, 0);
}

VISIBLE int __openat64_2(int at, const char *path, int flags)
{
    return open_as(at, path, flags, 0);
}

VISIBLE int mkostemps(char *template, int end, int flags)
{
    int (*next)(char *, int, int) = (int (*)(char *, int, int))dlsym(RTLD_NEXT, "mkostemps");
    return fails(OPEN) ? -1 : next(template, end, flags);
}

VISIBLE int mkdirat(int at, const char *path, mode_t mode)
{
    return fails(OPEN) ? -1 : (int)syscall(SYS_mkdirat, at, path, mode);
}

VISIBLE int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- memory */

VISIBLE void *mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t offset)
{
    return fails(MMAP) ? MAP_FAILED : (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}

VISIBLE void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    return mmap64(at, len, protection, flags, fd, offset);
}

VISIBLE void *mremap(void *at, size_t old, size_t new, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    void *to = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
    va_end(args);
    return fails(MMAP) ? MAP_FAILED : (void *)syscall(SYS_mremap, at, old, new, flags, to);
}

/* A sanitizer has an allocator of its own. */
#ifndef WITHOUT_MALLOC
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t n, size_t len);
void *__libc_realloc(void *at, size_t len);

VISIBLE void *malloc(size_t len)
{
    return fails(MALLOC) ? NULL : __libc_malloc(len);
}

VISIBLE void *calloc(size_t n, size_t len)
{
    return fails(MALLOC) ? NULL : __libc_calloc(n, len);
}

VISIBLE void *realloc(void *at, size_t len)
{
    return fails(MALLOC) ? NULL : __libc_realloc(at, len);
}
#endif
