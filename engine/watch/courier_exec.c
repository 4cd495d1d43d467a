// courier_exec.c - a command for each notice: JSON on its standard input, a time limit, no shell.
#include "watch/sender.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct exec {
    rki_arena arena;
    rkp_command command;
    int64_t timeout_ms;
    const char *const *env;
    void (*line)(void *arg, rkp_str line);
    void *arg;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_line(void *arg, rkp_str line)
{
    const struct exec *x = arg;

    if (x->line)
        x->line(x->arg, line);
}

// Feeds it until it has ended; NULL, or what went wrong.  A command need not read what it gets.
static const char *feed(rkp_child *c, rkp_str body, const rki_send_stop *stop, int64_t until)
{
    while (!rkp_child_ended(c)) {
        struct pollfd p[] = { { .fd = rkp_child_exit_fd(c), .events = POLLIN },
                              { .fd = stop->fd, .events = POLLIN },
                              { .fd = rkp_child_fd(c), .events = POLLOUT } };
        int64_t left = until - now_ms();

        if (left <= 0)
            return "it took too long and was killed";
        if (__atomic_load_n(&stop->set, __ATOMIC_SEQ_CST))
            return "the engine ends";
        if (poll(p, p[2].fd >= 0 ? 3 : 2, (int)(left < 60000 ? left : 60000)) < 0 && errno != EINTR)
            return "it cannot be waited for";
        if (p[2].fd >= 0 && p[2].revents) {
            int64_t k = rkp_child_write(c, body.p, body.n);

            if (k > 0)
                body = (rkp_str){ body.p + k, body.n - (size_t)k };
            if (k < 0 || body.n == 0)
                rkp_child_close(c);
        }
    }
    return NULL;
}

static rki_sent exec_send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY])
{
    struct exec *x = self;
    char err[RKP_FILE_ERR] = "";
    const char *wrong;
    rkp_child *c = NULL;
    rkp_status st = rkp_child_start(&x->command, RKP_CHILD_WRITE, x->env, on_line, x, &c, err);

    if (st != RKP_OK) {
        snprintf(why, RKI_SEND_WHY, "%.190s", err);
        return RKI_SEND_AGAIN;
    }
    wrong = feed(c, body, stop, now_ms() + x->timeout_ms);
    if (!wrong && rkp_child_wait(c, err) != RKP_OK)
        wrong = err;
    rkp_child_free(c);
    if (!wrong)
        return RKI_SENT;
    snprintf(why, RKI_SEND_WHY, "%.190s", wrong);
    return RKI_SEND_AGAIN;
}

static void exec_close(void *self)
{
    struct exec *x = self;

    rki_arena_fini(&x->arena);
    free(x);
}

static rkp_word copied(rki_arena *a, rkp_word w)
{
    return (rkp_word){ rki_dup(a, w.p, w.n), w.n, { 0 } };
}

bool rki_courier_exec(const rki_way *w, const char *const *env, void (*line)(void *arg, rkp_str line), void *arg,
                      rki_courier *out)
{
    struct exec *x = calloc(1, sizeof *x);
    rkp_word *argv;
    rkp_pair *pairs;

    if (!x)
        return false;
    rki_arena_init(&x->arena);
    argv = rki_array(&x->arena, w->command.argv.n + 1, sizeof *argv);
    pairs = rki_array(&x->arena, w->command.env.n + 1, sizeof *pairs);
    for (size_t i = 0; argv && i < w->command.argv.n; i++)
        argv[i] = copied(&x->arena, w->command.argv.v[i]);
    for (size_t i = 0; pairs && i < w->command.env.n; i++)
        pairs[i] = (rkp_pair){ copied(&x->arena, w->command.env.v[i].key), copied(&x->arena, w->command.env.v[i].val) };
    x->command = (rkp_command){ .argv = { .v = argv, .n = w->command.argv.n },
                                .env = { .v = pairs, .n = w->command.env.n },
                                .grace_ns = w->command.grace_ns };
    x->timeout_ms = w->timeout_ms;
    x->env = env;
    x->line = line;
    x->arg = arg;
    *out = (rki_courier){ exec_send, exec_close, x };
    if (!rki_arena_failed(&x->arena))
        return true;
    exec_close(x);
    return false;
}
