// pubsub_engine FILE [NAME=VALUE ..] [--set A.B=V] [--threads N] [--wait N] [--dead KERNEL] [--dir DIR]: runs a pipeline
// with operators of its own at its ends, and prints what they measured as one JSON object.
//
//   bench.publish  a source: messages of 64 bytes, one row each, `batch` in one publish; at once, or one every so often,
//                  or never (idle)
//   bench.take     a sink: reads every message, checks that none is missing, and how long it was on its way when its
//                  publisher does not go as fast as it can
//   bench.turn     sends a message back and forth
//
// What is timed begins with the first publish and ends when N (--wait, default 1) of the bench.take have their `rows`:
// neither starting nor ending the pipeline is in it.  --dead: that kernel is terminated then, so that the pipeline can
// end.  --futex N US: no pipeline, but how long a thread that waits on a futex takes to wake, N times, one every US
// microseconds.
#include "run/control.h"
#include <rkpipe/op.h>

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 8, MOST_TAKES = 16, MOST_SOURCES = 16, MOST_VARS = 32, SAMPLES = 1 << 20 };
enum { W_SEQ, W_NS, W_SOURCE }; // words of a message: number, when it was published (0: not noted), by whom

static const rkp_field fields[] = { { { "payload", 7 }, { .kind = RKP_U64, .len = WORDS } } };
static const rkp_schema messages = { 1, fields };

// What is measured; the operators of one run meet here.
struct taken {
    const char *kernel;
    uint64_t rows, wrong, disorder, first_ns, last_ns;
    uint32_t *us16; // a sixteenth of a microsecond each
    uint32_t n;
};
static struct taken takes[MOST_TAKES];
static uint32_t n_takes, n_sources;                      // atomic
static uint32_t waited_for = 1, arrived;                 // arrived: atomic: takes that have their rows
static uint64_t begin_ns, end_ns, turns, turn_ns;        // atomic: begin, end
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of over
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool over;

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void tell_over(void)
{
    pthread_mutex_lock(&lock);
    over = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void all_there(uint64_t ns)
{
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) != waited_for)
        return;
    __atomic_store_n(&end_ns, ns, __ATOMIC_SEQ_CST);
    tell_over();
}

// A batch of n messages, zeros; *v is where their words are.
static rkp_batch *new_messages(rkp_actor *a, uint32_t n, uint64_t **v)
{
    size_t bytes = (size_t)n * WORDS * sizeof **v;
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), &messages, 1, bytes);
    *v = b ? rkp_batch_alloc(b, bytes) : NULL;
    if (!*v) {
        rkp_batch_put(b);
        return NULL;
    }
    memset(*v, 0, bytes);
    rkp_col_set_values(b, 0, fields[0].type, *v, NULL, n);
    b->rows = n;
    return b;
}

static const uint64_t *message(const rkp_batch *b, uint32_t row)
{
    return (const uint64_t *)b->cols[0].values + (size_t)rkp_col_row(&b->cols[0], row) * WORDS;
}

// ---- bench.publish --------------------------------------------------------------------------------------------------

enum { IDLE_NO, IDLE_TIMER, IDLE_READ };

struct publish {
    uint64_t rows, batch, every_ns; // options
    int idle;
    uint64_t next, due_ns, source;
    int pipe[2];
    bool begun, piped;
};

static const rkp_choice idle_names[] = {
    { "no", IDLE_NO, "it publishes" },
    { "timer", IDLE_TIMER, "it sleeps until its time comes" },
    { "read", IDLE_READ, "it waits for input that does not come" },
    { 0 },
};

#define P(field) offsetof(struct publish, field)
static const rkp_opt publish_opts[] = {
    { .name = "rows", .type = &rkp_uint, .at = P(rows), .def = "0", .help = "how many; 0: without end" },
    { .name = "batch", .type = &rkp_uint, .at = P(batch), .def = "1", .help = "messages in one publish" },
    { .name = "every", .type = &rkp_duration, .at = P(every_ns), .def = "0s", .help = "between two; 0: at once" },
    { .name = "idle",
      .type = &rkp_choice_type,
      .at = P(idle),
      .def = "no",
      .choices = idle_names,
      .help = "does it publish at all" },
    { 0 },
};

