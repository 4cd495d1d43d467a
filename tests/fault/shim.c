// shim.c - stands before the calls of the C library that work on files, in a process that is started with LD_PRELOAD.
// Only paths below FAULT_DIR count.  What it does is said in the environment:
//
//   FAULT_LIST=FILE           each call that counts: number, name, path; and which one was failed
//   FAULT_FAIL=N:WHAT[+]      the N-th call that can fail like this does; +: and all later.  WHAT is EIO, ENOSPC, EINTR, EMFILE,
//                             or SHORT: a read or write moves one byte (with +: seven)
//   FAULT_KILL=N              SIGKILL before the N-th call that changes something
//   FAULT_KILL=N:NAME:TEXT    the same, of calls of that name with TEXT in their path
//   FAULT_TEAR=1              of a write that is to be killed, half of it is done
//   FAULT_NAP=US              each read takes so long
//   FAULT_LOG=FILE            a record of each change, for somebody who works out what a power loss would leave
//   FAULT_SIDE=FOLDER         files that lose their name get another one here, their inode's number
//
// Changes are made one at a time, each together with its record, so that a kill leaves both as they belong together.  The calls
// themselves are made without the C library's functions of the same name.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <dlfcn.h>

#define EXPORT __attribute__((visibility("default")))

enum fault { EVERY = 1, SPACE = 2, INTERRUPT = 4, SHORTER = 8, FILES = 16 };

static struct {
    char dir[PATH_MAX], side[PATH_MAX];
    size_t dir_n;
    int list, log; // -1: none
    long fail_at;  // 0: none
    int error;     // 0: short
    enum fault kind;
    bool later;
    long kill_at; // 0: none
    char kill_name[32], kill_text[128];
    bool tear;
    useconds_t nap;
} conf = { .list = -1, .log = -1 };

static atomic_long seen, changes, listed; // relaxed: each is a count of its own
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static const struct {
    const char *name;
    int error;
    enum fault kind;
} kinds[] = {
    { "EIO", EIO, EVERY },       { "ENOSPC", ENOSPC, SPACE }, { "EINTR", EINTR, INTERRUPT },
    { "EMFILE", EMFILE, FILES }, { "SHORT", 0, SHORTER },
};

static int open_own(const char *variable)
{
    const char *path = getenv(variable);

    return path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
}

__attribute__((constructor)) static void set_up(void)
{
    const char *dir = getenv("FAULT_DIR"), *side = getenv("FAULT_SIDE"), *fail = getenv("FAULT_FAIL"),
               *end = getenv("FAULT_KILL"), *nap = getenv("FAULT_NAP");
    char *rest;

    if (!dir)
        return;
    snprintf(conf.dir, sizeof conf.dir, "%s", dir);
    snprintf(conf.side, sizeof conf.side, "%s", side ? side : "");
    conf.list = open_own("FAULT_LIST");
    conf.log = open_own("FAULT_LOG");
    conf.tear = getenv("FAULT_TEAR") != NULL;
    conf.nap = nap ? (useconds_t)strtoul(nap, NULL, 10) : 0;
    if (fail) {
        conf.fail_at = strtol(fail, &rest, 10);
        for (size_t i = 0; *rest == ':' && i < sizeof kinds / sizeof *kinds; i++)
            if (strncmp(rest + 1, kinds[i].name, strlen(kinds[i].name)) == 0) {
                conf.error = kinds[i].error;
                conf.kind = kinds[i].kind;
            }
        conf.later = strchr(rest, '+') != NULL;
    }
    if (end) {
        conf.kill_at = strtol(end, &rest, 10);
        if (*rest == ':')
            sscanf(rest + 1, "%31[^:]:%127s", conf.kill_name, conf.kill_text);
    }
    conf.dir_n = strlen(conf.dir); // from here on calls count
}

// Those of this file, which do not count.
static int look(int dir, const char *path, struct stat *st, int flags)
{
    int saved = errno, rc = (int)syscall(SYS_newfstatat, dir, path, st, flags);

    errno = saved;
    return rc;
}

