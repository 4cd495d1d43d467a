// run/spill.c - overflow: spill: what does not fit into a ring waits in a log on disk, in order, also over a crash.
//
// The log is at the producer's end.  While anything is in it, everything goes through it: appended at its end, moved from its front
// into the ring when there is room.  A record is let go when the consumer has released its slot, which the ring's head tells, so what a
// crash leaves behind is everything that was not consumed, and it comes first at the next start (in a stream; a batch job begins
// again and so does the log).
//
// A limit (queue.spill.max_bytes) may be passed by one emission.  What does not find room stays in the box, and the producer waits,
// until segments have been let go: a quarter of the limit each at most.
//
// A record is the message's envelope and its batch (data/wire.h).  Records are gathered and written together (flow/spool.h): at the
// end of the runner's step at the latest, before a barrier is sent, and before an operator waits for the outside; by a flush
// that does not follow the last one, or the begin of the step, at once.  So what a kill may take is in the hands of a step.
//
// Where there are checkpoints the log belongs to them.  A barrier does not wait behind what is in the log: it goes into the ring next, and the
// records that are not in the ring at that moment, (from, to], are part of the checkpoint, by their numbers.  They are synced before that, and
// stay until no checkpoint that is kept speaks of them.  A run that goes on has these records and no others: those before them were taken, those
// behind them come again.
#include "data/wire.h"
#include "flow/spool.h"
#include "run/actor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENT_BYTES = 64 << 20, GATHER_BYTES = 256 << 10, GATHER_NS = 100000 };

struct rki_spill {
    const rki_run *run;
    rki_spool *log;
    rki_buf body;
    int64_t room; // that its limit leaves, at the last look and by what was put since
    bool full, warned;
    const rkp_schema *schema;
    uint64_t waiting; // records that are not in the ring
    uint64_t last;    // number of the last that was moved into the ring
    uint64_t done;    // of the last that was taken; acknowledged when no checkpoint needs it
    // Of checkpoints that may need something: number, and the last record that they do not.  One more than are kept, and those of an instance before.
    struct {
        uint32_t number;
        uint64_t seq;
    } cuts[4];
    uint32_t n_cuts;
    int64_t bytes; // of the records that were not taken; where there are checkpoints
    // Records that are in the ring: number of the record, and ring index behind its slot.  A queue.
    struct {
        uint64_t seq, tail;
        size_t bytes;
    } * moved;
    uint32_t first, n, cap;
    char *dir;
    char from[128], to[128]; // kernels
};

enum { HEAD_BYTES = 96 }; // of a record, about

static const rkp_schema *schema_of(const rki_plan *p, const rki_edge *e)
{
    const rki_stage *from = &p->stages[e->from_stage];
    return &p->kernels[from->kernel].out[e->from_port];
}

static const char *name_of(const rki_plan *p, uint32_t stage)
{
    return p->kernels[p->stages[stage].kernel].k->id.p;
}

void rki_edge_name(const rki_plan *p, const rki_edge *e, rki_buf *to)
{
    rki_putf(to, "%s-%s", name_of(p, e->from_stage), name_of(p, e->to_stage));
    if (e->dead)
        rki_putz(to, "-dead");
    else if (e->in && e->in->reply)
        rki_putz(to, "-reply");
    else if (e->in && e->in->topic)
        rki_putf(to, "-%u-%u", e->in->pub, e->in->sub);
    else
        rki_putf(to, "-port%u", e->from_port);
}

static void put_folder(const rki_run *run, const rki_plan *p, rki_buf *path)
{
    char job[40] = "checkpoints";
    // A replay leaves alone what a stream has left behind; and jobs that are told apart by their variables, and go on each from checkpoints of its own,
    // leave alone the logs of each other.
    if (run->ckpt)
        rki_spec_checkpoints(p->spec, job);
    rki_putf(path, "%s/spill%s%s", run->args.data_dir ? run->args.data_dir : ".rkpipe",
             run->args.replay ? "-replay" : "", job + sizeof "checkpoints" - 1);
}

