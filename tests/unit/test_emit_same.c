// Thousands of random expressions as source of a device, compiled by the C compiler (and fewer by the C++ compiler): they
// give what the evaluator gives, bit by bit.  NVRTC reads the same source where it is installed.
//
//   test_emit_same [--all] [SEED]
#include "emit_case.h"
#include "expr/emit.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
enum { RANDOM = 300, MUTANT = 100 };
#else
enum { RANDOM = 2500, MUTANT = 200 };
#endif
static unsigned n_random = RANDOM;
static bool everything;
static uint64_t first_seed = 20240229;

static rkp_pool *pool;
static rkp_frame *frame;
static char scratch[64];

static int set_up(void **state)
{
    (void)state;
    pool = rkp_pool_new(256 << 20);
    frame = pool ? rkp_frame_new(pool) : NULL;
    snprintf(scratch, sizeof scratch, "emit-XXXXXX");
    return frame && mkdtemp(scratch) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[100];

    (void)state;
    rkp_frame_free(frame);
    assert_int_equal(rkp_pool_live(pool), 0);
    rkp_pool_free(pool);
    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    return system(command);
}

static rkp_expr *compile(expr_case *c, const char *text, rkp_want want)
{
    char got[1000];
    rkp_expr *e;

    c->scope.schema = &emit_case_schema;
    e = expr_case_compile(c, text, want);
    if (!e) {
        expr_case_findings(c, got, sizeof got);
        fail_msg("%s: %s", text, got);
    }
    return e;
}

// ---- many at once ---------------------------------------------------------------------------------------------------

typedef struct one {
    char *text;
    rkp_expr *e; // NULL: a cast
    unsigned kind;
    uint8_t from, to; // rkp_kind of a cast
    bool filter;
} one;

typedef struct many {
    expr_case mem;
    one *v;
    unsigned n;
    rki_buf source;
} many;

static const char *type_of(unsigned kind)
{
    return kind == RKP_BOOL                     ? "uint8_t"
           : kind == RKP_U64                    ? "uint64_t"
           : kind == RKP_F64 || kind == RKP_F32 ? "double"
                                                : "int64_t";
}

static unsigned first_column(unsigned kind)
{
    unsigned k = 0;

    while (emit_case_schema.f[k].type.kind != kind)
        k++;
    return k;
}

// A function over all rows, with one name for all: run_7(columns, states, n, values, states).
static void put_runner(many *m, unsigned i)
{
    const one *o = &m->v[i];
    rki_buf *to = &m->source;
    const char *comma = o->filter ? "" : ", ";

    rki_putf(to,
             "%s void run_%u(void *const *c, uint8_t *const *s, unsigned n, void *v, uint8_t *st)\n{\n"
             "    for (unsigned i = 0; i < n; i++)\n        ",
             "RKD_RUN", i);
    if (o->filter)
        rki_putf(to, "(void)v, st[i] = f%u_st(", i);
    else
        rki_putf(to, "((%s *)v)[i] = f%u(&st[i]", type_of(o->kind), i);
    if (!o->e) {
        unsigned c = first_column(o->from);

        rki_putf(to, ", ((const %s *)c[%u])[i], s[%u][i]", type_of(o->from), c, c);
    }
    for (uint32_t c = 0; o->e && c < EMIT_COLS; c++) {
        if (!rkp_expr_reads(o->e, c))
            continue;
        rki_putf(to, "%s((const %s *)c[%u])[i], s[%u][i]", comma, type_of(emit_case_schema.f[c].type.kind), c, c);
        comma = ", ";
    }
    rki_putz(to, ");\n    (void)c, (void)s;\n}\n");
}

static void add(many *m, one o)
{
    char name[20], why[RKI_EMIT_WHY] = "";
    bool ok;

    snprintf(name, sizeof name, "f%u", m->n);
    ok = !o.e       ? rki_emit_cast(o.from, o.to, name, &m->source, why, sizeof why)
         : o.filter ? rki_emit_filter(o.e, name, &m->source, why, sizeof why)
                    : rki_emit_value(o.e, name, &m->source, why, sizeof why);
    if (!ok)
        fail_msg("%s: %s", o.text, why);
    m->v[m->n] = o;
    put_runner(m, m->n++);
}

