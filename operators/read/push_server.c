// push_server: the sockets of read.tcp, read.unix and read.http, in the one poll that their thread runs.
//
//             listener        timer (100 ms)
//                 |                |
//   poll:   [ epoll, which rkp_wait_readable waits for ]
//                 |
//   stream  READ --bytes--> push_text_feed --rows--> the engine
//   http    READ --a request--> push_body --rows--> SENT --next poll--> answer --> READ, or LINGER --> gone
//
// A poll looks at some of the connections that are ready, takes at most one read from each, and emits everything that is
// whole in it: between two polls there are only beginnings of records and requests.  The engine asks for the next poll when
// what was emitted is in the queues, so a full pipeline stops the reading, and an answer goes out one poll after its rows.
//
// What is unfinished: a connection may keep SMALL and one read; for more it needs one of a few permits.  A stream that gets
// none is not read until one is free, a request is told to come again.
#include "push.h"

#include "http_in.h"
#include "push_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    EVENTS = 16, // of a poll: so it emits 1 MiB, more or less, and everybody has a turn
    SCRATCH = 64 << 10,
    SMALL = 64 << 10,
    LARGE_TOTAL = 128 << 20, // of all unfinished records that are larger
    ACCEPTS = 64,
    TICK_MS = 100,
    TOKEN_MAX = 4096,
    OUT_MAX = 1024,
    LINGER_BYTES = 1 << 20,
    DRAIN_BYTES = 1 << 20,  // of a connection when the source stops
    DRAIN_TOTAL = 64 << 20, // of all
    PERIOD = 100,           // ms between two looks at times
};

static const uint64_t MS = 1000000u, SECOND = 1000000000u;

enum state {
    AUTH,   // stream: the line with the token
    READ,   // bytes are wanted
    SENT,   // http: its rows were emitted, the answer is due
    WRITE,  // http: the rest of an answer waits for room
    LINGER, // http: answered for the last time; what still comes is thrown away
};

struct conn {
    int fd;
    uint32_t at; // in server->conns
    enum state state;
    char name[PUSH_NAME];
    uint32_t watched; // what epoll has been told; 0: it does not have it
    bool permit;
    bool waits;     // for a permit; not read
    bool gone;      // to be closed
    bool close;     // http: after the answer
    bool eof;       // http: it sends no more
    uint64_t since; // of the last byte, or of the first of a request
    uint64_t taken; // http: bytes of the request
    push_text text; // stream; AUTH: the line so far
    http_in in;     // http
    char *rest;     // http: what came behind the request at hand
    size_t n_rest;
    char out[OUT_MAX];
    size_t n_out, sent;
};

struct push_server {
    bool begun, stopped;
    push_listener listener;
    bool listening; // epoll has it
    int epoll, timer;
    struct conn **conns;
    uint32_t n, cap;
    struct conn **sent, **told; // those in SENT; room for cap
    uint32_t n_sent;
    uint32_t permits, n_waits;
    char *token;
    size_t n_token;
    uint64_t next_look, accept_at, said_refused;
    char *scratch; // SCRATCH bytes
};

static void say(rkp_actor *a, const char *fmt, ...) RKP_PRINTF(2, 3);
static void say(rkp_actor *a, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    int n = snprintf(text, sizeof text, "kernel '%.63s': ", rkp_actor_kernel(a)), k;
    va_start(ap, fmt);
    k = vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n += k < 0 ? 0 : k;
    if ((size_t)n > sizeof text - 2)
        n = (int)sizeof text - 2;
    text[n++] = '\n';
    rkp_log(a, (rkp_str){ text, (size_t)n });
}

// ---- connections ----------------------------------------------------------------------------------------------------

// What epoll is to tell about it; 0: nothing.
static void watch(push_server *s, struct conn *c, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = c };
    int op = !events ? EPOLL_CTL_DEL : c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (events == c->watched)
        return;
    if (epoll_ctl(s->epoll, op, c->fd, &e) != 0)
        c->gone = true;
    c->watched = events;
}

