// include.c - files: the main one, what it includes, and --set.
//
// A file is opened by its real path, which must lie below the real path of the main file's folder, so neither `..` nor
// a symbolic link leads out.  A file that is reached twice is loaded once; one that includes itself is an error.
#include "spec/load.h"

#include "base/utf8.h"
#include "spec/value.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INCLUDE_DEPTH = 8, INCLUDE_FILES = 1000, READ_BYTES = 32 << 20 };

static const char *const united[] = { "vars", "secrets", "schemas", "topics", "templates", "kernels", NULL };
static const char *const joined[] = { "alerts", "tests", NULL };

static bool among(const char *const *names, rkp_word w)
{
    for (; *names; names++)
        if (rkp_str_is(rkp_word_str(w), *names))
            return true;
    return false;
}

// ---- reading

// Reads all of fd, at most `most` + 1 bytes, into the arena.
static bool read_all(rki_load *l, int fd, size_t most, rkp_str *out)
{
    rki_buf b;
    bool ok = true;

    rki_buf_init(&b);
    while (b.n <= most) {
        size_t want = b.n < 4096 ? 4096 : b.n;
        ssize_t n;

        if (!rki_buf_reserve(&b, want)) {
            l->arena->failed = true;
            ok = false;
            break;
        }
        n = read(fd, b.p + b.n, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            ok = false;
        if (n <= 0)
            break;
        b.n += (size_t)n;
    }
    if (ok)
        *out = rki_dup_str(l->arena, (rkp_str){ b.p ? b.p : "", b.n });
    ok = ok && out->p;
    {
        int e = errno;

        rki_buf_fini(&b);
        errno = e;
    }
    return ok;
}

static const char *why(int e)
{
    const char *z = strerrordesc_np(e);

    return z ? z : "unknown error";
}

bool rki_load_read(rki_load *l, const char *path, rkp_loc at, const char *what, rkp_str *out)
{
    struct stat st;
    bool ok = false;
    int fd, e = 0;

    if (l->read > READ_BYTES) {
        rkp_diag(l->d, RKP_ERROR, at, "limit-bytes", "more than %d MiB of files are read", READ_BYTES >> 20);
        return false;
    }
    if (l->args->text.p) {
        rkp_diag(l->d, RKP_ERROR, at, "file-open", "cannot open %s '%s': no file is read here", what, path);
        return false;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        rkp_diag(l->d, RKP_ERROR, at, "file-open", "cannot open %s '%s': %s", what, path, why(errno));
        return false;
    }
    if (fstat(fd, &st) != 0)
        e = errno;
    else if (!S_ISREG(st.st_mode))
        e = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    else if (read_all(l, fd, RKI_FILE_BYTES, out))
        ok = true;
    else
        e = errno;
    l->read += ok ? out->n : 0;
    close(fd);
    if (!ok && !rki_arena_failed(l->arena))
        rkp_diag(l->d, RKP_ERROR, at, "file-open", "cannot read %s '%s': %s", what, path,
                 e == EINVAL ? "not a regular file" : why(e));
    return ok;
}

static bool read_main(rki_load *l, const char *name, rkp_str *out)
{
    bool in = strcmp(l->args->file, "-") == 0, ok;
    rkp_loc at = { .file = name };
    struct stat st;
    int fd = in ? STDIN_FILENO : open(l->args->file, O_RDONLY | O_CLOEXEC | O_NOCTTY), e;

    if (fd < 0) {
        rkp_diag(l->d, RKP_ERROR, at, "file-open", "cannot open the pipeline file: %s", why(errno));
        return false;
    }
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        ok = false;
    } else {
        ok = read_all(l, fd, RKI_FILE_BYTES, out);
    }
    e = errno;
    if (!in)
        close(fd);
    if (!ok && !rki_arena_failed(l->arena))
        rkp_diag(l->d, RKP_ERROR, at, "file-open", "cannot read the pipeline file: %s", why(e));
    return ok;
}

// ---- files

static const char *dir_of(rki_load *l, const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? rki_dup(l->arena, name, (size_t)(slash - name) + 1) : "";
}

