// run/device.c - the module, its grid, and the thread that looks for answers.
#include "run/frames.h"
#include "run/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SPIN_LOOKS = 2000,       // of the thread that looks for answers, before it naps
    NAP_NS = 20000,          // while frames are on their way
    REST_NS = 100000000,     // while there are none
    HEALTH_NS = 100000000,   // how often the device is asked whether it lives
    RUN_DOWN_NS = 2000000000 // how long blocks may take to leave
};

// ---- open -----------------------------------------------------------------------------------------------------------

static const rki_program *program_of(const rki_run *r)
{
    return r->plan->program;
}

static rki_runner *runner_of(const rki_run *r, uint32_t actor)
{
    for (uint32_t i = 0; i < r->n_runners; i++)
        if (r->runners[i]->index == actor)
            return r->runners[i];
    return NULL;
}

static void *copy_of(const void *p, size_t n, size_t bytes)
{
    void *to = calloc(n ? n : 1, bytes);
    if (to && n)
        memcpy(to, p, n * bytes);
    return to;
}

// The plan of a generation goes with it; a chain that a reload does not touch stays.
static bool copy_chain(rki_chain *to, const rki_chain *c)
{
    *to = *c;
    to->in = copy_of(c->in, c->n_in, sizeof *c->in);
    to->made = copy_of(c->made, c->n_made, sizeof *c->made);
    to->out = copy_of(c->out, c->n_out, sizeof *c->out);
    to->drops = copy_of(c->drops, c->n_stages, sizeof *c->drops);
    return to->in && to->made && to->out && to->drops;
}

static bool open_chain(rki_device *d, uint32_t i)
{
    const rki_program *p = program_of(d->run);
    rki_rchain *x = &d->chains[i];
    x->dev = d;
    x->c = &x->own;
    if (!copy_chain(&x->own, &p->chains[i]))
        return false;
    x->r = runner_of(d->run, x->c->actor);
    x->in = d->m->grid_in(d->grid, i);
    x->out = d->m->grid_out(d->grid, i);
    x->ctl = d->m->grid_ctl(d->grid, i);
    x->flights = calloc(1u << x->c->slots_log2, sizeof *x->flights);
    x->rows = calloc(x->c->rows, sizeof *x->rows);
    if (!x->r || !x->flights || !x->rows)
        return false;
    x->r->chain = x;
    return true;
}

static rkp_status open_grid(rki_device *d, char *err, size_t n)
{
    const rki_program *p = program_of(d->run);
    const rki_gpu_conf *conf = &d->run->plan->spec->engine.gpu;
    rkd_chain_conf *c = calloc(p->n_chains, sizeof *c);
    uint32_t threads = 0;
    rkp_status st;
    if (!c)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < p->n_chains; i++)
        threads = p->chains[i].threads > threads ? p->chains[i].threads : threads;
    for (uint32_t i = 0; i < p->n_chains; i++)
        c[i] = (rkd_chain_conf){ .blocks = p->chains[i].blocks,
                                 .threads = threads,
                                 .slots_log2 = p->chains[i].slots_log2,
                                 .in_bytes = p->chains[i].in_bytes,
                                 .out_bytes = p->chains[i].out_bytes };
    st = d->m->grid_new(d->image, c, p->n_chains, conf->watchdog_ns, &d->grid, err, n);
    free(c);
    return st;
}

static rkp_status open_all(rki_device *d, char *err, size_t n)
{
    const rki_program *p = program_of(d->run);
    const rki_gpu_conf *conf = &d->run->plan->spec->engine.gpu;
    rkd_conf c = { .simulate = conf->simulate, .env = d->run->args.env };
    rkd_info info;
    rkp_status st = rki_module_load(d->run->args.lib_dir, &d->m, err, n);
    if (st == RKP_OK)
        st = d->m->open(&c, &d->host, err, n);
    if (st != RKP_OK)
        return st;
    if (d->m->devices(d->host) == 0) {
        snprintf(err, n, "there is no device");
        return RKP_UNAVAILABLE;
    }
    d->m->info(d->host, 0, &info);
    if (!info.usable) {
        snprintf(err, n, "%s cannot be used: %s", info.name, info.why);
        return RKP_UNAVAILABLE;
    }
    snprintf(d->what, sizeof d->what, "%s", info.name);
    st = d->m->build(d->host, 0, p->source, &d->image, err, n);
    if (st == RKP_OK)
        st = open_grid(d, err, n);
    return st == RKP_UNSUPPORTED || st == RKP_INVALID ? RKP_UNAVAILABLE : st;
}

