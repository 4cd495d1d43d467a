// floor: what this machine can do at most, beside which all other figures stand.
//
//   floor lines FILE    counts newlines, read() of 1 MiB and memchr: the least that a line reader does
//   floor memcpy        copies 64 MiB; prints GB/s, the best of nine
//   floor pingpong      two threads hand one cache line to and fro; prints nanoseconds one way. The two cores of a
//   virtual
//                       machine can be near or far from one run to the next, and rings are slower then by the same
//                       factor
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int lines(const char *path)
{
    static char buf[1 << 20];
    size_t count = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        fprintf(stderr, "floor: %s: %s\n", path, strerror(errno));
        return 1;
    }
    while ((n = read(fd, buf, sizeof buf)) > 0)
        for (char *p = buf, *end = buf + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
            count++;
    close(fd);
    printf("%zu\n", count);
    return n < 0;
}

static int copy(void)
{
    enum { SIZE = 64 << 20 };
    char *a = malloc(SIZE), *b = malloc(SIZE);
    double best = 0;
    if (!a || !b)
        return 1;
    memset(a, 1, SIZE);
    memset(b, 2, SIZE);
    for (int i = 0; i < 9; i++) {
        double t = now();
        memcpy(b, a, SIZE);
        __asm__ volatile("" ::"r"(b) : "memory");
        t = SIZE / (now() - t) * 1e-9;
        best = t > best ? t : best;
    }
    printf("%.1f\n", best);
    free(a);
    free(b);
    return 0;
}

enum { ROUNDS = 200000 };
static _Alignas(128) _Atomic unsigned ball;
static int cpus[2] = { -1, -1 };

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set); // only a wish: without it the figure is less steady
}

static void *pong(void *arg)
{
    (void)arg;
    pin(cpus[1]);
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 1)
            ;
        atomic_store_explicit(&ball, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

static int pingpong(void)
{
    pthread_t thread;
    cpu_set_t set;
    double t;
    int n = 0;

    sched_getaffinity(0, sizeof set, &set);
    for (int c = 0; c < CPU_SETSIZE && n < 2; c++)
        if (CPU_ISSET((size_t)c, &set))
            cpus[n++] = c;
    if (n < 2) {
        printf("nan\n");
        return 0;
    }
    if (pthread_create(&thread, NULL, pong, NULL) != 0)
        return 1;
    pin(cpus[0]);
    t = now();
    for (unsigned i = 0; i < ROUNDS; i++) {
        atomic_store_explicit(&ball, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(&ball, memory_order_acquire) != 2 * i + 2)
            ;
    }
    t = now() - t;
    pthread_join(thread, NULL);
    printf("%.1f\n", t / ROUNDS / 2 * 1e9);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "lines") == 0)
        return lines(argv[2]);
    if (argc == 2 && strcmp(argv[1], "memcpy") == 0)
        return copy();
    if (argc == 2 && strcmp(argv[1], "pingpong") == 0)
        return pingpong();
    fprintf(stderr, "usage: floor lines FILE | memcpy | pingpong\n");
    return 64;
}
