// disk.c - a disk: what is written, what of it is durable, and what a loss of power leaves.
//
//   file     content as everybody reads it; content as the last fsync left it; the writes and cuts since then
//   folder   names likewise: an fsync of the folder makes them durable
//
// When the power goes, of the changes of each file and each folder the first few, all, none, or some in no order have come through;
// of a write that has not, a part, or only its length.  A rename never leaves neither name.
#include "sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FIRST_FD = 0x10000000, FOLDERS = 64 };

struct bytes {
    char *p;
    size_t n, cap;
};

struct change { // of a file: a write, or with p NULL a cut
    size_t at, n;
    char *p;
    struct change *next;
};

struct entry {
    char name[SIM_NAME];
    struct inode *to;
};

struct names {
    struct entry *v;
    size_t n, cap;
};

struct rename { // of a folder
    enum { ADD, MOVE, REMOVE } kind;
    char name[SIM_NAME], old[SIM_NAME];
    struct inode *to;
    struct rename *next;
};

struct inode {
    uint64_t number;
    bool folder;
    mode_t mode;
    unsigned links;
    struct bytes now, durable;
    struct change *changes, **last_change;
    struct names names, durable_names;
    struct rename *renames, **last_rename;
    int holder; // of the lock, a descriptor; -1: nobody
    struct inode *next;
};

struct file {
    struct inode *of; // NULL: closed
    size_t at;
    int flags;
};

static struct {
    struct inode *all, *root;
    uint64_t next_number;
    struct file files[SIM_FILES];
    unsigned open;
    sim_rng rng;
} disk;

// ---- memory ---------------------------------------------------------------------------------------------------------

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static void put(struct bytes *b, size_t at, const void *p, size_t n)
{
    size_t end = at + n;
    if (end > b->cap) {
        b->cap = end * 2 + 256;
        b->p = need(realloc(b->p, b->cap));
    }
    if (at > b->n)
        memset(b->p + b->n, 0, at - b->n);
    if (n)
        memcpy(b->p + at, p, n);
    if (end > b->n)
        b->n = end;
}

static void cut(struct bytes *b, size_t n)
{
    if (n > b->n)
        put(b, n, NULL, 0);
    b->n = n;
}

static void copy(struct bytes *to, const struct bytes *from)
{
    to->n = 0;
    put(to, 0, from->p, from->n);
}

static void copy_names(struct names *to, const struct names *from)
{
    if (from->n > to->cap) {
        to->cap = from->n + 8;
        to->v = need(realloc(to->v, to->cap * sizeof *to->v));
    }
    if (from->n)
        memcpy(to->v, from->v, from->n * sizeof *to->v);
    to->n = from->n;
}

static void forget_changes(struct inode *i)
{
    while (i->changes) {
        struct change *c = i->changes;
        i->changes = c->next;
        free(c->p);
        free(c);
    }
    i->last_change = &i->changes;
}

static void forget_renames(struct inode *i)
{
    while (i->renames) {
        struct rename *c = i->renames;
        i->renames = c->next;
        free(c);
    }
    i->last_rename = &i->renames;
}

static struct inode *new_inode(bool folder, mode_t mode)
{
    struct inode *i = need(calloc(1, sizeof *i));
    i->number = disk.next_number++;
    i->folder = folder;
    i->mode = mode;
    i->holder = -1;
    i->last_change = &i->changes;
    i->last_rename = &i->renames;
    i->next = disk.all;
    disk.all = i;
    return i;
}

static struct entry *find(const struct names *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->v[i].name, name) == 0)
            return &v->v[i];
    return NULL;
}

static void set(struct names *v, const char *name, struct inode *to)
{
    struct entry *e = find(v, name);
    if (!e) {
        if (v->n == v->cap) {
            v->cap = v->cap * 2 + 8;
            v->v = need(realloc(v->v, v->cap * sizeof *v->v));
        }
        e = &v->v[v->n++];
        snprintf(e->name, sizeof e->name, "%s", name);
    }
    e->to = to;
}