// It was reached, by this name.
static void note(rki_load *l, const rki_file *f, const char *name)
{
    name = name == f->name ? name : rki_dup(l->arena, name, strlen(name));
    if (name)
        rki_sources_add(l->arena, &l->s->sources, name, f->real, f->text);
}

static rki_file *file_add(rki_load *l, const char *name, const char *real, rkp_str text)
{
    rki_file *f = rki_alloc(l->arena, sizeof *f);

    if (!f)
        return NULL;
    f->name = rki_dup(l->arena, name, strlen(name));
    f->real = rki_dup(l->arena, real, strlen(real));
    f->dir = dir_of(l, name);
    f->text = text;
    f->open = true;
    f->next = l->files;
    if (!f->name || !f->real || !f->dir)
        return NULL;
    l->files = f;
    l->budget.files++;
    return f;
}

const char *rki_load_dir(const rki_load *l, rkp_loc at)
{
    for (const rki_file *f = l->files; at.file && f; f = f->next)
        if (f->name == at.file)
            return f->dir;
    return "";
}

static rkp_node *parse(rki_load *l, rki_file *f, rkp_str text)
{
    rkp_node *n;

    rki_diags_source(l->d, f->name, text);
    n = rki_tree_load(l->arena, l->d, f->name, text, &l->budget);
    if (n && rki_node_is_null(n)) {
        rkp_diag(l->d, RKP_ERROR, (rkp_loc){ .file = f->name }, "yaml-empty", "the file is empty");
        return NULL;
    }
    if (n && n->kind != RKI_MAP) {
        rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "a pipeline file is a mapping of keys, not %s",
                 rki_node_shown(l->arena, n));
        return NULL;
    }
    return n;
}

// ---- uniting

static rkp_node **tail_of(rkp_node *n)
{
    rkp_node **to = &n->child;

    while (*to)
        to = &(*to)->next;
    return to;
}

static void append_all(rkp_node *to, rkp_node *from)
{
    *tail_of(to) = from->child;
    to->n += from->n;
}

static bool is_x(rkp_word key)
{
    return key.n > 2 && memcmp(key.p, "x-", 2) == 0;
}

// Puts the keys of an included file into the main tree.  Keys that stand twice are found at the end, by sorting.
static void unite(rki_load *l, rkp_node *root, rkp_node *inc)
{
    rkp_node **tail = tail_of(root), *have;

    for (rkp_node *c = inc->child, *next; c; c = next) {
        uint64_t v = 0;
        const char *hint;

        next = c->next;
        c->next = NULL;
        have = NULL;
        if (is_x(c->key) || rkp_str_is(rkp_word_str(c->key), "include"))
            continue;
        if (rkp_str_is(rkp_word_str(c->key), "version")) {
            if (c->kind != RKI_SCALAR || rki_value_uint(c->text, &v, &hint) != RKI_VALUE_OK || v != 1)
                rkp_diag(l->d, RKP_ERROR, c->at, "version", "an included file has version 1 or none, not %s",
                         rki_node_shown(l->arena, c));
            continue;
        }
        if ((c->kind == RKI_MAP && among(united, c->key)) || (c->kind == RKI_LIST && among(joined, c->key)))
            have = rki_node_get(root, c->key.p);
        if (have && have->kind == c->kind) {
            append_all(have, c);
            continue;
        }
        *tail = c;
        tail = &c->next;
        root->n++;
    }
}

// ---- include

