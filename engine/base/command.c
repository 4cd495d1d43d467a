// Commands: posix_spawn, a pipe, and a thread that takes the standard error line by line.
//
// Standard error has a thread of its own because whoever reads or writes the other pipe must not have to look after it:
// a command that fills one pipe while we wait at the other would stand still for ever.
//
// A process is reaped in one place only, after its end has been seen with WNOWAIT: until then its id, and the id of its
// process group, cannot belong to somebody else, so no signal of ours can hit a stranger.
#include <rkpipe/command.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 4096, LAST = 120, NAME = 60, AFTER_END = 1 << 20, KEPT = 4 };

struct rkp_child {
    pid_t pid; // 0: none, or reaped
    int fd, err_fd, exit_fd, stop_fd;
    uint64_t grace_ns, term_ns; // when SIGTERM was sent; 0: not
    int status;                 // of wait, once it is reaped
    bool lost;                  // somebody else has reaped it
    pthread_t thread;
    bool thread_made;
    char name[NAME + 4];
    void (*line)(void *arg, rkp_str line); // the thread's from here on
    void *arg;
    size_t n, last_n;
    char part[LINE], last[LAST];
};

static const char *const kept[KEPT] = { "PATH", "HOME", "LANG", "TZ" };

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

// ---- options --------------------------------------------------------------------------------------------------------

static char *put(char *to, const char *p, size_t n)
{
    memcpy(to, p, n);
    return to + n;
}

static bool has_nul(rkp_word w)
{
    return memchr(w.p, 0, w.n) != NULL;
}

rkp_status rkp_command_check(const rkp_command *c, rkp_diags *d)
{
    rkp_status st = RKP_OK;
    if (c->argv.n == 0 || c->argv.v[0].n == 0) {
        rkp_diag(d, RKP_ERROR, c->argv.at, "exec-argv", "'argv' names no command");
        rkp_diag_hint(d, "as in argv: [sort, -n]");
        return RKP_INVALID;
    }
    for (size_t i = 0; i < c->argv.n; i++) {
        if (!has_nul(c->argv.v[i]))
            continue;
        rkp_diag(d, RKP_ERROR, c->argv.v[i].at, "exec-argv", "an argument cannot hold a NUL");
        st = RKP_INVALID;
    }
    for (size_t i = 0; i < c->env.n; i++) {
        rkp_word key = c->env.v[i].key;
        if (key.n && !memchr(key.p, '=', key.n) && !has_nul(key) && !has_nul(c->env.v[i].val))
            continue;
        rkp_diag(d, RKP_ERROR, key.at, "exec-env", "'" RKP_STR_FMT "' cannot be a variable of the environment",
                 RKP_STR_ARG(key));
        st = RKP_INVALID;
    }
    return st;
}

static const char *env_get(const char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; env && env[i]; i++)
        if (strncmp(env[i], name, n) == 0 && env[i][n] == '=')
            return env[i] + n + 1;
    return NULL;
}

// A file that we may run; else errno says why not.
static bool runs(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
        return false;
    }
    return access(path, X_OK) == 0;
}

// The program's path; the memory is the caller's.
static rkp_status find(const rkp_command *c, const char *const *env, char **out, char err[RKP_FILE_ERR])
{
    const char *name = c->argv.v[0].p, *path = env_get(env, "PATH");
    char t[128];
    int why = ENOENT;
    char *to;
    for (size_t i = 0; i < c->env.n; i++)
        if (rkp_str_is(rkp_word_str(c->env.v[i].key), "PATH"))
            path = c->env.v[i].val.p;
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    to = malloc(strlen(path) + c->argv.v[0].n + 3);
    if (!to) {
        snprintf(err, RKP_FILE_ERR, "out of memory");
        return RKP_NOMEM;
    }
    *out = to;
    if (strchr(name, '/')) {
        put(to, name, c->argv.v[0].n + 1);
        if (runs(to))
            return RKP_OK;
        why = errno;
    } else {
        for (const char *p = path;; p++) {
            size_t n = strcspn(p, ":");
            char *at = n ? put(to, p, n) : put(to, ".", 1);
            put(put(at, "/", 1), name, c->argv.v[0].n + 1);
            if (runs(to))
                return RKP_OK;
            if (errno == EACCES)
                why = EACCES;
            p += n;
            if (!*p)
                break;
        }
    }
    free(to);
    *out = NULL;
    if (why != ENOENT)
        snprintf(err, RKP_FILE_ERR, "cannot run '%.100s': %s", name, strerror_r(why, t, sizeof t));
    else if (c->argv.n == 1 && strpbrk(name, " \t"))
        snprintf(err, RKP_FILE_ERR,
                 "there is no command '%.100s'; its arguments are further entries of argv, no shell divides them",
                 name);
    else
        snprintf(err, RKP_FILE_ERR, "there is no command '%.100s'%s", name, strchr(name, '/') ? "" : " in PATH");
    return RKP_UNAVAILABLE;
}

