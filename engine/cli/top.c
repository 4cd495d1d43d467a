// cli/top.c - `rkpipe top`: what a running engine does, again and again.
//
// On a terminal it takes the whole screen, and keys; elsewhere it prints one picture after the other.  The terminal is given back as it was
// whatever ends it, but for SIGKILL.
#include "cli/remote.h"
#include "cli/top_view.h"
#include "cli/verbs.h"
#include "spec/value.h"

#include <errno.h>
#include <poll.h>
#include <rkpipe/num.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LEAST_NS = 50000000 };

static const char *const sort_names[] = { "rate", "queue", "name", NULL };

struct top_args {
    rki_remote_args remote;
    const char *interval, *count;
    int sort;
};

static const rki_arg top_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_TEXT,
      .name = "interval",
      .value = "DURATION",
      .at = offsetof(struct top_args, interval),
      .help = "between two pictures (1s), from 50ms" },
    { .kind = RKI_ARG_CHOICE,
      .name = "sort",
      .at = offsetof(struct top_args, sort),
      .choices = sort_names,
      .words = RKI_WORDS_CHOICE,
      .help = "which kernels come first: those with most rows a second, those before which most waits, or by name" },
    { .kind = RKI_ARG_TEXT,
      .name = "count",
      .value = "N",
      .at = offsetof(struct top_args, count),
      .help = "end after so many pictures" },
    { 0 },
};

static volatile sig_atomic_t ended; // by a signal

static void on_signal(int sig)
{
    (void)sig;
    ended = 1;
}

typedef struct screen {
    bool full, keys; // standard output and standard input are a terminal
    struct termios was;
    rki_top_look look;
    size_t n_kernels; // of the last picture
} screen;

// One answer of the engine; two of them are kept.
typedef struct answer {
    rki_arena a;
    const rki_json_node *status;
} answer;

static bool put(const char *text)
{
    rki_buf b;
    bool ok;
    rki_buf_init(&b);
    rki_putz(&b, text);
    ok = rki_cli_out(&b);
    rki_buf_fini(&b);
    return ok;
}

static void screen_begin(screen *s)
{
    struct termios raw;
    s->full = isatty(STDOUT_FILENO);
    s->keys = s->full && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->was) == 0;
    if (s->keys) {
        raw = s->was;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        raw.c_cc[VSUSP] = _POSIX_VDISABLE; // stopped, it would leave the screen as it is
        s->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    if (s->full)
        put("\033[?1049h\033[?25l"); // a screen of its own, without a cursor
}

static void screen_end(const screen *s)
{
    if (s->full)
        put("\033[?25h\033[?1049l");
    if (s->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &s->was);
}

static bool show(screen *s, const rki_buf *picture)
{
    rki_buf b;
    bool ok;
    rki_buf_init(&b);
    if (!s->full) {
        rki_put(&b, picture->p, picture->n);
        rki_putc(&b, '\n');
    } else {
        rki_putz(&b, "\033[H");
        for (const char *p = picture->p, *end = p + picture->n; p < end;) {
            const char *nl = memchr(p, '\n', (size_t)(end - p)), *to = nl ? nl : end;
            rki_put(&b, p, (size_t)(to - p));
            rki_putz(&b, nl && nl + 1 < end ? "\033[K\r\n" : "\033[K"); // what stood there, to the end of the line
            p = nl ? nl + 1 : end;
        }
        rki_putz(&b, "\033[J");
    }
    ok = !b.failed && rki_cli_out(&b);
    rki_buf_fini(&b);
    return ok;
}

static void measure(screen *s)
{
    struct winsize w;
    s->look.columns = s->look.lines = 0;
    if (s->full && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0) {
        s->look.columns = w.ws_col;
        s->look.lines = w.ws_row;
    }
}

// What a key asks for: false to end.
static bool obey(screen *s, const char *keys, size_t n)
{
    size_t at = s->look.from;
    for (size_t i = 0; i < n; i++) {
        char k = keys[i];
        if (k == '\033' && i + 2 < n && keys[i + 1] == '[') { // an arrow
            k = keys[i + 2] == 'A' ? 'k' : keys[i + 2] == 'B' ? 'j' : 0;
            i += 2;
        }
        switch (k) {
        case 'q':
        case 4: // Ctrl-D
            return false;
        case 'r':
        case 'f':
        case 'n':
            s->look.sort = k == 'r' ? RKI_TOP_RATE : k == 'f' ? RKI_TOP_QUEUE : RKI_TOP_NAME;
            at = 0;
            break;
        case 'j':
            at += at + 1 < s->n_kernels;
            break;
        case 'k':
            at -= at > 0;
            break;
        default:
            break;
        }
    }
    s->look.from = at;
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Until the next picture: false when it is to end.  *again: a key wants another view of the same.
static bool pause_until(screen *s, uint64_t until, bool *again)
{
    *again = false;
    while (!ended) {
        struct pollfd p = { .fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN };
        uint64_t now = now_ns();
        char keys[64];
        ssize_t n;
        if (now >= until)
            return true;
        if (poll(&p, 1, (int)((until - now) / 1000000) + 1) <= 0 || !p.revents)
            continue;
        n = read(STDIN_FILENO, keys, sizeof keys);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            s->keys = false; // nobody is there any more
        } else if (n > 0) {
            if (!obey(s, keys, (size_t)n))
                return false;
            *again = true;
            return true;
        }
    }
    return false;
}