static void unset(struct names *v, const char *name)
{
    struct entry *e = find(v, name);
    if (e)
        *e = v->v[--v->n];
}

static void apply(struct names *v, const struct rename *c)
{
    if (c->kind == MOVE)
        unset(v, c->old);
    if (c->kind == REMOVE)
        unset(v, c->name);
    else
        set(v, c->name, c->to);
}

// ---- changes --------------------------------------------------------------------------------------------------------

static void change(struct inode *i, size_t at, const void *p, size_t n)
{
    struct change *c = need(calloc(1, sizeof *c));
    c->at = at;
    c->n = n;
    if (p) {
        c->p = need(malloc(n + 1));
        memcpy(c->p, p, n);
        put(&i->now, at, p, n);
    } else {
        cut(&i->now, at);
    }
    *i->last_change = c;
    i->last_change = &c->next;
}

static void name_change(struct inode *folder, unsigned kind, const char *name, const char *old, struct inode *to)
{
    struct rename *c = need(calloc(1, sizeof *c));
    c->kind = kind;
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->old, sizeof c->old, "%s", old ? old : "");
    c->to = to;
    *folder->last_rename = c;
    folder->last_rename = &c->next;
    apply(&folder->names, c);
}

static void sync_inode(struct inode *i)
{
    if (i->folder) {
        if (i->renames)
            copy_names(&i->durable_names, &i->names);
        forget_renames(i);
        return;
    }
    if (i->changes)
        copy(&i->durable, &i->now);
    forget_changes(i);
}

// ---- what came through ----------------------------------------------------------------------------------------------

static size_t some(size_t n)
{
    switch (sim_below(&disk.rng, 3)) {
    case 0:
        return 0;
    case 1:
        return n;
    default:
        return sim_between(&disk.rng, 0, n);
    }
}

static void lose_names(struct inode *i)
{
    bool any_order = sim_chance(&disk.rng, 30);
    size_t n = 0, most;
    for (struct rename *c = i->renames; c; c = c->next)
        n++;
    most = some(n);
    n = 0;
    for (struct rename *c = i->renames; c; c = c->next)
        if (any_order ? sim_chance(&disk.rng, 50) : n++ < most)
            apply(&i->durable_names, c);
    forget_renames(i);
    copy_names(&i->names, &i->durable_names);
}

static void lose_bytes(struct inode *i)
{
    size_t n = 0, most;
    for (struct change *c = i->changes; c; c = c->next)
        n++;
    most = some(n);
    n = 0;
    for (struct change *c = i->changes; c; c = c->next, n++) {
        if (n < most) {
            if (c->p)
                put(&i->durable, c->at, c->p, c->n);
            else
                cut(&i->durable, c->at);
            continue;
        }
        if (c->p) {
            size_t part = sim_between(&disk.rng, 0, c->n);
            if (sim_chance(&disk.rng, 25))
                memset(c->p, 0, part);
            put(&i->durable, c->at, c->p, part);
        }
        break;
    }
    forget_changes(i);
    copy(&i->now, &i->durable);
}

static void count_links(struct inode *folder)
{
    for (size_t i = 0; i < folder->names.n; i++) {
        folder->names.v[i].to->links++;
        if (folder->names.v[i].to->folder)
            count_links(folder->names.v[i].to);
    }
}

// The list of inodes is the newest first: the same for the same seed.
void disk_power_lost(void)
{
    for (struct inode *i = disk.all; i; i = i->next) {
        if (i->folder)
            lose_names(i);
        else
            lose_bytes(i);
        i->links = 0;
    }
    count_links(disk.root);
}

// ---- the harness ----------------------------------------------------------------------------------------------------