static void listen_on(push_server *s, bool on)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &s->listener };
    if (s->listener.fd < 0 || on == s->listening)
        return;
    if (epoll_ctl(s->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, s->listener.fd, &e) == 0)
        s->listening = on;
}

static bool permit_take(push_server *s, struct conn *c)
{
    if (c->permit)
        return true;
    if (!s->permits)
        return false;
    s->permits--;
    c->permit = true;
    return true;
}

static void permit_give(push_server *s, struct conn *c)
{
    if (!c->permit)
        return;
    c->permit = false;
    s->permits++;
    for (uint32_t i = 0; i < s->n && s->n_waits && s->permits; i++) {
        struct conn *w = s->conns[i];
        if (!w->waits || w->gone)
            continue;
        w->waits = false;
        s->n_waits--;
        permit_take(s, w);
        watch(s, w, EPOLLIN);
    }
}

// Takes it out of the server.
static void drop(push_server *s, struct conn *c)
{
    for (uint32_t i = 0; c->state == SENT && i < s->n_sent; i++)
        if (s->sent[i] == c)
            s->sent[i--] = s->sent[--s->n_sent];
    s->conns[c->at] = s->conns[--s->n];
    s->conns[c->at]->at = c->at;
    if (c->waits)
        s->n_waits--;
    c->waits = false;
    permit_give(s, c);
    close(c->fd); // epoll forgets it
    push_text_fini(&c->text);
    http_in_fini(&c->in);
    free(c->rest);
    free(c);
}

// Closes it, and counts what is lost with it.
static void end(struct push *x, rkp_actor *a, struct conn *c)
{
    bool stream = x->kind != PUSH_HTTP;
    bool unfinished = stream ? c->state == READ && (c->text.n || c->text.skipping) && !c->text.useless
                             : (c->state == READ && !http_in_idle(&c->in)) || c->state == SENT;
    if (unfinished && stream && !c->text.skipping) // what is skipped was rejected before
        rkp_drop(a, 1, "unfinished");
    if (unfinished)
        rkp_count(a, PUSH_UNFINISHED, 1);
    drop(x->server, c);
}

static void pause_accepting(push_server *s, uint64_t until)
{
    listen_on(s, false);
    s->accept_at = until;
}

static bool grow(struct conn ***v, uint32_t cap)
{
    struct conn **to = realloc(*v, cap * sizeof *to);
    if (to)
        *v = to;
    return to != NULL;
}

static void accept_some(struct push *x, rkp_actor *a, uint64_t now)
{
    push_server *s = x->server;
    for (int i = 0; i < ACCEPTS; i++) {
        struct conn *c;
        char name[PUSH_NAME];
        int fd;
        if (s->n >= x->max_connections) {
            pause_accepting(s, UINT64_MAX);
            return;
        }
        fd = push_accept(&s->listener, name);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                pause_accepting(s, now + 100 * MS);
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            return;
        }
        if (s->n == s->cap) {
            uint32_t cap = s->cap ? s->cap * 2 : 64;
            if (grow(&s->conns, cap) && grow(&s->sent, cap) && grow(&s->told, cap))
                s->cap = cap;
        }
        c = s->n < s->cap ? calloc(1, sizeof *c) : NULL;
        if (!c) {
            close(fd);
            pause_accepting(s, now + 100 * MS);
            return;
        }
        c->fd = fd;
        c->at = s->n;
        c->state = x->kind != PUSH_HTTP && s->token ? AUTH : READ;
        c->since = now;
        c->in.max_body = x->f.max_record;
        c->in.room = SMALL;
        memcpy(c->name, name, sizeof c->name);
        s->conns[s->n++] = c;
        rkp_count(a, PUSH_CONNECTIONS, 1);
        watch(s, c, EPOLLIN);
        if (c->gone)
            drop(s, c);
    }
}

static rkp_str name_of(const struct conn *c)
{
    return rkp_str_of(c->name);
}