rkp_status rkp_command_find(const rkp_command *c, const char *const *env, char err[RKP_FILE_ERR])
{
    char *path = NULL;
    rkp_status st = find(c, env, &path, err);
    free(path);
    return st;
}

// ---- standard error -------------------------------------------------------------------------------------------------

// A line, or the part of one that has come.
static void give_line(rkp_child *c)
{
    if (c->n && c->part[c->n - 1] == '\r')
        c->n--;
    for (size_t i = 0; i < c->n; i++) // no command steers our terminal
        if (((unsigned char)c->part[i] < 0x20 && c->part[i] != '\t') || c->part[i] == 0x7f)
            c->part[i] = '?';
    if (c->n) {
        c->last_n = c->n < LAST ? c->n : LAST;
        while (c->last_n < c->n && c->last_n && (c->part[c->last_n] & 0xC0) == 0x80)
            c->last_n--; // whole characters
        memcpy(c->last, c->part, c->last_n);
    }
    if (c->line)
        c->line(c->arg, (rkp_str){ c->part, c->n });
    c->n = 0;
}

static void take_errors(rkp_child *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            give_line(c);
            continue;
        }
        if (c->n == LINE)
            give_line(c);
        c->part[c->n++] = p[i];
    }
}

// Ends with the last byte of standard error, or, once it is told to, when nothing more is there: a process that the
// command left behind may keep the pipe open for ever.
static void *error_thread(void *arg)
{
    rkp_child *c = arg;
    struct pollfd p[2] = { { .fd = c->err_fd, .events = POLLIN }, { .fd = c->stop_fd, .events = POLLIN } };
    size_t after = 0;
    char bytes[4096];
    while (after < AFTER_END) {
        ssize_t n = read(c->err_fd, bytes, sizeof bytes);
        if (n > 0) {
            take_errors(c, bytes, (size_t)n);
            after += p[1].revents ? (size_t)n : 0;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        } else if (errno == EAGAIN) {
            if (p[1].revents)
                break;
            poll(p, 2, -1);
        }
    }
    if (c->n)
        give_line(c);
    return NULL;
}

static void end_thread(rkp_child *c)
{
    const uint64_t one = 1;
    ssize_t n;
    if (!c->thread_made)
        return;
    n = write(c->stop_fd, &one, sizeof one);
    (void)n; // an event counter of 0 takes a 1
    pthread_join(c->thread, NULL);
    c->thread_made = false;
}

// ---- start ----------------------------------------------------------------------------------------------------------

// 0, 1 and 2 are the command's own: a pipe that got one of them, because we were started without, is moved.
static int above(int fd)
{
    int to, e;
    if (fd > STDERR_FILENO || fd < 0)
        return fd;
    to = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    e = errno;
    close(fd);
    errno = e;
    return to;
}