static struct inode *walk(const char *path, struct inode **folder, char name[SIM_NAME], struct inode *at)
{
    struct inode *in = NULL;
    if (path[0] == '/')
        at = disk.root;
    if (name)
        name[0] = 0;
    while (*path && at) {
        char part[SIM_NAME];
        size_t n;
        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (!n)
            break;
        if (n >= SIM_NAME || !at->folder) {
            errno = n >= SIM_NAME ? ENAMETOOLONG : ENOTDIR;
            in = NULL;
            at = NULL;
            break;
        }
        memcpy(part, path, n);
        part[n] = 0;
        path += n;
        if (strcmp(part, ".") == 0)
            continue;
        in = at;
        at = find(&in->names, part) ? find(&in->names, part)->to : NULL;
        if (name)
            memcpy(name, part, n + 1);
        if (!at) {
            errno = ENOENT;
            if (path[strspn(path, "/")])
                in = NULL; // a folder on the way
        }
    }
    if (folder)
        *folder = in;
    return at;
}

static void free_all(void)
{
    while (disk.all) {
        struct inode *i = disk.all;
        disk.all = i->next;
        forget_changes(i);
        forget_renames(i);
        free(i->now.p);
        free(i->durable.p);
        free(i->names.v);
        free(i->durable_names.v);
        free(i);
    }
}

void disk_reset(sim_rng rng)
{
    free_all();
    memset(disk.files, 0, sizeof disk.files);
    disk.open = 0;
    disk.rng = rng;
    disk.next_number = 100;
    disk.root = new_inode(true, 0755);
    disk_mkdir("/sim");
}

void disk_mkdir(const char *path)
{
    struct inode *folder, *i;
    char name[SIM_NAME];
    if (walk(path, &folder, name, NULL) || !folder)
        abort();
    i = new_inode(true, 0755);
    i->links = 1;
    set(&folder->names, name, i);
    set(&folder->durable_names, name, i);
}

void disk_put(const char *path, const void *p, size_t n)
{
    struct inode *folder, *i = walk(path, &folder, NULL, NULL);
    char name[SIM_NAME];
    if (!i) {
        walk(path, &folder, name, NULL);
        i = new_inode(false, 0644);
        i->links = 1;
        set(&folder->names, name, i);
        set(&folder->durable_names, name, i);
    }
    i->now.n = 0;
    put(&i->now, 0, p, n);
    copy(&i->durable, &i->now);
}

const char *disk_get(const char *path, size_t *n)
{
    struct inode *i = walk(path, NULL, NULL, NULL);
    if (!i || i->folder)
        return NULL;
    *n = i->now.n;
    return i->now.n ? i->now.p : "";
}

void disk_names(const char *path, void (*each)(void *arg, const char *name), void *arg)
{
    struct inode *i = walk(path, NULL, NULL, NULL);
    for (size_t k = 0; i && k < i->names.n; k++)
        each(arg, i->names.v[k].name);
}

void disk_close_all(void)
{
    memset(disk.files, 0, sizeof disk.files);
    disk.open = 0;
    for (struct inode *i = disk.all; i; i = i->next)
        i->holder = -1;
}

unsigned disk_n_open(void)
{
    return disk.open;
}

uint64_t disk_hash(void)
{
    uint64_t h = 0;
    for (struct inode *i = disk.all; i; i = i->next) {
        for (size_t k = 0; k < i->now.n; k++)
            h = (h ^ (unsigned char)i->now.p[k]) * 1099511628211u;
        h = (h ^ i->number ^ i->links << 20) * 1099511628211u;
    }
    return h;
}

// ---- calls ----------------------------------------------------------------------------------------------------------

static bool ours(const char *path)
{
    return sim_inside() && (strcmp(path, "/") == 0 || (strncmp(path, "/sim", 4) == 0 && (path[4] == '/' || !path[4])));
}

static struct file *file_of(int fd)
{
    if (fd < FIRST_FD || fd >= FIRST_FD + SIM_FILES)
        return NULL;
    return disk.files[fd - FIRST_FD].of ? &disk.files[fd - FIRST_FD] : NULL;
}

// What a path given to one of the *at calls begins at; NULL: it is not ours.
static struct inode *base(int dir, const char *path)
{
    struct file *f;
    if (path[0] == '/')
        return ours(path) ? disk.root : NULL;
    f = file_of(dir);
    return f ? f->of : NULL;
}