char *rki_spill_folder(const rki_run *run)
{
    rki_buf path;
    rki_buf_init(&path);
    put_folder(run, run->plan, &path);
    return rki_buf_take(&path, NULL);
}

static char *folder(const rki_run *run, const rki_plan *p, const rki_outset *o)
{
    rki_buf path;
    rki_buf_init(&path);
    put_folder(run, p, &path);
    rki_put(&path, "/", 1);
    rki_edge_name(p, o->edge, &path);
    return rki_buf_take(&path, NULL);
}

// What a checkpoint calls the log.
static const char *log_name(const char *dir)
{
    return strrchr(dir, '/') + 1;
}

// Of a runner that begins.  Without memory for the name: there may be one, and who opens it says what is wrong.
bool rki_spill_left(rki_runner *r, const rki_outset *o)
{
    char *dir = folder(r->run, r->wiring->gen->plan, o);
    uint64_t from, to;
    bool there = !dir || access(dir, F_OK) == 0 || errno != ENOENT || rki_ckpt_log(r->run, log_name(dir), &from, &to);
    free(dir);
    return there;
}

void rki_spill_mark_left(rki_run *run)
{
    for (uint32_t i = 0; (run->plan->stream || run->ckpt) && i < run->n_runners; i++) {
        rki_runner *r = run->runners[i];
        for (uint32_t o = 0; o < r->n_outs; o++)
            if (r->outs[o].edge->hlc && r->outs[o].edge->overflow == RKI_OVERFLOW_SPILL &&
                rki_spill_left(r, &r->outs[o]))
                r->outs[o].links[0]->behind = 1;
    }
}

// The names of the log's folder and of the one above it are on disk.
static bool enter(const struct rki_spill *s, char err[RKI_SPOOL_ERR])
{
    char path[4096];
    for (int i = 0; i < 2; i++) {
        int fd, bad;
        snprintf(path, sizeof path, "%s/..%s", s->dir, i ? "/.." : "");
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bad = fd < 0 || (fsync(fd) < 0 && errno != EINVAL && errno != EROFS && errno != ENOSYS) ? errno : 0;
        if (fd >= 0)
            close(fd);
        if (bad && bad != EACCES) {
            char t[128];
            snprintf(err, RKI_SPOOL_ERR, "cannot flush the folder above '%.200s': %s", s->dir,
                     strerror_r(bad, t, sizeof t));
            return false;
        }
    }
    return true;
}

// The log is what the checkpoint that the run goes on from says, or empty; what another one that is kept may need stays.
static bool go_on(rki_runner *r, struct rki_spill *s, char err[RKI_SPOOL_ERR])
{
    rki_spool_stats stats;
    uint64_t from, to;
    bool has = r->gen->number == 1 && rki_ckpt_log(r->run, log_name(s->dir), &from, &to);
    rki_spool_look(s->log, &stats);
    if (!has) {
        uint32_t committed = rki_ckpt_committed(r->run);
        s->last = s->done = stats.next - 1;
        if (stats.records && committed) { // of an instance before a reload also one that is under way
            s->cuts[s->n_cuts].number = committed + (r->gen->number != 1);
            s->cuts[s->n_cuts++].seq = stats.first - 1;
            rki_spool_seek(s->log, stats.next);
        } else if (stats.records) {
            rki_spool_ack(s->log, stats.next - 1, err);
        }
        return true;
    }
    if (stats.first > from + 1 || stats.next <= to) {
        snprintf(err, RKI_SPOOL_ERR,
                 "the log '%.200s' does not have what the checkpoint says was waiting there; --fresh begins anew",
                 s->dir);
        return false;
    }
    if (rki_spool_cut(s->log, to, err) != RKP_OK)
        return false;
    s->last = s->done = from;
    s->waiting = to - from;
    // What the one before needs: if this one is damaged tomorrow, a run goes on from that.
    s->cuts[s->n_cuts].number = rki_ckpt_committed(r->run) - 1;
    s->cuts[s->n_cuts++].seq = stats.first - 1;
    s->cuts[s->n_cuts].number = rki_ckpt_committed(r->run);
    s->cuts[s->n_cuts++].seq = from;
    rki_spool_seek(s->log, from + 1);
    return true;
}

