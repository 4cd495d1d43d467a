// scene.c - see scene.h.
#include "scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SPREAD = 100000, LEAST_CHUNK = 4096 }; // between the numbers of two sources; of read.jsonl

static const unsigned row_counts[] = { 1, 7, 40, 150, 400, 900 };

static void make_source(struct source *x, sim_rng *r)
{
    x->kind = (unsigned)sim_below(r, 3);
    x->rows = row_counts[sim_below(r, 6)] + (unsigned)sim_below(r, 10);
    x->files = sim_chance(r, 30) ? 2 : 1;
    x->chunk = (unsigned)sim_between(r, 1, 12) * 32;
}

// `mixed`: rows of two ways come together in whatever order.  `letters`: a store keeps dead letters at this level.
static void make_step(struct step *p, bool *mixed, bool *bad, bool letters, bool last, bool reloads, sim_rng *r)
{
    static const step_kind kinds[] = { STEP_FILTER, STEP_MAP,   STEP_REPLICAS, STEP_QUEUE,
                                       STEP_BATCH,  STEP_TOPIC, STEP_OPERATOR };
    p->kind = kinds[sim_below(r, 7)];
    if (!reloads && sim_chance(r, 12)) {
        p->kind = STEP_DIAMOND;
        *mixed = true;
    }
    if (!reloads && !*mixed && sim_chance(r, 8))
        p->kind = sim_chance(r, 50) && !*bad ? STEP_LIMIT
                                             : STEP_DEDUPE; // how many rows come before a limit stops them is open
    if (letters && sim_chance(r, 30)) {
        p->kind = STEP_BAD;
        *bad = true;
    }
    if (last && sim_chance(r, 35))
        p->kind = sim_chance(r, 75) ? STEP_AGGREGATE : STEP_SORT;
    p->a = (unsigned)sim_between(r, 2, 3);
    p->b = (unsigned)sim_below(r, 8);
    p->versions = ~0u;
    if (reloads && p->kind != STEP_FILTER && p->kind != STEP_BAD && p->kind != STEP_AGGREGATE && p->kind != STEP_SORT)
        p->versions = (unsigned)sim_next(r) | (sim_chance(r, 50) ? 1u : 0);
}

void scene_make(scene *s, uint64_t seed, scene_reloads mode)
{
    static const unsigned preempts[] = { 0, 10, 60, 200 };
    static const uint64_t steps[] = { 300, 2000, 10000, 100000 }, intervals[] = { 1000, 1000, 1000, 4000, 3600000000 };
    sim_rng r = { seed * 0x9e3779b97f4a7c15ull + 1 };
    bool reloads = sim_chance(&r, 30);
    if (mode != RELOADS_SOME)
        reloads = mode == RELOADS_ALWAYS;
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->exactly = sim_chance(&r, 65);
    s->n_sources = (unsigned)sim_between(&r, 1, MOST_SOURCES);
    for (unsigned i = 0; i < s->n_sources; i++)
        make_source(&s->sources[i], &r);
    s->n_chains = (unsigned)sim_between(&r, 1, MOST_CHAINS);
    for (unsigned i = 0; i < s->n_chains; i++) {
        struct chain *c = &s->chains[i];
        c->n_from = s->n_sources > 1 && sim_chance(&r, 35) ? 2 : 1;
        c->from[0] = (unsigned)sim_below(&r, s->n_sources);
        c->from[1] = (c->from[0] + 1) % s->n_sources;
        bool mixed = c->n_from == 2, bad = false;
        c->n_steps = (unsigned)sim_below(&r, MOST_STEPS + 1);
        for (unsigned k = 0; k < c->n_steps; k++)
            make_step(&c->steps[k], &mixed, &bad, !s->exactly, k + 1 == c->n_steps, reloads, &r);
        c->jsonl = sim_chance(&r, 50);
        c->append = sim_chance(&r, 50);
    }
    s->versions = reloads ? MOST_VERSIONS : 1;
    s->old = sim_chance(&r, 40);
    s->power_last = sim_chance(&r, 50);
    s->workers = (unsigned)sim_between(&r, 1, 4);
    s->preempt = preempts[sim_below(&r, 4)];
    s->step_ns = steps[sim_below(&r, 4)];
    s->checkpoint_us = intervals[sim_below(&r, 5)];
}

// ---- faults ---------------------------------------------------------------------------------------------------------

static const int errors[] = { EIO, ENOSPC, EINTR, EMFILE };