static bool falls_back(const rki_program *p)
{
    for (uint32_t i = 0; i < p->n_chains; i++)
        if (!p->chains[i].fallback)
            return false;
    return true;
}

rkp_status rki_device_open(rki_run *r, rki_device **out, char *err, size_t n)
{
    const rki_program *p = program_of(r);
    char why[2048] = "";
    rki_device *d;
    rkp_status st;
    *out = NULL;
    if (!p)
        return RKP_OK;
    d = calloc(1, sizeof *d);
    if (!d || !(d->chains = calloc(p->n_chains, sizeof *d->chains))) {
        free(d);
        return RKP_NOMEM;
    }
    d->run = r;
    d->n = p->n_chains;
    d->watchdog_ns = r->plan->spec->engine.gpu.watchdog_ns;
    st = open_all(d, why, sizeof why);
    d->lock_made = st == RKP_OK && pthread_mutex_init(&d->lock, NULL) == 0;
    if (d->lock_made && pthread_cond_init(&d->cond, NULL) != 0) {
        pthread_mutex_destroy(&d->lock);
        d->lock_made = false;
    }
    if (st == RKP_OK && !d->lock_made)
        st = RKP_NOMEM;
    for (uint32_t i = 0; st == RKP_OK && i < d->n; i++)
        if (!open_chain(d, i))
            st = RKP_NOMEM;
    if (st == RKP_OK) {
        *out = d;
        return RKP_OK;
    }
    rki_device_close(d);
    if (st == RKP_UNAVAILABLE && falls_back(p)) {
        rki_log(r, "warning: no kernel runs on a device (place: fallback: cpu): %s\n", why);
        return RKP_OK;
    }
    if (st != RKP_NOMEM)
        snprintf(err, n, "kernels with 'place: gpu' cannot run: %s", why);
    return st;
}

// ---- the thread that looks for answers ------------------------------------------------------------------------------

static uint64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// True while something is on its way.
static bool look(rki_device *d)
{
    bool any = false;
    for (uint32_t i = 0; i < d->n; i++) {
        rki_rchain *x = &d->chains[i];
        uint64_t waits = __atomic_load_n(&x->waits, __ATOMIC_ACQUIRE);
        if (!waits)
            continue;
        any = true;
        if (waits == x->woken || rkd_look(&rki_out_at(x, waits - 1)->seq) != waits)
            continue;
        x->woken = waits;
        rki_wake_runner(x->r);
    }
    return any;
}

// A block that shows no sign of life while frames wait for it, or a context that is lost: the run cannot go on.
static void look_at_health(rki_device *d, uint64_t now)
{
    char why[512] = "";
    bool ended = false;
    rkp_status st = d->m->grid_look(d->grid, &ended, why, sizeof why);
    d->m->grid_beat(d->grid);
    for (uint32_t i = 0; i < d->n && st == RKP_OK && !ended; i++) {
        rki_rchain *x = &d->chains[i];
        uint64_t pulse = 0;
        for (uint32_t b = 0; b < x->c->blocks; b++)
            pulse += rkd_look(&x->ctl[b].pulse) + rkd_look(&x->ctl[b].frames);
        if (pulse != x->pulse || !__atomic_load_n(&x->waits, __ATOMIC_RELAXED) || !x->moved_ns) {
            x->pulse = pulse;
            x->moved_ns = now;
        } else if (now - x->moved_ns > d->watchdog_ns) {
            snprintf(why, sizeof why, "no sign of life for %g s (engine.gpu.watchdog)",
                     (double)(now - x->moved_ns) / 1e9);
            st = RKP_IO;
        }
    }
    if ((st != RKP_OK || ended) && !__atomic_load_n(&d->leaving, __ATOMIC_RELAXED))
        rki_fail_run(d->chains[0].r->acts[0], RKP_UNAVAILABLE, "the device is lost: %s",
                     st == RKP_OK ? "its blocks have left" : why);
}