struct found {
    char **v;
    size_t n;
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_glob(rkp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (strchr("*?[", s.p[i]))
            return true;
    return false;
}

// The folder's own name may hold what a glob takes for a pattern.
static char *glob_text(rki_load *l, const char *dir, rkp_str pattern)
{
    rki_buf b;
    char *z;

    rki_buf_init(&b);
    for (; *dir; dir++) {
        if (strchr("*?[]\\", *dir))
            rki_putc(&b, '\\');
        rki_putc(&b, *dir);
    }
    rki_put(&b, pattern.p, pattern.n);
    l->arena->failed |= b.failed;
    z = b.failed ? NULL : rki_dup(l->arena, b.p, b.n);
    rki_buf_fini(&b);
    return z;
}

static void load_one(rki_load *l, rkp_node *root, const char *path, const rkp_node *asked, bool globbed, size_t depth);

static void no_match(rki_load *l, const rkp_node *asked)
{
    rkp_diag(l->d, RKP_WARNING, asked->at, "include-none", "no file matches '%.*s'", RKP_STR_ARG(asked->text));
}

// The same without files: of the sources that are given.
static void load_matches(rki_load *l, rkp_node *root, const char *pattern, const rkp_node *asked, size_t depth)
{
    const char **found;
    size_t n = 0;

    for (const rki_source *s = l->args->sources->first; s; s = s->next)
        n++;
    found = rki_array(l->arena, n + 1, sizeof *found);
    if (!found)
        return;
    n = 0;
    for (const rki_source *s = l->args->sources->first; s; s = s->next)
        if (fnmatch(pattern, s->name, FNM_PATHNAME | FNM_PERIOD) == 0)
            found[n++] = s->name;
    qsort(found, n, sizeof *found, by_bytes);
    for (size_t i = 0; i < n && !rki_arena_failed(l->arena); i++)
        load_one(l, root, found[i], asked, true, depth);
    if (!n)
        no_match(l, asked);
}

static void load_glob(rki_load *l, rkp_node *root, const char *dir, const rkp_node *asked, size_t depth)
{
    char *pattern = glob_text(l, dir, asked->text);
    glob_t g = { 0 };
    int rc;

    if (!pattern || !rki_sources_glob(l->arena, &l->s->sources, pattern))
        return;
    if (l->args->sources) {
        load_matches(l, root, pattern, asked, depth);
        return;
    }
    rc = glob(pattern, GLOB_NOSORT, NULL, &g);
    if (rc == 0) {
        qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_bytes); // glob's own order follows the locale
        for (size_t i = 0; i < g.gl_pathc && !rki_arena_failed(l->arena); i++)
            load_one(l, root, g.gl_pathv[i], asked, true, depth);
    } else if (rc == GLOB_NOSPACE) {
        l->arena->failed = true;
    } else {
        no_match(l, asked);
    }
    globfree(&g);
}

static void load_pattern(rki_load *l, rkp_node *root, const char *dir, const rkp_node *asked, size_t depth)
{
    rkp_str path;

    if (++l->patterns > INCLUDE_FILES) {
        if (l->patterns == INCLUDE_FILES + 1)
            rkp_diag(l->d, RKP_ERROR, asked->at, "limit-include", "more than %d files", INCLUDE_FILES);
        return;
    }
    if (asked->text.n == 0 || asked->text.n >= PATH_MAX) {
        rkp_diag(l->d, RKP_ERROR, asked->at, "opt-type", "'include' needs a path, not %s",
                 rki_node_shown(l->arena, asked));
        return;
    }
    if (asked->text.p[0] == '/')
        dir = "";
    if (is_glob(asked->text)) {
        load_glob(l, root, dir, asked, depth);
        return;
    }
    path = rki_printf(l->arena, "%s%s", dir, asked->text.p);
    if (path.p)
        load_one(l, root, path.p, asked, false, depth);
}

// The `include` of one file.  It is needed before variables are known, so it takes the environment only.
static void load_includes(rki_load *l, rkp_node *root, rkp_node *of, const char *dir, size_t depth)
{
    rkp_node *inc = rki_node_get(of, "include");
    const rki_interp how = { .env_only = true };

    if (!inc)
        return;
    rki_interp_all(l, inc, &how);
    if (inc->bad)
        return;
    if (inc->kind == RKI_SCALAR && !rki_node_is_null(inc)) {
        load_pattern(l, root, dir, inc, depth);
        return;
    }
    if (inc->kind != RKI_LIST) {
        rkp_diag(l->d, RKP_ERROR, inc->at, "opt-type", "'include' needs a list of paths, not %s",
                 rki_node_shown(l->arena, inc));
        return;
    }
    for (rkp_node *c = inc->child; c && !rki_arena_failed(l->arena); c = c->next) {
        if (c->bad)
            continue;
        if (c->kind == RKI_SCALAR && !rki_node_is_null(c))
            load_pattern(l, root, dir, c, depth);
        else
            rkp_diag(l->d, RKP_ERROR, c->at, "opt-type", "'include' needs a list of paths, not %s in it",
                     rki_node_shown(l->arena, c));
    }
}

