// admin/socket.h - unix sockets by path: who may talk to whom, what a dead process left, paths of any length; and loopback addresses.
//
//   Owns     a listening socket owns its file, until rki_socket_close
//   Threads  any; no state
//   Fails    -1 (or false), and one sentence
//   Limits   the last part of a path that is longer than 107 bytes has at most 64
//   Cost     a few system calls
#ifndef RKI_SOCKET_H
#define RKI_SOCKET_H

#include <rkpipe/base.h>
#include <sys/types.h>

typedef struct rki_socket {
    int fd;
    char *path;    // NULL: an address,
    uint16_t port; //   with this port
    dev_t dev;
    ino_t ino;
} rki_socket;

// A socket file of mode 0600 that takes connections from the moment it is there.  What a dead process left in its place
// is replaced; a live one is refused with RKP_UNAVAILABLE.
rkp_status rki_socket_listen(const char *path, rki_socket *out, char *err, size_t n);
// A port (0: any that is free) of an address of this machine alone: 127.0.0.0/8 or ::1.
rkp_status rki_socket_listen_at(const char *address, uint16_t port, rki_socket *out, char *err, size_t n);
void rki_socket_close(rki_socket *s); // and removes the file, when it is still this one

typedef enum rki_connected {
    RKI_CONNECTED,
    RKI_NOBODY,     // no such socket, or nobody listens on it
    RKI_NOT_TRUSTED // somebody else's
} rki_connected;

// A blocking connection to a server of the same user, or of root.  `*fd` is -1 unless connected.
rki_connected rki_socket_connect(const char *path, int *fd, char *err, size_t n);
// The same to an address of this machine alone; who is there is not known.
rki_connected rki_socket_connect_at(const char *address, uint16_t port, int *fd, char *err, size_t n);
// Is the process at the other end root, or does it run as the same user as this one?
bool rki_socket_trusted(int fd);

#endif