// Takes as long for every token of that length, wherever it is wrong.
static bool token_is(const push_server *s, rkp_str t)
{
    unsigned char diff = t.n != s->n_token;
    for (size_t i = 0; i < t.n; i++)
        diff |= (unsigned char)(t.p[i] ^ s->token[i % s->n_token]);
    return diff == 0;
}

static void say_refused(struct push *x, rkp_actor *a, const struct conn *c)
{
    uint64_t now = rkp_now_ns(a);
    rkp_count(a, PUSH_REFUSED, 1);
    if (x->server->said_refused && now - x->server->said_refused < 10 * SECOND)
        return;
    x->server->said_refused = now;
    say(a, "%s has sent no token, or a wrong one, and is refused", c->name);
}

// ---- streams --------------------------------------------------------------------------------------------------------

// The line with the token; what stands behind it goes on.  False: refused, or more must come.
static bool authorize(struct push *x, rkp_actor *a, struct conn *c, const char **p, size_t *n)
{
    const char *nl = memchr(*p, '\n', *n);
    size_t k = nl ? (size_t)(nl - *p) + 1 : *n;
    rkp_str line;
    bool good;
    if (c->n_out + k > sizeof c->out) {
        say_refused(x, a, c);
        c->gone = true;
        return false;
    }
    memcpy(c->out + c->n_out, *p, k); // streams have no answers: the room is free
    c->n_out += k;
    *p += k;
    *n -= k;
    if (!nl)
        return false;
    line = (rkp_str){ c->out, c->n_out - 1 };
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    good = token_is(x->server, line);
    c->n_out = 0;
    if (good) {
        c->state = READ;
        return true;
    }
    say_refused(x, a, c);
    c->gone = true;
    return false;
}

static rkp_verdict stream_bytes(struct push *x, rkp_actor *a, struct conn *c, const char *p, size_t n)
{
    push_server *s = x->server;
    rkp_verdict v;
    if (c->state == AUTH && !authorize(x, a, c, &p, &n))
        return RKP_MORE;
    v = push_text_feed(x, a, &c->text, name_of(c), p, n);
    if (v == RKP_DONE) // nothing more of it can be used
        c->gone = true;
    if (v == RKP_FAIL)
        return v;
    if (c->text.n <= SMALL) {
        permit_give(s, c);
    } else if (!permit_take(s, c)) {
        c->waits = true;
        s->n_waits++;
        watch(s, c, 0);
    }
    return RKP_MORE;
}

// One read; *n gets its bytes, 0: there are none now, or no more.
static rkp_verdict stream_read(struct push *x, rkp_actor *a, struct conn *c, size_t *n)
{
    push_server *s = x->server;
    ssize_t k;
    *n = 0;
    do {
        k = recv(c->fd, s->scratch, SCRATCH, MSG_DONTWAIT);
    } while (k < 0 && errno == EINTR);
    if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return RKP_MORE;
    if (c->state != AUTH)
        c->since = rkp_now_ns(a);
    if (k > 0) {
        *n = (size_t)k;
        rkp_count(a, PUSH_BYTES, (uint64_t)k);
        return stream_bytes(x, a, c, s->scratch, (size_t)k);
    }
    if (k == 0 && c->state == READ) {
        rkp_verdict v = push_text_end(x, a, &c->text, name_of(c));
        c->text.n = 0;
        c->gone = true;
        return v == RKP_FAIL ? v : RKP_MORE;
    }
    c->gone = true; // reset: what is unfinished is no record
    return RKP_MORE;
}

// ---- http -----------------------------------------------------------------------------------------------------------

static void flush(struct conn *c)
{
    while (c->sent < c->n_out && !c->gone) {
        ssize_t k = send(c->fd, c->out + c->sent, c->n_out - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k > 0) {
            c->sent += (size_t)k;
        } else if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (k == 0 || errno != EINTR) {
            c->gone = true;
        }
    }
    if (c->sent < c->n_out)
        return;
    c->n_out = c->sent = 0;
    if (c->state != WRITE)
        return;
    if (!c->close) {
        c->state = READ;
    } else if (c->eof || shutdown(c->fd, SHUT_WR) != 0) {
        c->gone = true;
    } else { // so that the answer arrives before the connection is cut
        c->state = LINGER;
        c->taken = 0;
    }
}

