// Device source to a shared object, with the C++ compiler of the machine.
//
// Everything the compiler reads and writes is below a folder of its own, which goes on every path: the texts, the program, its temporary files
// (TMPDIR).  It runs there, so that what it says names "program.cpp" and no folder.  Its result is copied next to where it belongs and renamed.
#include "cuda/sim/launch.h"
#include "cuda/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, WORDS_BYTES = 8 << 10, MOST_S = 300 };

// The program runs in a process under this sanitizer.
#if defined RKC_SANITIZE_THREAD
#define SANITIZE "-fsanitize=thread", "-fno-omit-frame-pointer",
#elif defined RKC_SANITIZE_ADDRESS
#define SANITIZE "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer",
#else
#define SANITIZE
#endif
#ifdef __clang__
#define OF_THE_SAME_FAMILY "clang++"
#else
#define OF_THE_SAME_FAMILY "g++"
#endif
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define NO_COMPILER  "engine.gpu.simulate needs a C++ compiler (g++ or clang++)"

struct job {
    char folder[PATH_BYTES], compiler[PATH_BYTES];
    char words[WORDS_BYTES]; // of the compiler
    size_t n_words;
    char *err;
    size_t n;
};

__attribute__((format(printf, 3, 4))) static rkp_status fail(struct job *j, rkp_status st, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(j->err, j->n, format, ap);
    va_end(ap);
    return st;
}

static const char *env_get(const char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=' && (*env)[n + 1])
            return *env + n + 1;
    return NULL;
}

// ---- the compiler ----------------------------------------------------------------------------------------------------

