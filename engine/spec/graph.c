// graph.c - edges: who reads whom, through which port; circles; kernels that nobody reads.
#include "spec/load.h"

enum { NONE = -1, PATH_NAMES = 12, CYCLES = 20 };

struct graph {
    rki_load *l;
    rki_spec *s;
    const rki_graph_in *in;
    rki_names kernels, off, lost;
    size_t *first_port; // per kernel: number of its first port among all
    uint32_t *read_by;  // per port: 1 + the last kernel that reads it
    unsigned n_cycles;
    bool *read;       // per kernel: somebody reads it
    bool *after_dead; // per kernel: rows of the dead-letter kernel come here
};

// ---- names

static int kernel_named(const struct graph *g, rkp_str name)
{
    return rki_names_find(&g->kernels, name);
}

static bool is_off(const struct graph *g, rkp_str name)
{
    return rki_names_find(&g->off, name) >= 0;
}

static bool is_lost(const struct graph *g, rkp_str name)
{
    return rki_names_find(&g->lost, name) >= 0;
}

// "did you mean", from ids that share the first letter or so: the list is bounded.
static void hint_kernel(const struct graph *g, rkp_str name)
{
    const char *names[200 + 1], *near;
    size_t n = 0;

    for (size_t i = 0; i < g->s->n_kernels && n < 200; i++)
        names[n++] = g->s->kernels[i].id.p;
    names[n] = NULL;
    near = rki_opt_nearest(g->l->d, name, names);
    if (near)
        rkp_diag_hint(g->l->d, "did you mean '%s'?", near);
}

static rkp_loc part(rkp_word w, size_t at, size_t len)
{
    rkp_loc l = w.at;

    if (w.at.len == w.n) { // ids are ASCII: the text stands in the file as it is
        l.col += (uint32_t)at;
        l.len = (uint32_t)len;
    }
    return l;
}

static void from_unknown(const struct graph *g, rkp_word w, rkp_str id)
{
    rkp_diag(g->l->d, RKP_ERROR, part(w, 0, id.n), "from-unknown", "no kernel is named '%.*s'",
             (int)(id.n < 60 ? id.n : 60), w.p);
    hint_kernel(g, id);
}

const char *rki_load_port_list(rki_load *l, const rki_kernel *k)
{
    rki_buf b;
    const char *z;

    rki_buf_init(&b);
    for (size_t i = 0; i < k->n_ports; i++)
        rki_putf(&b, "%s%s", i == 0 ? "" : i + 1 == k->n_ports ? " and " : ", ", k->ports[i].p);
    z = b.failed || !b.p ? "" : rki_dup(l->arena, b.p, b.n);
    rki_buf_fini(&b);
    return z ? z : "";
}

// Which port of k does the word mean?  NONE and a finding when none.
static int port_of(const struct graph *g, const rki_kernel *k, bool known, rkp_word w, size_t dot)
{
    rkp_str name = { w.p + dot + 1, dot < w.n ? w.n - dot - 1 : 0 };
    rkp_diags *d = g->l->d;

    if (k->op->kind == RKP_SINK) {
        rkp_diag(d, RKP_ERROR, w.at, "from-sink", "kernel '%s' is a sink (%s) and has no output", k->id.p, k->op->name);
        return NONE;
    }
    if (!known)
        return NONE; // its options are wrong: that has been said
    if (dot < w.n) {
        for (size_t i = 0; i < k->n_ports; i++)
            if (rkp_str_eq(rkp_word_str(k->ports[i]), name))
                return (int)i;
        rkp_diag(d, RKP_ERROR, part(w, dot + 1, name.n), "port-unknown", "kernel '%s' (%s) has no port '%.*s'", k->id.p,
                 k->op->name, RKP_STR_ARG(name));
        if (k->n_ports == 1 && !k->op->ports)
            rkp_diag_hint(d, "it has one output: write '%s'", k->id.p);
        else if (k->n_ports)
            rkp_diag_hint(d, "its ports are %s", rki_load_port_list(g->l, k));
        return NONE;
    }
    if (k->op->ports) {
        rkp_diag(d, RKP_ERROR, w.at, "port-which", "kernel '%s' (%s) has several ports", k->id.p, k->op->name);
        if (k->n_ports)
            rkp_diag_hint(d, "say which, as in '%s.%s': it has %s", k->id.p, k->ports[k->n_ports - 1].p,
                          rki_load_port_list(g->l, k));
        return NONE;
    }
    return 0;
}