// The request at hand is done: its answer, and the next one.
static void answer(struct push *x, rkp_actor *a, struct conn *c, int status, const char *text)
{
    size_t n = status == 204 ? 0 : strlen(text) + 1;
    const char *extra = status == 405   ? "Allow: POST, PUT\r\n"
                        : status == 401 ? "WWW-Authenticate: Bearer\r\n"
                        : status == 503 ? "Retry-After: 1\r\n"
                                        : "";
    int k;
    memmove(c->out, c->out + c->sent, c->n_out - c->sent); // a "100 Continue" may be there
    c->n_out -= c->sent;
    c->sent = 0;
    k = snprintf(c->out + c->n_out, sizeof c->out - c->n_out, "HTTP/1.1 %d %s\r\n%s", status, rkp_http_reason(status),
                 extra);
    c->n_out += (size_t)k;
    if (status != 204)
        c->n_out += (size_t)snprintf(c->out + c->n_out, sizeof c->out - c->n_out,
                                     "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n", n);
    c->n_out += (size_t)snprintf(c->out + c->n_out, sizeof c->out - c->n_out, "Connection: %s\r\n\r\n",
                                 c->close ? "close" : "keep-alive");
    if (n && !(c->in.parsed && rkp_str_is(c->in.r.method, "HEAD")))
        c->n_out += (size_t)snprintf(c->out + c->n_out, sizeof c->out - c->n_out, "%s\n", text);
    if (status >= 400)
        rkp_count(a, PUSH_REFUSED, 1);
    http_in_next(&c->in);
    c->in.room = SMALL;
    permit_give(x->server, c);
    c->since = rkp_now_ns(a);
    c->taken = 0;
    c->state = WRITE;
    flush(c);
}

// What follows on this connection could be anything.
static void refuse(struct push *x, rkp_actor *a, struct conn *c, int status, const char *text)
{
    c->close = true;
    answer(x, a, c, status, text);
}

static bool authorized(const push_server *s, const rkp_http_request *r)
{
    rkp_str v = r->authorization, scheme;
    const char *space = v.n ? memchr(v.p, ' ', v.n) : NULL;
    if (!s->token)
        return true;
    scheme = (rkp_str){ v.p, space ? (size_t)(space - v.p) : 0 };
    if (!rkp_http_same_word(scheme, "bearer"))
        return false;
    v = (rkp_str){ space + 1, v.n - scheme.n - 1 };
    while (v.n && *v.p == ' ')
        v = (rkp_str){ v.p + 1, v.n - 1 };
    return token_is(s, v);
}

// A head is whole.  False: it is refused.
static bool look_at_head(struct push *x, rkp_actor *a, struct conn *c)
{
    const rkp_http_request *r = &c->in.r;
    rkp_str coding = r->content_encoding;
    c->close = !r->keep;
    if (!authorized(x->server, r)) {
        say_refused(x, a, c);
        refuse(x, a, c, 401, "a token is needed: Authorization: Bearer ..");
    } else if (!rkp_str_is(r->method, "POST") && !rkp_str_is(r->method, "PUT")) {
        refuse(x, a, c, 405, "rows come by POST or PUT");
    } else if (coding.n && !rkp_http_same_word(coding, "identity")) {
        refuse(x, a, c, 415, "a compressed body is not supported yet");
    } else if (!r->chunked && !r->has_length) {
        refuse(x, a, c, 411, "a body needs its Content-Length, or comes in chunks");
    } else if (!r->chunked && r->body > SMALL && !permit_take(x->server, c)) {
        refuse(x, a, c, 503, "too many large bodies at once; try again");
    } else {
        if (c->permit)
            c->in.room = c->in.max_body;
        if (r->says_100 && r->minor == 1 && (r->chunked || r->body)) {
            static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
            memcpy(c->out, go, sizeof go - 1); // READ: there is nothing else in it
            c->n_out = sizeof go - 1;
            c->sent = 0;
            flush(c); // 25 bytes: what does not fit now goes with the answer
        }
        return true;
    }
    return false;
}