// -1 with errno when the call fails.
static int call(const char *name, const char *what, bool changes, bool space)
{
    int e = sim_io(name, what, changes, space, NULL, NULL);
    if (e)
        errno = e;
    return e ? -1 : 0;
}

static void label(const struct inode *i, char to[32])
{
    snprintf(to, 32, "#%llu", (unsigned long long)i->number);
}

#define WRAP(type, name, ...)                                                                                          \
    type __real_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__);                                                                                   \
    type __wrap_##name(__VA_ARGS__)

static int open_at(struct inode *at, const char *path, int flags, mode_t mode)
{
    struct inode *folder, *i;
    char name[SIM_NAME];
    int fd = 0;
    bool made = false;
    if (call("open", path, flags & (O_CREAT | O_TRUNC), flags & O_CREAT) < 0)
        return -1;
    i = walk(path, &folder, name, at);
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        if (!i)
            return -1;
        i = new_inode(false, mode);
        made = true;
    } else if (!i) {
        if (!(flags & O_CREAT) || !folder)
            return -1;
        i = new_inode(false, mode);
        i->links = 1;
        name_change(folder, ADD, name, NULL, i);
        made = true;
    } else if ((flags & O_CREAT) && (flags & O_EXCL)) {
        errno = EEXIST;
        return -1;
    }
    if (i->folder ? (flags & O_ACCMODE) != O_RDONLY : (flags & O_DIRECTORY) && !made) {
        errno = i->folder ? EISDIR : ENOTDIR;
        return -1;
    }
    if (!made && !i->folder && (flags & O_ACCMODE) != O_RDONLY && !(i->mode & S_IWUSR)) {
        errno = EACCES;
        return -1;
    }
    if ((flags & O_TRUNC) && i->now.n)
        change(i, 0, NULL, 0);
    while (fd < SIM_FILES && disk.files[fd].of)
        fd++;
    if (fd == SIM_FILES)
        abort();
    disk.files[fd] = (struct file){ .of = i, .flags = flags };
    disk.open++;
    return FIRST_FD + fd;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode = 0;
    va_start(ap, flags);
    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return ours(path) ? open_at(disk.root, path, flags, mode) : __real_open(path, flags, mode);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode = 0;
    struct inode *at = base(dir, path);
    va_start(ap, flags);
    if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return at ? open_at(at, path, flags, mode) : __real_openat(dir, path, flags, mode);
}

WRAP(int, __open_2, const char *path, int flags)
{
    return __wrap_open(path, flags);
}

WRAP(int, __openat_2, int dir, const char *path, int flags)
{
    return __wrap_openat(dir, path, flags);
}

static void release(int fd)
{
    struct file *f = file_of(fd);
    if (f->of->holder == fd)
        f->of->holder = -1;
    f->of = NULL;
    disk.open--;
}

WRAP(int, close, int fd)
{
    struct file *f = file_of(fd);
    char what[32];
    int rc;
    if (!f)
        return __real_close(fd);
    label(f->of, what);
    rc = call("close", what, false, false); // closed it is in any case
    release(fd);
    return rc;
}

static ssize_t read_at(struct file *f, void *p, size_t n, size_t at)
{
    char what[32];
    int e;
    label(f->of, what);
    e = sim_io("read", what, false, false, &n, NULL);
    if (e || f->of->folder) {
        errno = e ? e : EISDIR;
        return -1;
    }
    if (at >= f->of->now.n)
        return 0;
    if (n > f->of->now.n - at)
        n = f->of->now.n - at;
    memcpy(p, f->of->now.p + at, n);
    return (ssize_t)n;
}

WRAP(ssize_t, read, int fd, void *p, size_t n)
{
    struct file *f = file_of(fd);
    ssize_t k;
    if (!f)
        return __real_read(fd, p, n);
    k = read_at(f, p, n, f->at);
    if (k > 0)
        f->at += (size_t)k;
    return k;
}