// ---- paths ----------------------------------------------------------------------------------------------------------

static bool inside(const char *path)
{
    return conf.dir_n && strncmp(path, conf.dir, conf.dir_n) == 0 && (path[conf.dir_n] == '/' || path[conf.dir_n] == 0);
}

static bool path_of(int fd, char out[PATH_MAX])
{
    static const char gone[] = " (deleted)";
    char link[64];
    int saved = errno;
    ssize_t n;

    if (!conf.dir_n || fd < 0)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, out, PATH_MAX - 1);
    errno = saved;
    if (n <= 0)
        return false;
    out[n] = 0;
    if ((size_t)n > sizeof gone && strcmp(out + (size_t)n - sizeof gone + 1, gone) == 0)
        out[(size_t)n - sizeof gone + 1] = 0;
    return inside(out);
}

// Absolute, without steps that lead nowhere.  Links and ".." are not followed.
static bool path_at(int dir, const char *path, char out[PATH_MAX])
{
    size_t n = 0;
    int saved = errno;

    if (!conf.dir_n)
        return false;
    out[0] = 0;
    if (path[0] != '/') {
        if (dir == AT_FDCWD ? !getcwd(out, PATH_MAX) : !path_of(dir, out)) {
            errno = saved;
            return false;
        }
        n = strlen(out);
    }
    while (*path) {
        size_t k = strcspn(path, "/");

        if (k && !(k == 1 && *path == '.')) {
            if (n + k + 2 > PATH_MAX)
                return false;
            out[n++] = '/';
            memcpy(out + n, path, k);
            n += k;
        }
        path += k;
        path += strspn(path, "/");
    }
    out[n] = 0;
    return inside(out);
}

// ---- what befalls a call --------------------------------------------------------------------------------------------

static void note(const char *what, long n, const char *name, const char *path)
{
    char line[PATH_MAX + 100];
    int k =
        snprintf(line, sizeof line, "%s %ld %s %s\n", what, n, name, path[conf.dir_n] ? path + conf.dir_n + 1 : ".");

    if (conf.list >= 0 && k > 0)
        (void)!syscall(SYS_write, conf.list, line, (size_t)k);
}

enum verdict { GO_ON, FAIL, SHORTEN };

// `can`: the kinds of fault that this call knows.
static enum verdict judge(const char *name, const char *path, unsigned can)
{
    long n;

    if (conf.list >= 0)
        note("call", atomic_fetch_add(&listed, 1) + 1, name, path);
    if (!conf.fail_at || !(can & conf.kind))
        return GO_ON;
    n = atomic_fetch_add(&seen, 1) + 1;
    if (n != conf.fail_at && !(n > conf.fail_at && conf.later))
        return GO_ON;
    if (n == conf.fail_at)
        note("hit", n, name, path);
    if (conf.kind == SHORTER)
        return SHORTEN;
    errno = conf.error;
    return FAIL;
}