static const char *why_status(int status)
{
    switch (status) {
    case 413:
        return "the body is larger than max_message";
    case 414:
        return "a request line has at most 8 KiB";
    case 431:
        return "the head of a request has at most 16 KiB and 64 fields";
    case 501:
        return "of the transfer codings only chunked is known";
    case 505:
        return "this is not HTTP/1.0 or HTTP/1.1";
    case 417:
        return "of the expectations only 100-continue is known";
    default:
        return "this is not a well-formed request";
    }
}

// A request is whole.
static rkp_verdict take_request(struct push *x, rkp_actor *a, struct conn *c)
{
    push_server *s = x->server;
    const char *why;
    rkp_verdict v = push_body(x, a, name_of(c), (rkp_str){ c->in.body ? c->in.body : "", c->in.n_body }, &why);
    if (v == RKP_FAIL)
        return v;
    if (why) {
        answer(x, a, c, 400, why);
    } else {
        c->state = SENT;
        s->sent[s->n_sent++] = c;
    }
    return RKP_MORE;
}

// p[0..n) has come, or was left over.  What stands behind a request that is whole is kept.
static rkp_verdict http_bytes(struct push *x, rkp_actor *a, struct conn *c, const char *p, size_t n)
{
    rkp_verdict v = RKP_MORE;
    bool again = false; // a head without a body is whole at once
    c->taken += n;
    while (c->state == READ && !c->gone && (n || again)) {
        bool was_idle = http_in_idle(&c->in);
        size_t used;
        int rc = http_in_feed(&c->in, p, n, &used);
        p += used;
        n -= used;
        again = false;
        if (was_idle && !http_in_idle(&c->in)) {
            c->since = rkp_now_ns(a);
            c->taken = 0;
        }
        if (rc == HTTP_HEAD) {
            c->since = rkp_now_ns(a); // the body has its own time
            again = look_at_head(x, a, c);
        } else if (rc == HTTP_WHOLE) {
            v = take_request(x, a, c);
        } else if (rc == HTTP_ROOM) {
            if (permit_take(x->server, c))
                c->in.room = c->in.max_body;
            else
                refuse(x, a, c, 503, "too many large bodies at once; try again");
        } else if (rc == HTTP_NOMEM) {
            refuse(x, a, c, 503, "out of memory");
        } else if (rc != HTTP_MORE) {
            refuse(x, a, c, rc, why_status(rc));
        }
        if (v == RKP_FAIL)
            return v;
    }
    if (n && c->state != LINGER && !c->gone && !c->close) {
        char *rest = malloc(n);
        if (!rest) {
            c->gone = true; // it was not told that any of this was taken
            return RKP_MORE;
        }
        memcpy(rest, p, n);
        free(c->rest);
        c->rest = rest;
        c->n_rest = n;
    }
    return RKP_MORE;
}

static rkp_verdict http_rest(struct push *x, rkp_actor *a, struct conn *c)
{
    char *rest = c->rest;
    size_t n = c->n_rest;
    rkp_verdict v;
    c->rest = NULL;
    c->n_rest = 0;
    if (!rest)
        return RKP_MORE;
    v = http_bytes(x, a, c, rest, n);
    free(rest);
    return v;
}

// After something was done with it: what is waited for now.
static void http_watch(push_server *s, struct conn *c)
{
    if (c->gone || c->state == SENT)
        return;
    if (c->eof && c->state == READ) // half a request, or none: no more of it comes
        c->gone = true;
    else
        watch(s, c, c->state == WRITE ? EPOLLOUT : EPOLLIN);
}

