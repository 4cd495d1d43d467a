// admin/server.c - one thread in poll(2) over the listening socket, an event that wakes it, and the connections.
//
//            +-------------------------------------------------------------------+
//            v                                                                   |
//   accept  READ --request--> (api) --body--------------------------> output ----+-- close --> LINGER --> gone
//                               |---command--> COMMAND --its thread-->   |
//                               |---tap------> TAP ----rows, then the end
//                               `---shutdown-> END ----the run has ended
//
// Nothing here waits for one connection: sockets do not block, a command that may have to wait for a batch boundary runs
// on a thread of its own (at most JOBS of them, and one for each reload; made when needed), and taps are looked at, not waited for.
//
// Output is bounded because nothing is answered while more than ENOUGH bytes wait to be sent.
#include "admin/server.h"

#include "admin/api.h"
#include "admin/guard.h"
#include "admin/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS = 100,
    JOBS = 4,  // commands at once
    LOOKS = 3, // checks and looks into the store of dead letters at once: each may take memory and a while
    ALL_JOBS = JOBS + LOOKS + CONNECTIONS,
    IN_BYTES = RKP_HTTP_HEAD_BYTES + RKI_HTTP_BODY_BYTES,
    ENOUGH = 64 << 10, // bytes of output that wait
    KEEP = 64 << 10,   // buffers that grew beyond are given back
    KEEP_IN = 8 << 10,
    TAP_ROWS = 1000,       // asked for at once
    TAP_BYTES = 256 << 10, // of a tap: taken at every look, so this bounds what a tap may cost
    ACCEPTS = 16,          // of one round
    STACK = 2 << 20,       // a reload loads a file; what is not touched costs nothing
    LINGER_BYTES = 1 << 20,
};

static const uint64_t MS = 1000000u;

enum state { READ, COMMAND, TAP, END, LINGER };

struct conn {
    int fd;
    enum state state;
    char *in; // a head that is not whole yet, or what comes after it
    size_t n_in, cap_in;
    size_t seen;   // of the head at the front of `in`
    char *head;    // the head of the request at hand, once it is whole; r points into it
    bool said_100; // "100 Continue" has been sent for it
    rki_http_request r;
    rki_buf out;
    size_t sent;
    bool eof;          // the client will send no more
    bool last;         // close when all is sent
    bool served;       // at least one request
    bool known;        // it has shown the token
    bool broken;       // nothing more can be sent or received
    uint64_t number;   // as they came
    uint64_t since_in; // of the first byte of the request at hand, or the end of the last one
    uint64_t since_out;
    size_t lingered;
    rki_tap *tap;
    rki_tap_format format;
    uint64_t limit;
    bool chunked;
};

struct job {
    rki_admin *a;
    pthread_t thread;
    struct conn *c; // NULL: the client has gone; the server's thread only
    char kernel[64];
    rki_command command;
    rki_outcome outcome;
    char text[512];
    char *file; // of a reload; NULL: a command
    rki_ask ask;
    uint64_t generation, limit;
    bool dry;
    char reason[64];
    rkp_str posted; // its own; p NULL: none
    int status;
    rki_buf body;
    enum { FREE, RUNNING, DONE } state; // DONE is stored by its thread
};

