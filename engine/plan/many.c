// plan/many.c - kernels with replicas one of whose ends must be one.
#include "plan/many.h"

static bool of_group(const rki_kernel *k, const rki_input *in)
{
    return in->topic && k->subs[in->sub].group.p;
}

const char *rki_many_reader(const rki_plan *p, uint32_t kernel)
{
    const rki_kernel *k = p->kernels[kernel].k;
    if (k->order == RKI_ORDER_HLC)
        return "order: hlc";
    if (k->start_suspended)
        return "it starts suspended";
    if (k->batches)
        return "it has a batch policy";
    for (size_t j = 0; j < k->n_from; j++) {
        if (k->from[j].overflow != RKI_OVERFLOW_BLOCK)
            return "its queue does not block";
        if (of_group(k, &k->from[j]))
            return "it is a member of a group";
    }
    return NULL;
}

static const char *why_of_reader(const rki_kernel *to, const rki_input *in)
{
    if (to->order == RKI_ORDER_HLC)
        return "a reader has order: hlc";
    if (in->overflow != RKI_OVERFLOW_BLOCK)
        return to->id.p[0] == '$' ? "an alert watches it" : "a reader's queue does not block";
    if (of_group(to, in))
        return "a group reads it";
    if (in->topic && to->start_suspended && in->conf && in->conf->retains && to->subs[in->sub].start != RKI_FROM_NOW)
        return "it retains messages for a reader";
    return NULL;
}

const char *rki_many_writer(const rki_plan *p, uint32_t kernel)
{
    for (uint32_t i = 0; i < p->n_kernels; i++) {
        const rki_kernel *to = p->kernels[i].k;
        for (size_t j = 0; j < to->n_from; j++) {
            const char *why = to->from[j].kernel == kernel ? why_of_reader(to, &to->from[j]) : NULL;
            if (why)
                return why;
        }
    }
    return NULL;
}

const char *rki_many_alone(const rki_plan *p, uint32_t kernel)
{
    const rki_kernel *k = p->kernels[kernel].k;
    if (k->batches && (k->partition_by.p || k->op->kind == RKP_SOURCE)) // a batch that is divided is none
        return "it has a batch policy";
    if (k->supervised)
        return "it is supervised";
    if (k->start_suspended && k->op->kind == RKP_SOURCE)
        return "it starts suspended";
    return NULL;
}

bool rki_many_wanted(const rki_kernel *k)
{
    return k->replicas_given && k->replicas != 1;
}

// Can some stage of it be several?
static bool divides(const rki_plan *p, uint32_t kernel)
{
    const rki_bound *b = &p->kernels[kernel];
    const rki_kernel *k = b->k;
    const rkp_op *op = k->op;
    if (!rki_many_wanted(k) || rki_many_alone(p, kernel) || b->single || (op->traits & (RKP_CALLS | RKP_REPLIES)))
        return false;
    if (op->kind == RKP_SOURCE)
        return op->decode && !b->whole;
    if (op->kind == RKP_SINK)
        return op->encode && !b->whole;
    return ((op->traits & RKP_STATELESS) || k->partition_by.p) && !(op->traits & RKP_BLOCKING) &&
           k->place_mode != RKI_PLACE_MODE_THREAD;
}

bool rki_many_deals(const rki_plan *p, uint32_t kernel)
{
    const rki_bound *b = &p->kernels[kernel];
    const char *why = rki_many_reader(p, kernel);
    if (b->k->op->kind == RKP_SOURCE || !divides(p, kernel))
        return false;
    // Two divisions by one key are no two divisions: each member's replicas would get only some of the keys of that member.
    for (size_t j = 0; b->k->partition_by.p && j < b->k->n_from; j++)
        if (of_group(b->k, &b->k->from[j]))
            return false;
    return why || (!b->k->partition_by.p && (b->k->n_from > 1 || b->takes_dead));
}

bool rki_many_gathers(const rki_plan *p, uint32_t kernel)
{
    const rki_kernel *k = p->kernels[kernel].k;
    return k->op->kind != RKP_SINK && k->n_ports <= UINT8_MAX && divides(p, kernel) && rki_many_writer(p, kernel);
}