static rkp_verdict http_read(struct push *x, rkp_actor *a, struct conn *c)
{
    push_server *s = x->server;
    ssize_t k;
    do {
        k = recv(c->fd, s->scratch, SCRATCH, MSG_DONTWAIT);
    } while (k < 0 && errno == EINTR);
    if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return RKP_MORE;
    if (c->state == LINGER) {
        c->taken += k > 0 ? (size_t)k : 0;
        c->gone = k <= 0 || c->taken > LINGER_BYTES;
        return RKP_MORE;
    }
    if (k < 0) {
        c->gone = true;
        return RKP_MORE;
    }
    c->eof = k == 0;
    rkp_count(a, PUSH_BYTES, (uint64_t)k);
    return k ? http_bytes(x, a, c, s->scratch, (size_t)k) : RKP_MORE;
}

static rkp_verdict http_serve(struct push *x, rkp_actor *a, struct conn *c, uint32_t events)
{
    rkp_verdict v = RKP_MORE;
    if (c->state == WRITE) {
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            flush(c);
        if (c->state == READ)
            v = http_rest(x, a, c);
    } else if (c->state != SENT) {
        v = http_read(x, a, c);
    }
    // Answered at once (a bad body): the next request may have come with it.
    while (v != RKP_FAIL && c->state == READ && c->rest && !c->gone)
        v = http_rest(x, a, c);
    http_watch(x->server, c);
    return v;
}

// The rows of the last poll are in the queues: who has sent them is told.
static rkp_verdict tell(struct push *x, rkp_actor *a)
{
    push_server *s = x->server;
    uint32_t n = s->n_sent; // those that follow wait for the next poll
    rkp_verdict v = RKP_MORE;
    struct conn **told = s->sent;
    s->sent = s->told;
    s->told = told;
    s->n_sent = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct conn *c = told[i];
        if (v == RKP_FAIL) {
            c->state = WRITE; // fini closes it
            continue;
        }
        c->state = READ;
        answer(x, a, c, 204, "");
        while (v != RKP_FAIL && c->state == READ && c->rest && !c->gone)
            v = http_rest(x, a, c);
        http_watch(s, c);
        if (c->gone && v != RKP_FAIL)
            end(x, a, c);
    }
    return v;
}

// ---- times ----------------------------------------------------------------------------------------------------------

// When it has had its time; 0: it may take what it wants.
static uint64_t due(const struct push *x, const struct conn *c)
{
    if (c->state == AUTH)
        return c->since + x->timeout_ns;
    if (x->kind != PUSH_HTTP) {
        if (c->permit && x->server->n_waits) // others wait for what it keeps
            return c->since + x->timeout_ns;
        return x->idle_ns && !c->waits ? c->since + x->idle_ns : 0;
    }
    if (c->state == LINGER)
        return c->since + SECOND;
    if (c->state == READ && http_in_idle(&c->in))
        return c->since + x->idle_ns;
    // A body that comes with at least 1 KiB/s has all the time it needs.
    return c->since + x->timeout_ns + c->taken / 1024 * SECOND;
}

static void look_at_times(struct push *x, rkp_actor *a, uint64_t now)
{
    push_server *s = x->server;
    if (now < s->next_look)
        return;
    s->next_look = now + PERIOD * MS;
    for (uint32_t i = s->n; i-- > 0;) {
        struct conn *c = s->conns[i];
        uint64_t t = due(x, c);
        if (!t || now < t || c->state == SENT)
            continue;
        if (x->kind == PUSH_HTTP && c->state == READ && !http_in_idle(&c->in)) {
            refuse(x, a, c, 408, "the request took too long");
            http_watch(s, c);
            if (!c->gone)
                continue;
        }
        end(x, a, c); // and another moves to its place, which was looked at
    }
    if (s->accept_at && (now >= s->accept_at || s->accept_at == UINT64_MAX) && s->n < x->max_connections) {
        s->accept_at = 0;
        listen_on(s, true);
    }
}

// ---- start and stop -------------------------------------------------------------------------------------------------