// What a kernel reads that is too wrong to take part.
static void lost_edge(const struct graph *g, rkp_word w)
{
    const char *dot = memchr(w.p, '.', w.n);
    rkp_str id = { w.p, dot ? (size_t)(dot - w.p) : w.n };

    if (kernel_named(g, id) == NONE && !is_off(g, id) && !is_lost(g, id))
        from_unknown(g, w, id);
}

static void edge(struct graph *g, uint32_t at, rkp_word w, size_t *off)
{
    rki_kernel *k = &g->s->kernels[at];
    const char *dot = memchr(w.p, '.', w.n);
    size_t n = dot ? (size_t)(dot - w.p) : w.n;
    rkp_str id = { w.p, n };
    int from = kernel_named(g, id), port;
    uint32_t *reader;

    if (from == NONE && is_off(g, id)) {
        ++*off;
        return;
    }
    if (from == NONE && is_lost(g, id))
        return;
    if (from == NONE) {
        from_unknown(g, w, id);
        return;
    }
    g->read[from] = true;
    port = port_of(g, &g->s->kernels[from], g->in->ports_known[from], w, n);
    if (port == NONE)
        return;
    reader = &g->read_by[g->first_port[from] + (size_t)port];
    if (*reader == at + 1) {
        rkp_diag(g->l->d, RKP_ERROR, w.at, "from-twice", "kernel '%s' reads '%.*s' twice", k->id.p, (int)w.n, w.p);
        return;
    }
    *reader = at + 1;
    k->from[k->n_from++] = (rki_input){ .text = w, .kernel = (uint32_t)from, .port = (uint32_t)port };
}

// Does the kernel have inputs where it must, and none where it cannot?
static void inputs(struct graph *g, uint32_t at, const rki_graph_from *from, size_t off, bool dead)
{
    rki_kernel *k = &g->s->kernels[at];
    rkp_diags *d = g->l->d;

    if (k->op->kind == RKP_SOURCE) {
        if (from->given)
            rkp_diag(d, RKP_ERROR, from->at, "source-from", "kernel '%s' is a source (%s) and reads no other kernel",
                     k->id.p, k->op->name);
        if (dead)
            rkp_diag(d, RKP_ERROR, g->s->dead_letter_at, "dead-letter",
                     "kernel '%s' is a source (%s) and takes no dead letters", k->id.p, k->op->name);
        return;
    }
    if (from->w.n == 0 && !dead && !k->n_subs) {
        if (from->bad)
            return;
        rkp_diag(d, RKP_ERROR, from->given ? from->at : k->at, "from-missing", "kernel '%s' (%s) reads nothing",
                 k->id.p, k->op->name);
        rkp_diag_hint(d, "say which kernel it reads: from: [KERNEL], or which topic: subscribe: TOPIC");
    } else if (off && off == from->w.n && !dead && !k->n_subs) {
        rkp_diag(d, RKP_ERROR, from->at, "from-off", "every kernel that '%s' reads is disabled", k->id.p);
        rkp_diag_hint(d, "disable it too: enabled: false");
    }
}

// ---- circles

struct walk {
    uint32_t kernel;
    size_t next; // input to look at
};