static bool make_pipe(int fd[2])
{
    if (pipe2(fd, O_CLOEXEC) != 0) {
        fd[0] = fd[1] = -1;
        return false;
    }
    fd[0] = above(fd[0]);
    fd[1] = above(fd[1]);
    return fd[0] >= 0 && fd[1] >= 0;
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

// NAME=VALUE, NULL terminated, in one block: what is kept and not given, then what is given.
static char **make_env(const rkp_command *c, const char *const *env)
{
    size_t bytes = (c->env.n + KEPT + 1) * sizeof(char *), n = 0;
    char **v, *to;
    for (size_t i = 0; i < c->env.n; i++)
        bytes += c->env.v[i].key.n + c->env.v[i].val.n + 2;
    for (size_t i = 0; i < KEPT; i++) {
        const char *have = env_get(env, kept[i]);
        bytes += have ? strlen(kept[i]) + strlen(have) + 2 : 0;
    }
    v = malloc(bytes);
    if (!v)
        return NULL;
    to = (char *)(v + c->env.n + KEPT + 1);
    for (size_t i = 0; i < KEPT; i++) {
        const char *have = env_get(env, kept[i]);
        for (size_t k = 0; k < c->env.n && have; k++)
            if (rkp_str_is(rkp_word_str(c->env.v[k].key), kept[i]))
                have = NULL;
        if (!have)
            continue;
        v[n++] = to;
        to = put(put(put(to, kept[i], strlen(kept[i])), "=", 1), have, strlen(have) + 1);
    }
    for (size_t i = 0; i < c->env.n; i++) {
        rkp_pair p = c->env.v[i];
        v[n++] = to;
        to = put(put(put(put(to, p.key.p, p.key.n), "=", 1), p.val.p, p.val.n), "", 1);
    }
    v[n] = NULL;
    return v;
}

static char **make_argv(const rkp_command *c)
{
    char **v = malloc((c->argv.n + 1) * sizeof *v);
    for (size_t i = 0; v && i <= c->argv.n; i++)
        v[i] = i < c->argv.n ? (char *)(uintptr_t)c->argv.v[i].p : NULL; // posix_spawn does not change them
    return v;
}

// The child's side of the pipes and its signals; an errno.
static int spawn(rkp_child *c, rkp_child_way way, const char *path, char **argv, char **env, int data, int errors)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    int e = posix_spawn_file_actions_init(&fa);
    if (e)
        return e;
    e = posix_spawnattr_init(&at);
    if (e) {
        posix_spawn_file_actions_destroy(&fa);
        return e;
    }
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    if (way == RKP_CHILD_READ)
        e = posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&fa, data, way == RKP_CHILD_READ ? STDOUT_FILENO : STDIN_FILENO);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&fa, errors, STDERR_FILENO);
    if (!e)
        e = posix_spawn_file_actions_addclosefrom_np(&fa, STDERR_FILENO + 1); // also what we were given open
    if (!e)
        e = posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!e)
        e = posix_spawnattr_setpgroup(&at, 0);
    if (!e)
        e = posix_spawnattr_setsigmask(&at, &none);
    if (!e)
        e = posix_spawnattr_setsigdefault(&at, &all);
    if (!e)
        e = posix_spawn(&c->pid, path, &fa, &at, argv, env);
    if (e)
        c->pid = 0;
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    return e;
}

static rkp_status cannot(int e, const char *name, char err[RKP_FILE_ERR])
{
    char t[128];
    snprintf(err, RKP_FILE_ERR, "cannot run '%.100s': %s%s", name, strerror_r(e, t, sizeof t),
             e == ENOEXEC ? " (a script begins with #!)" : "");
    return e == ENOMEM                                                                              ? RKP_NOMEM
           : e == ENOENT || e == EACCES || e == ENOEXEC || e == ENOTDIR || e == ELOOP || e == EPERM ? RKP_UNAVAILABLE
                                                                                                    : RKP_IO;
}

