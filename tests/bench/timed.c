// timed SECONDS STDOUT COMMAND [ARG..]: runs one process and prints what it took, as JSON:
//   {"exit": 0, "wall_s": 1.25, "user_s": 1.1, "sys_s": 0.1, "peak_kib": 10240}
//
// A program of its own because the kernel counts what a process held before exec into its peak memory: children of a
// large parent (the Python runner) would start with the parent's peak. A process that runs longer than SECONDS is
// killed with its group and has exit 124; a signal s is 128 + s. Standard output of the command goes to the file
// STDOUT.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t child, late;

static void on_alarm(int sig)
{
    (void)sig;
    late = 1;
    kill(-(pid_t)child, SIGKILL);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
    struct timespec from, to;
    struct rusage used;
    int status, code;

    if (argc < 4) {
        fprintf(stderr, "usage: timed SECONDS STDOUT COMMAND [ARG..]\n");
        return 64;
    }
    int out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        fprintf(stderr, "timed: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    signal(SIGALRM, on_alarm);
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        dup2(out, STDOUT_FILENO);
        execvp(argv[3], argv + 3);
        fprintf(stderr, "timed: %s: %s\n", argv[3], strerror(errno));
        _exit(127);
    }
    if (pid < 0) {
        fprintf(stderr, "timed: fork: %s\n", strerror(errno));
        return 1;
    }
    setpgid(pid, pid);
    child = pid;
    alarm((unsigned)strtoul(argv[1], NULL, 10));
    while (wait4(pid, &status, 0, &used) < 0)
        if (errno != EINTR)
            return 1;
    clock_gettime(CLOCK_MONOTONIC, &to);
    code = late ? 124 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    printf("{\"exit\": %d, \"wall_s\": %.6f, \"user_s\": %.6f, \"sys_s\": %.6f, \"peak_kib\": %ld}\n", code,
           (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9, seconds(used.ru_utime),
           seconds(used.ru_stime), used.ru_maxrss);
    return 0;
}