struct rki_admin {
    rki_admin_source source;
    rki_admin_times times;
    rki_socket socket;
    char *metrics; // NULL: everything
    rki_secrets *secrets;
    rki_bearer token; // n 0: of a unix socket, or of metrics, nobody has to show any
    int wake;
    pthread_t thread;
    uint32_t stopping; // atomic
    // the server's thread only, until it has ended
    struct conn *conns[CONNECTIONS];
    size_t n_conns;
    uint64_t n_accepted;
    struct job jobs[ALL_JOBS]; // commands, looks, and reloads: each of those waits for its turn
    uint64_t pause_until;      // no accepting before: out of descriptors
    uint64_t next_tap;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wake(rki_admin *a)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(a->wake, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
}

static size_t pending(const struct conn *c)
{
    return c->out.n - c->sent;
}

// ---- connections ----------------------------------------------------------------------------------------------------

static void drop(rki_admin *a, struct conn *c)
{
    for (size_t i = 0; i < ALL_JOBS; i++)
        if (a->jobs[i].c == c)
            a->jobs[i].c = NULL;
    if (c->tap)
        a->source.tap_close(c->tap);
    if (c->fd >= 0)
        close(c->fd);
    rki_buf_fini(&c->out);
    free(c->head);
    free(c->in);
    free(c);
}

static void send_some(struct conn *c, uint64_t now)
{
    while (pending(c) && !c->broken) {
        ssize_t n = send(c->fd, c->out.p + c->sent, pending(c), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            c->sent += (size_t)n;
            c->since_out = now;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (n == 0 || errno != EINTR) {
            c->broken = true;
        }
    }
    if (c->broken || c->out.n == 0)
        return;
    c->sent = 0;
    if (c->out.cap > KEEP)
        rki_buf_fini(&c->out);
    rki_buf_clear(&c->out);
}

// Before something is put into an empty output: its time begins now.
static void begin_output(struct conn *c, uint64_t now)
{
    if (!pending(c))
        c->since_out = now;
}

static void put_answer(const rki_admin *a, struct conn *c, rki_answer *ans, bool head_only, uint64_t now)
{
    rki_answer full;
    begin_output(c, now);
    if (!ans->fixed)
        rki_secrets_mask(a->secrets, strcmp(ans->type, "application/json") == 0 ? RKI_MASK_JSON : RKI_MASK_TEXT,
                         &ans->body);
    if (ans->body.failed) {
        rki_api_error(&full, 503, "no-memory", "out of memory");
        c->last = true;
    } else {
        full = *ans;
        ans->body = (rki_buf){ 0 };
    }
    rki_http_head(&c->out, full.status, full.type, full.fields, full.body.n, !c->last);
    if (!head_only)
        rki_put(&c->out, full.body.p, full.body.n);
    rki_answer_fini(&full);
    c->broken = c->broken || c->out.failed;
}

static void refuse(const rki_admin *a, struct conn *c, int status, const char *code, const char *message, uint64_t now)
{
    rki_answer ans;
    rki_api_error(&ans, status, code, message);
    c->last = true;
    put_answer(a, c, &ans, false, now);
    rki_answer_fini(&ans);
}

// The request at hand has its answer.
static void next_request(struct conn *c, uint64_t now)
{
    free(c->head);
    c->head = NULL;
    c->n_in -= c->r.body;
    memmove(c->in, c->in + c->r.body, c->n_in);
    c->seen = 0;
    c->said_100 = false;
    c->served = true;
    c->state = READ;
    c->since_in = now;
    if (c->n_in == 0 && c->cap_in > KEEP_IN) {
        free(c->in);
        c->in = NULL;
        c->cap_in = 0;
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------

static int run_ask(struct job *j, const rki_admin_source *s)
{
    const char *kernel = j->kernel[0] ? j->kernel : NULL, *reason = j->reason[0] ? j->reason : NULL;
    switch (j->ask) {
    case RKI_ASK_ROLLBACK:
        return s->rollback(s->reload_arg, j->generation, j->dry, &j->body);
    case RKI_ASK_GENERATIONS:
        return s->generations(s->reload_arg, &j->body);
    case RKI_ASK_CONFIG:
        return s->config(s->reload_arg, &j->body);
    case RKI_ASK_CHECK:
        return s->check(s->reload_arg, j->file, j->posted, &j->body);
    case RKI_ASK_LETTERS:
        return s->letters(s->reload_arg, kernel, reason, j->limit, &j->body);
    case RKI_ASK_REPLAY:
        return s->replay(s->reload_arg, kernel, reason, j->dry, &j->body);
    case RKI_ASK_RELOAD:
        break;
    }
    return s->reload(s->reload_arg, j->file, j->dry, &j->body);
}

static void *run_command(void *arg)
{
    struct job *j = arg;
    const rki_admin_source *s = &j->a->source;
    if (j->file)
        j->status = run_ask(j, s);
    else
        j->outcome = s->command(s->run, rkp_str_of(j->kernel), j->command, now_ns() + j->a->times.command_ns, j->text,
                                sizeof j->text);
    // Release, to the acquire in collect: outcome and text.
    __atomic_store_n(&j->state, DONE, __ATOMIC_RELEASE);
    wake(j->a);
    return NULL;
}

static int start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int rc = pthread_attr_init(&attr);
    if (rc)
        return rc;
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    rc = pthread_create(t, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

static void free_job(struct job *j)
{
    rki_buf_fini(&j->body);
    free(j->file);
    free((char *)(uintptr_t)j->posted.p);
    j->file = NULL;
    j->posted.p = NULL;
    j->c = NULL;
    j->state = FREE;
}

static rkp_str copied(rkp_str s)
{
    char *p = s.p ? malloc(s.n + 1) : NULL;
    if (p)
        memcpy(p, s.p, s.n);
    return (rkp_str){ p, p ? s.n : 0 };
}

static void start_command(rki_admin *a, struct conn *c, const rki_answer *ans, uint64_t now)
{
    bool asks = ans->kind == RKI_ANSWER_RELOAD, looks = asks && ans->ask >= RKI_ASK_CHECK;
    size_t first = looks ? JOBS : asks ? JOBS + LOOKS : 0, end = looks ? JOBS + LOOKS : asks ? ALL_JOBS : JOBS;
    struct job *j = NULL;
    rki_answer busy;
    for (size_t i = first; i < end && !j; i++)
        // Only this thread leaves FREE, and makes it so; what RUNNING becomes does not matter here.
        if ((int)__atomic_load_n(&a->jobs[i].state, __ATOMIC_RELAXED) == FREE)
            j = &a->jobs[i];
    if (j) {
        *j = (struct job){ .a = a, .c = c, .command = ans->command, .state = RUNNING };
        memcpy(j->kernel, ans->kernel, sizeof j->kernel);
        memcpy(j->reason, ans->reason, sizeof j->reason);
        rki_buf_init(&j->body);
        j->limit = ans->limit;
        j->ask = ans->ask;
        j->generation = ans->generation;
        j->dry = ans->dry;
        j->file = asks ? strdup(ans->file) : NULL;
        j->posted = copied(ans->text);
        if ((!asks || j->file) && !j->posted.p == !ans->text.p && start_thread(&j->thread, run_command, j) == 0) {
            c->state = COMMAND;
            return;
        }
        free_job(j);
    }
    rki_api_error(&busy, 503, "busy", "too many commands at once; try again");
    busy.fields = "Retry-After: 1\r\n";
    put_answer(a, c, &busy, false, now);
    rki_answer_fini(&busy);
    next_request(c, now);
}

static void collect(rki_admin *a, bool wait, uint64_t now)
{
    for (size_t i = 0; i < ALL_JOBS; i++) {
        struct job *j = &a->jobs[i];
        int state = (int)__atomic_load_n(&j->state, __ATOMIC_ACQUIRE);
        rki_answer ans;
        if (state == FREE || (state == RUNNING && !wait))
            continue;
        pthread_join(j->thread, NULL);
        if (j->c) {
            if (j->file)
                rki_api_reloaded(&ans, j->status, &j->body);
            else
                rki_api_outcome(&ans, j->kernel, j->command, j->outcome, j->text);
            put_answer(a, j->c, &ans, rkp_str_is(j->c->r.method, "HEAD"), now);
            rki_answer_fini(&ans);
            next_request(j->c, now);
        }
        free_job(j);
    }
}

// ---- taps -----------------------------------------------------------------------------------------------------------

static void start_tap(struct conn *c, const rki_answer *ans, uint64_t now)
{
    c->tap = ans->tap;
    c->format = ans->format;
    c->limit = ans->limit;
    c->chunked = c->r.minor == 1;
    c->last = true;
    c->state = TAP;
    begin_output(c, now);
    rki_http_head(&c->out, 200, c->format == RKI_TAP_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson",
                  c->chunked ? "Transfer-Encoding: chunked\r\nTrailer: Rkpipe-Missed\r\n" : "", SIZE_MAX, false);
    c->broken = c->broken || c->out.failed;
}

static void end_tap(rki_admin *a, struct conn *c, uint64_t now)
{
    begin_output(c, now);
    if (c->chunked)
        rki_putf(&c->out, "0\r\nRkpipe-Missed: %llu\r\n\r\n", (unsigned long long)a->source.tap_missed(c->tap));
    a->source.tap_close(c->tap);
    c->tap = NULL;
    c->broken = c->broken || c->out.failed;
    c->state = READ; // `last`: it reads nothing more
}

// True when the tap gave something.
static bool look_at_tap(rki_admin *a, struct conn *c, uint64_t now)
{
    uint64_t given = a->source.tap_rows(c->tap), left = c->limit > given ? c->limit - given : 0;
    rki_buf rows;
    int rc = -1;
    bool some;
    rki_buf_init(&rows);
    if (left && !c->eof)
        rc = a->source.tap_read(c->tap, left < TAP_ROWS ? left : TAP_ROWS, now, &rows);
    some = rows.n > 0;
    rki_secrets_mask(a->secrets, c->format == RKI_TAP_JSON ? RKI_MASK_JSON : RKI_MASK_TEXT, &rows);
    if (rows.n) {
        begin_output(c, now);
        if (c->chunked)
            rki_http_chunk(&c->out, rows.p, rows.n);
        else
            rki_put(&c->out, rows.p, rows.n);
    }
    c->broken = c->broken || rows.failed || c->out.failed;
    rki_buf_fini(&rows);
    if (rc < 0 || a->source.tap_rows(c->tap) >= c->limit)
        end_tap(a, c, now);
    return some;
}

static void look_at_taps(rki_admin *a, uint64_t now)
{
    if (now < a->next_tap)
        return;
    a->next_tap = now + a->times.tap_ns;
    for (size_t i = 0; i < a->n_conns; i++) {
        struct conn *c = a->conns[i];
        while (c->state == TAP && !c->broken && pending(c) < TAP_BYTES && look_at_tap(a, c, now))
            continue;
    }
}

// ---- requests -------------------------------------------------------------------------------------------------------

static void answer(rki_admin *a, struct conn *c, uint64_t now)
{
    rki_answer ans;
    c->last = !c->r.keep || c->eof;
    if (a->metrics)
        rki_api_scrape(&a->source, a->metrics, &c->r, (rkp_str){ c->in, c->r.body }, &ans);
    else
        rki_api_answer(&a->source, &c->r, (rkp_str){ c->in, c->r.body }, &ans);
    switch (ans.kind) {
    case RKI_ANSWER_BODY:
        put_answer(a, c, &ans, rkp_str_is(c->r.method, "HEAD"), now);
        next_request(c, now);
        break;
    case RKI_ANSWER_RELOAD:
    case RKI_ANSWER_COMMAND:
        start_command(a, c, &ans, now);
        break;
    case RKI_ANSWER_TAP:
        start_tap(c, &ans, now);
        break;
    case RKI_ANSWER_END:
        c->state = END;
        break;
    }
    rki_answer_fini(&ans);
}

// Takes a whole head off the input.  False: none is there, or it was refused.
static bool take_head(const rki_admin *a, struct conn *c, uint64_t now)
{
    rki_answer no;
    size_t n = rkp_http_head_end(c->in, c->n_in, &c->seen);
    int status;
    if (n > RKP_HTTP_HEAD_BYTES || (n == 0 && c->n_in > RKP_HTTP_HEAD_BYTES)) {
        bool line = memchr(c->in, '\n', RKP_HTTP_LINE_BYTES) != NULL;
        refuse(a, c, line ? 431 : 414, "too-large",
               line ? "the head of a request has at most 16 KiB" : "a request line has at most 8 KiB", now);
        return false;
    }
    if (n == 0) {
        // What begins with no letter is another protocol: no need to wait for an end of it.
        if ((c->in[0] < 'A' || c->in[0] > 'z') && c->in[0] != '\r')
            refuse(a, c, 400, "bad-request", "this is not HTTP", now);
        return false;
    }
    c->head = malloc(n);
    if (!c->head) {
        c->broken = true;
        return false;
    }
    memcpy(c->head, c->in, n);
    c->n_in -= n;
    memmove(c->in, c->in + n, c->n_in);
    c->since_in = now; // the body has its own time
    status = rki_http_parse(c->head, n, &c->r);
    if (!a->metrics && rki_guard_refuses(&a->token, &c->r, status, &no)) { // before anything of its body is kept
        c->last = true;
        put_answer(a, c, &no, rkp_str_is(c->r.method, "HEAD"), now);
        rki_answer_fini(&no);
        return false;
    }
    c->known = status == 0;
    if (status)
        refuse(a, c, status, rki_api_status_code(status),
               status == 413 ? "a body has at most 64 KiB" : rkp_http_reason(status), now);
    return status == 0;
}

// Everything whole that stands in the input.
static void requests(rki_admin *a, struct conn *c, uint64_t now)
{
    while (c->state == READ && !c->last && !c->broken && pending(c) < ENOUGH) {
        while (!c->head && c->n_in >= 2 && memcmp(c->in, "\r\n", 2) == 0) { // between requests: let pass
            c->n_in -= 2;
            memmove(c->in, c->in + 2, c->n_in);
            c->seen = 0;
        }
        if (!c->head && (c->n_in == 0 || !take_head(a, c, now)))
            break;
        if (c->n_in < c->r.body) {
            if (c->r.says_100 && !c->said_100) {
                begin_output(c, now);
                rki_putz(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
                c->said_100 = true;
            }
            break;
        }
        answer(a, c, now);
    }
    // Half a request, and the client sends no more.
    if (c->eof && c->state == READ && pending(c) < ENOUGH)
        c->last = true;
}

static void receive(struct conn *c, uint64_t now)
{
    while (!c->broken && !c->eof && c->n_in < IN_BYTES) {
        ssize_t n;
        if (c->n_in == c->cap_in) {
            size_t cap = c->cap_in ? 2 * c->cap_in : 2048;
            char *in = realloc(c->in, cap < IN_BYTES ? cap : IN_BYTES);
            if (!in) {
                c->broken = true;
                return;
            }
            c->in = in;
            c->cap_in = cap < IN_BYTES ? cap : IN_BYTES;
        }
        n = recv(c->fd, c->in + c->n_in, c->cap_in - c->n_in, MSG_DONTWAIT);
        if (n > 0) {
            if (c->n_in == 0)
                c->since_in = now;
            c->n_in += (size_t)n;
        } else if (n == 0) {
            c->eof = true;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            c->broken = true;
        }
    }
}

// What comes is not wanted any more, but taken, so that the answer arrives before the connection is cut.
static void discard(struct conn *c)
{
    char away[4096];
    while (!c->broken) {
        ssize_t n = recv(c->fd, away, sizeof away, MSG_DONTWAIT);
        if (n > 0 && c->lingered < LINGER_BYTES)
            c->lingered += (size_t)n;
        else if (n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
            c->broken = true;
        else if (errno != EINTR)
            return;
    }
}

// ---- the loop -------------------------------------------------------------------------------------------------------

// Says no without ever having been a connection.
static void turn_away(int fd, int status, const char *code, const char *message)
{
    rki_answer ans;
    rki_buf out;
    rki_buf_init(&out);
    rki_api_error(&ans, status, code, message);
    rki_http_head(&out, status, "application/json", "", ans.body.n, false);
    rki_put(&out, ans.body.p, ans.body.n);
    if (!out.failed && !ans.body.failed) {
        ssize_t n = send(fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT); // a courtesy: nobody waits for it
        (void)n;
    }
    rki_answer_fini(&ans);
    rki_buf_fini(&out);
    close(fd);
}

// When all places are taken: that of who has been here longest without having shown a token.
static void make_room(rki_admin *a)
{
    size_t at = a->n_conns;
    for (size_t i = 0; i < a->n_conns; i++)
        if (!a->conns[i]->known && (at == a->n_conns || a->conns[i]->number < a->conns[at]->number))
            at = i;
    if (at == a->n_conns)
        return;
    drop(a, a->conns[at]);
    a->conns[at] = a->conns[--a->n_conns];
}

static void accept_some(rki_admin *a, uint64_t now)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct conn *c;
        int fd = accept4(a->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                a->pause_until = now + 100 * MS;
            if (errno != EINTR && errno != ECONNABORTED)
                return;
            continue;
        }
        if (a->socket.path && !rki_socket_trusted(fd)) {
            turn_away(fd, 403, "forbidden", "only the user that runs the engine, and root, may talk to it");
            continue;
        }
        if (a->token.n && a->n_conns == CONNECTIONS)
            make_room(a);
        c = a->n_conns < CONNECTIONS ? calloc(1, sizeof *c) : NULL;
        if (!c) {
            turn_away(fd, 503, "busy", "too many connections");
            continue;
        }
        c->fd = fd;
        c->number = a->n_accepted++;
        c->since_in = now;
        rki_buf_init(&c->out);
        a->conns[a->n_conns++] = c;
    }
}

// When the connection has had its time; 0: it may take what it wants.
static uint64_t due(const rki_admin *a, const struct conn *c)
{
    if (pending(c))
        return c->since_out + a->times.write_ns;
    if (c->state == LINGER)
        return c->since_in + 500 * MS;
    if (c->state != READ)
        return 0;
    return c->since_in + (c->n_in == 0 && !c->head && c->served ? a->times.idle_ns : a->times.head_ns);
}

static short wanted(const struct conn *c)
{
    short events = pending(c) ? POLLOUT : 0;
    if (c->state == LINGER || (c->state == READ && !c->last && !c->eof && c->n_in < IN_BYTES && pending(c) < ENOUGH))
        events |= POLLIN;
    else if (c->state != READ && !c->eof)
        events |= POLLRDHUP;
    return events;
}

static void serve(rki_admin *a, struct conn *c, short events, uint64_t now)
{
    if (c->state == LINGER) {
        if (events)
            discard(c);
        return;
    }
    if (c->state == READ) {
        if (!c->last && (events & (POLLIN | POLLHUP | POLLERR)))
            receive(c, now);
    } else {
        c->eof = c->eof || (events & POLLRDHUP);
        c->broken = c->broken || (events & (POLLHUP | POLLERR));
    }
    requests(a, c, now);
    send_some(c, now);
    requests(a, c, now); // what had to wait for room
    send_some(c, now);
    if (c->last && c->state == READ && !pending(c)) {
        if (c->eof || shutdown(c->fd, SHUT_WR) != 0)
            c->broken = true;
        c->state = LINGER;
        c->since_in = now;
    }
}

static void too_slow(const rki_admin *a, struct conn *c, uint64_t now)
{
    if (c->state == READ && !pending(c) && !c->last && (c->n_in || c->head || !c->served)) {
        refuse(a, c, 408, "timeout", "the request took too long", now);
        send_some(c, now);
    }
    c->broken = true;
}

static void drop_broken(rki_admin *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->n_conns; i++) {
        if (a->conns[i]->broken)
            drop(a, a->conns[i]);
        else
            a->conns[kept++] = a->conns[i];
    }
    a->n_conns = kept;
}

static int wait_ms(const rki_admin *a, uint64_t now)
{
    uint64_t until = a->pause_until > now ? a->pause_until : 0;
    for (size_t i = 0; i < a->n_conns; i++) {
        const struct conn *c = a->conns[i];
        uint64_t t = due(a, c);
        if (c->state == TAP && pending(c) < TAP_BYTES && (!t || a->next_tap < t))
            t = a->next_tap;
        if (t && (!until || t < until))
            until = t;
    }
    if (!until)
        return -1;
    return until <= now ? 0 : (int)((until - now + MS - 1) / MS);
}

// Waits for something to do, and does it.
static void serve_all(rki_admin *a)
{
    struct pollfd fds[CONNECTIONS + 2];
    uint64_t now = now_ns(), ignored;
    size_t n = a->n_conns;
    fds[0] = (struct pollfd){ .fd = a->wake, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = a->pause_until > now ? -1 : a->socket.fd, .events = POLLIN };
    for (size_t i = 0; i < n; i++)
        fds[2 + i] = (struct pollfd){ .fd = a->conns[i]->fd, .events = wanted(a->conns[i]) };
    if (poll(fds, (nfds_t)(n + 2), wait_ms(a, now)) < 0)
        for (size_t i = 0; i < n + 2; i++)
            fds[i].revents = 0;
    now = now_ns();
    if (fds[0].revents && read(a->wake, &ignored, sizeof ignored) == sizeof ignored)
        collect(a, false, now);
    look_at_taps(a, now);
    for (size_t i = 0; i < n; i++) {
        struct conn *c = a->conns[i];
        uint64_t t;
        serve(a, c, fds[2 + i].revents, now);
        t = due(a, c);
        if (t && now >= t && !c->broken)
            too_slow(a, c, now);
    }
    drop_broken(a);
    if (fds[1].revents)
        accept_some(a, now);
}

// The run has ended: what is on its way is sent, within reason.  Those who wait for the end stay.
static void finish(rki_admin *a)
{
    uint64_t now = now_ns(), start = now, progress = now;
    rki_socket_close(&a->socket); // nobody comes any more
    collect(a, true, now);
    for (;;) {
        bool busy = false;
        for (size_t i = 0; i < a->n_conns; i++) {
            struct conn *c = a->conns[i];
            while (c->state == TAP && !c->broken && pending(c) < TAP_BYTES)
                if (!look_at_tap(a, c, now) && c->state == TAP)
                    end_tap(a, c, now);
            send_some(c, now);
            if (c->since_out > progress)
                progress = c->since_out;
            busy = busy || (!c->broken && (pending(c) || c->state == TAP));
        }
        if (!busy || now >= progress + a->times.stop_ns || now >= start + 8 * a->times.stop_ns)
            break;
        struct pollfd fds[CONNECTIONS];
        for (size_t i = 0; i < a->n_conns; i++)
            fds[i] = (struct pollfd){ .fd = a->conns[i]->broken ? -1 : a->conns[i]->fd,
                                      .events = pending(a->conns[i]) ? POLLOUT : 0 };
        if (poll(fds, (nfds_t)a->n_conns, 10) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < a->n_conns; i++)
            a->conns[i]->broken = a->conns[i]->broken || (fds[i].revents & (POLLHUP | POLLERR));
        now = now_ns();
    }
    for (size_t i = 0; i < a->n_conns; i++)
        a->conns[i]->broken = a->conns[i]->broken || a->conns[i]->state != END;
    drop_broken(a);
}

static void *server_main(void *arg)
{
    rki_admin *a = arg;
    // Relaxed: it carries nothing.
    while (!__atomic_load_n(&a->stopping, __ATOMIC_RELAXED))
        serve_all(a);
    finish(a);
    return NULL;
}

// ---- start and stop -------------------------------------------------------------------------------------------------

static void or_default(uint64_t *t, uint64_t ns)
{
    if (*t == 0)
        *t = ns;
}

rkp_status rki_admin_start(const rki_admin_args *args, rki_admin **out, char *err, size_t n)
{
    rki_admin *a = calloc(1, sizeof *a);
    rkp_status st = RKP_NOMEM;
    int e;
    snprintf(err, n, "out of memory");
    if (!a)
        return RKP_NOMEM;
    a->source = *args->source;
    a->times = args->times;
    a->socket.fd = -1;
    or_default(&a->times.head_ns, 5000 * MS);
    or_default(&a->times.idle_ns, 30000 * MS);
    or_default(&a->times.write_ns, 10000 * MS);
    or_default(&a->times.command_ns, 5000 * MS);
    or_default(&a->times.tap_ns, 20 * MS);
    or_default(&a->times.stop_ns, 250 * MS);
    a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake < 0) {
        snprintf(err, n, "cannot start the admin server: %s", strerror(errno));
        st = RKP_UNAVAILABLE;
        goto fail;
    }
    a->secrets = args->secrets;
    if (args->token)
        a->token = *args->token;
    a->metrics = args->metrics ? strdup(args->metrics) : NULL;
    st = args->metrics && !a->metrics                   ? RKP_NOMEM
         : !args->path && !args->metrics && !a->token.n ? RKP_INTERNAL // nobody shall command it who only reaches it
         : args->path                                   ? rki_socket_listen(args->path, &a->socket, err, n)
                      : rki_socket_listen_at(args->address, args->port, &a->socket, err, n);
    if (st != RKP_OK)
        goto fail;
    e = start_thread(&a->thread, server_main, a);
    if (e) {
        snprintf(err, n, "cannot start the admin server: %s", strerror(e));
        st = RKP_UNAVAILABLE;
        goto fail;
    }
    *out = a;
    return RKP_OK;
fail:
    rki_socket_close(&a->socket);
    if (a->wake >= 0)
        close(a->wake);
    free(a->metrics);
    rki_bearer_wipe(&a->token);
    free(a);
    return st;
}

uint16_t rki_admin_port(const rki_admin *a)
{
    return a->socket.port;
}

void rki_admin_stop(rki_admin *a)
{
    if (!a)
        return;
    __atomic_store_n(&a->stopping, 1, __ATOMIC_RELAXED);
    wake(a);
    pthread_join(a->thread, NULL);
}

void rki_admin_free(rki_admin *a, int exit_code)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_conns; i++) {
        struct conn *c = a->conns[i];
        rki_answer ans;
        c->last = true;
        rki_api_ended(&ans, exit_code);
        put_answer(a, c, &ans, false, 0);
        rki_answer_fini(&ans);
        send_some(c, 0);
        drop(a, c);
    }
    close(a->wake);
    free(a->metrics);
    rki_bearer_wipe(&a->token);
    free(a);
}
