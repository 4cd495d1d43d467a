// notify.c - see notify.h.
#include "cli/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 1000000000, STARTING_NS = 5000000 };

static bool ours(const char *var)
{
    static const char *const names[] = { "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=" };
    bool is = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        is |= strncmp(var, names[i], strlen(names[i])) == 0;
    return is;
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n;
    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    n = strtoull(text, &end, 10);
    return *end || errno ? 0 : n;
}

static void tell(const rki_notify *n, const char *text)
{
    // A manager that does not read makes nobody wait.
    while (n->fd >= 0 && send(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
}

static bool keep_env(rki_notify *n, const rki_cli *c)
{
    size_t all = 0, kept = 0;
    while (c->env && c->env[all])
        all++;
    n->env = calloc(all + 1, sizeof *n->env);
    for (size_t i = 0; n->env && i < all; i++)
        if (!ours(c->env[i]))
            n->env[kept++] = c->env[i];
    return n->env;
}

static void reach(rki_notify *n, const rki_cli *c)
{
    const char *path = rki_cli_env(c, "NOTIFY_SOCKET"), *pid = rki_cli_env(c, "WATCHDOG_PID");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = path ? strlen(path) : 0;
    uint64_t usec;
    if (!len)
        return;
    if ((*path != '/' && *path != '@') || len < 2 || len >= sizeof to.sun_path) {
        rki_logger_say(
            n->log, "warning: NOTIFY_SOCKET is no path of a unix socket and no abstract one: nobody is told when it is "
                    "ready");
        return;
    }
    memcpy(to.sun_path, path, len);
    if (*path == '@')
        to.sun_path[0] = 0;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0 ||
        connect(n->fd, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
        char text[128];
        rki_logger_say(n->log, "warning: cannot reach NOTIFY_SOCKET '%s': %s", path,
                       strerror_r(errno, text, sizeof text));
        if (n->fd >= 0)
            close(n->fd);
        n->fd = -1;
        return;
    }
    usec = number(rki_cli_env(c, "WATCHDOG_USEC"));
    if (usec && usec < UINT64_MAX / 1000 && (!pid || number(pid) == (uint64_t)getpid()))
        n->watchdog_ns = usec * 1000;
}

bool rki_notify_begin(rki_notify *n, const rki_cli *c, rki_logger *log, uint64_t grace_ns)
{
    *n = (rki_notify){ .fd = -1, .grace_ns = grace_ns, .log = log };
    if (!keep_env(n, c))
        return false;
    reach(n, c);
    return true;
}

static void tell_ready(rki_notify *n)
{
    n->ready = true;
    tell(n, "READY=1\nSTATUS=running");
}

static void tell_stopping(rki_notify *n)
{
    char text[128];
    n->stopping = true;
    // Until the grace is over and what hangs has been given up.
    snprintf(text, sizeof text, "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=%llu",
             (unsigned long long)(n->grace_ns / 1000 + 15000000u));
    tell(n, text);
}

uint64_t rki_notify_beat(void *notify)
{
    rki_notify *n = notify;
    bool runs = !n->stopping && rki_run_ready(n->run);
    if (!n->ready && !runs)
        return STARTING_NS;
    if (!n->ready)
        tell_ready(n);
    else if (!runs && !n->stopping)
        tell_stopping(n);
    if (n->watchdog_ns)
        tell(n, "WATCHDOG=1");
    return n->watchdog_ns && n->watchdog_ns / 2 < LOOK_NS ? n->watchdog_ns / 2 : LOOK_NS;
}

void rki_notify_reloading(const rki_notify *n)
{
    struct timespec t;
    char text[96];
    clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(text, sizeof text, "RELOADING=1\nSTATUS=reloading\nMONOTONIC_USEC=%llu",
             (unsigned long long)t.tv_sec * 1000000u + (unsigned long long)t.tv_nsec / 1000u);
    tell(n, text);
}

void rki_notify_reloaded(const rki_notify *n, const rki_reload_result *r)
{
    char text[96];
    snprintf(text, sizeof text, "READY=1\nSTATUS=running, generation %u%s", r->generation,
             r->outcome == RKI_RELOAD_APPLIED ? "" : "; the last reload changed nothing");
    tell(n, text);
}

void rki_notify_end(rki_notify *n, int code)
{
    if (!n->ready && code == 0)
        tell_ready(n);
    if (n->ready && !n->stopping)
        tell_stopping(n);
}

void rki_notify_free(rki_notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    free(n->env);
    *n = (rki_notify){ .fd = -1 };
}
