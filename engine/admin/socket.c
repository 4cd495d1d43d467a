// admin/socket.c - a socket's address has room for 107 bytes of path; a longer one is reached through /proc/self/fd/N
// of its folder.
//
// The file is made under a name of its own, gets its rights, listens, and is renamed: whoever finds it can connect, and
// what was there before is replaced in one step.
#include "admin/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, LAST_PART = 84 };

// The address of a path; `*dir` is a folder to be closed afterwards, or -1.  0 or an errno.
static int address(const char *path, struct sockaddr_un *to, int *dir)
{
    const char *last = strrchr(path, '/');
    size_t n = strlen(path);
    char *folder;
    *dir = -1;
    *to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (n == 0)
        return ENOENT;
    if (n < sizeof to->sun_path) {
        memcpy(to->sun_path, path, n);
        return 0;
    }
    if (!last || strlen(last + 1) > LAST_PART)
        return ENAMETOOLONG;
    folder = strndup(path, (size_t)(last - path) + 1);
    if (!folder)
        return ENOMEM;
    *dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (*dir < 0)
        return errno;
    snprintf(to->sun_path, sizeof to->sun_path, "/proc/self/fd/%d/%s", *dir, last + 1);
    return 0;
}

static int new_socket(int *fd)
{
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return *fd < 0 ? errno : 0;
}

static int connect_to(const char *path, int *fd)
{
    struct sockaddr_un to;
    int dir, err = address(path, &to, &dir);
    *fd = -1;
    if (!err)
        err = new_socket(fd);
    while (!err && connect(*fd, (struct sockaddr *)&to, sizeof to) != 0)
        if (errno != EINTR)
            err = errno;
    if (err && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    if (dir >= 0)
        close(dir);
    return err;
}

bool rki_socket_trusted(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && n == sizeof peer &&
           (peer.uid == geteuid() || peer.uid == 0);
}

rki_connected rki_socket_connect(const char *path, int *fd, char *err, size_t n)
{
    int e = connect_to(path, fd);
    if (e) {
        snprintf(err, n, "cannot reach an engine at '%s': %s", path,
                 e == ECONNREFUSED ? "nobody listens there any more" : strerror(e));
        return RKI_NOBODY;
    }
    // Root may talk to everybody's engine; anybody else only to one that could do nothing to them that they cannot.
    if (geteuid() != 0 && !rki_socket_trusted(*fd)) {
        close(*fd);
        *fd = -1;
        snprintf(err, n, "the engine at '%s' runs as another user", path);
        return RKI_NOT_TRUSTED;
    }
    return RKI_CONNECTED;
}

// What stands at the path may be replaced: nothing, or the socket of a dead process.
static rkp_status look(const char *path, char *err, size_t n)
{
    struct stat st;
    int fd, e;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return RKP_OK;
        snprintf(err, n, "cannot make the admin socket '%s': %s", path, strerror(errno));
        return RKP_IO;
    }
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(err, n, "'%s' is there and is no socket", path);
        return RKP_UNAVAILABLE;
    }
    e = connect_to(path, &fd);
    if (fd >= 0)
        close(fd);
    if (e == ECONNREFUSED || e == ENOENT)
        return RKP_OK;
    if (e == 0 || e == EAGAIN)
        snprintf(err, n, "another engine listens at '%s'", path);
    else
        snprintf(err, n, "cannot make the admin socket '%s': %s", path, strerror(e));
    return RKP_UNAVAILABLE;
}