// Sequentially consistent, as in_commit: a consumer that orders by stamps looks at it before it goes on without us (hold.c).
static void tell_behind(const rki_outset *o)
{
    uint32_t behind = o->spill->waiting > 0;
    if (o->edge->hlc && RKI_LOOK(o->links[0]->behind) != behind)
        __atomic_store_n(&o->links[0]->behind, behind, __ATOMIC_SEQ_CST);
}

// A runner that may spill, from the start or by what it took over.
void rki_spill_begin(rki_runner *r)
{
    for (uint32_t i = 0; i < r->n_stages; i++)
        r->spills_at_once |= (r->acts[i]->op->traits & RKP_BLOCKING) != 0;
}

// For those who look.
static void show_size(const rki_outset *o)
{
    rki_spool_stats st = { 0 };
    if (o->spill && o->spill->log)
        rki_spool_look(o->spill->log, &st);
    __atomic_store_n(&o->links[0]->spill_bytes, st.bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&o->links[0]->spill_messages, st.records, __ATOMIC_RELAXED);
}

// Opens the log of an edge.  In a stream what it holds from the last run is waiting; a batch job begins anew.
bool rki_spill_open(rki_runner *r, rki_outset *o)
{
    rki_run *run = r->run;
    uint64_t limit = o->edge->spill_bytes;
    rki_spool_opts opts = { .sync = run->ckpt ? RKI_SPOOL_INTERVAL : RKI_SPOOL_NEVER,
                            .sync_ns = UINT64_MAX, // by rki_spill_save, and each segment when it is full
                            .gather_bytes = GATHER_BYTES,
                            .segment_bytes = limit && limit / 4 < SEGMENT_BYTES ? limit / 4 : SEGMENT_BYTES };
    rki_spool_stats stats;
    struct rki_spill *s = calloc(1, sizeof *s);
    char err[RKI_SPOOL_ERR] = "";
    rkp_actor *a = r->acts[r->n_stages - 1];
    if (!s) {
        rki_fail_run(a, RKP_NOMEM, "out of memory");
        return false;
    }
    o->spill = s;
    s->run = run;
    rki_buf_init(&s->body);
    s->schema = schema_of(r->wiring->gen->plan, o->edge);
    s->dir = folder(run, r->wiring->gen->plan, o);
    if (!s->dir) {
        rki_fail_run(a, RKP_NOMEM, "out of memory");
        return false;
    }
    rki_ckpt_log_back(run, s->dir);
    if (rki_spool_open(s->dir, &opts, &s->log, err) != RKP_OK) {
        rki_fail_run(a, RKP_IO, "cannot spill: %s", err);
        return false;
    }
    rki_spill_begin(r);
    snprintf(s->from, sizeof s->from, "%s", name_of(r->wiring->gen->plan, o->edge->from_stage));
    snprintf(s->to, sizeof s->to, "%s", name_of(r->wiring->gen->plan, o->edge->to_stage));
    if (*rki_spool_warning(s->log) && !run->ckpt)
        rki_log(run, "kernel '%s': %s\n", a->bound->k->id.p, rki_spool_warning(s->log));
    rki_spool_look(s->log, &stats);
    if (run->ckpt) {
        if (!go_on(r, s, err) || !enter(s, err)) {
            rki_fail_run(a, RKP_UNAVAILABLE, "cannot spill: %s", err);
            return false;
        }
        rki_spool_look(s->log, &stats);
        s->bytes = s->waiting ? (int64_t)stats.bytes : 0;
    } else {
        if (stats.records && !r->gen->plan->stream)
            rki_spool_ack(s->log, stats.next - 1, err);
        else
            s->waiting = stats.records;
        rki_spool_seek(s->log, 0);
    }
    tell_behind(o);
    __atomic_store_n(&o->links[0]->spilled_rows, 0, __ATOMIC_RELAXED);
    show_size(o);
    return true;
}

