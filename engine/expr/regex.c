// regex.c - regular expressions: PCRE2 with its JIT, loaded when the first pattern that needs it is compiled.
//
// A pattern is compiled as UTF with MATCH_INVALID_UTF, always: `.` is a code point, bytes that are not UTF-8 match
// nothing, and pcre2_jit_match may be called without a check of the subject.  Measured on log lines (200 bytes, PCRE2
// 10.42), that costs 2 to 6 % over bytes mode, so there is no second mode for ASCII patterns; searching for the literal
// begin of a pattern first was slower than the JIT's own search.  \w \d \s are ASCII.
//
// A pattern that is plain text (perhaps after a ^) needs no library at all and is searched for.
//
// The library is opened by name and not linked: a pipeline without patterns does not load it.  Every compiled pattern
// and every run holds it open, so there is nothing global and nothing to set up once.
#include "expr/functions.h"
#include "expr/kernels.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <dlfcn.h>
#include <pcre2.h>
#include <stdlib.h>

enum {
    PATTERN_MAX = 64 << 10,
    MATCH_LIMIT = 1000000, // about 1 ms
    DEPTH_LIMIT = 10000,   // without the JIT
    HEAP_LIMIT = 16 << 10, // KiB, without the JIT
    STACK_MIN = 32 << 10,
    STACK_MAX = 1 << 20,
};

#define SYMBOLS(X)                                                                                                     \
    X(pcre2_compile)                                                                                                   \
    X(pcre2_code_free)                                                                                                 \
    X(pcre2_jit_compile)                                                                                               \
    X(pcre2_match)                                                                                                     \
    X(pcre2_jit_match)                                                                                                 \
    X(pcre2_match_data_create)                                                                                         \
    X(pcre2_match_data_free)                                                                                           \
    X(pcre2_get_ovector_pointer)                                                                                       \
    X(pcre2_match_context_create)                                                                                      \
    X(pcre2_match_context_free)                                                                                        \
    X(pcre2_set_match_limit)                                                                                           \
    X(pcre2_set_depth_limit)                                                                                           \
    X(pcre2_set_heap_limit)                                                                                            \
    X(pcre2_jit_stack_create)                                                                                          \
    X(pcre2_jit_stack_free)                                                                                            \
    X(pcre2_jit_stack_assign)                                                                                          \
    X(pcre2_get_error_message)                                                                                         \
    X(pcre2_pattern_info)

// dlsym wants the name with its width: pcre2_compile_8.
#define NAME_(s) #s
#define NAME(s)  NAME_(s)

typedef struct pcre {
    void *handle;
#define MEMBER(s) __typeof__(s) *s##_;
    // The names are macros of the header, so a member is called after what they stand for: pcre2_compile_8_.
#define MEMBER2(s) MEMBER(s)
    SYMBOLS(MEMBER2)
} pcre;

#define CALL_(l, s) (l)->s##_
#define CALL(l, s)  CALL_(l, s)

struct rkp_regex {
    pcre lib; // handle NULL: plain text
    pcre2_code *code;
    bool jit;
    uint32_t groups;
    rkp_str *names;
    rkp_str text; // plain text
    bool at_begin;
};