static int bind_and_listen(const char *path, rki_socket *s)
{
    struct sockaddr_un at;
    struct stat st = { 0 };
    size_t len = strlen(path) + 24;
    char *own = malloc(len);
    bool made = false;
    int dir = -1, err = own ? 0 : ENOMEM;
    if (!err) {
        snprintf(own, len, "%s.%ld", path, (long)getpid());
        err = address(own, &at, &dir);
    }
    if (!err)
        err = new_socket(&s->fd);
    if (!err && fcntl(s->fd, F_SETFL, O_NONBLOCK) != 0)
        err = errno;
    if (!err && bind(s->fd, (struct sockaddr *)&at, sizeof at) != 0) {
        err = errno;
        if (err == EADDRINUSE && unlink(own) == 0) // of a process that had the same number
            err = bind(s->fd, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : errno;
    }
    made = !err;
    if (!err &&
        (chmod(own, 0600) != 0 || listen(s->fd, BACKLOG) != 0 || lstat(own, &st) != 0 || rename(own, path) != 0))
        err = errno;
    if (!err) {
        s->dev = st.st_dev;
        s->ino = st.st_ino;
    } else if (made) {
        unlink(own);
    }
    if (dir >= 0)
        close(dir);
    free(own);
    return err;
}

rkp_status rki_socket_listen(const char *path, rki_socket *out, char *err, size_t n)
{
    rki_socket s = { .fd = -1, .path = strdup(path) };
    rkp_status st = s.path ? look(path, err, n) : RKP_NOMEM;
    int e = 0;
    if (!s.path)
        snprintf(err, n, "out of memory");
    if (st == RKP_OK) {
        e = bind_and_listen(path, &s);
        if (e) {
            snprintf(err, n, "cannot make the admin socket '%s': %s", path, strerror(e));
            st = e == ENOMEM ? RKP_NOMEM : RKP_UNAVAILABLE;
        }
    }
    if (st != RKP_OK) {
        if (s.fd >= 0)
            close(s.fd);
        free(s.path);
        return st;
    }
    *out = s;
    return RKP_OK;
}

// Addresses of this machine alone.
static bool loopback(const char *address, uint16_t port, struct sockaddr_storage *to, socklen_t *len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    *to = (struct sockaddr_storage){ 0 };
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *len = sizeof *v4;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *len = sizeof *v6;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = { 0 };
    socklen_t n = sizeof at;
    if (getsockname(fd, &at.any, &n) != 0)
        return 0;
    return ntohs(at.any.sa_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
}

rkp_status rki_socket_listen_at(const char *address, uint16_t port, rki_socket *out, char *err, size_t n)
{
    struct sockaddr_storage at;
    socklen_t len;
    int fd = -1, on = 1, e = 0;
    if (!loopback(address, port, &at, &len)) {
        snprintf(err, n, "'%s' is not an address of this machine alone", address);
        return RKP_INVALID;
    }
    fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, BACKLOG) != 0) {
        e = errno;
        snprintf(err, n, "cannot listen at %s port %u: %s", address, port, strerror(e));
        if (fd >= 0)
            close(fd);
        return e == ENOMEM ? RKP_NOMEM : RKP_UNAVAILABLE;
    }
    *out = (rki_socket){ .fd = fd, .port = port_of(fd) };
    return RKP_OK;
}

rki_connected rki_socket_connect_at(const char *address, uint16_t port, int *fd, char *err, size_t n)
{
    struct sockaddr_storage at;
    socklen_t len;
    int e = 0;
    *fd = -1;
    if (!loopback(address, port, &at, &len)) {
        snprintf(err, n, "'%s' is not an address of this machine alone", address);
        return RKI_NOT_TRUSTED;
    }
    *fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        e = errno;
    while (!e && connect(*fd, (struct sockaddr *)&at, len) != 0)
        if (errno != EINTR)
            e = errno;
    if (!e)
        return RKI_CONNECTED;
    snprintf(err, n, "cannot reach an engine at %s port %u: %s", address, port,
             e == ECONNREFUSED ? "nobody listens there" : strerror(e));
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return RKI_NOBODY;
}

void rki_socket_close(rki_socket *s)
{
    struct stat st;
    if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
        unlink(s->path);
    if (s->fd >= 0)
        close(s->fd);
    free(s->path);
    *s = (rki_socket){ .fd = -1 };
}