// With the lock, before a change is made.  True: it dies when half of it is done.
static bool last_moment(const char *name, const char *path, bool divisible)
{
    long n;

    if (!conf.kill_at || (conf.kill_name[0] && (strcmp(name, conf.kill_name) != 0 || !strstr(path, conf.kill_text))))
        return false;
    n = atomic_fetch_add(&changes, 1) + 1;
    if (n != conf.kill_at)
        return false;
    note("kill", n, name, path);
    if (divisible && conf.tear)
        return true;
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

// ---- the record -----------------------------------------------------------------------------------------------------

struct record {
    char kind[8]; // one letter
    uint64_t ino, at, n_path, n_data;
};

static void record(char kind, uint64_t ino, uint64_t at, const char *path, const void *data, size_t n)
{
    struct record r = { .kind = { kind }, .ino = ino, .at = at, .n_path = path ? strlen(path) : 0, .n_data = n };
    struct iovec v[3] = { { &r, sizeof r }, { (void *)(uintptr_t)path, r.n_path }, { (void *)(uintptr_t)data, n } };
    int saved = errno;

    if (conf.log >= 0 && syscall(SYS_writev, conf.log, v, 3) != (long)(sizeof r + r.n_path + n))
        abort();
    errno = saved;
}

// Another name for what is about to lose its own; 0: it is not there, or no record is kept.
static uint64_t keep(const char *path)
{
    struct stat st;
    char to[PATH_MAX + 32];
    int saved = errno;
    uint64_t ino = 0;

    if (conf.log >= 0 && look(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        ino = st.st_ino;
        snprintf(to, sizeof to, "%s/%llu", conf.side, (unsigned long long)ino);
        if (!S_ISDIR(st.st_mode) && linkat(AT_FDCWD, path, AT_FDCWD, to, 0) != 0 && errno != EEXIST)
            abort();
    }
    errno = saved;
    return ino;
}

static uint64_t inode(int fd)
{
    struct stat st;

    return look(fd, "", &st, AT_EMPTY_PATH) == 0 ? st.st_ino : 0;
}

static void lock(void)
{
    pthread_mutex_lock(&one_at_a_time);
}

static void unlock(void)
{
    int saved = errno;

    pthread_mutex_unlock(&one_at_a_time);
    errno = saved;
}

// ---- calls ----------------------------------------------------------------------------------------------------------

static int do_open(int dir, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    bool change = flags & (O_CREAT | O_TRUNC), ours = path_at(dir, path, full), there;
    struct stat st;
    int fd;

    if (!ours)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    if (judge("open", full, EVERY | INTERRUPT | FILES | (change ? SPACE : 0u)) == FAIL)
        return -1;
    if (!change)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    lock();
    last_moment("open", full, false);
    there = look(AT_FDCWD, full, &st, AT_SYMLINK_NOFOLLOW) == 0;
    fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && !there)
        record('C', inode(fd), 0, full, NULL, 0);
    else if (fd >= 0 && flags & O_TRUNC)
        record('T', inode(fd), 0, NULL, NULL, 0);
    unlock();
    return fd;
}

#define MODE(flags, last)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    va_list ap;                                                                                                        \
    va_start(ap, last);                                                                                                \
    if ((flags) & (O_CREAT | O_TMPFILE))                                                                               \
        mode = va_arg(ap, mode_t);                                                                                     \
    va_end(ap)

#define NAMED(name) __asm__(#name)

int shim_open(const char *path, int flags, ...) NAMED(open);
int shim_open64(const char *path, int flags, ...) NAMED(open64);
int shim_openat(int dir, const char *path, int flags, ...) NAMED(openat);
int shim_openat64(int dir, const char *path, int flags, ...) NAMED(openat64);
int shim_open_2(const char *path, int flags) NAMED(__open_2);
int shim_open64_2(const char *path, int flags) NAMED(__open64_2);
int shim_openat_2(int dir, const char *path, int flags) NAMED(__openat_2);
int shim_openat64_2(int dir, const char *path, int flags) NAMED(__openat64_2);
int shim_creat(const char *path, mode_t mode) NAMED(creat);
ssize_t shim_read(int fd, void *p, size_t n) NAMED(read);
ssize_t shim_read_chk(int fd, void *p, size_t n, size_t size) NAMED(__read_chk);
ssize_t shim_pread(int fd, void *p, size_t n, off_t at) NAMED(pread);
ssize_t shim_pread64(int fd, void *p, size_t n, off_t at) NAMED(pread64);
ssize_t shim_pread_chk(int fd, void *p, size_t n, off_t at, size_t size) NAMED(__pread_chk);
ssize_t shim_pread64_chk(int fd, void *p, size_t n, off_t at, size_t size) NAMED(__pread64_chk);
ssize_t shim_write(int fd, const void *p, size_t n) NAMED(write);
ssize_t shim_pwrite(int fd, const void *p, size_t n, off_t at) NAMED(pwrite);
ssize_t shim_pwrite64(int fd, const void *p, size_t n, off_t at) NAMED(pwrite64);
ssize_t shim_writev(int fd, const struct iovec *v, int n) NAMED(writev);
ssize_t shim_pwritev(int fd, const struct iovec *v, int n, off_t at) NAMED(pwritev);
ssize_t shim_pwritev64(int fd, const struct iovec *v, int n, off_t at) NAMED(pwritev64);
int shim_fsync(int fd) NAMED(fsync);
int shim_fdatasync(int fd) NAMED(fdatasync);
int shim_ftruncate(int fd, off_t n) NAMED(ftruncate);
int shim_ftruncate64(int fd, off_t n) NAMED(ftruncate64);
int shim_rename(const char *from, const char *to) NAMED(rename);
int shim_renameat(int a, const char *from, int b, const char *to) NAMED(renameat);
int shim_unlink(const char *path) NAMED(unlink);
int shim_unlinkat(int dir, const char *path, int flags) NAMED(unlinkat);
int shim_mkdir(const char *path, mode_t mode) NAMED(mkdir);
int shim_mkdirat(int dir, const char *path, mode_t mode) NAMED(mkdirat);
int shim_rmdir(const char *path) NAMED(rmdir);
int shim_close(int fd) NAMED(close);
struct dirent *shim_readdir(DIR *d) NAMED(readdir);
int shim_stat(const char *path, struct stat *st) NAMED(stat);
int shim_lstat(const char *path, struct stat *st) NAMED(lstat);
int shim_fstat(int fd, struct stat *st) NAMED(fstat);
int shim_fstatat(int dir, const char *path, struct stat *st, int flags) NAMED(fstatat);

EXPORT int shim_open(const char *path, int flags, ...)
{
    MODE(flags, flags);
    return do_open(AT_FDCWD, path, flags, mode);
}

EXPORT int shim_open64(const char *path, int flags, ...)
{
    MODE(flags, flags);
    return do_open(AT_FDCWD, path, flags, mode);
}

EXPORT int shim_openat(int dir, const char *path, int flags, ...)
{
    MODE(flags, flags);
    return do_open(dir, path, flags, mode);
}

EXPORT int shim_openat64(int dir, const char *path, int flags, ...)
{
    MODE(flags, flags);
    return do_open(dir, path, flags, mode);
}

EXPORT int shim_open_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}