// 1 .. n; often among the last, where names are given and checkpoints go.
static uint64_t place(uint64_t n, sim_rng *r)
{
    return sim_chance(r, 25) && n ? n - sim_below(r, n / 5 + 1) : sim_between(r, 1, n);
}

static void make_fault(const scene *s, sim_fault *f, unsigned life, bool last, const struct sim_world *w, sim_rng *r)
{
    *f = (sim_fault){ .life = life, .n = 1 };
    f->kind = (sim_fault_kind)sim_below(r, s->versions > 1 ? SIM_RELOAD + 1 : SIM_RELOAD);
    if (!last && f->kind <= SIM_IO_POWER)
        f->kind =
            SIM_IO_FAILS + (sim_fault_kind)sim_below(r, (s->versions > 1 ? SIM_RELOAD + 1 : SIM_RELOAD) - SIM_IO_FAILS);
    if (s->versions > 1 && sim_chance(r, 40))
        f->kind = SIM_RELOAD;
    if (last)
        f->kind = (sim_fault_kind)sim_below(r, SIM_IO_POWER + 1);
    // Right before an fsync there is most to lose.
    f->syncs = f->kind <= SIM_IO_FAILS && f->kind >= SIM_IO_KILL && sim_chance(r, 40);
    switch (f->kind) {
    case SIM_IO_KILL:
    case SIM_IO_POWER:
        f->at = place(f->syncs ? w->syncs : w->changes, r);
        break;
    case SIM_IO_FAILS:
        f->error = f->syncs ? EIO : errors[sim_below(r, 4)];
        f->at = place(f->syncs ? w->syncs : w->ios, r);
        f->n = f->error != EINTR && sim_chance(r, 30) ? 1000000 : 1;
        break;
    case SIM_IO_SHORT:
        f->at = place(w->ios, r);
        f->n = sim_chance(r, 50) ? 1 : 50;
        break;
    case SIM_FULL:
        f->at = place(w->ios, r);
        f->n = sim_between(r, 1, 200);
        break;
    case SIM_SLOW:
        f->at = place(w->ios, r);
        f->n = sim_between(r, 1, 60);
        f->ns = (int64_t)sim_between(r, 1, 20) * 500000;
        break;
    case SIM_CLOCK:
        f->at = sim_between(r, 1, w->steps);
        f->ns = (int64_t)sim_between(r, 1, 10000) * 1000000000;
        f->ns = sim_chance(r, 50) ? -f->ns : f->ns;
        break;
    case SIM_OPERATOR:
        f->at = sim_between(r, 1, 40);
        break;
    case SIM_SUSPEND:
        f->at = sim_between(r, 1, w->steps);
        f->n = sim_between(r, 1, w->steps);
        f->error = (int)sim_below(r, 16); // which kernel
        break;
    case SIM_RELOAD:
        f->at = sim_between(r, 1, w->steps);
        f->n = sim_below(r, s->versions); // which version
        f->error = sim_chance(r, 15);     // 1: it is invalid
        break;
    default:
        f->at = sim_between(r, 1, w->steps);
        break;
    }
}

void scene_faults(scene *s, const struct sim_world *w)
{
    sim_rng r = { s->seed * 0xbf58476d1ce4e5b9ull + 7 };
    s->lives = (unsigned)sim_between(&r, 1, 4);
    s->n_faults = 0;
    for (unsigned life = 0; life < s->lives; life++) {
        unsigned n = (unsigned)sim_below(&r, 3);
        for (unsigned i = 0; i < n && s->n_faults < MOST_FAULTS; i++)
            make_fault(s, &s->faults[s->n_faults++], life, false, w, &r);
        if (sim_chance(&r, 85) && s->n_faults < MOST_FAULTS)
            make_fault(s, &s->faults[s->n_faults++], life, true, w, &r);
    }
}

// ---- text -----------------------------------------------------------------------------------------------------------

static bool used(const scene *s, unsigned source)
{
    for (unsigned i = 0; i < s->n_chains; i++)
        for (unsigned k = 0; !s->chains[i].gone && k < s->chains[i].n_from; k++)
            if (s->chains[i].from[k] == source)
                return true;
    return false;
}

void scene_output(const scene *s, unsigned chain, char path[64])
{
    snprintf(path, 64, "/sim/out/c%u.%s", chain, s->chains[chain].jsonl ? "jsonl" : "csv");
}