// What the consumer has released is done with, unless a checkpoint that is kept (the newest two) or may become one needs it.
static void let_go(const rki_runner *r, rki_outset *o)
{
    struct rki_spill *s = o->spill;
    uint64_t head = __atomic_load_n(&o->links[0]->ring->head, __ATOMIC_ACQUIRE), done = s->done;
    char err[RKI_SPOOL_ERR];
    while (s->n && (int64_t)(head - s->moved[s->first].tail) >= 0) {
        s->done = s->moved[s->first].seq;
        s->bytes -= (int64_t)s->moved[s->first].bytes;
        s->first = (s->first + 1) % s->cap;
        s->n--;
    }
    if (s->n_cuts) {
        uint32_t committed = rki_ckpt_committed(r->run);
        while (s->n_cuts && s->cuts[0].number + 1 < committed) {
            memmove(s->cuts, s->cuts + 1, --s->n_cuts * sizeof *s->cuts);
            done = 0; // look again
        }
    }
    if (s->done == done)
        return;
    done = s->n_cuts && s->cuts[0].seq < s->done ? s->cuts[0].seq : s->done;
    if (done)
        rki_spool_ack(s->log, done, err); // a ledger that cannot be written only makes records come again
    show_size(o);
}

static bool note_moved(struct rki_spill *s, uint64_t seq, uint64_t tail, size_t bytes)
{
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 64;
        void *v = malloc(cap * sizeof *s->moved);
        if (!v)
            return false;
        for (uint32_t i = 0; i < s->n; i++)
            memcpy((char *)v + i * sizeof *s->moved, &s->moved[(s->first + i) % s->cap], sizeof *s->moved);
        free(s->moved);
        s->moved = v;
        s->cap = cap;
        s->first = 0;
    }
    s->moved[(s->first + s->n) % s->cap].seq = seq;
    s->moved[(s->first + s->n) % s->cap].bytes = bytes;
    s->moved[(s->first + s->n++) % s->cap].tail = tail;
    return true;
}

bool rki_spilling(const rki_outset *o)
{
    return o->spill && o->spill->waiting > 0;
}

bool rki_spill_room(rki_runner *r, rki_outset *o)
{
    struct rki_spill *s = o->spill;
    rki_spool_stats stats;
    if (!o->edge->spill_bytes || !s || !s->log || s->room > 0)
        return true;
    rki_spool_look(s->log, &stats);
    s->room = (int64_t)(o->edge->spill_bytes - (stats.records ? stats.bytes : 0));
    if (r->run->ckpt && s->room <= 0) { // what is only there for a checkpoint does not count, but should go soon
        s->room = (int64_t)o->edge->spill_bytes - (s->waiting || s->n ? s->bytes : 0);
        rki_ckpt_hurry(r->run);
    }
    if (s->room > 0) {
        s->full = false;
        return true;
    }
    if (!s->full)
        RKI_ADD(o->links[0]->spill_waits, 1);
    s->full = true;
    if (!s->warned) {
        const char *from = s->from, *to = s->to;
        s->warned = true;
        rki_log(
            r->run,
            "kernel '%s': what waits on disk for kernel '%s' has reached its %llu bytes (queue.spill.max_bytes): '%s' "
            "waits until some has been taken\n",
            from, to, (unsigned long long)o->edge->spill_bytes, from);
    }
    return false;
}