static rkp_status read_token(struct push *x, rkp_actor *a)
{
    push_server *s = x->server;
    char b[TOKEN_MAX + 1], t[128];
    ssize_t n;
    int fd = open(x->token_file.p, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    n = fd >= 0 ? read(fd, b, sizeof b) : -1;
    if (n < 0) {
        (void)rkp_fail(a, RKP_UNAVAILABLE, "cannot read the token in '%s': %s", x->token_file.p,
                       strerror_r(errno, t, sizeof t));
        if (fd >= 0)
            close(fd);
        return RKP_UNAVAILABLE;
    }
    close(fd);
    while (n > 0 && (b[n - 1] == '\n' || b[n - 1] == '\r'))
        n--;
    if (n == 0 || n > 512 || memchr(b, '\n', (size_t)n)) {
        (void)rkp_fail(a, RKP_UNAVAILABLE, "the token in '%s' is not one line of at most 512 bytes", x->token_file.p);
        return RKP_UNAVAILABLE;
    }
    s->token = malloc((size_t)n);
    if (!s->token) {
        (void)rkp_fail(a, RKP_NOMEM, "out of memory");
        return RKP_NOMEM;
    }
    memcpy(s->token, b, (size_t)n);
    s->n_token = (size_t)n;
    return RKP_OK;
}

rkp_status push_init(void *self, rkp_actor *a)
{
    struct push *x = self;
    push_server *s = calloc(1, sizeof *s);
    if (!s) {
        (void)rkp_fail(a, RKP_NOMEM, "out of memory");
        return RKP_NOMEM;
    }
    s->listener.fd = s->epoll = s->timer = -1;
    s->permits = (uint32_t)(x->f.max_record < LARGE_TOTAL ? LARGE_TOTAL / x->f.max_record : 1);
    x->server = s;
    return formats_init(&x->f, a);
}

// By the first poll, since of the two halves of a source only that one has it.
static rkp_verdict begin(struct push *x, rkp_actor *a)
{
    push_server *s = x->server;
    struct itimerspec tick = { .it_interval = { .tv_nsec = TICK_MS * 1000000 },
                               .it_value = { .tv_nsec = TICK_MS * 1000000 } };
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    char err[RKP_FILE_ERR] = "out of memory";
    unsigned long mode = x->mode.p ? strtoul(x->mode.p, NULL, 8) : 0600;
    rkp_status st;
    s->begun = true;
    s->scratch = malloc(SCRATCH);
    if (!s->scratch)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    if (x->token_file.p && read_token(x, a) != RKP_OK)
        return RKP_FAIL;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->epoll < 0 || s->timer < 0 || timerfd_settime(s->timer, 0, &tick, NULL) != 0 ||
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &e) != 0)
        return rkp_fail(a, RKP_IO, "cannot wait for clients: %s", strerror_r(errno, err, sizeof err));
    st = x->kind == PUSH_UNIX ? push_listen_unix(x->listen.p, (unsigned)mode, &s->listener, err)
                              : push_listen_tcp(x->listen.p, &s->listener, err);
    if (st != RKP_OK)
        return rkp_fail(a, st, "%s", err);
    listen_on(s, true);
    if (!s->listening)
        return rkp_fail(a, RKP_IO, "cannot wait for clients");
    say(a, "listens on %s", s->listener.name);
    return RKP_MORE;
}

// Nobody comes any more, and what streams have sent until now is read.
static rkp_verdict close_down(struct push *x, rkp_actor *a)
{
    push_server *s = x->server;
    uint64_t left = DRAIN_TOTAL;
    rkp_verdict v = RKP_MORE;
    if (!s->begun || s->stopped)
        return RKP_MORE;
    s->stopped = true;
    accept_some(x, a, rkp_now_ns(a)); // whoever was let in by the system has sent, perhaps, and gone
    listen_on(s, false);
    push_listener_close(&s->listener);
    for (uint32_t i = s->n; x->kind != PUSH_HTTP && i-- > 0;) {
        struct conn *c = s->conns[i];
        size_t n = 1, all = 0;
        while (v != RKP_FAIL && n && !c->gone && !c->waits && all < DRAIN_BYTES && left) {
            v = stream_read(x, a, c, &n);
            all += n;
            left = left > n ? left - n : 0;
        }
        if (v == RKP_FAIL)
            return v;
    }
    return RKP_MORE;
}

