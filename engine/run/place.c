// run/place.c - a source that keeps its place: a new instance goes on behind the last batch that the failed one has given.
//
// After each poll its state is saved, as a checkpoint would.  A poll that fails is taken back as if it had not been, so the place before it
// is right whatever the failed instance has done meanwhile, and no row comes twice or not at all.
#include "run/meter.h"

bool rki_place_kept(const rki_bound *b)
{
    const rkp_op *op = b->k->op;
    return op->kind == RKP_SOURCE && op->save && op->restore && !(op->traits & RKP_RESTARTS) &&
           (!b->delivery || b->delivery == RKP_EXACTLY_ONCE);
}

bool rki_keeps_place(const rkp_actor *a)
{
    return rki_place_kept(a->bound) && a->stage->role != RKI_DECODE;
}

bool rki_place_take(rkp_actor *a, rki_place *p)
{
    rkp_save was = p->good;
    rkp_status st;
    rki_buf_clear(&p->next.out);
    p->next.out.failed = false;
    p->next.st = RKP_OK;
    st = a->op->save(a->self, a, &p->next);
    if (st == RKP_OK)
        st = rki_save_status(&p->next);
    if (st != RKP_OK) {
        if (!a->crashed)
            rkp_fail(a, st, st == RKP_NOMEM ? "out of memory while saving its place" : "cannot save its place");
        return false;
    }
    p->good = p->next;
    p->next = was;
    p->known = true;
    return true;
}

bool rki_place_go(rkp_actor *a, const rki_place *p)
{
    rkp_load l;
    rkp_status st;
    rki_load_begin(&l, p->good.out.n ? p->good.out.p : "", p->good.out.n);
    st = a->op->restore(a->self, a, &l);
    if (st == RKP_OK && l.st == RKP_OK)
        st = rki_load_end(&l);
    if (st == RKP_OK)
        st = l.st;
    if (st != RKP_OK && !a->crashed)
        rkp_fail(a, st, "cannot go on where it was: %s",
                 st == RKP_NOMEM ? "out of memory"
                 : l.why[0]      ? l.why
                                 : "its place does not fit");
    return st == RKP_OK && !a->crashed;
}

void rki_place_fini(rki_place *p)
{
    rki_save_fini(&p->good);
    rki_save_fini(&p->next);
    *p = (rki_place){ 0 };
}