// Is `path` below the folder of the main file?  Both are real paths.
static bool below(const rki_load *l, const char *path)
{
    const rki_file *f = l->files;
    size_t n;

    while (f->next)
        f = f->next;
    n = (size_t)(strrchr(f->real, '/') - f->real) + 1;
    return strncmp(path, f->real, n) == 0;
}

static const rki_source *source_named(const rki_sources *s, const char *name)
{
    const rki_source *o = s->first;

    while (o && strcmp(o->name, name) != 0)
        o = o->next;
    return o;
}

static void load_one(rki_load *l, rkp_node *root, const char *path, const rkp_node *asked, bool globbed, size_t depth)
{
    const rki_source *given = NULL;
    char real[PATH_MAX];
    rki_file *f;
    rkp_node *tree;
    rkp_str text;

    if (l->args->sources) {
        given = source_named(l->args->sources, path);
        if (!given || strlen(given->real) >= sizeof real) {
            rkp_diag(l->d, RKP_ERROR, asked->at, "include-open", "cannot include '%s': it was not part of the pipeline",
                     path);
            return;
        }
        memcpy(real, given->real, strlen(given->real) + 1);
    } else if (!realpath(path, real)) {
        int e = errno;
        char *missing = e == ENOMEM ? NULL : glob_text(l, path, (rkp_str){ "", 0 });

        if (!missing || !rki_sources_glob(l->arena, &l->s->sources, missing)) // it may come
            l->arena->failed = true;
        rkp_diag(l->d, RKP_ERROR, asked->at, "include-open", "cannot include '%s': %s", path, why(e));
        return;
    }
    if (!given && !below(l, real)) {
        rkp_diag(l->d, RKP_ERROR, asked->at, "include-outside",
                 "'%s' is not below the folder of the pipeline file, and is not included", path);
        return;
    }
    for (f = l->files; f && strcmp(f->real, real) != 0; f = f->next)
        ;
    if (f && f->open && !globbed) {
        rkp_diag(l->d, RKP_ERROR, asked->at, "include-cycle", "'%s' includes itself", path);
        return;
    }
    if (f) {
        note(l, f, path);
        return;
    }
    if (depth >= INCLUDE_DEPTH) {
        rkp_diag(l->d, RKP_ERROR, asked->at, "limit-include", "includes nested deeper than %d", INCLUDE_DEPTH);
        return;
    }
    if (l->budget.files >= INCLUDE_FILES) {
        rkp_diag(l->d, RKP_ERROR, asked->at, "limit-include", "more than %d files", INCLUDE_FILES);
        return;
    }
    if (given)
        text = rki_dup_str(l->arena, given->text);
    else if (!rki_load_read(l, real, asked->at, "the included file", &text))
        return;
    f = file_add(l, path, real, text);
    if (f)
        note(l, f, f->name);
    tree = f && text.p ? parse(l, f, text) : NULL;
    if (tree) {
        load_includes(l, root, tree, f->dir, depth + 1);
        unite(l, root, tree);
    }
    if (f)
        f->open = false;
}

rkp_node *rki_load_files(rki_load *l)
{
    bool in = strcmp(l->args->file, "-") == 0, pipe;
    const char *name = in ? "<stdin>" : l->args->file;
    const rki_source *given = l->args->sources ? l->args->sources->first : NULL;
    rkp_str text = l->args->text;
    char real[PATH_MAX] = "";
    rki_file *f;
    rkp_node *root, *inc;

    if (given) {
        text = rki_dup_str(l->arena, given->text);
        snprintf(real, sizeof real, "%s", given->real);
        pipe = !real[0];
    } else if (!text.p && !read_main(l, name, &text)) {
        return NULL;
    } else {
        pipe = in || l->args->text.p || !realpath(name, real);
    }
    if (pipe) { // it has no folder: relative names begin in the working folder
        if (!getcwd(real, sizeof real - 2))
            real[0] = 0;
        memcpy(real + strlen(real), "/", 2);
    }
    f = file_add(l, name, real, text);
    if (!f || !text.p)
        return NULL;
    rki_sources_add(l->arena, &l->s->sources, l->args->file, pipe ? "" : f->real, text);
    if (pipe)
        f->dir = "";
    l->s->file = f->name;
    root = parse(l, f, text);
    if (!root)
        return NULL;
    inc = rki_node_get(root, "include");
    if (inc && l->args->text.p)
        rkp_diag(l->d, RKP_ERROR, inc->key_at, "include-open", "'include' is not possible here: no file is read");
    else if (inc)
        load_includes(l, root, root, f->dir, 0);
    f->open = false;
    if (l->budget.files > 1)
        rki_map_settle(l->arena, l->d, root);
    for (size_t i = 0; l->budget.files > 1 && united[i]; i++) {
        rkp_node *m = rki_node_get(root, united[i]);

        if (m && m->kind == RKI_MAP)
            rki_map_settle(l->arena, l->d, m);
    }
    return root;
}