WRAP(ssize_t, __read_chk, int fd, void *p, size_t n, size_t size)
{
    return file_of(fd) ? __wrap_read(fd, p, n) : __real___read_chk(fd, p, n, size);
}

WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t at)
{
    struct file *f = file_of(fd);
    return f ? read_at(f, p, n, (size_t)at) : __real_pread(fd, p, n, at);
}

WRAP(ssize_t, __pread_chk, int fd, void *p, size_t n, off_t at, size_t size)
{
    return file_of(fd) ? __wrap_pread(fd, p, n, at) : __real___pread_chk(fd, p, n, at, size);
}

WRAP(ssize_t, preadv2, int fd, const struct iovec *to, int n, off_t at, int flags)
{
    struct file *f = file_of(fd);
    ssize_t k;
    if (!f)
        return __real_preadv2(fd, to, n, at, flags);
    if (n != 1 || flags != RWF_NOWAIT || sim_later()) {
        errno = n != 1 || flags != RWF_NOWAIT ? EOPNOTSUPP : EAGAIN;
        return -1;
    }
    k = read_at(f, to->iov_base, to->iov_len, at < 0 ? f->at : (size_t)at);
    if (k > 0 && at < 0)
        f->at += (size_t)k;
    return k;
}

static ssize_t write_at(struct file *f, const void *p, size_t n, size_t at, bool moves)
{
    char what[32];
    bool torn = false;
    int e;
    label(f->of, what);
    e = sim_io("write", what, true, true, &n, &torn);
    if (torn || !e) {
        if (f->flags & O_APPEND)
            at = f->of->now.n;
        change(f->of, at, p, n);
        if (moves)
            f->at = at + n;
    }
    if (e) {
        errno = e;
        return -1;
    }
    return (ssize_t)n;
}

WRAP(ssize_t, write, int fd, const void *p, size_t n)
{
    struct file *f = file_of(fd);
    return f ? write_at(f, p, n, f->at, true) : __real_write(fd, p, n);
}

WRAP(ssize_t, pwrite, int fd, const void *p, size_t n, off_t at)
{
    struct file *f = file_of(fd);
    return f ? write_at(f, p, n, (size_t)at, false) : __real_pwrite(fd, p, n, at);
}

WRAP(ssize_t, pwritev, int fd, const struct iovec *v, int n, off_t at)
{
    struct file *f = file_of(fd);
    struct bytes b = { 0 };
    ssize_t k;
    if (!f)
        return __real_pwritev(fd, v, n, at);
    for (int i = 0; i < n; i++)
        put(&b, b.n, v[i].iov_base, v[i].iov_len);
    k = write_at(f, b.p, b.n, (size_t)at, false);
    free(b.p);
    return k;
}

WRAP(int, fsync, int fd)
{
    struct file *f = file_of(fd);
    char what[32];
    if (!f)
        return __real_fsync(fd);
    label(f->of, what);
    if (call("fsync", what, true, true) < 0)
        return -1;
    sync_inode(f->of);
    return 0;
}

WRAP(int, ftruncate, int fd, off_t n)
{
    struct file *f = file_of(fd);
    char what[32];
    if (!f)
        return __real_ftruncate(fd, n);
    label(f->of, what);
    if (call("ftruncate", what, true, true) < 0)
        return -1;
    change(f->of, (size_t)n, NULL, 0);
    return 0;
}

WRAP(off_t, lseek, int fd, off_t at, int whence)
{
    struct file *f = file_of(fd);
    if (!f)
        return __real_lseek(fd, at, whence);
    f->at = (size_t)(at + (whence == SEEK_CUR ? (off_t)f->at : whence == SEEK_END ? (off_t)f->of->now.n : 0));
    return (off_t)f->at;
}

