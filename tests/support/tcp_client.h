// tcp_client.h - a client of a server on 127.0.0.1 that says what it is told and reads what comes, until the other end closes.
//
//   Owns     nothing; texts are the caller's: free
//   Threads  any
//   Limits   half a minute without a byte fails the test
#ifndef TCP_CLIENT_H
#define TCP_CLIENT_H

#include "base/buf.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static inline int tcp_dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline char *tcp_rest_of(int fd)
{
    rki_buf b;
    rki_buf_init(&b);
    for (;;) {
        char part[4096];
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;
        assert_int_equal(poll(&p, 1, 30000), 1);
        n = recv(fd, part, sizeof part, 0);
        if (n <= 0)
            break;
        rki_put(&b, part, (size_t)n);
    }
    rki_putc(&b, 0);
    return rki_buf_take(&b, NULL);
}

// The answer to a request that closes its connection: has this status, and `says`, and not `not_this` (may be NULL).
static inline void tcp_expect(uint16_t port, const char *request, int status, const char *says, const char *not_this)
{
    int fd = tcp_dial(port);
    char want[32], *got;
    assert_true(send(fd, request, strlen(request), MSG_NOSIGNAL) > 0);
    got = tcp_rest_of(fd);
    close(fd);
    snprintf(want, sizeof want, "HTTP/1.1 %d ", status);
    if (strncmp(got, want, strlen(want)) != 0 || !strstr(got, says) || (not_this && strstr(got, not_this)))
        fail_msg("%s: wanted %d and '%s', got:\n%s", request, status, says, got);
    free(got);
}

#endif