// ---- --set

// Takes the next part of a.b.c; a backslash keeps a dot.  False at the end.
static bool next_part(rki_load *l, const char **p, rkp_str *out)
{
    rki_buf b;

    if (!*p)
        return false;
    rki_buf_init(&b);
    while (**p && **p != '.') {
        if (**p == '\\' && (*p)[1])
            (*p)++;
        rki_putc(&b, *(*p)++);
    }
    *p = **p == '.' ? *p + 1 : NULL;
    l->arena->failed |= b.failed;
    *out = rki_dup_str(l->arena, (rkp_str){ b.p ? b.p : "", b.n });
    rki_buf_fini(&b);
    return out->p != NULL;
}

// The child of n named `part`, made when it is not there; NULL and a finding when n cannot have it.
static rkp_node *child_for(rki_load *l, rkp_node *n, rkp_str part, rkp_loc at, const char *path)
{
    const char *hint;
    rkp_node *c;
    uint64_t i = 0;

    if (part.n == 0) {
        rkp_diag(l->d, RKP_ERROR, at, "set-path", "'%s' has an empty part", path);
        return NULL;
    }
    if (n->kind == RKI_SCALAR && rki_node_is_null(n))
        n->kind = RKI_MAP;
    if (n->kind == RKI_MAP) {
        c = rki_node_get(n, part.p);
        if (c)
            return c;
        c = rki_node_new(l->arena, RKI_SCALAR, at);
        if (!c)
            return NULL;
        c->plain = true;
        c->key = (rkp_word){ part.p, part.n, at };
        c->key_at = at;
        rki_node_add(n, c);
        return c;
    }
    if (n->kind == RKI_LIST && rki_value_uint(part, &i, &hint) == RKI_VALUE_OK && i <= n->n) {
        if (i == n->n) {
            c = rki_node_new(l->arena, RKI_SCALAR, at);
            if (!c)
                return NULL;
            c->plain = true;
            rki_node_add(n, c);
            return c;
        }
        for (c = n->child; i; i--)
            c = c->next;
        return c;
    }
    if (n->kind == RKI_LIST)
        rkp_diag(l->d, RKP_ERROR, at, "set-path", "'%.*s' is no place in a list of %zu", RKP_STR_ARG(part), n->n);
    else
        rkp_diag(l->d, RKP_ERROR, at, "set-path", "'%.*s' stands below a single value", RKP_STR_ARG(part));
    return NULL;
}

static void set_one(rki_load *l, const rki_kv *kv)
{
    rkp_str file = rki_printf(l->arena, "--set %s", kv->key), part;
    rkp_loc at = { .file = file.p };
    const char *path = kv->key;
    rkp_node *n = l->root, *v;

    if (!file.p)
        return;
    rki_diags_source(l->d, file.p, rkp_str_of(kv->val));
    v = kv->val[0] ? rki_tree_load(l->arena, l->d, file.p, rkp_str_of(kv->val), &l->budget)
                   : rki_node_new(l->arena, RKI_SCALAR, at);
    if (!v)
        return;
    while (n && next_part(l, &path, &part))
        n = child_for(l, n, part, at, kv->key);
    if (!n || rki_arena_failed(l->arena))
        return;
    v->key = n->key;
    v->key_at = n->key_at;
    v->next = n->next;
    *n = *v;
}

void rki_load_sets(rki_load *l)
{
    for (size_t i = 0; i < l->args->n_sets && !rki_arena_failed(l->arena); i++)
        set_one(l, &l->args->sets[i]);
}