bool rki_spill_put(rki_runner *r, rki_outset *o, rki_outmsg *m)
{
    struct rki_spill *s = o->spill;
    rkp_actor *a = r->acts[r->n_stages - 1];
    rkp_batch *b = (rkp_batch *)(uintptr_t)m->env.payload;
    rkp_envelope e = m->env;
    char err[RKI_SPOOL_ERR] = "";
    if (!s->log) // it could not be opened, and the run has failed
        return false;
    e.payload = 0;
    rki_buf_clear(&s->body);
    if (rki_wire_put(b, &s->body) != RKP_OK) {
        rki_fail_run(a, RKP_NOMEM, "a message is too large to spill, or memory is out");
        return false;
    }
    if (rki_spool_append(s->log, &e, s->body.p, s->body.n, NULL, err) != RKP_OK) {
        rki_fail_run(a, RKP_IO, "cannot spill: %s", err);
        return false;
    }
    r->gathered = true;
    s->room -= (int64_t)s->body.n + HEAD_BYTES;
    s->bytes = (s->waiting || s->n ? s->bytes : 0) + (int64_t)s->body.n + HEAD_BYTES;
    s->waiting++;
    tell_behind(o);
    RKI_ADD(o->links[0]->spilled_rows, e.rows);
    rkp_batch_put(b);
    return true;
}

void rki_spill_write(rki_runner *r)
{
    r->gathered = false;
    for (uint32_t i = 0; i < r->n_outs; i++) {
        const struct rki_spill *s = r->outs[i].spill;
        char err[RKI_SPOOL_ERR] = "";
        if (s && s->log && rki_spool_write(s->log, err) != RKP_OK)
            rki_fail_run(r->acts[r->n_stages - 1], RKP_IO, "cannot spill: %s", err);
        else if (s && s->log)
            show_size(&r->outs[i]);
    }
}

void rki_spill_flushed(rki_runner *r)
{
    uint64_t now = rkp_now_ns(r->acts[0]), last = r->gathered_ns;
    r->gathered_ns = now;
    if (r->spills_at_once || now - last > GATHER_NS)
        rki_spill_write(r);
}

// Moves the log's front into the ring while there is room.  True when something was moved.
bool rki_spill_move(rki_runner *r, rki_outset *o)
{
    struct rki_spill *s = o->spill;
    rkp_actor *a = r->acts[r->n_stages - 1];
    bool any = false;
    let_go(r, o);
    while (s->waiting && !RKI_LOOK(o->links[0]->due) && !rki_halted(r)) {
        rki_spool_record rec;
        char err[RKI_SPOOL_ERR] = "";
        rki_outmsg m = { .link = 0 };
        const char *why = "";
        rkp_batch *b = NULL;
        rkp_status st;
        if (!rki_has_room(o->links[0], 64u << 10))
            break;
        if (rki_spool_next(s->log, &rec, err) != RKP_OK) {
            rki_fail_run(a, RKP_IO, "cannot read back what was spilled: %s", err);
            return any;
        }
        if (r->run->ckpt && rec.seq != s->last + 1) {
            rki_fail_run(a, RKP_IO, "record %llu of what was spilled to '%s' is damaged; --fresh begins anew",
                         (unsigned long long)s->last + 1, s->dir);
            return any;
        }
        if (!rec.seq) { // what was damaged is counted by the log, and told
            rki_spool_stats stats;
            rki_spool_look(s->log, &stats);
            if (stats.lost)
                rki_log(r->run, "kernel '%s': %llu spilled messages were damaged on disk and are lost\n",
                        a->bound->k->id.p, (unsigned long long)stats.lost);
            s->waiting = 0;
            break;
        }
        st = rki_wire_get(r->run->pool, s->schema, rec.body, rec.n, &b, &why);
        if (st == RKP_INVALID) {
            rki_fail_run(a, RKP_IO,
                         "what was spilled to '%s' does not fit the pipeline any more: %s; remove that folder to go on "
                         "without it",
                         s->dir, why);
            return any;
        }
        if (st != RKP_OK) {
            rki_fail_run(a, RKP_NOMEM, "out of memory while reading back what was spilled");
            return any;
        }
        m.env = rec.env;
        m.env.payload = (uint64_t)(uintptr_t)b;
        m.env.actor = r->id;
        rki_push_one(r, o, &m);
        s->last = rec.seq;
        if (!note_moved(s, rec.seq, __atomic_load_n(&o->links[0]->ring->tail, __ATOMIC_RELAXED), rec.n + HEAD_BYTES)) {
            rki_fail_run(a, RKP_NOMEM, "out of memory while reading back what was spilled");
            return any;
        }
        o->spool_stamp = m.env.stamp;
        s->waiting--;
        any = true;
    }
    tell_behind(o);
    return any;
}