static bool runs(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

// A name is looked for on the path; entries that are not absolute mean another folder than ours and are passed over.
static bool find(const char *name, const char *path, char to[PATH_BYTES])
{
    if (strchr(name, '/'))
        return name[0] == '/' && snprintf(to, PATH_BYTES, "%s", name) < PATH_BYTES && runs(to);
    while (*path) {
        int n = (int)strcspn(path, ":");
        if (path[0] == '/' && snprintf(to, PATH_BYTES, "%.*s/%s", n, path, name) < PATH_BYTES && runs(to))
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

static bool find_compiler(const char *const *env, char to[PATH_BYTES])
{
    const char *path = env_get(env, "PATH"), *cxx = env_get(env, "CXX");
    const char *all[] = {
#if defined RKC_SANITIZE_THREAD || defined RKC_SANITIZE_ADDRESS
        OF_THE_SAME_FAMILY, // there is one run time of a sanitizer in a process
#endif
        cxx,
        "c++",
        "g++",
        "clang++",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] && find(all[i], path ? path : DEFAULT_PATH, to))
            return true;
    return false;
}

// ---- the folder ------------------------------------------------------------------------------------------------------

static int remove_one(const char *path, const struct stat *s, int what, struct FTW *at)
{
    (void)s, (void)what, (void)at;
    return remove(path);
}

static void remove_folder(struct job *j)
{
    if (j->folder[0])
        nftw(j->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static rkp_status make_folder(struct job *j, const char *const *env)
{
    const char *tmp = env_get(env, "TMPDIR");
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/rkpipe-gpu-XXXXXX", tmp ? tmp : "/tmp");
    if (n >= (int)sizeof path - 64)
        return fail(j, RKP_IO, "the name of the temporary folder is too long");
    if (!mkdtemp(path) || !realpath(path, j->folder)) {
        int e = errno;
        j->folder[0] = '\0';
        return fail(j, RKP_IO, "cannot make a folder in '%s': %s", tmp ? tmp : "/tmp", strerror(e));
    }
    return RKP_OK;
}

static rkp_status put_bytes(struct job *j, int fd, const char *name, const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return fail(j, RKP_IO, "cannot write '%s': %s", name, strerror(errno));
        p += w;
        n -= (size_t)w;
    }
    return RKP_OK;
}

// `name` below the folder, with the folders of it.
static rkp_status put_text(struct job *j, const char *name, rkp_str text)
{
    char path[PATH_BYTES];
    size_t at = strlen(j->folder) + 1;
    rkp_status st;
    int fd;
    if (name[0] == '/' || strstr(name, "..") ||
        snprintf(path, sizeof path, "%s/%s", j->folder, name) >= (int)sizeof path)
        return fail(j, RKP_INTERNAL, "'%s' is no name for a text", name);
    for (char *slash = strchr(path + at, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return fail(j, RKP_IO, "cannot make '%s': %s", path, strerror(errno));
        *slash = '/';
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(j, RKP_IO, "cannot write '%s': %s", path, strerror(errno));
    st = put_bytes(j, fd, path, text.p, text.n);
    if (close(fd) != 0 && st == RKP_OK)
        st = fail(j, RKP_IO, "cannot write '%s': %s", path, strerror(errno));
    return st;
}

static rkp_status put_texts(struct job *j, rkp_str source, const rkc_text *include, size_t n)
{
    rkp_status st = put_text(j, "program.cpp", source);
    if (st == RKP_OK)
        st = put_text(j, "shim.h", rkp_str_of(rkc_sim_shim));
    for (size_t i = 0; i < n && st == RKP_OK; i++)
        st = put_text(j, include[i].name, rkp_str_of(include[i].text));
    return st;
}

// ---- running it ------------------------------------------------------------------------------------------------------

// Its environment: as given, but with our folder for what it writes, and plain words.
static const char **make_env(const struct job *j, const char *const *env, char tmp[PATH_BYTES + 8])
{
    bool path = env_get(env, "PATH") != NULL;
    size_t n = 0;
    while (env && env[n])
        n++;
    const char **v = malloc((n + 4) * sizeof *v);
    if (!v)
        return NULL;
    n = 0;
    for (; env && *env; env++)
        if (strncmp(*env, "TMPDIR=", 7) != 0 && strncmp(*env, "LC_ALL=", 7) != 0)
            v[n++] = *env;
    snprintf(tmp, PATH_BYTES + 8, "TMPDIR=%s", j->folder);
    v[n++] = tmp;
    v[n++] = "LC_ALL=C";
    if (!path)
        v[n++] = "PATH=" DEFAULT_PATH; // for its assembler and linker
    v[n] = NULL;
    return v;
}

// A group of its own, default signals, standard error into `fd`; an errno.
static int spawn(const struct job *j, const char **env, int fd, pid_t *pid)
{
    static const char *const args[] = { "-std=c++17",  "-O1",     "-g", "-ffp-contract=off",
                                        "-fPIC",       "-shared", "-w", SANITIZE "-I.",
                                        "-include",    "shim.h",  "-o", "image.so",
                                        "program.cpp", "-lm" };
    const char *argv[sizeof args / sizeof *args + 2] = { j->compiler };
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    memcpy(argv + 1, args, sizeof args);
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
    e = posix_spawn_file_actions_addchdir_np(&fa, j->folder);
    if (!e)
        e = posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&fa, fd, STDOUT_FILENO);
    if (!e)
        e = posix_spawn_file_actions_adddup2(&fa, fd, STDERR_FILENO);
    if (!e)
        e = posix_spawn_file_actions_addclosefrom_np(&fa, STDERR_FILENO + 1);
    if (!e)
        e = posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!e)
        e = posix_spawnattr_setpgroup(&at, 0);
    if (!e)
        e = posix_spawnattr_setsigmask(&at, &none);
    if (!e)
        e = posix_spawnattr_setsigdefault(&at, &all);
    if (!e)
        e = posix_spawn(pid, j->compiler, &fa, &at, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    return e;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// What it says until it is silent for good; the first of it is kept.  false: it took too long.
static bool listen_to(struct job *j, int fd)
{
    int64_t until = now_ms() + MOST_S * 1000;
    for (;;) {
        struct pollfd p = { fd, POLLIN, 0 };
        char rest[512];
        bool room = j->n_words < sizeof j->words - 1;
        int64_t left = until - now_ms();
        if (left <= 0)
            return false;
        if (poll(&p, 1, (int)left) <= 0)
            continue; // the deadline, or a signal
        ssize_t r =
            room ? read(fd, j->words + j->n_words, sizeof j->words - 1 - j->n_words) : read(fd, rest, sizeof rest);
        if (r == 0 || (r < 0 && errno != EINTR))
            return true;
        if (room && r > 0)
            j->n_words += (size_t)r;
    }
}

// From the first error on, as much as there is room for, without control characters but ends of lines.
static rkp_status tell(struct job *j)
{
    j->words[j->n_words] = '\0';
    char *from = strstr(j->words, "error:");
    while (from && from > j->words && from[-1] != '\n')
        from--;
    from = from ? from : j->words;
    for (char *p = from; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n')
            *p = ' ';
    size_t n = strlen(from);
    while (n && (from[n - 1] == '\n' || from[n - 1] == ' '))
        from[--n] = '\0';
    return fail(j, RKP_INVALID, "%s", n ? from : "the C++ compiler failed without a word");
}

static rkp_status compile(struct job *j, const char *const *env)
{
    char tmp[PATH_BYTES + 8];
    int fds[2], status = 0;
    pid_t pid = 0;
    const char **child_env = make_env(j, env, tmp);
    if (!child_env)
        return fail(j, RKP_NOMEM, "out of memory");
    if (pipe2(fds, O_CLOEXEC) != 0) {
        free(child_env);
        return fail(j, RKP_IO, "cannot make a pipe: %s", strerror(errno));
    }
    int e = spawn(j, child_env, fds[1], &pid);
    close(fds[1]);
    free(child_env);
    bool in_time = e == 0 && listen_to(j, fds[0]);
    close(fds[0]);
    if (e)
        return fail(j, RKP_UNAVAILABLE, "cannot run '%s': %s", j->compiler, strerror(e));
    if (!in_time)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!in_time)
        return fail(j, RKP_UNAVAILABLE, "'%s' has not ended after %d seconds", j->compiler, MOST_S);
    if (WIFSIGNALED(status))
        return fail(j, RKP_UNAVAILABLE, "'%s' was ended by signal %d", j->compiler, WTERMSIG(status));
    return WEXITSTATUS(status) == 0 ? RKP_OK : tell(j);
}

// ---- the result ------------------------------------------------------------------------------------------------------

static rkp_status copy(struct job *j, int from, int to, const char *name)
{
    char part[16 << 10];
    for (;;) {
        ssize_t r = read(from, part, sizeof part);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return fail(j, RKP_IO, "cannot read what the compiler wrote: %s", strerror(errno));
        if (r == 0)
            return RKP_OK;
        rkp_status st = put_bytes(j, to, name, part, (size_t)r);
        if (st != RKP_OK)
            return st;
    }
}

// Whoever opens `to` finds all of it or none.
static rkp_status deliver(struct job *j, const char *to)
{
    char made[PATH_BYTES + 16], part[PATH_BYTES];
    if (snprintf(part, sizeof part, "%s.XXXXXX", to) >= (int)sizeof part)
        return fail(j, RKP_IO, "a name is too long: %s", to);
    snprintf(made, sizeof made, "%s/image.so", j->folder);
    int from = open(made, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return fail(j, RKP_IO, "cannot read what the compiler wrote: %s", strerror(errno));
    int out = mkostemp(part, O_CLOEXEC);
    if (out < 0) {
        int e = errno;
        close(from);
        return fail(j, RKP_IO, "cannot write '%s': %s", to, strerror(e));
    }
    rkp_status st = copy(j, from, out, to);
    close(from);
    if (close(out) != 0 && st == RKP_OK)
        st = fail(j, RKP_IO, "cannot write '%s': %s", to, strerror(errno));
    if (st == RKP_OK && rename(part, to) != 0)
        st = fail(j, RKP_IO, "cannot write '%s': %s", to, strerror(errno));
    if (st != RKP_OK)
        unlink(part);
    return st;
}

rkp_status rkc_sim_compile(rkp_str source, const rkc_text *include, size_t n_include, const char *to,
                           const char *const *env, char *err, size_t n)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        snprintf(err, n, "out of memory");
        return RKP_NOMEM;
    }
    j->err = err;
    j->n = n;
    rkp_status st = find_compiler(env, j->compiler) ? RKP_OK : fail(j, RKP_UNAVAILABLE, "%s", NO_COMPILER);
    if (st == RKP_OK)
        st = make_folder(j, env);
    if (st == RKP_OK)
        st = put_texts(j, source, include, n_include);
    if (st == RKP_OK)
        st = compile(j, env);
    if (st == RKP_OK)
        st = deliver(j, to);
    remove_folder(j);
    free(j);
    return st;
}
