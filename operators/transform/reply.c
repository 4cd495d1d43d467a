// reply: the end of the answering side: rows go back to the `call` that sent the request they were made from.
#include <rkpipe/op.h>

static rkp_status reply_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out_same(b, 0);
    rkp_bind_read_all(b);
    rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "requests under way are not saved yet");
    return RKP_OK;
}

static rkp_verdict reply_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    (void)self;
    (void)a;
    (void)port;
    (void)b;
    return RKP_PASS;
}

const rkp_op rkp_op_reply = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "reply",
    .kind = RKP_TRANSFORM,
    .summary = "Send rows back to the `call` whose request they answer.",
    .details = "Every message carries the id of the request it was made from, through whatever kernels worked on it. "
               "Rows that were made from "
               "no request, or whose request has timed out, are dropped and counted (`no request`, `late reply`).",
    .also = "sync_response respond response",
    .traits = RKP_REPLIES | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = 1,
    .bind = reply_bind,
    .on_batch = reply_on_batch,
};