static void put_source(const scene *s, unsigned i, rki_buf *to)
{
    const struct source *x = &s->sources[i];
    if (x->kind == SOURCE_GENERATE) {
        rki_putf(
            to,
            "  s%u: { op: generate, with: { rows: %u, batch_rows: %u, columns: { n: row + %u, k: \"concat('k', row "
            "%% 7)\", v: row * 31 %% 101 } } }\n",
            i, x->rows, x->chunk / 16, i * SPREAD);
        return;
    }
    rki_putf(to, "  s%u: { op: read.%s, with: { chunk_bytes: %u, schema: row, path: [", i,
             x->kind == SOURCE_CSV ? "csv" : "jsonl", x->kind == SOURCE_CSV ? x->chunk : LEAST_CHUNK);
    for (unsigned f = 0; f < x->files; f++)
        rki_putf(to, "%s/sim/in/s%u_%u", f ? ", " : "", i, f);
    rki_putf(to, "] } }\n");
}

static void put_chain(const scene *s, unsigned i, unsigned version, rki_buf *to)
{
    const struct chain *c = &s->chains[i];
    char from[80], path[64];
    if (c->n_from == 2)
        snprintf(from, sizeof from, "s%u, s%u", c->from[0], c->from[1]);
    else
        snprintf(from, sizeof from, "s%u", c->from[0]);
    for (unsigned k = 0; k < c->n_steps; k++) {
        const struct step *p = &c->steps[k];
        char id[32];
        if (p->gone || !(p->versions >> version & 1))
            continue;
        snprintf(id, sizeof id, "c%up%u", i, k);
        switch (p->kind) {
        case STEP_FILTER:
            rki_putf(to, "  %s: { op: filter, from: [%s], with: { where: n %% %u != %u } }\n", id, from, p->a + 1,
                     p->b % 3);
            break;
        case STEP_MAP: // one that some versions do not have may change nothing
            if (p->versions == ~0u)
                rki_putf(to, "  %s: { op: map, from: [%s], with: { derive: { v: v * %u + n %% 5 } } }\n", id, from,
                         p->a);
            else
                rki_putf(to, "  %s: { op: map, from: [%s], with: { derive: { x%u: n * %u } } }\n", id, from, k, p->a);
            break;
        case STEP_REPLICAS:
            rki_putf(to, "  %s: { op: map, from: [%s], with: { derive: { x%u: n * 2 } }, replicas: %u, fuse: never }\n",
                     id, from, k, p->a);
            break;
        case STEP_QUEUE:
            rki_putf(to,
                     "  %s: { op: map, from: [%s], with: { derive: { x%u: n * 2 } }, queue: { capacity: %u }, fuse: "
                     "never }\n",
                     id, from, k, p->a);
            break;
        case STEP_BATCH:
            rki_putf(to, "  %s: { op: map, from: [%s], with: { derive: { x%u: n * 2 } }, batch: { count: %u } }\n", id,
                     from, k, p->a * 5 + p->b);
            break;
        case STEP_TOPIC:
            rki_putf(to, "  %sa: { op: map, from: [%s], with: { derive: { x%u: n } }, publish: t/%s }\n", id, from, k,
                     id);
            rki_putf(to, "  %s: { op: map, subscribe: t/%s, with: { derive: { y%u: n } } }\n", id, id, k);
            break;
        case STEP_OPERATOR:
            rki_putf(to, "  %s: { op: sim.step, from: [%s] }\n", id, from);
            break;
        case STEP_BAD:
            rki_putf(to, "  %s: { op: filter, from: [%s], with: { where: 1000 // (n %% 10) > 0 } }\n", id, from);
            break;
        case STEP_DIAMOND:
            rki_putf(to, "  %sa: { op: map, from: [%s], with: { derive: { x%u: n } }, fuse: never }\n", id, from, k);
            rki_putf(to, "  %sb: { op: map, from: [%s], with: { derive: { x%u: n * 2 } }, fuse: never }\n", id, from,
                     k);
            rki_putf(to, "  %s: { op: filter, from: [%sa, %sb], with: { where: n >= 0 } }\n", id, id, id);
            break;
        case STEP_AGGREGATE:
            rki_putf(to, "  %s: { op: aggregate, from: [%s], with: { by: [k], compute: { c: count(), s: sum(n) } }", id,
                     from);
            rki_putf(to, p->b % 3 == 0 ? ", partition_by: k, replicas: %u }\n" : " }\n", p->a);
            break;
        case STEP_DEDUPE:
            rki_putf(to, "  %s: { op: dedupe, from: [%s], with: { by: [v] } }\n", id, from);
            break;
        case STEP_SORT:
            rki_putf(to, "  %s: { op: sort, from: [%s], with: { by: [v, n] } }\n", id, from);
            break;
        case STEP_LIMIT:
            rki_putf(to, "  %s: { op: limit, from: [%s], with: { rows: %u } }\n", id, from, p->b * 20 + 5);
            break;
        }
        snprintf(from, sizeof from, "%s", id);
    }
    bool summed = false;
    for (unsigned k = 0; k < c->n_steps; k++)
        summed |= c->steps[k].kind == STEP_AGGREGATE && !c->steps[k].gone;
    scene_output(s, i, path);
    rki_putf(to, "  c%u: { op: write.%s, from: [%s], with: { path: %s, commit: %s, columns: [%s] } }\n", i,
             c->jsonl ? "jsonl" : "csv", from, path, c->append ? "append" : "rename", summed ? "k, c, s" : "n, k, v");
}