// Names the circle that ends with the walk's last step back to `to`.
static void report_cycle(struct graph *g, const struct walk *w, size_t depth, uint32_t to, rkp_loc at)
{
    size_t first = depth - 1, n;
    rki_buf b;

    if (++g->n_cycles > CYCLES)
        return;
    while (first > 0 && w[first].kernel != to)
        first--;
    n = depth - first;
    rki_buf_init(&b);
    rki_putf(&b, "%s", g->s->kernels[to].id.p); // data flows against the walk
    for (size_t i = 0; i < n; i++) {
        if (i == PATH_NAMES && n > PATH_NAMES + 1) {
            rki_putz(&b, " -> ..");
            i = n - 2;
            continue;
        }
        rki_putf(&b, " -> %s", g->s->kernels[w[depth - 1 - i].kernel].id.p);
    }
    g->l->arena->failed |= b.failed;
    if (!b.failed)
        rkp_diag(g->l->d, RKP_ERROR, at, "cycle-blocks", "kernels read each other in a circle: %.*s", (int)b.n, b.p);
    rkp_diag_hint(g->l->d,
                  "every edge here blocks when it is full, so the circle would stop for ever; give a kernel of it "
                  "another 'queue: { overflow: .. }' (and no limit to what may spill)");
    rki_buf_fini(&b);
}

// Does a full edge make its producer wait?  What is not said is settled by the plan: topics block unless it streams.  A log
// on disk that has a limit may be full, too.
static bool blocks(const struct graph *g, const rki_input *in)
{
    bool limited = in->spill_bytes && (in->overflow == RKI_OVERFLOW_SPILL || in->overflow == RKI_OVERFLOW_DEFAULT);

    return limited || in->overflow == RKI_OVERFLOW_BLOCK ||
           (in->overflow == RKI_OVERFLOW_DEFAULT && g->s->run.mode != RKI_MODE_STREAM);
}

// Depth first along `from`, without recursion: a chain may be as long as the file.
static void find_cycles(struct graph *g)
{
    size_t n = g->s->n_kernels;
    char *state = rki_alloc(g->l->arena, n); // 0 new, 1 on the walk, 2 done
    struct walk *w = rki_array(g->l->arena, n, sizeof *w);

    for (uint32_t start = 0; state && w && start < n; start++) {
        size_t depth = 0;

        if (state[start])
            continue;
        w[depth++] = (struct walk){ start, 0 };
        state[start] = 1;
        while (depth) {
            struct walk *top = &w[depth - 1];
            const rki_kernel *k = &g->s->kernels[top->kernel];
            const rki_input *in;

            if (top->next == k->n_from) {
                state[top->kernel] = 2;
                depth--;
                continue;
            }
            in = &k->from[top->next++];
            if (in->reply || !blocks(g, in))
                continue; // replies have an end of their own, and a call takes them whatever else waits
            if (state[in->kernel] == 1) {
                report_cycle(g, w, depth, in->kernel, in->text.at);
            } else if (state[in->kernel] == 0) {
                state[in->kernel] = 1;
                w[depth++] = (struct walk){ in->kernel, 0 };
            }
        }
    }
}

// ---- dead letters

static void dead_topic(struct graph *g, rkp_word w)
{
    rki_topic_findings f = { 0 };
    bool found = false;

    if (!rki_topic_check(RKI_TOPIC_NAME, rkp_word_str(w), &f)) {
        rki_topic_refuse(g->l, w, &f);
        return;
    }
    g->s->dead_topic = w;
    for (size_t i = 0; i < g->s->n_kernels; i++) {
        for (size_t j = 0; j < g->s->kernels[i].n_subs; j++) {
            const rki_subscription *sub = &g->s->kernels[i].subs[j];

            if (!rki_topic_match(rkp_word_str(sub->topic), rkp_word_str(w)))
                continue;
            if (g->s->kernels[i].id.p[0] == '$') {
                rkp_diag(g->l->d, RKP_ERROR, sub->topic.at, "not-supported",
                         "alerts that watch dead letters are not supported yet, and '%s' matches their topic '%s'",
                         sub->topic.p, w.p);
                rkp_diag_hint(g->l->d, "expr: rate(rkpipe_dead_letter_rows_total[1m]) > 0");
                continue;
            }
            g->s->takes_dead[i] = 1;
            found = true;
            if (sub->group.p)
                rkp_diag(g->l->d, RKP_ERROR, sub->group.at, "not-supported",
                         "a group cannot share dead letters yet, and '%s' matches their topic '%s': not supported yet",
                         sub->topic.p, w.p);
        }
    }
    g->s->dead_letters |= found;
    if (!found)
        rkp_diag(g->l->d, RKP_ERROR, w.at, "dead-letter", "nobody subscribes to the dead-letter topic '%s'", w.p);
}