static void add_text(many *m, const char *text, bool filter)
{
    rkp_expr *e = compile(&m->mem, text, filter ? RKP_WANT_BOOL : RKP_WANT_ANY);

    add(m, (one){ .text = strdup(text), .e = e, .kind = rkp_expr_type(e).kind, .filter = filter });
}

static void add_random(many *m, uint64_t *seed)
{
    static const unsigned kinds[] = { RKP_BOOL, RKP_I64, RKP_U64, RKP_F64, RKP_TIMESTAMP, RKP_BOOL };
    unsigned at = (unsigned)(emit_random(seed) >> 40) % 6;
    rki_buf text;

    rki_buf_init(&text);
    emit_case_text(seed, kinds[at], 1 + (unsigned)(emit_random(seed) >> 40) % 4, &text);
    add_text(m, text.p, at == 5);
    rki_buf_fini(&text);
}

static void add_casts(many *m)
{
    for (unsigned from = RKP_BOOL; from <= RKP_TIMESTAMP; from++) {
        for (unsigned to = RKP_BOOL; to <= RKP_TIMESTAMP; to++) {
            char text[60];

            if (from + to == RKP_BOOL + RKP_TIMESTAMP && (from == RKP_BOOL || to == RKP_BOOL))
                continue;
            snprintf(text, sizeof text, "cast of %s to %s", rkp_kind_name(from), rkp_kind_name(to));
            add(m, (one){ .text = strdup(text), .kind = to, .from = (uint8_t)from, .to = (uint8_t)to });
        }
    }
}

static void many_init(many *m, unsigned cap)
{
    *m = (many){ .v = calloc(cap, sizeof *m->v) };
    assert_non_null(m->v);
    expr_case_init(&m->mem);
    rki_buf_init(&m->source);
}

static void many_fini(many *m)
{
    for (unsigned i = 0; i < m->n; i++)
        free(m->v[i].text);
    free(m->v);
    rki_buf_fini(&m->source);
    expr_case_fini(&m->mem);
}

// ---- the C compiler -------------------------------------------------------------------------------------------------

static char *read_header(void)
{
    static const char path[] = RKP_SOURCE_DIR "/engine/include/rkpipe/device/math.h";
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 200000);

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, 199999, f) > 1000);
    fclose(f);
    return text;
}

static void *build(const many *m, const char *header, const char *name, bool cpp, int level)
{
    const char *tail = cpp ? "cpp" : "c";
    char path[120], command[1200];
    FILE *f;
    void *lib;

    snprintf(path, sizeof path, "%s/%s.%s", scratch, name, tail);
    f = fopen(path, "wb");
    assert_non_null(f);
    fputs(header, f);
    fputs(cpp ? "#define RKD_RUN extern \"C\"\n" : "#define RKD_RUN\n", f);
    fwrite(m->source.p, 1, m->source.n, f);
    fclose(f);
    snprintf(
        command, sizeof command,
        "'%s' %s -O%d -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror -shared -fPIC -o '%s/%s.so' '%s' -lm",
        cpp ? RKP_TEST_CXX : RKP_TEST_CC, cpp ? "-std=c++17" : "-std=c11", level, scratch, name, path);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/%s.so", scratch, name);
    lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        fail_msg("%s", dlerror());
    return lib;
}

typedef void runner(void *const *c, uint8_t *const *s, unsigned n, void *v, uint8_t *st);

static runner *runner_of(void *lib, unsigned i)
{
    char name[30];
    runner *f;

    snprintf(name, sizeof name, "run_%u", i);
    *(void **)&f = dlsym(lib, name);
    assert_non_null(f);
    return f;
}