static void *looker(void *arg)
{
    rki_device *d = arg;
    uint64_t health = 0;
    uint32_t idle = 0;
    while (!__atomic_load_n(&d->leaving, __ATOMIC_ACQUIRE)) {
        uint64_t now = mono_ns();
        bool any = look(d);
        if (now >= health) {
            look_at_health(d, now);
            health = now + HEALTH_NS;
        }
        if (any) {
            if (++idle > SPIN_LOOKS)
                nanosleep(&(struct timespec){ 0, NAP_NS }, NULL);
            continue;
        }
        idle = 0;
        // Who sends looks at `sleeps` behind the frame: either it sees that, or we see the frame.
        __atomic_store_n(&d->sleeps, 1, __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&d->lock);
        if (!look(d) && !__atomic_load_n(&d->leaving, __ATOMIC_ACQUIRE)) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += REST_NS;
            if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
            }
            pthread_cond_timedwait(&d->cond, &d->lock, &until);
        }
        pthread_mutex_unlock(&d->lock);
        __atomic_store_n(&d->sleeps, 0, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

void rki_device_rouse(rki_device *d)
{
    if (!__atomic_load_n(&d->sleeps, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&d->lock);
    pthread_cond_signal(&d->cond);
    pthread_mutex_unlock(&d->lock);
}

rkp_status rki_device_start(rki_device *d, char *err, size_t n)
{
    rkp_status st = d->m->grid_start(d->grid, err, n);
    if (st != RKP_OK)
        return st;
    d->started = true;
    d->looks = pthread_create(&d->looker, NULL, looker, d) == 0;
    if (!d->looks)
        snprintf(err, n, "cannot start a thread");
    return d->looks ? RKP_OK : RKP_UNAVAILABLE;
}

uint64_t rki_device_rest(rki_device *d)
{
    uint64_t rows = 0;
    if (d && d->looks) {
        pthread_mutex_lock(&d->lock);
        __atomic_store_n(&d->leaving, 1, __ATOMIC_RELEASE);
        pthread_cond_signal(&d->cond);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->looker, NULL);
        d->looks = false;
    }
    for (uint32_t i = 0; d && i < d->n; i++)
        for (uint64_t p = d->chains[i].taken; p != d->chains[i].next; p++)
            rows += rki_flight_at(&d->chains[i], p)->n;
    return rows;
}

void rki_device_close(rki_device *d)
{
    char why[256];
    if (!d)
        return;
    rki_device_rest(d);
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->chains[i].r) {
            rki_device_forget(d->chains[i].r);
            d->chains[i].r->chain = NULL;
        }
        free(d->chains[i].flights);
        free(d->chains[i].rows);
        free(d->chains[i].own.in);
        free(d->chains[i].own.made);
        free(d->chains[i].own.out);
        free(d->chains[i].own.drops);
    }
    // A grid that does not leave keeps its memory: what it writes to must stay.
    if (d->started && d->m->grid_stop(d->grid, mono_ns() + RUN_DOWN_NS, why, sizeof why) != RKP_OK)
        return;
    if (d->grid)
        d->m->grid_free(d->grid);
    if (d->image)
        d->m->image_free(d->image);
    if (d->host)
        d->m->close(d->host);
    if (d->lock_made) {
        pthread_cond_destroy(&d->cond);
        pthread_mutex_destroy(&d->lock);
    }
    // The library stays: a driver keeps threads and handlers of its own.
    free(d->chains);
    free(d);
}

bool rki_device_counts_of(const rki_run *r, const char *kernel, rki_device_counts *out)
{
    for (uint32_t i = 0; r->device && i < r->device->n; i++) {
        const rki_rchain *x = &r->device->chains[i];
        for (uint32_t k = 0; k < x->r->n_stages; k++) {
            if (strcmp(x->r->acts[k]->ks->id, kernel) != 0)
                continue;
            *out = (rki_device_counts){ r->device->what, RKI_LOOK(x->taken), RKI_LOOK(x->punted) };
            return true;
        }
    }
    return false;
}