static rkp_status publish_bind(void *self, rkp_bind *b)
{
    const struct publish *p = self;
    rkp_bind_out(b, 0, messages);
    if (!p->rows)
        rkp_bind_endless(b);
    return RKP_OK;
}

static rkp_status publish_init(void *self, rkp_actor *a)
{
    struct publish *p = self;
    (void)a;
    p->source = __atomic_fetch_add(&n_sources, 1, __ATOMIC_SEQ_CST) % MOST_SOURCES;
    p->piped = p->idle == IDLE_READ && pipe(p->pipe) == 0;
    return RKP_OK;
}

static rkp_verdict wait_in_vain(struct publish *p, rkp_actor *a)
{
    if (p->piped) {
        rkp_wait_readable(a, p->pipe[0]);
        return RKP_DONE;
    }
    rkp_wake_at(a, rkp_now_ns(a) + 1000000000u);
    return rkp_stopping(a) ? RKP_DONE : RKP_RETRY;
}

static rkp_verdict publish_poll(void *self, rkp_actor *a)
{
    struct publish *p = self;
    uint64_t n = p->rows && p->rows - p->next < p->batch ? p->rows - p->next : p->batch, *v, now = 0;
    rkp_batch *b;
    if (p->idle)
        return wait_in_vain(p, a);
    if (rkp_stopping(a))
        return RKP_DONE;
    if (p->every_ns) {
        now = now_ns();
        if (now < p->due_ns) {
            rkp_wake_at(a, p->due_ns);
            return RKP_RETRY;
        }
        p->due_ns = (p->due_ns && p->due_ns + p->every_ns > now ? p->due_ns : now) + p->every_ns;
    }
    if (!p->begun) {
        uint64_t none = 0;
        p->begun = true;
        __atomic_compare_exchange_n(&begin_ns, &none, now_ns(), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    b = new_messages(a, (uint32_t)n, &v);
    if (!b)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    if (now)
        now = now_ns();
    for (uint64_t i = 0; i < n; i++, v += WORDS) {
        v[W_SEQ] = p->next++;
        v[W_NS] = now;
        v[W_SOURCE] = p->source;
    }
    rkp_emit(a, 0, b);
    return p->rows && p->next == p->rows ? RKP_DONE : RKP_MORE;
}

static void publish_fini(void *self)
{
    struct publish *p = self;
    for (int i = 0; p->piped && i < 2; i++)
        close(p->pipe[i]);
}

static const rkp_op op_publish = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "bench.publish",
    .kind = RKP_SOURCE,
    .summary = "Publishes messages of 64 bytes.",
    .traits = RKP_FINITE | RKP_DETERMINISTIC,
    .self_size = sizeof(struct publish),
    .opts = publish_opts,
    .bind = publish_bind,
    .init = publish_init,
    .poll = publish_poll,
    .fini = publish_fini,
};

static const rkp_op op_wait = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "bench.wait",
    .kind = RKP_SOURCE,
    .summary = "The same, of which the engine knows that it may wait in its poll.",
    .traits = RKP_BLOCKING | RKP_FINITE | RKP_DETERMINISTIC,
    .self_size = sizeof(struct publish),
    .opts = publish_opts,
    .bind = publish_bind,
    .init = publish_init,
    .poll = publish_poll,
    .fini = publish_fini,
};

// ---- bench.take -----------------------------------------------------------------------------------------------------

struct take {
    uint64_t rows, work_ns; // options
    bool gaps;
    struct taken *to;
    uint64_t next[MOST_SOURCES], stamp;
};

#define T(field) offsetof(struct take, field)
static const rkp_opt take_opts[] = {
    { "rows", &rkp_uint, T(rows), .def = "0", .help = "messages that are waited for; 0: it does not count" },
    { "work", &rkp_duration, T(work_ns), .def = "0s", .help = "how long it works on a batch" },
    { "gaps", &rkp_bool, T(gaps), .def = "false", .help = "messages may be missing" },
    { 0 },
};