EXPORT int shim_open64_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}

EXPORT int shim_openat_2(int dir, const char *path, int flags)
{
    return do_open(dir, path, flags, 0);
}

EXPORT int shim_openat64_2(int dir, const char *path, int flags)
{
    return do_open(dir, path, flags, 0);
}

EXPORT int shim_creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

static size_t shorter(size_t n)
{
    size_t most = conf.later ? 7 : 1;

    return n < most ? n : most;
}

static ssize_t do_read(int fd, void *p, size_t n, off_t at, bool positioned)
{
    char path[PATH_MAX];

    if (path_of(fd, path)) {
        enum verdict v = judge("read", path, EVERY | INTERRUPT | (n > 1 ? SHORTER : 0u));

        if (v == FAIL)
            return -1;
        if (v == SHORTEN)
            n = shorter(n);
        if (conf.nap)
            usleep(conf.nap);
    }
    return positioned ? syscall(SYS_pread64, fd, p, n, at) : syscall(SYS_read, fd, p, n);
}

EXPORT ssize_t shim_read(int fd, void *p, size_t n)
{
    return do_read(fd, p, n, 0, false);
}

EXPORT ssize_t shim_read_chk(int fd, void *p, size_t n, size_t size)
{
    if (n > size)
        abort();
    return do_read(fd, p, n, 0, false);
}

EXPORT ssize_t shim_pread(int fd, void *p, size_t n, off_t at)
{
    return do_read(fd, p, n, at, true);
}

EXPORT ssize_t shim_pread64(int fd, void *p, size_t n, off_t at)
{
    return do_read(fd, p, n, at, true);
}