struct rkp_regex_run {
    pcre lib;
    uint32_t groups; // room for
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static bool lib_open(pcre *l)
{
    l->handle = dlopen("libpcre2-8.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!l->handle)
        return false;
#define LOAD(s)                                                                                                        \
    do {                                                                                                               \
        void *p = dlsym(l->handle, NAME(s));                                                                           \
        memcpy(&CALL(l, s), &p, sizeof p);                                                                             \
        if (!p)                                                                                                        \
            goto missing;                                                                                              \
    } while (0);
    SYMBOLS(LOAD)
    return true;
missing:
    dlclose(l->handle);
    l->handle = NULL;
    return false;
}

// ---- compiling ------------------------------------------------------------------------------------------------------

static void regex_fini(void *p)
{
    rkp_regex *r = p;

    if (!r->lib.handle)
        return;
    CALL(&r->lib, pcre2_code_free)(r->code);
    dlclose(r->lib.handle);
    r->lib.handle = NULL;
}

// The text that a pattern without special signs stands for; false when it has any.
static bool plain_text(rki_arena *a, rkp_str p, rkp_regex *r)
{
    size_t i = p.n && p.p[0] == '^', n = 0;
    char *to = rki_alloc(a, p.n + 1);

    if (!to)
        return false;
    r->at_begin = i == 1;
    for (; i < p.n; i++) {
        char c = p.p[i];

        if (c == '\\') {
            c = ++i < p.n ? p.p[i] : 'a';
            if ((c | 32) >= 'a' && (c | 32) <= 'z')
                return false;
            if ((c >= '0' && c <= '9') || (unsigned char)c >= 0x80)
                return false;
        } else if (c == 0 || strchr("^$.|?*+()[]{}", c)) {
            return false;
        }
        to[n++] = c;
    }
    r->text = (rkp_str){ to, n };
    return true;
}

static void report(rkp_diags *d, rkp_str pattern, rkp_loc at, bool exact, size_t offset, const char *text)
{
    if (exact && at.line) {
        uint32_t col = 0;

        for (size_t i = 0; i < offset && i < pattern.n; i++)
            col += ((unsigned char)pattern.p[i] & 0xc0) != 0x80;
        at.col += col;
        at.len = 1;
    }
    if (d)
        rkp_diag(d, RKP_ERROR, at, "expr-regex", "the pattern is wrong: %s", text);
}

static bool load_names(rki_arena *a, rkp_regex *r)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;

    r->names = rki_array(a, r->groups + 1, sizeof *r->names);
    if (!r->names)
        return false;
    CALL(&r->lib, pcre2_pattern_info)(r->code, PCRE2_INFO_NAMECOUNT, &count);
    CALL(&r->lib, pcre2_pattern_info)(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    CALL(&r->lib, pcre2_pattern_info)(r->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < count; i++, table += size) {
        uint32_t g = (uint32_t)table[0] << 8 | table[1];

        if (g > r->groups)
            continue;
        r->names[g] = rki_dup_str(a, rkp_str_of((const char *)table + 2));
        if (!r->names[g].p)
            return false;
    }
    return true;
}

const rkp_regex *rki_regex_new(rki_arena *a, rkp_diags *d, rkp_str pattern, rkp_loc at, bool exact)
{
    rkp_regex *r = rki_alloc(a, sizeof *r);
    int error = 0;
    size_t offset = 0;
    char text[200];

    if (!r)
        return NULL;
    if (pattern.n > PATTERN_MAX) {
        report(d, pattern, at, false, 0, "it is longer than 64 KiB");
        return NULL;
    }
    if (plain_text(a, pattern, r))
        return r;
    if (rki_arena_failed(a))
        return NULL;
    if (!lib_open(&r->lib)) {
        report(d, pattern, at, false, 0, "libpcre2-8.so.0, which reads it, cannot be loaded");
        return NULL;
    }
    r->code = CALL(&r->lib, pcre2_compile)((PCRE2_SPTR)pattern.p, pattern.n,
                                           PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error,
                                           &offset, NULL);
    if (!r->code) {
        int n = CALL(&r->lib, pcre2_get_error_message)(error, (PCRE2_UCHAR *)text, sizeof text);

        report(d, pattern, at, exact, offset, n > 0 ? text : "it cannot be compiled");
        regex_fini(r);
        return NULL;
    }
    if (!rki_arena_defer(a, regex_fini, r))
        return NULL;
    r->jit = CALL(&r->lib, pcre2_jit_compile)(r->code, PCRE2_JIT_COMPLETE) == 0;
    CALL(&r->lib, pcre2_pattern_info)(r->code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
    return load_names(a, r) ? r : NULL;
}

rkp_regex *rkp_regex_compile(rkp_opt_ctx *mem, rkp_diags *d, rkp_word pattern)
{
    bool one_line = !pattern.n || !memchr(pattern.p, '\n', pattern.n);
    const rkp_regex *r = rki_regex_new(mem->arena, d, rkp_word_str(pattern), pattern.at, one_line);

    if (!r && rki_arena_failed(mem->arena) && d)
        rkp_diag(d, RKP_ERROR, pattern.at, "memory", "not enough memory for the pattern");
    return (rkp_regex *)(uintptr_t)r;
}

uint32_t rkp_regex_groups(const rkp_regex *r)
{
    return r->groups;
}

rkp_str rkp_regex_group_name(const rkp_regex *r, uint32_t g)
{
    return g >= 1 && g <= r->groups && r->names[g].p ? r->names[g] : (rkp_str){ "", 0 };
}

// ---- matching -------------------------------------------------------------------------------------------------------

static bool run_init(rkp_regex_run *m, const rkp_regex *r)
{
    if (!r->lib.handle)
        return true;
    if (!lib_open(&m->lib))
        return false;
    m->groups = r->groups < 16 ? 16 : r->groups;
    m->data = CALL(&m->lib, pcre2_match_data_create)(m->groups + 1, NULL);
    m->context = CALL(&m->lib, pcre2_match_context_create)(NULL);
    if (!m->data || !m->context)
        return false;
    CALL(&m->lib, pcre2_set_match_limit)(m->context, MATCH_LIMIT);
    CALL(&m->lib, pcre2_set_depth_limit)(m->context, DEPTH_LIMIT);
    CALL(&m->lib, pcre2_set_heap_limit)(m->context, HEAP_LIMIT);
    m->stack = CALL(&m->lib, pcre2_jit_stack_create)(STACK_MIN, STACK_MAX, NULL);
    if (!m->stack)
        return false;
    CALL(&m->lib, pcre2_jit_stack_assign)(m->context, NULL, m->stack);
    return true;
}

rkp_regex_run *rkp_regex_run_new(const rkp_regex *r)
{
    rkp_regex_run *m = calloc(1, sizeof *m);

    if (m && !run_init(m, r)) {
        rkp_regex_run_free(m);
        m = NULL;
    }
    return m;
}

void rkp_regex_run_free(rkp_regex_run *m)
{
    if (m && m->lib.handle) {
        CALL(&m->lib, pcre2_jit_stack_free)(m->stack);
        CALL(&m->lib, pcre2_match_context_free)(m->context);
        CALL(&m->lib, pcre2_match_data_free)(m->data);
        dlclose(m->lib.handle);
    }
    free(m);
}

rkp_regex_run *rki_regex_run_fit(rkp_regex_run *m, const rkp_regex *r)
{
    rkp_regex_run *larger;

    if (m && (!r->lib.handle || (m->lib.handle && m->groups >= r->groups)))
        return m;
    larger = rkp_regex_run_new(r);
    if (larger)
        rkp_regex_run_free(m);
    return larger;
}

static int match_text(const rkp_regex *r, rkp_str s, rkp_str *groups, uint32_t n)
{
    const char *p = s.p;

    if (r->at_begin)
        p = s.n >= r->text.n && memcmp(s.p, r->text.p, r->text.n) == 0 ? s.p : NULL;
    else
        p = rki_find(s.p, s.n, r->text.p, r->text.n);
    if (!p)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        groups[i] = i ? (rkp_str){ NULL, 0 } : (rkp_str){ p, r->text.n };
    return 1;
}

int rkp_regex_match(const rkp_regex *r, rkp_regex_run *m, rkp_str s, rkp_str *groups, uint32_t n)
{
    const size_t *at;
    int rc;

    if (!s.p)
        s = (rkp_str){ "", 0 };
    if (!r->lib.handle)
        return match_text(r, s, groups, n);
    rc = r->jit ? CALL(&m->lib, pcre2_jit_match)(r->code, (PCRE2_SPTR)s.p, s.n, 0, 0, m->data, m->context)
                : CALL(&m->lib, pcre2_match)(r->code, (PCRE2_SPTR)s.p, s.n, 0, 0, m->data, m->context);
    if (rc < 0)
        return rc == PCRE2_ERROR_NOMATCH ? 0 : -1;
    at = CALL(&m->lib, pcre2_get_ovector_pointer)(m->data);
    for (uint32_t i = 0; i < n; i++) {
        // \K in a lookahead can put the begin behind the end.
        bool there = i <= r->groups && i < (uint32_t)rc && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];

        groups[i] = there ? (rkp_str){ s.p + at[2 * i], at[2 * i + 1] - at[2 * i] } : (rkp_str){ NULL, 0 };
    }
    return 1;
}