bool scene_has(const scene *s, step_kind kind)
{
    for (unsigned i = 0; i < s->n_chains; i++)
        for (unsigned k = 0; !s->chains[i].gone && k < s->chains[i].n_steps; k++)
            if (s->chains[i].steps[k].kind == kind && !s->chains[i].steps[k].gone)
                return true;
    return false;
}

void scene_text(const scene *s, unsigned version, bool checkpoints, rki_buf *to)
{
    rki_putf(to, "version: 1\nname: sim\nadmin: { listen: none }\nschemas: { row: { n: i64, k: string, v: i64 } }\n");
    if (scene_has(s, STEP_BAD))
        rki_putf(to, "dead_letter: { store: { age: 36500d } }\n");
    rki_putf(to, "engine: { threads: %u, delivery: %s, checkpoint: %lluus }\nkernels:\n", s->workers,
             s->exactly ? "exactly_once" : "at_least_once",
             checkpoints ? (unsigned long long)s->checkpoint_us : 1000000000ull);
    for (unsigned i = 0; i < s->n_sources; i++)
        if (used(s, i))
            put_source(s, i, to);
    for (unsigned i = 0; i < s->n_chains; i++)
        if (!s->chains[i].gone)
            put_chain(s, i, version, to);
}

void scene_inputs(const scene *s)
{
    disk_mkdir("/sim/in");
    disk_mkdir("/sim/out");
    for (unsigned i = 0; i < s->n_sources; i++) {
        const struct source *x = &s->sources[i];
        for (unsigned f = 0, n = 0; x->kind != SOURCE_GENERATE && f < x->files; f++) {
            char path[64];
            rki_buf b;
            rki_buf_init(&b);
            if (x->kind == SOURCE_CSV)
                rki_putf(&b, "n,k,v\n");
            for (unsigned end = x->rows * (f + 1) / x->files; n < end; n++)
                if (x->kind == SOURCE_CSV)
                    rki_putf(&b, "%u,k%u,%u\n", n + i * SPREAD, n % 7, n * 31 % 101);
                else // wide, so that there are several chunks
                    rki_putf(&b, "{\"n\":%u,%200s\"k\":\"k%u\",\"v\":%u}\n", n + i * SPREAD, "", n % 7, n * 31 % 101);
            snprintf(path, sizeof path, "/sim/in/s%u_%u", i, f);
            disk_put(path, b.p, b.n);
            rki_buf_fini(&b);
        }
    }
    for (unsigned i = 0; i < s->n_chains; i++) {
        char path[64];
        scene_output(s, i, path);
        if (s->old && !s->chains[i].append)
            disk_put(path, "older and perhaps longer\n", 25);
    }
}

// ---- fewer ----------------------------------------------------------------------------------------------------------

bool scene_drop(scene *s, const char *what)
{
    unsigned i = 0, k = 0;
    char end;
    if (sscanf(what, "c%u%c", &i, &end) == 1 && i < s->n_chains && !s->chains[i].gone) {
        unsigned left = 0;
        for (unsigned c = 0; c < s->n_chains; c++)
            left += !s->chains[c].gone;
        s->chains[i].gone = left > 1;
        return left > 1;
    }
    if (sscanf(what, "s%u.%u%c", &i, &k, &end) == 2 && i < s->n_chains && k < s->chains[i].n_steps &&
        !s->chains[i].steps[k].gone) {
        s->chains[i].steps[k].gone = true;
        return true;
    }
    if (sscanf(what, "f%u%c", &i, &end) == 1 && i < s->n_faults && !s->faults[i].gone) {
        s->faults[i].gone = true;
        return true;
    }
    if (strcmp(what, "p") == 0 && s->power_last) {
        s->power_last = false;
        return true;
    }
    if (sscanf(what, "r%u%c", &i, &end) == 1 && i) {
        bool any = false;
        for (k = 0; k < s->n_sources; k++) {
            any |= s->sources[k].rows > i;
            if (s->sources[k].rows > i)
                s->sources[k].rows = i;
        }
        return any;
    }
    return false;
}