EXPORT ssize_t shim_pread_chk(int fd, void *p, size_t n, off_t at, size_t size)
{
    if (n > size)
        abort();
    return do_read(fd, p, n, at, true);
}

EXPORT ssize_t shim_pread64_chk(int fd, void *p, size_t n, off_t at, size_t size)
{
    return shim_pread_chk(fd, p, n, at, size);
}

static ssize_t do_write(int fd, const void *p, size_t n, off_t at, bool positioned)
{
    char path[PATH_MAX];
    enum verdict v;
    struct stat st = { 0 };
    ssize_t k;
    bool dies;

    if (!path_of(fd, path))
        return positioned ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
    v = judge("write", path, EVERY | SPACE | INTERRUPT | (n > 1 ? SHORTER : 0u));
    if (v == FAIL)
        return -1;
    if (v == SHORTEN)
        n = shorter(n);
    lock();
    dies = last_moment("write", path, true);
    if (dies)
        n /= 2;
    if (conf.log >= 0 && look(fd, "", &st, AT_EMPTY_PATH) == 0 && !positioned)
        at = fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
    k = positioned ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
    if (k > 0)
        record('W', st.st_ino, (uint64_t)at, NULL, p, (size_t)k);
    if (dies)
        die();
    unlock();
    return k;
}

EXPORT ssize_t shim_write(int fd, const void *p, size_t n)
{
    return do_write(fd, p, n, 0, false);
}

EXPORT ssize_t shim_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return do_write(fd, p, n, at, true);
}

EXPORT ssize_t shim_pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return do_write(fd, p, n, at, true);
}

// As far as the first piece goes, which callers must be able to bear.
static ssize_t do_writev(int fd, const struct iovec *v, int n, off_t at, bool positioned)
{
    char path[PATH_MAX];
    int i = 0;

    if (!path_of(fd, path))
        return positioned ? syscall(SYS_pwritev, fd, v, n, (long)at, 0L) : syscall(SYS_writev, fd, v, n);
    while (i < n - 1 && v[i].iov_len == 0)
        i++;
    return n > 0 ? do_write(fd, v[i].iov_base, v[i].iov_len, at, positioned) : 0;
}

EXPORT ssize_t shim_writev(int fd, const struct iovec *v, int n)
{
    return do_writev(fd, v, n, 0, false);
}

EXPORT ssize_t shim_pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return do_writev(fd, v, n, at, true);
}

EXPORT ssize_t shim_pwritev64(int fd, const struct iovec *v, int n, off_t at)
{
    return do_writev(fd, v, n, at, true);
}

static int do_sync(int fd, long call)
{
    char path[PATH_MAX];
    struct stat st = { 0 };
    int rc;

    if (!path_of(fd, path))
        return (int)syscall(call, fd);
    if (judge("fsync", path, EVERY | SPACE | INTERRUPT) == FAIL)
        return -1;
    lock();
    last_moment("fsync", path, false);
    rc = (int)syscall(call, fd);
    if (rc == 0 && look(fd, "", &st, AT_EMPTY_PATH) == 0)
        record(S_ISDIR(st.st_mode) ? 'D' : 'S', st.st_ino, 0, path, NULL, 0);
    unlock();
    return rc;
}

EXPORT int shim_fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

EXPORT int shim_fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

EXPORT int shim_ftruncate(int fd, off_t n)
{
    char path[PATH_MAX];
    int rc;

    if (!path_of(fd, path))
        return (int)syscall(SYS_ftruncate, fd, n);
    if (judge("ftruncate", path, EVERY | SPACE | INTERRUPT) == FAIL)
        return -1;
    lock();
    last_moment("ftruncate", path, false);
    rc = (int)syscall(SYS_ftruncate, fd, n);
    if (rc == 0)
        record('T', inode(fd), (uint64_t)n, NULL, NULL, 0);
    unlock();
    return rc;
}

EXPORT int shim_ftruncate64(int fd, off_t n)
{
    return shim_ftruncate(fd, n);
}