rkp_status rkp_child_start(const rkp_command *conf, rkp_child_way way, const char *const *env,
                           void (*line)(void *arg, rkp_str line), void *arg, rkp_child **out, char err[RKP_FILE_ERR])
{
    int data[2] = { -1, -1 }, errors[2] = { -1, -1 }, ours = way == RKP_CHILD_READ ? 0 : 1, e = 0;
    rkp_child *c = calloc(1, sizeof *c);
    char *path = NULL, **argv = NULL, **envp = NULL;
    rkp_status st = RKP_NOMEM;
    const char *name = conf->argv.v[0].p;
    sigset_t all, old;
    snprintf(err, RKP_FILE_ERR, "out of memory");
    if (!c)
        return RKP_NOMEM;
    c->fd = c->err_fd = c->exit_fd = c->stop_fd = -1;
    c->grace_ns = conf->grace_ns;
    c->line = line;
    c->arg = arg;
    snprintf(c->name, sizeof c->name, "%.*s%s", NAME, name, strlen(name) > NAME ? ".." : "");
    st = find(conf, env, &path, err);
    if (st != RKP_OK)
        goto out;
    st = RKP_NOMEM;
    argv = make_argv(conf);
    envp = make_env(conf, env);
    if (!argv || !envp)
        goto out;
    if (!make_pipe(data) || !make_pipe(errors) || (c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        e = errno;
    if (!e && fcntl(errors[0], F_SETFL, O_NONBLOCK) != 0)
        e = errno;
    if (!e && way == RKP_CHILD_WRITE && fcntl(data[1], F_SETFL, O_NONBLOCK) != 0)
        e = errno;
    if (!e)
        e = spawn(c, way, path, argv, envp, data[1 - ours], errors[1]);
    if (!e) {
        c->exit_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
        e = c->exit_fd < 0 ? errno : 0;
    }
    if (e) {
        st = cannot(e, name, err);
        goto out;
    }
    c->fd = data[ours];
    c->err_fd = errors[0];
    data[ours] = errors[0] = -1;
    // Signals are for others.
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    e = pthread_create(&c->thread, NULL, error_thread, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    c->thread_made = e == 0;
    st = e ? cannot(e, name, err) : RKP_OK;
out:
    shut(&data[0]);
    shut(&data[1]);
    shut(&errors[0]);
    shut(&errors[1]);
    free(path);
    free(argv);
    free(envp);
    if (st == RKP_OK) {
        err[0] = 0;
        *out = c;
    } else {
        c->grace_ns = 0;
        rkp_child_free(c);
    }
    return st;
}

// ---- use ------------------------------------------------------------------------------------------------------------

int rkp_child_fd(const rkp_child *c)
{
    return c->fd;
}

int rkp_child_take_fd(rkp_child *c)
{
    int fd = c->fd;
    c->fd = -1;
    return fd;
}

int rkp_child_exit_fd(const rkp_child *c)
{
    return c->exit_fd;
}

bool rkp_child_ended(const rkp_child *c)
{
    siginfo_t info = { 0 };
    return !c->pid || waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == c->pid;
}

int64_t rkp_child_write(rkp_child *c, const void *p, size_t n)
{
    const struct timespec zero = { 0 };
    sigset_t pipe, old, pending;
    bool before;
    ssize_t k;
    int e;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    before = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    do
        k = write(c->fd, p, n);
    while (k < 0 && errno == EINTR);
    e = errno;
    if (k < 0 && e == EPIPE && !before) // ours: taken away before anybody is interrupted by it
        while (sigtimedwait(&pipe, NULL, &zero) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = e;
    return k >= 0 ? k : e == EAGAIN ? 0 : -1;
}

uint64_t rkp_child_unread(const rkp_child *c)
{
    int n = 0;
    return c->fd >= 0 && ioctl(c->fd, FIONREAD, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

void rkp_child_close(rkp_child *c)
{
    shut(&c->fd);
}

static void reap(rkp_child *c)
{
    int status = 0;
    pid_t got;
    while (c->pid && (got = waitpid(c->pid, &status, 0)) != c->pid && !c->lost)
        c->lost = got < 0 && errno != EINTR;
    c->status = status;
    c->pid = 0;
}

rkp_status rkp_child_wait(rkp_child *c, char err[RKP_FILE_ERR])
{
    siginfo_t info;
    const char *said;
    while (c->pid && waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    end_thread(c); // what the command has said is all in the pipe now
    reap(c);
    if (c->lost) {
        snprintf(err, RKP_FILE_ERR, "the exit status of command '%s' is not known: this process ignores SIGCHLD",
                 c->name);
        return RKP_IO;
    }
    if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0) {
        err[0] = 0;
        return RKP_OK;
    }
    said = c->last_n ? ": " : "";
    if (WIFSIGNALED(c->status)) {
        const char *what = sigdescr_np(WTERMSIG(c->status));
        snprintf(err, RKP_FILE_ERR, "command '%s' was ended by signal %d (%s)%s%.*s", c->name, WTERMSIG(c->status),
                 what ? what : "unknown", said, (int)c->last_n, c->last);
    } else {
        snprintf(err, RKP_FILE_ERR, "command '%s' ended with exit status %d%s%.*s", c->name, WEXITSTATUS(c->status),
                 said, (int)c->last_n, c->last);
    }
    return RKP_IO;
}

static void signal_group(const rkp_child *c, int sig)
{
    if (kill(-c->pid, sig) != 0)
        kill(c->pid, sig); // it has moved to another group
}

void rkp_child_stop(rkp_child *c)
{
    if (!c->pid || c->term_ns)
        return;
    c->term_ns = now_ns();
    signal_group(c, SIGTERM);
    signal_group(c, SIGCONT); // one that is stopped would not see it
}

void rkp_child_free(rkp_child *c)
{
    if (!c)
        return;
    if (c->pid)
        rkp_child_stop(c); // before its input ends: it must not take that for all there is
    rkp_child_close(c);
    if (c->pid) {
        while (!rkp_child_ended(c)) {
            struct pollfd p = { .fd = c->exit_fd, .events = POLLIN };
            uint64_t now = now_ns(), until = c->term_ns + c->grace_ns;
            if (now >= until || (poll(&p, 1, (int)((until - now) / 1000000) + 1) < 0 && errno != EINTR))
                break;
        }
        signal_group(c, SIGKILL); // also what it has left behind
        reap(c);
    }
    end_thread(c);
    shut(&c->err_fd);
    shut(&c->exit_fd);
    shut(&c->stop_fd);
    free(c);
}