static bool cast_column(const emit_case *c, const one *o, void *v, uint8_t *st)
{
    rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
    rkp_col flat, col;
    rkp_errs errs = { 0 };
    bool ok = rkp_col_flat(mem, c->batch, first_column(o->from), NULL, EMIT_ROWS, &flat, &errs) == RKP_OK &&
              rkp_col_cast(mem, &flat, EMIT_ROWS, RKP_NTYPE(o->to), &col, &errs) == RKP_OK;

    for (uint32_t i = 0; ok && i < EMIT_ROWS; i++)
        st[i] = rkp_col_is_null(&col, i);
    for (uint32_t i = 0; ok && i < EMIT_ROWS; i++)
        emit_case_read(&col, i, (char *)v + i * (o->to == RKP_BOOL ? 1u : 8u));
    for (uint32_t i = 0; ok && i < errs.n; i++)
        st[errs.v[i].row] = (uint8_t)(1 + errs.v[i].code);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    return ok;
}

static bool same(unsigned kind, const void *a, const void *b)
{
    double x, y;

    if (kind == RKP_BOOL)
        return *(const uint8_t *)a == *(const uint8_t *)b;
    if (kind == RKP_F64 || kind == RKP_F32) {
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        if (isnan(x) && isnan(y))
            return true;
    }
    return memcmp(a, b, 8) == 0;
}

static uint64_t met[3]; // rows with a value, null, in error

// How many functions differ from the evaluator in some row; the first ones are shown.
static unsigned differing(many *m, void *lib, const emit_case *c, bool show)
{
    static uint64_t v[2][EMIT_ROWS];
    static uint8_t st[2][EMIT_ROWS];
    unsigned wrong = 0;

    for (unsigned k = 0; k < m->n; k++) {
        const one *o = &m->v[k];
        size_t w = o->kind == RKP_BOOL ? 1 : 8;
        bool ok = !o->e       ? cast_column(c, o, v[0], st[0])
                  : o->filter ? emit_case_filter(frame, o->e, c->batch, st[0])
                              : emit_case_eval(pool, frame, o->e, c->batch, v[0], st[0]);

        assert_true(ok);
        runner_of(lib, k)(c->c, c->s, EMIT_ROWS, v[1], st[1]);
        for (uint32_t i = 0; i < EMIT_ROWS; i++) {
            const char *a = (const char *)v[0] + i * w, *b = (const char *)v[1] + i * w;

            met[st[0][i] < 2 ? st[0][i] : 2]++;
            if (st[0][i] == st[1][i] && (o->filter || st[0][i] || same(o->kind, a, b)))
                continue;
            if (show && wrong < 10) {
                uint64_t x = 0, y = 0;

                memcpy(&x, a, w);
                memcpy(&y, b, w);
                print_message("%s\n  row %u: state %u value %016llx, and emitted %u %016llx\n", o->text, i, st[0][i],
                              (unsigned long long)x, st[1][i], (unsigned long long)y);
            }
            wrong++;
            break;
        }
    }
    return wrong;
}

// Kinds of nodes that chance seldom finds: constants in odd places, and a tree that is deep.
static void add_chosen(many *m)
{
    static const char *const chosen[] = {
        "round(2.5, i8)",
        "x ?\? 1 // 0",
        "try(1 // 0)",
        "true ? a : b",
        "null ? a : b",
        "-(true ? -1.5 : f)",
        "p && true",
        "p || 1 // a > 0",
        "false || p",
        "hash(null, a)",
        "try(e) ?\? -1",
        "min(f, 0.0, -0.0)",
        "h",
        "i8",
    };
    char deep[4000] = "";

    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        add_text(m, chosen[i], false);
    for (int i = 0; i < 150; i++)
        strcat(deep, i % 2 ? "a < 3 ? b : " : "(p || u > 7) ? i8 : ");
    strcat(deep, "7");
    add_text(m, deep, false);
    add_casts(m);
}

static void random_ones_give_what_the_evaluator_gives(void **state)
{
    uint64_t seed = first_seed;
    char *header = read_header();
    unsigned left = n_random;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned part = 0; left; part++) {
        unsigned n = left < 1250 ? left : 1250;
        emit_case c;
        many m;
        void *lib;

        many_init(&m, n + 300);
        if (part == 0)
            add_chosen(&m);
        for (unsigned i = 0; i < n; i++)
            add_random(&m, &seed);
        lib = build(&m, header, "random", false, 2);
        for (unsigned round = 0; round < 3; round++) {
            assert_true(emit_case_init(&c, pool, &seed));
            assert_int_equal(differing(&m, lib, &c, true), 0);
            emit_case_fini(&c);
        }
        dlclose(lib);
        many_fini(&m);
        left -= n;
    }
    print_message("rows: %llu values, %llu null, %llu in error\n", (unsigned long long)met[0],
                  (unsigned long long)met[1], (unsigned long long)met[2]);
    assert_true(met[0] > met[2] && met[2] > met[0] / 100); // the columns are neither tame nor hopeless
    free(header);
}

