// push_listen: see push_listen.h.
//
// The file of a unix socket is made under a name of its own, gets its rights, listens, and is renamed: whoever finds it
// can connect, and what was there before is replaced in one step.
#include "push_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, PATH_MOST = 96 };

// ---- addresses ------------------------------------------------------------------------------------------------------

// host:port in two pieces, as texts; the host without brackets.
static const char *divide(rkp_str text, char host[256], char port[8])
{
    const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
    rkp_str h = { text.p, colon ? (size_t)(colon - text.p) : 0 };
    rkp_str p = { colon ? colon + 1 : text.p, colon ? text.n - h.n - 1 : 0 };
    unsigned long nr = 0;
    if (!colon)
        return "it has no port; say host:port, [IPv6]:port or :port";
    for (size_t i = 0; i < p.n; i++) {
        if (p.p[i] < '0' || p.p[i] > '9')
            return "its port is not a number";
        nr = nr > 65535 ? nr : nr * 10 + (unsigned long)(p.p[i] - '0');
    }
    if (p.n == 0 || nr > 65535)
        return "its port is not from 0 to 65535";
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']') {
        h = (rkp_str){ h.p + 1, h.n - 2 };
        if (h.n == 0)
            return "there is no address in its brackets";
    } else if (h.n && memchr(h.p, ':', h.n)) {
        return "an IPv6 address stands in brackets: [::1]:port";
    }
    if (h.n > 255 || (h.n && memchr(h.p, 0, h.n)) || (h.n && memchr(h.p, '/', h.n)))
        return "this is no name of a host";
    if (h.n)
        memcpy(host, h.p, h.n);
    host[h.n] = 0;
    snprintf(port, 8, "%lu", nr);
    return NULL;
}

const char *push_address_wrong(rkp_str text)
{
    char host[256], port[8];
    return divide(text, host, port);
}

static void name_of(const struct sockaddr_storage *at, char name[PUSH_NAME])
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)at;
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)at;
    if (at->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, host, sizeof host);
        snprintf(name, PUSH_NAME, "%s:%u", host, (unsigned)ntohs(six->sin6_port));
    } else if (at->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(name, PUSH_NAME, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else if (at->ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(name, PUSH_NAME, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    } else {
        snprintf(name, PUSH_NAME, "unix");
    }
}

// ---- TCP ------------------------------------------------------------------------------------------------------------

// 0 or an errno; *fd is -1 then.
static int listen_at(const struct addrinfo *ai, bool both, int *fd)
{
    int one = 1, zero = 0, err = 0;
    *fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return errno;
    (void)setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &zero : &one, sizeof one);
    if (bind(*fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(*fd, BACKLOG) != 0) {
        err = errno;
        close(*fd);
        *fd = -1;
    }
    return err;
}

rkp_status push_listen_tcp(const char *address, push_listener *out, char err[RKP_FILE_ERR])
{
    char host[256], port[8], t[128];
    const char *why = divide(rkp_str_of(address), host, port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *all = NULL;
    struct sockaddr_storage at = { 0 };
    socklen_t n = sizeof at;
    int fd = -1, e = 0;
    if (why) {
        snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': %s", address, why);
        return RKP_INVALID;
    }
    for (int family = host[0] ? AF_UNSPEC : AF_INET6; fd < 0;
         family = AF_INET) { // ":port": both, or IPv4 where there is no IPv6
        hints.ai_family = family;
        e = getaddrinfo(host[0] ? host : NULL, port, &hints, &all);
        if (e) {
            snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': %s", address, gai_strerror(e));
            return RKP_UNAVAILABLE;
        }
        for (const struct addrinfo *ai = all; ai && fd < 0; ai = ai->ai_next)
            e = listen_at(ai, !host[0], &fd);
        freeaddrinfo(all);
        if (host[0] || family == AF_INET || (e != EAFNOSUPPORT && e != EADDRNOTAVAIL))
            break;
    }
    if (fd < 0) {
        snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': %s", address, strerror_r(e, t, sizeof t));
        return RKP_UNAVAILABLE;
    }
    *out = (push_listener){ .fd = fd };
    if (getsockname(fd, (struct sockaddr *)&at, &n) == 0)
        name_of(&at, out->name);
    return RKP_OK;
}

// ---- unix -----------------------------------------------------------------------------------------------------------

static void address_of(const char *path, struct sockaddr_un *at)
{
    *at = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(at->sun_path, path, strlen(path)); // PATH_MOST and a suffix fit
}

// What stands at the path may be replaced: nothing, or the socket of a dead process.
static rkp_status look(const char *path, char err[RKP_FILE_ERR])
{
    struct sockaddr_un at;
    struct stat st;
    char t[128];
    int fd, e = 0;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return RKP_OK;
        snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': %s", path, strerror_r(errno, t, sizeof t));
        return RKP_UNAVAILABLE;
    }
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': it is there and is no socket", path);
        return RKP_UNAVAILABLE;
    }
    address_of(path, &at);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        e = errno;
    if (fd >= 0)
        close(fd);
    if (e == ECONNREFUSED || e == ENOENT)
        return RKP_OK;
    snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': %s", path,
             e == 0 || e == EAGAIN || e == EPROTOTYPE ? "another process listens there" : strerror_r(e, t, sizeof t));
    return RKP_UNAVAILABLE;
}

rkp_status push_listen_unix(const char *path, unsigned mode, push_listener *out, char err[RKP_FILE_ERR])
{
    char own[PATH_MOST + 12], t[128];
    struct sockaddr_un at;
    struct stat about;
    rkp_status st;
    int fd, e = 0;
    bool made = false;
    if (strlen(path) > PATH_MOST) {
        snprintf(err, RKP_FILE_ERR, "cannot listen on '%.60s..': a path of a socket has at most %d bytes", path,
                 PATH_MOST);
        return RKP_INVALID;
    }
    st = look(path, err);
    if (st != RKP_OK)
        return st;
    *out = (push_listener){ .fd = -1, .path = strdup(path) };
    if (!out->path)
        return RKP_NOMEM;
    snprintf(own, sizeof own, "%s.%u", path, (unsigned)getpid() % 1000000u);
    address_of(own, &at);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        made = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
        if (!made && errno == EADDRINUSE && unlink(own) == 0) // of a process that had the same number
            made = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    }
    if (!made || chmod(own, mode) != 0 || listen(fd, BACKLOG) != 0 || lstat(own, &about) != 0 ||
        rename(own, path) != 0) {
        e = errno;
        if (made)
            unlink(own);
        if (fd >= 0)
            close(fd);
        free(out->path);
        *out = (push_listener){ .fd = -1 };
        snprintf(err, RKP_FILE_ERR, "cannot listen on '%s': %s", path, strerror_r(e, t, sizeof t));
        return RKP_UNAVAILABLE;
    }
    out->fd = fd;
    out->dev = about.st_dev;
    out->ino = about.st_ino;
    snprintf(out->name, sizeof out->name, "%.*s", PUSH_NAME - 1, path);
    return RKP_OK;
}

// ---- both -----------------------------------------------------------------------------------------------------------

void push_listener_close(push_listener *l)
{
    struct stat st;
    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->path);
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    l->path = NULL;
    l->fd = -1;
}

int push_accept(const push_listener *l, char name[PUSH_NAME])
{
    struct sockaddr_storage from = { 0 };
    socklen_t n = sizeof from;
    int one = 1, idle = 60, every = 10, times = 6, fd;
    fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    name_of(&from, name);
    if (!l->path) { // an end that is gone without a word is found within two minutes
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return fd;
}