// ---- words ----------------------------------------------------------------------------------------------------------

const char *scene_fault_name(unsigned kind)
{
    static const char *const names[SIM_KINDS] = {
        [SIM_KILL] = "kill",
        [SIM_POWER] = "power",
        [SIM_IO_KILL] = "kill at a change",
        [SIM_IO_POWER] = "power at a change",
        [SIM_IO_FAILS] = "error",
        [SIM_IO_SHORT] = "few bytes",
        [SIM_FULL] = "full disk",
        [SIM_SLOW] = "slow disk",
        [SIM_CLOCK] = "clock",
        [SIM_SIGNAL] = "SIGTERM",
        [SIM_OPERATOR] = "operator",
        [SIM_SUSPEND] = "suspend",
        [SIM_RELOAD] = "reload",
    };
    return names[kind];
}

static void tell_fault(const sim_fault *f, FILE *to)
{
    static const char *const names[] = {
        [SIM_KILL] = "killed at step",
        [SIM_POWER] = "the power goes at step",
        [SIM_IO_KILL] = "killed at the change of files number",
        [SIM_IO_POWER] = "the power goes at the change of files number",
        [SIM_IO_FAILS] = "a call on files fails, number",
        [SIM_IO_SHORT] = "few bytes are moved from the call on files number",
        [SIM_FULL] = "the disk is full from the call on files number",
        [SIM_SLOW] = "calls on files are slow from number",
        [SIM_CLOCK] = "the wall clock jumps at step",
        [SIM_SIGNAL] = "SIGTERM at step",
        [SIM_OPERATOR] = "sim.step fails at batch",
        [SIM_SUSPEND] = "a kernel is suspended at step",
        [SIM_RELOAD] = "the file is reloaded at step",
    };
    fprintf(to, "life %u: %s %llu%s", f->life, names[f->kind], (unsigned long long)f->at,
            f->syncs ? ", of the fsyncs" : "");
    if (f->kind == SIM_IO_FAILS)
        fprintf(to, ": %s%s", strerror(f->error), f->n > 1 ? ", and all later ones" : "");
    if (f->kind == SIM_IO_SHORT || f->kind == SIM_FULL || f->kind == SIM_SLOW)
        fprintf(to, ", for %llu calls", (unsigned long long)f->n);
    if (f->kind == SIM_SUSPEND)
        fprintf(to, ", for %llu steps", (unsigned long long)f->n);
    if (f->kind == SIM_RELOAD)
        fprintf(to, ": %s", f->error ? "an invalid one" : "version ");
    if (f->kind == SIM_RELOAD && !f->error)
        fprintf(to, "%llu", (unsigned long long)f->n);
    if (f->kind == SIM_SLOW || f->kind == SIM_CLOCK)
        fprintf(to, ", %g s", (double)f->ns * 1e-9);
    fprintf(to, "\n");
}

void scene_tell(const scene *s, FILE *to)
{
    for (unsigned v = 0; v < s->versions; v++) {
        rki_buf b;
        bool reloaded = v == 0;
        for (size_t i = 0; i < s->n_faults; i++)
            reloaded |=
                s->faults[i].kind == SIM_RELOAD && !s->faults[i].error && s->faults[i].n == v && !s->faults[i].gone;
        if (!reloaded)
            continue;
        rki_buf_init(&b);
        scene_text(s, v, true, &b);
        if (s->versions > 1)
            fprintf(to, "version %u:\n", v);
        fprintf(to, "%.*s", (int)b.n, b.p);
        rki_buf_fini(&b);
    }
    fprintf(to, "faults, of %u lives:\n", s->lives);
    for (size_t i = 0; i < s->n_faults; i++) {
        if (s->faults[i].gone)
            continue;
        fprintf(to, "  f%zu  ", i);
        tell_fault(&s->faults[i], to);
    }
    if (s->power_last)
        fprintf(to, "  and the power goes when everything has succeeded\n");
}