// Wrong helpers are seen.
static void mutants_are_found(void **state)
{
    static const struct {
        const char *right, *wrong;
    } mutants[] = {
        { "if (rkd_mulhi_i64(a, b) != (r < 0 ? -1 : 0))", "if (rkd_mulhi_i64(a, b) > 0)" },
        { "if ((((uint64_t)a ^ r) & ((uint64_t)b ^ r)) >> 63)", "if ((((uint64_t)a ^ r) & ((uint64_t)a ^ r)) >> 63)" },
        { "return a > b ? a : b;", "return a < b ? a : b;" },
        { "if (*st == 0)\n        *st = (uint8_t)state;", "*st = (uint8_t)state;" },
        { "return s == RKD_NULL ? (uint8_t)0 : s;", "return s;" },
        { "return rkd_finite(w) ? w : v;", "return w;" },
    };
    char *header = read_header(), *mutant = calloc(1, 200000);
    uint64_t seed = first_seed + 1;
    emit_case c;
    many m;

    (void)state;
    assert_non_null(mutant);
    many_init(&m, MUTANT);
    for (unsigned i = 0; i < MUTANT; i++)
        add_random(&m, &seed);
    assert_true(emit_case_init(&c, pool, &seed));
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        const char *at = strstr(header, mutants[i].right);
        unsigned wrong;
        char name[20];
        void *lib;

        if (!at)
            fail_msg("not in the header: %s", mutants[i].right);
        snprintf(mutant, 200000, "%.*s%s%s", (int)(at - header), header, mutants[i].wrong,
                 at + strlen(mutants[i].right));
        snprintf(name, sizeof name, "mutant%zu", i);
        lib = build(&m, mutant, name, false, 0);
        wrong = differing(&m, lib, &c, false);
        print_message("%s: %u of %u differ\n", mutants[i].wrong, wrong, m.n);
        assert_true(wrong > 0);
        dlclose(lib);
    }
    emit_case_fini(&c);
    many_fini(&m);
    free(header);
    free(mutant);
}

// The simulated device is built by a C++ compiler.
static void it_is_cpp_as_well(void **state)
{
    char *header = read_header();
    uint64_t seed = first_seed + 3;
    emit_case c;
    many m;
    void *lib;

    (void)state;
    if (!RKP_TEST_CXX[0]) {
        print_message("skipped: no C++ compiler\n");
        free(header);
        return;
    }
    many_init(&m, MUTANT + 300);
    add_chosen(&m);
    for (unsigned i = 0; i < MUTANT; i++)
        add_random(&m, &seed);
    lib = build(&m, header, "cpp", true, 1);
    assert_true(emit_case_init(&c, pool, &seed));
    assert_int_equal(differing(&m, lib, &c, true), 0);
    emit_case_fini(&c);
    dlclose(lib);
    many_fini(&m);
    free(header);
}

// ---- NVRTC ----------------------------------------------------------------------------------------------------------

// What we need of nvrtc.h, which is not everywhere that the library is.
typedef struct nvrtc_program *nvrtc_program;
typedef struct nvrtc {
    void *lib;
    int (*version)(int *major, int *minor);
    int (*n_archs)(int *n);
    int (*archs)(int *v);
    int (*create)(nvrtc_program *p, const char *src, const char *name, int n, const char *const *headers,
                  const char *const *names);
    int (*compile)(nvrtc_program p, int n, const char *const *options);
    int (*log_size)(nvrtc_program p, size_t *n);
    int (*log)(nvrtc_program p, char *to);
    int (*destroy)(nvrtc_program *p);
} nvrtc;

