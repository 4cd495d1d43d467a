// admin/client.c - a request out, an answer in, over one blocking connection.
#include "admin/client.h"

#include "admin/http.h"
#include "admin/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_MS = 100, LAST_MS = 2000, BODY_BYTES = 64 << 20 };

struct caller {
    const rki_call *c;
    rki_reply *reply;
    int fd;
    bool stopped; // the stream was asked to end
    rki_http_answer head;
    rki_dechunk chunks;
    char *err;
    size_t err_n;
};

static rki_called cut(struct caller *w, const char *why)
{
    snprintf(w->err, w->err_n, "the engine at '%s' %s", w->c->path, why);
    return RKI_CUT;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

// > 0 bytes, 0 at the end, -1 when too late or broken.  Waits in slices so that a stop is noticed.
static ssize_t receive(struct caller *w, char *to, size_t n)
{
    int64_t end = w->c->timeout_ms ? now_ms() + w->c->timeout_ms : INT64_MAX;
    for (;;) {
        struct pollfd p = { .fd = w->fd, .events = POLLIN };
        ssize_t k;
        if (w->c->stop && *w->c->stop && !w->stopped) {
            w->stopped = true;
            shutdown(w->fd, SHUT_WR);
            end = now_ms() + LAST_MS;
        }
        if (now_ms() >= end)
            return -1;
        k = poll(&p, 1, SLICE_MS);
        if (k < 0 && errno != EINTR)
            return -1;
        if (k <= 0)
            continue;
        k = recv(w->fd, to, n, 0);
        if (k < 0 && errno == ECONNRESET)
            return 0; // it went with our request unread
        if (k >= 0 || errno != EINTR)
            return k;
    }
}

// Takes bytes of the answer's body.  RKI_ANSWERED: that was all of it; *more: there is more to come.
static rki_called body(struct caller *w, const char *p, size_t n, bool *more)
{
    bool stream = w->c->take && w->head.status == 200;
    rki_buf got, *to = stream ? &got : &w->reply->body;
    size_t used = n;
    int end = 0;
    rki_called rc = RKI_ANSWERED;
    rki_buf_init(&got);
    if (w->head.chunked) {
        end = rki_http_dechunk(&w->chunks, p, n, &used, to);
        w->reply->missed = w->chunks.missed;
    } else {
        if (w->head.has_length && n > w->head.length)
            n = (size_t)w->head.length;
        rki_put(to, p, n);
        if (w->head.has_length) {
            w->head.length -= n;
            end = w->head.length == 0;
        }
    }
    if (end < 0)
        rc = cut(w, "gave an answer that is not HTTP");
    else if (to->failed)
        rc = cut(w, "gave an answer for which there is no memory");
    else if (!stream && to->n > BODY_BYTES)
        rc = cut(w, "gave an answer of more than 64 MiB");
    else if (stream && got.n && !w->c->take(w->c->arg, (rkp_str){ got.p, got.n }))
        rc = RKI_ENOUGH;
    *more = end == 0 && rc == RKI_ANSWERED;
    rki_buf_fini(&got);
    return rc;
}

static rki_called answer(struct caller *w)
{
    char in[RKP_HTTP_HEAD_BYTES];
    size_t n = 0, seen = 0, head = 0;
    rki_called rc;
    bool more = true;
    ssize_t k;
    while (!head) {
        k = n < sizeof in ? receive(w, in + n, sizeof in - n) : -1;
        if (k <= 0)
            return cut(w, k == 0 ? "has gone without an answer" : "does not answer");
        n += (size_t)k;
        head = rkp_http_head_end(in, n, &seen);
    }
    if (!rki_http_parse_answer(in, head, &w->head))
        return cut(w, "gave an answer that is not HTTP");
    w->reply->status = w->head.status;
    if (w->head.has_length && w->head.length == 0)
        return RKI_ANSWERED;
    rc = body(w, in + head, n - head, &more);
    while (more) {
        k = receive(w, in, sizeof in);
        if (k == 0 && !w->head.has_length && !w->head.chunked)
            return RKI_ANSWERED;
        if (k <= 0)
            return cut(w, k == 0 ? "has gone in the middle of its answer" : "does not go on with its answer");
        rc = body(w, in, (size_t)k, &more);
    }
    return rc;
}

rki_called rki_admin_call(const rki_call *c, rki_reply *out, char *err, size_t n)
{
    struct caller w = { .c = c, .reply = out, .fd = -1, .err = err, .err_n = n };
    rki_called rc = RKI_UNREACHED;
    rki_buf request;
    *out = (rki_reply){ 0 };
    rki_buf_init(&out->body);
    if ((c->address ? rki_socket_connect_at(c->address, c->port, &w.fd, err, n)
                    : rki_socket_connect(c->path, &w.fd, err, n)) != RKI_CONNECTED)
        return rc;
    rki_buf_init(&request);
    rki_putf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\n", c->method, c->target);
    if (c->token)
        rki_putf(&request, "Authorization: Bearer %.*s\r\n", (int)c->token->n, c->token->text);
    rki_putz(&request, strcmp(c->method, "POST") == 0 ? "Content-Length: 0\r\n\r\n" : "\r\n");
    if (request.failed)
        rc = cut(&w, "cannot be asked: out of memory");
    else if (!send_all(w.fd, request.p, request.n))
        rc = cut(&w, "takes no request");
    else
        rc = answer(&w);
    if (request.p)
        explicit_bzero(request.p, request.n); // the token
    rki_buf_fini(&request);
    close(w.fd);
    return rc;
}
