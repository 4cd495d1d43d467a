// replay.c - a pipeline that replays dead letters: hidden sources, and everything else that must not work meanwhile.
#include "spec/spec.h"

static uint32_t kernel_named(const rki_spec *s, const char *id)
{
    uint32_t i = 0;

    while (i < s->n_kernels && strcmp(s->kernels[i].id.p, id) != 0)
        i++;
    return i;
}

static bool reads_one_of(const rki_kernel *k, const uint8_t *set)
{
    for (size_t j = 0; j < k->n_from; j++)
        if (set[k->from[j].kernel])
            return true;
    return false;
}

// Adds to seen[] what rows of its kernels come to.  Forth and back, so that the order of the file hardly matters.
static void reach(const rki_spec *s, uint8_t *seen)
{
    size_t n = s->n_kernels;

    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < 2 * n; i++) {
            size_t at = i < n ? i : 2 * n - 1 - i;

            if (seen[at] || !reads_one_of(&s->kernels[at], seen))
                continue;
            seen[at] = 1;
            changed = true;
        }
    }
}

// Those that are on a circle, or behind one.
static void round_in_circles(const rki_spec *s, uint8_t *in)
{
    size_t n = s->n_kernels;

    memset(in, 1, n);
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < 2 * n; i++) {
            size_t at = i < n ? i : 2 * n - 1 - i;

            if (!in[at] || reads_one_of(&s->kernels[at], in))
                continue;
            in[at] = 0;
            changed = true;
        }
    }
}

// Rows come as fast as they can be read, so no edge may let go of any.  Edges of circles must not block.
static bool block(rki_spec *s)
{
    uint8_t *circles = rki_alloc(&s->arena, s->n_kernels), *seen = rki_alloc(&s->arena, s->n_kernels);

    if (!circles || !seen)
        return false;
    round_in_circles(s, circles);
    for (size_t i = 0; i < s->n_kernels; i++) {
        bool known = false; // seen[]: what rows of it come to

        s->kernels[i].spill_bytes = 0; // its inputs know it

        for (size_t j = 0; j < s->kernels[i].n_from; j++) {
            rki_input *in = &s->kernels[i].from[j];

            if (in->reply || in->overflow == RKI_OVERFLOW_BLOCK)
                continue;
            if (circles[i] && circles[in->kernel] && !known) {
                memset(seen, 0, s->n_kernels);
                seen[i] = 1;
                reach(s, seen);
                known = true;
            }
            if (!circles[i] || !circles[in->kernel] || !seen[in->kernel])
                in->overflow = RKI_OVERFLOW_BLOCK;
            else if (in->overflow == RKI_OVERFLOW_DEFAULT && s->run.mode == RKI_MODE_STREAM)
                in->overflow = RKI_OVERFLOW_SPILL;
        }
    }
    return true;
}

// One more input of a kernel, from kernel `from`.
static bool add_input(rki_spec *s, rki_kernel *k, uint32_t from)
{
    rki_input *v = rki_array(&s->arena, k->n_from + 1, sizeof *v);

    if (!v)
        return false;
    for (size_t i = 0; i < k->n_from; i++)
        v[i] = k->from[i];
    v[k->n_from] = (rki_input){ .text = s->kernels[from].id,
                                .kernel = from,
                                .replay = true,
                                .overflow = RKI_OVERFLOW_BLOCK,
                                .capacity = k->queue_capacity,
                                .bytes = k->queue_bytes };
    k->from = v;
    k->n_from++;
    return true;
}

static bool add_source(rki_spec *s, const rkp_op *op, rki_kernel *to, rki_kernel *k)
{
    static const rkp_word port = { "out", 3, { 0 } };
    rkp_str id = rki_printf(&s->arena, RKI_REPLAY_ID "%s", to->id.p);

    *k = (rki_kernel){ .id = { id.p, id.n, { 0 } },
                       .at = to->at,
                       .op = op,
                       .on_error.max_ratio = 1,
                       .on_error.action = RKI_ERR_FAIL,
                       .replicas = 1,
                       .queue_capacity = 1024,
                       .queue_bytes = 8 << 20,
                       .enabled = true,
                       .priority = RKI_PRIO_NORMAL,
                       .order = RKI_ORDER_FIFO,
                       .ports = &port,
                       .n_ports = 1 };
    return id.p != NULL;
}

bool rki_spec_replay(rki_spec *s, const rkp_op *op, const char *const *targets, size_t n)
{
    rki_kernel *v = rki_array(&s->arena, s->n_kernels + n + 1, sizeof *v);
    uint8_t *takes_dead = rki_alloc(&s->arena, s->n_kernels + n + 1);
    uint8_t *live = rki_alloc(&s->arena, s->n_kernels + n + 1);
    size_t had = s->n_kernels;

    if (!v || !takes_dead || !live || !block(s))
        return false;
    for (size_t i = 0; i < had; i++) {
        v[i] = s->kernels[i];
        v[i].start_suspended = false;
        takes_dead[i] = s->takes_dead[i];
    }
    s->kernels = v;
    s->takes_dead = takes_dead;
    for (size_t i = 0; i < n; i++) {
        uint32_t at = kernel_named(s, targets[i]);

        if (at >= had)
            continue;
        if (v[at].op->kind == RKP_SOURCE) {
            v[at].again = true;
        } else if (!add_source(s, op, &v[at], &v[s->n_kernels++]) ||
                   !add_input(s, &v[at], (uint32_t)s->n_kernels - 1)) {
            return false;
        }
        live[at] = 1;
    }
    reach(s, live);
    for (size_t i = 0; i < had; i++)
        v[i].muted = !live[i];
    s->run.mode = RKI_MODE_BATCH;
    s->run.stop_rows = s->run.stop_ns = 0;
    s->replay = true;
    return true;
}