static rkp_status take_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_read_all(b);
    return RKP_OK;
}

static rkp_status take_init(void *self, rkp_actor *a)
{
    struct take *t = self;
    uint32_t at = __atomic_fetch_add(&n_takes, 1, __ATOMIC_SEQ_CST);
    if (at >= MOST_TAKES)
        return rkp_fail(a, RKP_INVALID, "too many of them") == RKP_FAIL ? RKP_INVALID : RKP_OK;
    t->to = &takes[at];
    t->to->kernel = rkp_actor_kernel(a);
    return RKP_OK;
}

static void note_time(struct taken *to, uint64_t ns)
{
    if (!to->us16 && !(to->us16 = malloc(SAMPLES * sizeof *to->us16)))
        return;
    if (to->n < SAMPLES)
        to->us16[to->n++] = (uint32_t)(ns * 16 / 1000);
}

static rkp_verdict take_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct take *t = self;
    struct taken *to = t->to;
    uint64_t now = 0, stamp = rkp_actor_meta(a)->stamp;
    (void)port;
    to->disorder += stamp < t->stamp;
    t->stamp = stamp;
    for (uint32_t i = 0; i < b->rows; i++) {
        const uint64_t *m = message(b, i);
        uint64_t *next = &t->next[m[W_SOURCE] % MOST_SOURCES];
        to->wrong += t->gaps ? m[W_SEQ] < *next : m[W_SEQ] != *next;
        *next = m[W_SEQ] + 1;
        if (m[W_NS]) {
            now = now ? now : now_ns();
            note_time(to, now - m[W_NS]);
        }
    }
    if (t->work_ns)
        for (uint64_t until = now_ns() + t->work_ns; now_ns() < until;)
            ;
    to->rows += b->rows;
    rkp_absorb(a, b->rows);
    if (t->rows && to->rows >= t->rows && to->rows - b->rows < t->rows) {
        to->last_ns = now_ns();
        all_there(to->last_ns);
    }
    return RKP_DONE;
}

static const rkp_op op_take = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "bench.take",
    .kind = RKP_SINK,
    .summary = "Takes messages and checks that none is missing.",
    .traits = RKP_ROWWISE,
    .self_size = sizeof(struct take),
    .opts = take_opts,
    .bind = take_bind,
    .init = take_init,
    .on_batch = take_on_batch,
};

// ---- bench.turn -----------------------------------------------------------------------------------------------------

struct turn {
    uint64_t turns; // option: so many turns are made, then no message goes on; 0: it only sends back
    uint64_t from_ns;
};

static const rkp_opt turn_opts[] = {
    { "turns", &rkp_uint, offsetof(struct turn, turns), .def = "0", .help = "round trips that it begins" },
    { 0 },
};

static rkp_status turn_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out(b, 0, messages);
    rkp_bind_read_all(b);
    return RKP_OK;
}

static rkp_verdict turn_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct turn *t = self;
    uint64_t seq = message(b, 0)[W_SEQ], *v;
    rkp_batch *out;
    (void)port;
    if (t->turns && !t->from_ns)
        t->from_ns = now_ns();
    if (t->turns && seq == t->turns) {
        turn_ns = now_ns() - t->from_ns;
        turns = seq;
        rkp_absorb(a, b->rows);
        tell_over();
        return RKP_DONE;
    }
    out = new_messages(a, 1, &v);
    if (!out)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    v[W_SEQ] = seq + (t->turns != 0);
    rkp_emit(a, 0, out);
    return RKP_DONE;
}

static const rkp_op op_turn = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "bench.turn",
    .kind = RKP_TRANSFORM,
    .summary = "Sends a message back and forth.",
    .traits = RKP_ROWWISE,
    .self_size = sizeof(struct turn),
    .opts = turn_opts,
    .bind = turn_bind,
    .on_batch = turn_on_batch,
};

// ---- a thread that waits on a futex ---------------------------------------------------------------------------------

