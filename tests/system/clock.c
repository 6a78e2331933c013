/* The tests' clock: preloaded, it is what otad and its broker see on the wall. The file that TESTCLOCK names
 * holds one number, nanoseconds since 1970 at which the clock stands; 0 lets it go as the machine's does. The
 * monotonic clock is the machine's. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *stands;

__attribute__((constructor)) static void find_file(void)
{
    const char *path = getenv("TESTCLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *stands, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at != MAP_FAILED)
        stands = at;
    if (fd >= 0)
        close(fd);
}

/* No sanitizer's own code: it asks for the time before it is set up. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *t)
{
    int64_t ns = stands && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) ? *stands : 0;
    if (!ns)
        return (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec = (time_t)(ns / 1000000000);
    t->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *tv = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