static void find_dead_letter(struct graph *g)
{
    rkp_word w = g->in->dead_letter.kernel, topic = g->in->dead_letter.topic;
    int i;

    g->s->dead_letter_at = topic.p ? topic.at : w.at;
    if (w.p && topic.p) {
        rkp_diag(g->l->d, RKP_ERROR, topic.at, "dead-letter",
                 "'dead_letter' has a kernel and a topic; it needs one of them");
        return;
    }
    g->s->dead_store = g->in->dead_letter.store;
    g->s->dead_letters = g->s->dead_store.bytes != 0;
    if (topic.p)
        dead_topic(g, topic);
    if (!w.p)
        return;
    i = kernel_named(g, rkp_word_str(w));
    if (i >= 0) {
        g->s->takes_dead[i] = 1;
        g->s->dead_letters = true;
        return;
    }
    if (is_off(g, rkp_word_str(w))) {
        rkp_diag(g->l->d, RKP_ERROR, w.at, "dead-letter", "the dead-letter kernel '%s' is disabled", w.p);
        return;
    }
    rkp_diag(g->l->d, RKP_ERROR, w.at, "dead-letter", "no kernel is named '%s'", w.p);
    hint_kernel(g, rkp_word_str(w));
}

// Kernels that rows of the dead-letter kernel reach.  Forward over all edges until nothing changes would be quadratic
// in a chain, so the edges are turned round first.
static void mark_after_dead(struct graph *g)
{
    size_t n = g->s->n_kernels, edges = 0, depth = 0;
    uint32_t *first, *to, *stack;

    if (!g->s->dead_letters)
        return;
    for (size_t i = 0; i < n; i++)
        edges += g->s->kernels[i].n_from;
    first = rki_array(g->l->arena, n + 2, sizeof *first);
    to = rki_array(g->l->arena, edges + 1, sizeof *to);
    stack = rki_array(g->l->arena, n + 1, sizeof *stack);
    if (!first || !to || !stack)
        return;
    for (size_t i = 0; i < n; i++)
        for (size_t e = 0; e < g->s->kernels[i].n_from; e++)
            first[g->s->kernels[i].from[e].kernel + 2]++;
    for (size_t i = 2; i < n + 2; i++)
        first[i] += first[i - 1];
    for (uint32_t i = 0; i < n; i++)
        for (size_t e = 0; e < g->s->kernels[i].n_from; e++)
            to[first[g->s->kernels[i].from[e].kernel + 1]++] = i;
    for (uint32_t i = 0; i < n; i++) {
        if (g->s->takes_dead[i]) {
            stack[depth++] = i;
            g->after_dead[i] = true;
        }
    }
    while (depth) {
        uint32_t k = stack[--depth];

        for (uint32_t e = first[k]; e < first[k + 1]; e++)
            if (!g->after_dead[to[e]]) {
                g->after_dead[to[e]] = true;
                stack[depth++] = to[e];
            }
    }
}

static void check_errors(struct graph *g, uint32_t at)
{
    rki_kernel *k = &g->s->kernels[at];
    bool dead = k->on_error.action == RKI_ERR_DEAD_LETTER;

    if (dead && !g->in->dead_letter.kernel.p && !g->in->dead_letter.topic.p && !g->s->dead_store.bytes) {
        rkp_diag(g->l->d, RKP_ERROR, k->on_error.at, "dead-letter-none",
                 "kernel '%s' has no dead-letter target to send to", k->id.p);
        rkp_diag_hint(g->l->d, "name one at the top of the file: dead_letter: {kernel: ID}");
    } else if (dead && g->after_dead[at]) {
        rkp_diag(g->l->d, RKP_ERROR, k->on_error.at, "dead-letter-loop",
                 "rows of the dead-letter kernel come here, so '%s' cannot send to it", k->id.p);
        rkp_diag_hint(g->l->d, "write on_error: drop or on_error: fail");
    }
    if (k->on_error.action == RKI_ERR_DEFAULT)
        k->on_error.action = g->s->dead_letters && !g->after_dead[at] ? RKI_ERR_DEAD_LETTER : RKI_ERR_FAIL;
}

