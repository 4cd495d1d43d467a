// run/pass.c - a kernel with replicas one of whose ends must be one (plan/many.h): who takes its messages and deals them, and who puts
// what the replicas made in order and sends it.
//
//   publishers -> [deal] -> replicas, in turns or by key -> [gather] -> subscribers
//
// Both are stages of the kernel and pass on what they get.  Order in turns, marks of chunks, barriers and ends are those of every actor that
// feeds replicas or reads them (out.c, runner.c).
#include "run/actor.h"

const rkp_op rki_op_pass = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$pass",
    .kind = RKP_TRANSFORM,
    .summary = "Passes on what it gets.",
    .traits = RKP_STATELESS | RKP_ROWWISE,
};

// As rkp_emit, but for the stamp and for who looks: it is the kernel's input still.
static void deal(rkp_actor *a, rkp_batch *b)
{
    rki_out *o = a->n_outs[0] ? &a->outs[0][0] : NULL; // the kernel's next stage
    a->r->emission++;
    a->r->stamp = a->r->in_stamp;
    RKI_ADD(a->counts.rows_out, rki_batch_rows(b));
    RKI_ADD(a->counts.bytes_out, b->in_bytes);
    if (o && o->local) {
        rki_deliver(o->local, b);
        rkp_batch_put(b);
    } else if (o) {
        rki_send(a, o, b);
    }
}

rkp_verdict rki_pass(rkp_actor *a, rkp_batch *b)
{
    rkp_batch_get(b);
    if (a->stage->role == RKI_DEAL)
        deal(a, b);
    else
        rkp_emit(a, a == a->r->acts[0] ? a->r->in_port : 0, b);
    return RKP_DONE;
}
