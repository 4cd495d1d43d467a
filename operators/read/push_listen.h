// operators/read/push_listen.h - sockets that wait for clients: TCP by host and port, unix by path.
//
//   Owns     a listener owns its socket, and the file of a unix socket
//   Threads  one at a time; a name that is no address is looked up, which may wait
//   Fails    a status and a message
//   Limits   paths of 96 bytes
//   Cost     a few system calls
#ifndef PUSH_LISTEN_H
#define PUSH_LISTEN_H

#include <rkpipe/file.h>
#include <sys/types.h>

enum { PUSH_NAME = 64 };

typedef struct push_listener {
    int fd;               // -1: none; it does not block
    char name[PUSH_NAME]; // where, for the log: 127.0.0.1:9000, [::]:9000
    char *path;           // unix: its file
    dev_t dev;
    ino_t ino;
} push_listener;

// host:port, [IPv6]:port or :port.  NULL, or what is wrong with it.
const char *push_address_wrong(rkp_str text);
rkp_status push_listen_tcp(const char *address, push_listener *out, char err[RKP_FILE_ERR]);
// What a dead process left at the path is replaced; a socket on which somebody listens is refused, RKP_UNAVAILABLE.
rkp_status push_listen_unix(const char *path, unsigned mode, push_listener *out, char err[RKP_FILE_ERR]);
// And removes the file, when it is still this one.
void push_listener_close(push_listener *l);
// A connection that does not block, and who is at its other end; -1 and errno.
int push_accept(const push_listener *l, char name[PUSH_NAME]);

#endif