static uint32_t bell __attribute__((aligned(64))); // atomic, futex
static uint64_t rung_ns;                           // atomic

static void *wait_for_bell(void *arg)
{
    uint32_t n = *(const uint32_t *)arg;
    for (uint32_t i = 0; i < n; i++) {
        while (__atomic_load_n(&bell, __ATOMIC_SEQ_CST) == i)
            syscall(SYS_futex, &bell, FUTEX_WAIT_PRIVATE, i, NULL, NULL, 0);
        note_time(&takes[0], now_ns() - __atomic_load_n(&rung_ns, __ATOMIC_SEQ_CST));
    }
    return NULL;
}

static int ring_bells(uint32_t n, uint64_t every_us)
{
    pthread_t thread;
    uint32_t never = 0;
    takes[0].kernel = "futex";
    n_takes = 1;
    if (pthread_create(&thread, NULL, wait_for_bell, &n) != 0)
        return 1;
    for (uint32_t i = 0; i < n; i++) {
        struct timespec ts = { .tv_nsec = (long)every_us * 1000 };
        syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0); // as a source that waits for its time does
        __atomic_store_n(&rung_ns, now_ns(), __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&bell, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, &bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    pthread_join(thread, NULL);
    takes[0].rows = n;
    return 0;
}

// ---- running --------------------------------------------------------------------------------------------------------

struct watch {
    rki_run *run;
    const char *dead;
    bool stream;
};

// When everything has arrived: what would keep the pipeline from ending is ended.
static void *end_it(void *arg)
{
    const struct watch *w = arg;
    char text[256];
    pthread_mutex_lock(&lock);
    while (!over)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    if (w->dead)
        rki_run_command(w->run, rkp_str_of(w->dead), RKI_TERMINATE, now_ns() + 10000000000u, text, sizeof text);
    if (w->stream)
        rki_run_drain(w->run);
    return NULL;
}

static int by_value(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

static double part(const struct taken *t, double q)
{
    return t->n ? t->us16[(uint32_t)(q * (t->n - 1) + 0.5)] / 16.0 : 0;
}

static void print_result(double cpu_ns)
{
    uint64_t rows = 0, wrong = 0, disorder = 0;
    double ns = end_ns > begin_ns ? (double)(end_ns - begin_ns) : 0;
    printf("{\"kernels\":{");
    for (uint32_t i = 0; i < n_takes && i < MOST_TAKES; i++) {
        struct taken *t = &takes[i];
        rows += t->last_ns ? t->rows : 0;
        wrong += t->wrong;
        disorder += t->disorder;
        printf("%s\"%s\":{\"rows\":%llu", i ? "," : "", t->kernel, (unsigned long long)t->rows);
        if (t->n) {
            qsort(t->us16, t->n, sizeof *t->us16, by_value);
            printf(",\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f", part(t, 0.5),
                   part(t, 0.9), part(t, 0.99), part(t, 0.999), part(t, 1));
        }
        printf("}");
    }
    printf("},\"deliveries\":%llu,\"ns\":%.0f,\"m_per_s\":%.4f,\"wrong\":%llu,\"disorder\":%llu,\"cpu_ns\":%.0f",
           (unsigned long long)rows, ns, ns > 0 ? (double)rows / ns * 1e3 : 0, (unsigned long long)wrong,
           (unsigned long long)disorder, cpu_ns);
    if (turns)
        printf(",\"turns\":%llu,\"turn_ns\":%.2f", (unsigned long long)turns, (double)turn_ns / (double)turns);
    printf("}\n");
}

static const rkp_backend *cpu(void)
{
    for (int i = 0; rkp_backends[i]; i++)
        if (strcmp(rkp_backends[i]->name, "cpu") == 0)
            return rkp_backends[i];
    return NULL;
}

// The registry and the operators of this file.
static const rkp_op **operators(void)
{
    static const rkp_op *const own[] = { &op_publish, &op_wait, &op_take, &op_turn };
    size_t n = 0, n_own = sizeof own / sizeof *own;
    const rkp_op **v;
    while (rkp_ops[n])
        n++;
    v = calloc(n + n_own + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = rkp_ops[i];
    for (size_t i = 0; v && i < n_own; i++)
        v[n + i] = own[i];
    return v;
}

static int run(const rki_spec_args *args, const char *dir, const char *dead)
{
    rkp_diags *d = rki_diags_new();
    rki_spec *s = d ? rki_spec_load(args, d) : NULL;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    rki_plan_args pa = { .cores = cores > 0 ? (uint32_t)cores : 1, .memory = 4ull << 30, .probe = true };
    rki_run_args ra = { .backend = cpu(), .data_dir = dir };
    rki_plan *p = s ? rki_plan_new(s, &pa, d) : NULL;
    struct watch w = { .dead = dead };
    rki_totals totals = { 0 };
    char err[256] = "";
    pthread_t thread;
    int code = RKI_EXIT_INVALID;
    if (!p) {
        rki_buf b;
        rki_buf_init(&b);
        rki_diags_text(d, &b, false);
        fprintf(stderr, "%.*s", (int)b.n, b.p);
        rki_buf_fini(&b);
    } else if (rki_run_new(p, &ra, &w.run, err, sizeof err) != RKP_OK) {
        fprintf(stderr, "pubsub_engine: %s\n", err);
        code = 1;
    } else {
        w.stream = p->stream;
        if (pthread_create(&thread, NULL, end_it, &w) != 0)
            return 1;
        code = rki_run_execute(w.run);
        if (code != 0)
            fprintf(stderr, "pubsub_engine: exit %d: %s\n", code, rki_run_failure(w.run));
        tell_over();
        pthread_join(thread, NULL);
        rki_run_totals(w.run, &totals);
        print_result((double)totals.cpu_ns);
    }
    rki_run_free(w.run);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    return code;
}

int main(int argc, char **argv)
{
    rki_kv vars[MOST_VARS], sets[MOST_VARS];
    rki_spec_args args = { .vars = vars, .sets = sets, .ops = operators(), .engine_op = &rki_op_engine };
    const char *dead = NULL, *dir = "/tmp";
    uint64_t wrong = 0;
    int code;
    if (argc == 4 && strcmp(argv[1], "--futex") == 0) {
        code = ring_bells((uint32_t)strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
        print_result(0);
        return code;
    }
    for (int i = 1; i < argc; i++) {
        char *is = strchr(argv[i], '=');
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--threads") == 0 && more && args.n_sets < MOST_VARS) {
            sets[args.n_sets++] = (rki_kv){ "engine.threads", argv[++i] };
        } else if (strcmp(argv[i], "--set") == 0 && more && (is = strchr(argv[i + 1], '=')) &&
                   args.n_sets < MOST_VARS) {
            *is = 0;
            sets[args.n_sets++] = (rki_kv){ argv[++i], is + 1 };
        } else if (strcmp(argv[i], "--dead") == 0 && more) {
            dead = argv[++i];
        } else if (strcmp(argv[i], "--wait") == 0 && more) {
            waited_for = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--dir") == 0 && more) {
            dir = argv[++i];
        } else if (is && args.n_vars < MOST_VARS) {
            *is = 0;
            vars[args.n_vars++] = (rki_kv){ argv[i], is + 1 };
        } else if (!args.file) {
            args.file = argv[i];
        } else {
            args.file = NULL;
            break;
        }
    }
    if (!args.file || !args.ops) {
        fprintf(stderr,
                "usage: pubsub_engine FILE [NAME=VALUE ..] [--set A.B=V] [--threads N] [--wait N] [--dead KERNEL]\n"
                "       [--dir DIR]\n"
                "       pubsub_engine --futex N MICROSECONDS\n");
        return 64;
    }
    code = run(&args, dir, dead);
    for (uint32_t i = 0; i < n_takes && i < MOST_TAKES; i++) {
        wrong += takes[i].wrong;
        free(takes[i].us16);
    }
    free(args.ops == NULL ? NULL : (void *)(uintptr_t)args.ops);
    return code ? code : wrong ? 1 : 0;
}