WRAP(int, flock, int fd, int op)
{
    struct file *f = file_of(fd);
    if (!f)
        return __real_flock(fd, op);
    if (op & LOCK_UN) {
        if (f->of->holder == fd)
            f->of->holder = -1;
        return 0;
    }
    if (f->of->holder >= 0 && f->of->holder != fd) {
        errno = EWOULDBLOCK;
        return -1;
    }
    f->of->holder = fd;
    return 0;
}

WRAP(int, posix_fadvise, int fd, off_t at, off_t n, int how)
{
    return file_of(fd) ? 0 : __real_posix_fadvise(fd, at, n, how);
}

// A hint that nothing depends on.
WRAP(int, sync_file_range, int fd, off_t at, off_t n, unsigned how)
{
    return file_of(fd) ? 0 : __real_sync_file_range(fd, at, n, how);
}

static int about(const struct inode *i, struct stat *st)
{
    memset(st, 0, sizeof *st);
    st->st_dev = 1;
    st->st_ino = i->number;
    st->st_mode = i->mode | (i->folder ? S_IFDIR : S_IFREG);
    st->st_nlink = i->links;
    st->st_size = (off_t)i->now.n;
    return 0;
}

static int stat_at(struct inode *at, const char *path, struct stat *st)
{
    struct inode *i;
    if (call("stat", path, false, false) < 0)
        return -1;
    i = walk(path, NULL, NULL, at);
    return i ? about(i, st) : -1;
}

WRAP(int, stat, const char *path, struct stat *st)
{
    return ours(path) ? stat_at(disk.root, path, st) : __real_stat(path, st);
}

WRAP(int, lstat, const char *path, struct stat *st)
{
    return ours(path) ? stat_at(disk.root, path, st) : __real_lstat(path, st);
}

WRAP(int, fstat, int fd, struct stat *st)
{
    struct file *f = file_of(fd);
    char what[32];
    if (!f)
        return __real_fstat(fd, st);
    label(f->of, what);
    return call("stat", what, false, false) < 0 ? -1 : about(f->of, st);
}

WRAP(int, fstatat, int dir, const char *path, struct stat *st, int flags)
{
    struct inode *at = base(dir, path);
    return at ? stat_at(at, path, st) : __real_fstatat(dir, path, st, flags);
}

WRAP(int, access, const char *path, int mode)
{
    struct stat st;
    return ours(path) ? stat_at(disk.root, path, &st) : __real_access(path, mode);
}

WRAP(int, faccessat, int dir, const char *path, int mode, int flags)
{
    struct stat st;
    struct inode *at = base(dir, path);
    return at ? stat_at(at, path, &st) : __real_faccessat(dir, path, mode, flags);
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    struct file *f = file_of(fd);
    if (!f)
        return __real_fchmod(fd, mode);
    f->of->mode = mode & 0777;
    return 0;
}