EXPORT int shim_renameat(int a, const char *from, int b, const char *to)
{
    char x[PATH_MAX], y[PATH_MAX];
    uint64_t ino;
    int rc;

    if (!path_at(a, from, x) || !path_at(b, to, y))
        return (int)syscall(SYS_renameat, a, from, b, to);
    if (judge("rename", y, EVERY | SPACE) == FAIL)
        return -1;
    lock();
    last_moment("rename", y, false);
    keep(y);
    ino = keep(x);
    rc = (int)syscall(SYS_renameat, a, from, b, to);
    if (rc == 0)
        record('R', ino, 0, x, y, strlen(y));
    unlock();
    return rc;
}

EXPORT int shim_rename(const char *from, const char *to)
{
    return shim_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int shim_unlinkat(int dir, const char *path, int flags)
{
    const char *name = flags & AT_REMOVEDIR ? "rmdir" : "unlink";
    char full[PATH_MAX];
    uint64_t ino;
    int rc;

    if (!path_at(dir, path, full))
        return (int)syscall(SYS_unlinkat, dir, path, flags);
    if (judge(name, full, EVERY) == FAIL)
        return -1;
    lock();
    last_moment(name, full, false);
    ino = keep(full);
    rc = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (rc == 0)
        record(flags & AT_REMOVEDIR ? 'X' : 'U', ino, 0, full, NULL, 0);
    unlock();
    return rc;
}

EXPORT int shim_unlink(const char *path)
{
    return shim_unlinkat(AT_FDCWD, path, 0);
}

EXPORT int shim_rmdir(const char *path)
{
    return shim_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORT int shim_mkdirat(int dir, const char *path, mode_t mode)
{
    char full[PATH_MAX];
    int rc;

    if (!path_at(dir, path, full))
        return (int)syscall(SYS_mkdirat, dir, path, mode);
    if (judge("mkdir", full, EVERY | SPACE) == FAIL)
        return -1;
    lock();
    last_moment("mkdir", full, false);
    rc = (int)syscall(SYS_mkdirat, dir, path, mode);
    if (rc == 0)
        record('M', 0, 0, full, NULL, 0);
    unlock();
    return rc;
}

EXPORT int shim_mkdir(const char *path, mode_t mode)
{
    return shim_mkdirat(AT_FDCWD, path, mode);
}

// Closed it is in any case, as Linux has it.
EXPORT int shim_close(int fd)
{
    char path[PATH_MAX];
    bool fails = path_of(fd, path) && judge("close", path, EVERY | INTERRUPT) == FAIL;
    int error = errno, rc = (int)syscall(SYS_close, fd);

    if (!fails)
        return rc;
    errno = error;
    return -1;
}

EXPORT struct dirent *shim_readdir(DIR *d)
{
    static struct dirent *(*next)(DIR * d);
    char path[PATH_MAX];

    if (!next) {
        void *p = dlsym(RTLD_NEXT, "readdir");

        memcpy(&next, &p, sizeof next);
    }
    if (path_of(dirfd(d), path) && judge("readdir", path, EVERY) == FAIL)
        return NULL;
    return next(d);
}

static int do_stat(int dir, const char *path, struct stat *st, int flags)
{
    char full[PATH_MAX];
    bool ours = *path ? path_at(dir, path, full) : path_of(dir, full);

    if (ours && judge("stat", full, EVERY) == FAIL)
        return -1;
    return (int)syscall(SYS_newfstatat, dir, path, st, flags);
}

EXPORT int shim_stat(const char *path, struct stat *st)
{
    return do_stat(AT_FDCWD, path, st, 0);
}

EXPORT int shim_lstat(const char *path, struct stat *st)
{
    return do_stat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

EXPORT int shim_fstat(int fd, struct stat *st)
{
    return do_stat(fd, "", st, AT_EMPTY_PATH);
}

EXPORT int shim_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    return do_stat(dir, path, st, flags);
}
