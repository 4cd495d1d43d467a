// cli/out.c - standard output and standard error, and small things that every verb needs.
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

bool rki_cli_out(rki_buf *b)
{
    bool ok = !b->failed;
    if (!ok)
        rki_cli_nomem();
    else if (!write_all(STDOUT_FILENO, b->p, b->n)) {
        // Who reads the pipe may stop early (`| head`): no news.
        if (errno != EPIPE)
            rki_cli_say("cannot write to standard output: %s", strerror(errno));
        ok = false;
    }
    rki_buf_clear(b);
    return ok;
}

void rki_cli_err(rki_buf *b)
{
    if (b->failed)
        rki_cli_nomem();
    else
        write_all(STDERR_FILENO, b->p, b->n); // there is nowhere left to complain
    rki_buf_clear(b);
}

static void say(const char *kind, const char *fmt, va_list ap)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "rkpipe: %s", kind), m;
    m = vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    if (m < 0)
        return;
    n += m;
    if ((size_t)n > sizeof text - 2)
        n = (int)sizeof text - 2;
    text[n++] = '\n';
    write_all(STDERR_FILENO, text, (size_t)n);
}

void rki_cli_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void rki_cli_hint(const char *fmt, ...)
{
    va_list ap;
    char text[1024];
    int n = snprintf(text, sizeof text, "  = hint: "), m;
    va_start(ap, fmt);
    m = vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m < 0)
        return;
    n += m;
    if ((size_t)n > sizeof text - 2)
        n = (int)sizeof text - 2;
    text[n++] = '\n';
    write_all(STDERR_FILENO, text, (size_t)n);
}

int rki_cli_usage(const rki_cli *c, const char *hint, const char *fmt, ...)
{
    va_list ap;
    char text[512];
    int n;
    va_start(ap, fmt);
    say("error: ", fmt, ap);
    va_end(ap);
    if (hint)
        n = snprintf(text, sizeof text, "  = hint: %s\n", hint);
    else if (c->verb)
        n = snprintf(text, sizeof text, "  = hint: see 'rkpipe %s --help'\n", c->verb->name);
    else
        return RKI_EXIT_USAGE;
    write_all(STDERR_FILENO, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    return RKI_EXIT_USAGE;
}

int rki_cli_nomem(void)
{
    static const char text[] = "rkpipe: out of memory\n";
    write_all(STDERR_FILENO, text, sizeof text - 1);
    return RKI_EXIT_FAILED;
}

const char *rki_cli_env(const rki_cli *c, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; c->env && c->env[i]; i++)
        if (strncmp(c->env[i], name, n) == 0 && c->env[i][n] == '=')
            return c->env[i] + n + 1;
    return NULL;
}

bool rki_cli_colour(const rki_cli *c, int fd)
{
    const char *no = rki_cli_env(c, "NO_COLOR"), *term = rki_cli_env(c, "TERM");
    return isatty(fd) && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

const char *rki_status_text(rkp_status st)
{
    switch (st) {
    case RKP_OK:
        return "done";
    case RKP_INVALID:
        return "the pipeline is not valid";
    case RKP_NOMEM:
        return "out of memory";
    case RKP_IO:
        return "reading or writing failed";
    case RKP_UNAVAILABLE:
        return "something that is needed is not there";
    case RKP_UNSUPPORTED:
        return "not supported yet";
    case RKP_INTERNAL:
        break;
    }
    return "internal error";
}

int rki_status_exit(rkp_status st)
{
    switch (st) {
    case RKP_OK:
        return RKI_EXIT_OK;
    case RKP_INVALID:
        return RKI_EXIT_INVALID;
    case RKP_NOMEM:
    case RKP_IO:
        return RKI_EXIT_FAILED;
    case RKP_UNAVAILABLE:
    case RKP_UNSUPPORTED:
        return RKI_EXIT_UNAVAILABLE;
    case RKP_INTERNAL:
        break;
    }
    return RKI_EXIT_INTERNAL;
}

const rkp_op *rki_find_op(const rki_cli *c, const char *name)
{
    for (size_t i = 0; c->ops[i]; i++)
        if (strcmp(c->ops[i]->name, name) == 0)
            return c->ops[i];
    return NULL;
}

const rkp_backend *rki_find_backend(const rki_cli *c, const char *name)
{
    for (size_t i = 0; c->backends[i]; i++)
        if (strcmp(c->backends[i]->name, name) == 0)
            return c->backends[i];
    return NULL;
}

const rki_verb *rki_find_verb(const rki_cli *c, const char *name)
{
    for (size_t i = 0; c->verbs[i]; i++)
        if (strcmp(c->verbs[i]->name, name) == 0)
            return c->verbs[i];
    return NULL;
}