bool rki_spill_has(const rki_outset *o)
{
    return o->n && !o->closes && rki_spilling(o);
}

bool rki_spill_save(rki_runner *r, rki_outset *o, uint32_t number, rkp_save *to)
{
    struct rki_spill *s = o->spill;
    char err[RKI_SPOOL_ERR] = "";
    rkp_status st = s->log ? rki_spool_flush(s->log, err) : RKP_INTERNAL; // the run has failed without it
    if (st != RKP_OK) {
        rki_fail_run(r->acts[r->n_stages - 1], st, "cannot save what waits on disk: %s", err);
        return false;
    }
    let_go(r, o); // those that are kept are the two before this one at most
    if (s->n_cuts == sizeof s->cuts / sizeof *s->cuts)
        s->n_cuts--;
    s->cuts[s->n_cuts].number = number;
    s->cuts[s->n_cuts++].seq = s->last;
    rkp_save_str(to, rkp_str_of(log_name(s->dir)));
    rkp_save_u64(to, s->last);
    rkp_save_u64(to, s->last + s->waiting);
    return true;
}

void rki_spill_moved(rki_outset *o, const rki_plan *p)
{
    if (o->spill)
        o->spill->schema = schema_of(p, o->edge);
}

// The edge is done: everything was taken.  An empty log leaves no folder behind; where a checkpoint speaks of it, later (rki_ckpt_drop_logs).
void rki_spill_close(rki_outset *o, bool all_taken)
{
    struct rki_spill *s = o->spill;
    rki_spool_stats stats = { 0 };
    char err[RKI_SPOOL_ERR];
    bool gone = false;
    if (!s)
        return;
    o->spill = NULL;
    if (s->log) {
        gone = all_taken && rki_ckpt_committed(s->run);
        all_taken = all_taken && !gone;
        if (all_taken) {
            rki_spool_look(s->log, &stats);
            if (stats.next > 1)
                rki_spool_ack(s->log, stats.next - 1, err);
        }
        if (all_taken)
            rki_spool_remove(s->log);
        else
            rki_spool_close(s->log);
    }
    if (gone)
        rki_ckpt_log_gone(s->run, s->dir);
    rki_buf_fini(&s->body);
    free(s->moved);
    free(s->dir);
    free(s);
}

void rki_spill_end(const rki_run *run)
{
    char *path = rki_spill_folder(run);
    if (path)
        (void)rmdir(path);
    free(path);
}

void rki_spill_remove(const char *dir)
{
    const rki_spool_opts opts = { .sync = RKI_SPOOL_NEVER };
    rki_spool_stats stats;
    rki_spool *log;
    char err[RKI_SPOOL_ERR];
    if (access(dir, F_OK) != 0 || rki_spool_open(dir, &opts, &log, err) != RKP_OK)
        return; // the next run finds it
    rki_spool_look(log, &stats);
    if (stats.next > 1)
        rki_spool_ack(log, stats.next - 1, err);
    rki_spool_remove(log);
}