static bool nvrtc_open(nvrtc *r)
{
    static const char *const names[] = {
        "libnvrtc.so",
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "/usr/local/cuda/lib64/libnvrtc.so",
        "/usr/local/cuda/targets/x86_64-linux/lib/libnvrtc.so",
    };
    struct {
        const char *name;
        void *to;
    } calls[] = {
        { "nvrtcVersion", &r->version },         { "nvrtcGetNumSupportedArchs", &r->n_archs },
        { "nvrtcGetSupportedArchs", &r->archs }, { "nvrtcCreateProgram", &r->create },
        { "nvrtcCompileProgram", &r->compile },  { "nvrtcGetProgramLogSize", &r->log_size },
        { "nvrtcGetProgramLog", &r->log },       { "nvrtcDestroyProgram", &r->destroy },
    };

    r->lib = NULL;
    for (size_t i = 0; !r->lib && i < sizeof names / sizeof *names; i++)
        r->lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; r->lib && i < sizeof calls / sizeof *calls; i++) {
        void *f = dlsym(r->lib, calls[i].name);

        if (!f)
            return false;
        memcpy(calls[i].to, &f, sizeof f);
    }
    return r->lib != NULL;
}

static void nvrtc_reads(const nvrtc *r, const char *source, int arch)
{
    const char *options[] = { NULL, "--fmad=false", "--std=c++17" };
    nvrtc_program p;
    char option[40], *log;
    size_t n = 0;
    int rc;

    snprintf(option, sizeof option, "--gpu-architecture=compute_%d", arch);
    options[0] = option;
    assert_int_equal(r->create(&p, source, "emitted.cu", 0, NULL, NULL), 0);
    rc = r->compile(p, 3, options);
    assert_int_equal(r->log_size(p, &n), 0);
    log = calloc(1, n + 1);
    assert_non_null(log);
    assert_int_equal(r->log(p, log), 0);
    if (rc != 0 || strspn(log, " \n") != strlen(log))
        fail_msg("%s: %d\n%.3000s", option, rc, log);
    free(log);
    assert_int_equal(r->destroy(&p), 0);
}

// As few as find a construct that it does not like: every function alone, and some at random.
static void nvrtc_compiles_the_same_source_without_a_warning(void **state)
{
    uint64_t seed = first_seed + 2;
    char *header = read_header(), *source;
    int archs[64], n_archs = 0, major, minor;
    size_t size;
    nvrtc r;
    many m;

    (void)state;
    if (!nvrtc_open(&r) || r.n_archs(&n_archs) != 0 || n_archs > 64 || r.archs(archs) != 0) {
        print_message("skipped: no NVRTC\n");
        free(header);
        return;
    }
    assert_int_equal(r.version(&major, &minor), 0);
    many_init(&m, 400);
    add_chosen(&m);
    add_text(&m, "round(f, i8) + round(a, 2)", false);
    add_text(&m, "a in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10) && !(f in (1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5))", true);
    for (unsigned i = 0; i < 60; i++)
        add_random(&m, &seed);
    size = strlen(header) + m.source.n + 200;
    source = calloc(1, size);
    assert_non_null(source);
    snprintf(source, size, "%s#define RKD_RUN extern \"C\" __global__\n%.*s", header, (int)m.source.n, m.source.p);
    print_message("NVRTC %d.%d:", major, minor);
    for (int i = 0; i < n_archs; i++) {
        static const int wanted[] = { 75, 80, 86, 89, 90, 100, 120 };

        for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
            if (archs[i] != wanted[k] || (!everything && wanted[k] % 15)) // 75, 90, 120
                continue;
            nvrtc_reads(&r, source, archs[i]);
            print_message(" compute_%d", archs[i]);
        }
    }
    print_message("\n");
    many_fini(&m);
    free(source);
    free(header); // r.lib stays: what it holds would be called lost
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_ones_give_what_the_evaluator_gives),
        cmocka_unit_test(it_is_cpp_as_well),
        cmocka_unit_test(mutants_are_found),
        cmocka_unit_test(nvrtc_compiles_the_same_source_without_a_warning),
    };

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            n_random = 20000, everything = true;
        else
            first_seed = strtoull(argv[i], NULL, 10) | 1;
    }
    return cmocka_run_group_tests_name("emit_same", tests, set_up, tear_down);
}
