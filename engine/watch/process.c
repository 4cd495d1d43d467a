// watch/process.c - what the system says of this process.
#include "watch/metrics.h"

#include <rkpipe/num.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

// The beginning of a file of /proc; how many bytes.
static size_t read_some(const char *path, char *to, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, to, n) : 0;
    if (fd >= 0)
        close(fd);
    return got > 0 ? (size_t)got : 0;
}

// Field i, from 0, of fields that blanks separate.
static uint64_t field(rkp_str s, int i)
{
    uint64_t v = 0;
    for (; i > 0 && s.n; i--) {
        const char *blank = memchr(s.p, ' ', s.n);
        size_t skip = blank ? (size_t)(blank - s.p) + 1 : s.n;
        s = (rkp_str){ s.p + skip, s.n - skip };
    }
    for (size_t k = 0; k < s.n && s.p[k] >= '0' && s.p[k] <= '9'; k++)
        v = v * 10 + (uint64_t)(s.p[k] - '0');
    return v;
}

static uint64_t boot_seconds(void)
{
    char text[16384];
    size_t n = read_some("/proc/stat", text, sizeof text);
    const char *at = n ? memmem(text, n, "\nbtime ", 7) : NULL;
    return at ? field((rkp_str){ at + 7, n - (size_t)(at + 7 - text) }, 0) : 0;
}

static double start_seconds(void)
{
    char text[1024];
    size_t n = read_some("/proc/self/stat", text, sizeof text);
    const char *name_end = n ? memrchr(text, ')', n) : NULL; // the name may hold anything
    long hz = sysconf(_SC_CLK_TCK);
    uint64_t boot = boot_seconds(), ticks;
    if (!name_end || hz <= 0 || !boot || (size_t)(name_end - text) + 2 >= n)
        return 0;
    ticks = field((rkp_str){ name_end + 2, n - (size_t)(name_end - text) - 2 },
                  19); // field 22, and the third is the first here
    return (double)boot + (double)ticks / (double)hz;
}

static uint64_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;
    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; // . and .. and the one that reads
}

void rki_process_read(rki_process *out)
{
    struct rusage u;
    struct rlimit lim;
    char text[256];
    size_t n = read_some("/proc/self/statm", text, sizeof text);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *out = (rki_process){ .start_seconds = start_seconds(), .fds = count_fds() };
    if (getrusage(RUSAGE_SELF, &u) == 0)
        out->cpu_seconds =
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
        out->max_fds = lim.rlim_cur;
    if (n) {
        out->virtual_bytes = field((rkp_str){ text, n }, 0) * page;
        out->resident_bytes = field((rkp_str){ text, n }, 1) * page;
    }
}