WRAP(char *, realpath, const char *path, char *out)
{
    if (!ours(path))
        return __real_realpath(path, out);
    if (call("realpath", path, false, false) < 0 || !walk(path, NULL, NULL, NULL))
        return NULL;
    if (!out)
        return strdup(path);
    if (strlen(path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return memcpy(out, path, strlen(path) + 1);
}

WRAP(char *, __realpath_chk, const char *path, char *out, size_t size)
{
    return ours(path) ? __wrap_realpath(path, out) : __real___realpath_chk(path, out, size);
}

WRAP(ssize_t, readlink, const char *path, char *out, size_t n)
{
    if (!ours(path))
        return __real_readlink(path, out, n);
    errno = walk(path, NULL, NULL, NULL) ? EINVAL : ENOENT;
    return -1;
}

static int mkdir_at(struct inode *at, const char *path, mode_t mode)
{
    struct inode *folder, *i;
    char name[SIM_NAME];
    if (call("mkdir", path, true, true) < 0)
        return -1;
    if (walk(path, &folder, name, at)) {
        errno = EEXIST;
        return -1;
    }
    if (!folder)
        return -1;
    i = new_inode(true, mode);
    i->links = 1;
    name_change(folder, ADD, name, NULL, i);
    return 0;
}

WRAP(int, mkdir, const char *path, mode_t mode)
{
    return ours(path) ? mkdir_at(disk.root, path, mode) : __real_mkdir(path, mode);
}

static int unlink_at(struct inode *at, const char *path, bool folder)
{
    struct inode *in, *i;
    char name[SIM_NAME];
    if (call(folder ? "rmdir" : "unlink", path, true, false) < 0)
        return -1;
    i = walk(path, &in, name, at);
    if (!i || !in)
        return -1;
    if (i->folder != folder || (folder && i->names.n)) {
        errno = !folder ? EISDIR : i->folder ? ENOTEMPTY : ENOTDIR;
        return -1;
    }
    name_change(in, REMOVE, name, NULL, NULL);
    i->links--;
    return 0;
}

WRAP(int, unlink, const char *path)
{
    return ours(path) ? unlink_at(disk.root, path, false) : __real_unlink(path);
}

WRAP(int, rmdir, const char *path)
{
    return ours(path) ? unlink_at(disk.root, path, true) : __real_rmdir(path);
}

WRAP(int, unlinkat, int dir, const char *path, int flags)
{
    struct inode *at = base(dir, path);
    return at ? unlink_at(at, path, flags & AT_REMOVEDIR) : __real_unlinkat(dir, path, flags);
}

static int rename_at(struct inode *a, const char *from, struct inode *b, const char *to)
{
    struct inode *in, *to_in, *i, *old;
    char x[SIM_NAME], y[SIM_NAME];
    if (call("rename", to, true, true) < 0)
        return -1;
    i = walk(from, &in, x, a);
    if (!i)
        return -1;
    old = walk(to, &to_in, y, b);
    if (!to_in)
        return -1;
    if (in != to_in)
        abort(); // between folders: not in this model
    if (old)
        old->links--;
    name_change(in, MOVE, y, x, i);
    return 0;
}

WRAP(int, rename, const char *from, const char *to)
{
    return ours(from) ? rename_at(disk.root, from, disk.root, to) : __real_rename(from, to);
}

WRAP(int, renameat, int a, const char *from, int b, const char *to)
{
    struct inode *x = base(a, from), *y = base(b, to);
    return x && y ? rename_at(x, from, y, to) : __real_renameat(a, from, b, to);
}

WRAP(int, mkostemp, char *path, int flags)
{
    if (!ours(path))
        return __real_mkostemp(path, flags);
    errno = EMFILE; // O_TMPFILE is there
    return -1;
}

// ---- folders --------------------------------------------------------------------------------------------------------

struct folder {
    bool used;
    int fd;
    size_t at;
    struct names names; // as they were when it was opened
    struct dirent out;
};

static struct folder folders[FOLDERS];

static struct folder *folder_of(DIR *d)
{
    struct folder *f = (struct folder *)(void *)d;
    return f >= folders && f < folders + FOLDERS ? f : NULL;
}

WRAP(DIR *, fdopendir, int fd)
{
    struct file *f = file_of(fd);
    if (!f)
        return __real_fdopendir(fd);
    for (int i = 0; i < FOLDERS; i++) {
        struct folder *d = &folders[i];
        if (d->used)
            continue;
        d->used = true;
        d->fd = fd;
        d->at = 0;
        copy_names(&d->names, &f->of->names);
        return (DIR *)(void *)d;
    }
    abort();
}

WRAP(struct dirent *, readdir, DIR *dir)
{
    struct folder *d = folder_of(dir);
    char what[32];
    if (!d)
        return __real_readdir(dir);
    label(file_of(d->fd)->of, what);
    if (call("readdir", what, false, false) < 0 || d->at == d->names.n)
        return NULL;
    snprintf(d->out.d_name, sizeof d->out.d_name, "%s", d->names.v[d->at++].name);
    return &d->out;
}

WRAP(int, closedir, DIR *dir)
{
    struct folder *d = folder_of(dir);
    if (!d)
        return __real_closedir(dir);
    release(d->fd);
    free(d->names.v);
    *d = (struct folder){ 0 };
    return 0;
}