// ---- outputs

static void unused(const struct graph *g)
{
    for (size_t i = 0; i < g->s->n_kernels; i++) {
        const rki_kernel *k = &g->s->kernels[i];

        if (k->op->kind == RKP_SINK)
            continue;
        if (k->op->traits & RKP_REPLIES)
            continue;
        if (!g->read[i] && k->n_pubs)
            continue; // topics that nobody hears are told of in topics.c
        if (!g->read[i]) {
            rkp_diag(g->l->d, RKP_WARNING, k->at, "unused-output", "nobody reads kernel '%s'", k->id.p);
            continue;
        }
        for (size_t p = 0; p < k->n_ports; p++) // those that the file names
            if (!g->read_by[g->first_port[i] + p] && k->ports[p].at.line)
                rkp_diag(g->l->d, RKP_WARNING, k->ports[p].at, "unused-output", "nobody reads port '%s' of kernel '%s'",
                         k->ports[p].p, k->id.p);
    }
}

static bool prepare(struct graph *g)
{
    rki_arena *a = g->l->arena;
    size_t n = g->s->n_kernels, ports = 0;

    g->s->takes_dead = rki_alloc(a, n);
    g->read = rki_alloc(a, n);
    g->after_dead = rki_alloc(a, n);
    g->first_port = rki_array(a, n, sizeof *g->first_port);
    if (!g->s->takes_dead || !g->first_port || !rki_names_make(a, n, &g->kernels) ||
        !rki_names_make(a, g->in->n_off, &g->off) || !rki_names_make(a, g->in->n_lost, &g->lost))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        rki_names_add(&g->kernels, rkp_word_str(g->s->kernels[i].id), i);
        g->first_port[i] = ports;
        ports += g->s->kernels[i].n_ports;
    }
    for (uint32_t i = 0; i < g->in->n_off; i++)
        rki_names_add(&g->off, rkp_word_str(g->in->off[i]), i);
    for (uint32_t i = 0; i < g->in->n_lost; i++)
        rki_names_add(&g->lost, rkp_word_str(g->in->lost[i].id), i);
    rki_names_sort(&g->kernels);
    rki_names_sort(&g->off);
    rki_names_sort(&g->lost);
    g->read_by = rki_array(a, ports, sizeof *g->read_by);
    return !rki_arena_failed(a);
}

static void mark_read(void *arg, uint32_t kernel, uint32_t port)
{
    struct graph *g = arg;

    g->read[kernel] = true;
    g->read_by[g->first_port[kernel] + port] = UINT32_MAX;
}

void rki_load_graph(rki_load *l, const rki_graph_in *in)
{
    struct graph g = { .l = l, .s = l->s, .in = in };
    size_t n = l->s->n_kernels, max = rki_topic_inputs_max(l->s);

    if (!prepare(&g))
        return;
    find_dead_letter(&g);
    for (uint32_t i = 0; i < n && !rki_arena_failed(l->arena); i++) {
        rki_kernel *k = &l->s->kernels[i];
        size_t off = 0;

        k->from = rki_array(l->arena, in->from[i].w.n + (k->n_subs ? k->n_subs * max : 0), sizeof *k->from);
        for (size_t e = 0; k->from && e < in->from[i].w.n && k->op->kind != RKP_SOURCE; e++)
            edge(&g, i, in->from[i].w.v[e], &off);
        rki_load_topic_edges(l, i, mark_read, &g);
        inputs(&g, i, &in->from[i], off, l->s->takes_dead[i]);
    }
    for (size_t i = 0; i < in->n_lost; i++)
        for (size_t e = 0; e < in->lost[i].from.n; e++)
            lost_edge(&g, in->lost[i].from.v[e]);
    rki_load_replies(l);
    mark_after_dead(&g);
    for (uint32_t i = 0; i < n; i++)
        check_errors(&g, i);
    rki_load_topics_end(l);
    find_cycles(&g);
    if (rki_diags_count(l->d, RKP_ERROR) == l->errors) // else it may well be what the errors say
        unused(&g);
}