rkp_verdict push_poll(void *self, rkp_actor *a)
{
    struct push *x = self;
    push_server *s = x->server;
    struct epoll_event ev[EVENTS];
    rkp_verdict v = RKP_MORE;
    int n;
    if (rkp_stopping(a))
        return close_down(x, a) == RKP_FAIL ? RKP_FAIL : RKP_DONE;
    if (!s->begun)
        return begin(x, a);
    if (tell(x, a) == RKP_FAIL)
        return RKP_FAIL;
    look_at_times(x, a, rkp_now_ns(a));
    if (!s->n_sent && !rkp_wait_readable(a, s->epoll))
        return close_down(x, a) == RKP_FAIL ? RKP_FAIL : RKP_DONE;
    n = epoll_wait(s->epoll, ev, EVENTS, 0);
    for (int i = 0; i < n && v != RKP_FAIL; i++) {
        struct conn *c = ev[i].data.ptr;
        if (!c) {
            uint64_t ticks;
            while (read(s->timer, &ticks, sizeof ticks) < 0 && errno == EINTR)
                continue;
        } else if (ev[i].data.ptr == &s->listener) {
            accept_some(x, a, rkp_now_ns(a));
        } else {
            size_t bytes;
            v = x->kind == PUSH_HTTP ? http_serve(x, a, c, ev[i].events) : stream_read(x, a, c, &bytes);
            if (c->gone && v != RKP_FAIL)
                end(x, a, c);
        }
    }
    if (s->accept_at == UINT64_MAX && s->n < x->max_connections) {
        s->accept_at = 0;
        listen_on(s, true);
    }
    return v == RKP_FAIL ? v : RKP_MORE;
}

// What has come until now is not looked at: the answer would not arrive behind it.  False: nothing has come.
static bool throw_away(push_server *s, struct conn *c)
{
    size_t all = 0;
    ssize_t n = 1;
    while (n > 0 && all < LINGER_BYTES) {
        n = recv(c->fd, s->scratch, SCRATCH, MSG_DONTWAIT);
        all += n > 0 ? (size_t)n : 0;
    }
    return all > 0;
}

// What was emitted is in the queues, and the source is polled no more.
rkp_status push_prepare(void *self, rkp_actor *a)
{
    struct push *x = self;
    push_server *s = x->server;
    uint32_t unfinished = 0, all = s->n;
    if (!s->begun)
        return RKP_OK;
    if (close_down(x, a) == RKP_FAIL)
        return RKP_IO;
    for (uint32_t i = 0; i < s->n; i++) {
        struct conn *c = s->conns[i];
        c->close = true;
        if (x->kind != PUSH_HTTP) {
            unfinished += c->state == READ && !c->gone && c->text.n > 0 && !c->text.useless;
        } else if (c->state == SENT) {
            c->state = READ;
            answer(x, a, c, 204, "");
        } else if (c->state == READ && (throw_away(s, c) || !http_in_idle(&c->in))) {
            unfinished++;
            rkp_count(a, PUSH_UNFINISHED, 1);
            answer(x, a, c, 503, "the server is stopping");
        }
    }
    s->n_sent = 0;
    if (unfinished)
        say(a, "%u of %u connections were cut in the middle of a %s", (unsigned)unfinished, (unsigned)all,
            x->kind == PUSH_HTTP ? "request, and told so" : "record, which is dropped");
    while (s->n)
        end(x, a, s->conns[s->n - 1]);
    return RKP_OK;
}

void push_fini(void *self)
{
    struct push *x = self;
    push_server *s = x->server;
    if (s) {
        while (s->n)
            drop(s, s->conns[s->n - 1]);
        push_listener_close(&s->listener);
        if (s->epoll >= 0)
            close(s->epoll);
        if (s->timer >= 0)
            close(s->timer);
        free(s->conns);
        free(s->sent);
        free(s->told);
        free(s->token);
        free(s->scratch);
        free(s);
    }
    formats_fini(&x->f);
}