static int take_answer(const rki_cli *c, answer *x)
{
    rki_reply r;
    int code = rki_remote_get(c, "/v1/status", &r);
    if (code)
        return code;
    rki_arena_fini(&x->a);
    rki_arena_init(&x->a);
    x->status = rki_json_read(&x->a, (rkp_str){ r.body.p, r.body.n });
    rki_buf_fini(&r.body);
    if (x->status)
        return 0;
    rki_cli_say("error: %s", rki_arena_failed(&x->a) ? "out of memory" : "the engine's answer is not JSON");
    return RKI_EXIT_FAILED;
}

static int picture(screen *s, const answer *before, const answer *now)
{
    rki_arena a;
    rki_buf out;
    int code = 0;
    rki_arena_init(&a);
    rki_buf_init(&out);
    measure(s);
    if (!rki_top_view(&a, before->status, now->status, &s->look, &s->n_kernels, &out))
        code = rki_cli_nomem();
    else if (!show(s, &out))
        code = RKI_EXIT_FAILED;
    rki_buf_fini(&out);
    rki_arena_fini(&a);
    return code;
}

static int watch(const rki_cli *c, screen *s, uint64_t interval_ns, uint64_t count)
{
    answer x[2] = { 0 };
    int code;
    rki_arena_init(&x[0].a);
    rki_arena_init(&x[1].a);
    code = take_answer(c, &x[0]); // before the screen is taken: who is not there says so where it can be read
    if (code == 0) {
        bool gone = false;
        uint64_t next = now_ns();
        screen_begin(s);
        for (uint64_t i = 0; code == 0 && !ended; i++) {
            bool again;
            code = picture(s, &x[(i + 1) % 2], &x[i % 2]);
            if (code || (count && i + 1 == count))
                break;
            next += interval_ns;
            do {
                if (!pause_until(s, next, &again))
                    goto over;
                if (again)
                    code = picture(s, &x[(i + 1) % 2], &x[i % 2]);
            } while (again && code == 0);
            if (next < now_ns())
                next = now_ns();
            if (code == 0 && take_answer(c, &x[(i + 1) % 2]) != 0) {
                gone = true;
                break;
            }
        }
    over:
        screen_end(s);
        if (gone)
            rki_cli_say("the engine has ended, or cannot be reached any more");
    }
    rki_arena_fini(&x[0].a);
    rki_arena_fini(&x[1].a);
    return code;
}

static int verb_top(rki_cli *c)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    enum { SIGNALS = sizeof signals / sizeof *signals };
    struct sigaction on = { .sa_handler = on_signal }, old[SIGNALS];
    const struct top_args *a = c->args;
    screen s = { .look.sort = a->sort };
    uint64_t interval = 1000000000, count = 0;
    const char *hint = NULL;
    int code;
    if (a->interval &&
        (rki_value_duration(rkp_str_of(a->interval), &interval, &hint) != RKI_VALUE_OK || interval < LEAST_NS))
        return rki_cli_usage(c, NULL, "--interval needs a duration from 50ms, such as 2s, not '%s'", a->interval);
    if (a->count && (!rkp_parse_u64(a->count, strlen(a->count), &count) || count == 0))
        return rki_cli_usage(c, NULL, "--count needs a number from 1, not '%s'", a->count);
    ended = 0;
    signal(SIGPIPE, SIG_IGN); // a reader that has seen enough (| head)
    sigemptyset(&on.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &on, &old[i]);
    code = watch(c, &s, interval, count);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &old[i], NULL);
    return code;
}

const rki_verb rki_verb_top = {
    .name = "top",
    .summary = "Show what a running engine does, live",
    .args = top_rows,
    .args_size = sizeof(struct top_args),
    .details = "Kernels with their rows a second, what waits before them, how long batches take, and who blocks them: "
               "the kernel whose full queue "
               "makes them wait. 'held up by' names those that others wait for and that wait for nobody.\n\n"
               "On a terminal it takes the screen; r, f and n sort by rate, by how full the queue is and by name, "
               "arrows (or j and k) move down and up, "
               "q ends. Elsewhere the pictures follow each other. " RKI_REMOTE_DETAILS "\n\n"
               "Exit codes: 0, also when the engine ends meanwhile; 64 usage, or several engines run here; 69 none can "
               "be reached.",
    .examples = "  rkpipe top\n"
                "  rkpipe top --interval 5s --count 12 --sort name > minute.txt\n",
    .run = verb_top,
};
