// identity.c - which pipeline is it?  For what is kept from one run to the next.
//
// A hash (FNV-1a, 64 bits) of the resolved text: another one means that what was saved may not fit.
#include "spec/spec.h"
#include "spec/tree.h"

#include <stdio.h>

uint64_t rki_hash_text(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
    h = (h ^ 0xff) * UINT64_C(1099511628211); // no text has this byte, so none runs into the next
    return h;
}

uint64_t rki_hash_node(uint64_t h, const rkp_node *n)
{
    static const char mark[] = "([{";

    if (!n)
        return rki_hash_text(h, "-", 1);
    h = rki_hash_text(h, &mark[n->kind % 3], 1);
    h = rki_hash_text(h, n->key.p ? n->key.p : "", n->key.n);
    if (!n->child)
        return rki_hash_text(h, n->text.p ? n->text.p : "", n->text.n);
    for (const rkp_node *c = n->child; c; c = c->next)
        h = rki_hash_node(h, c);
    return rki_hash_text(h, ")", 1);
}

uint64_t rki_hash_variables(uint64_t h, const rki_spec *s)
{
    for (size_t i = 0; i < s->n_vars; i++) {
        h = rki_hash_text(h, s->vars[i].name.p, s->vars[i].name.n);
        h = rki_hash_text(h, s->vars[i].value.p ? s->vars[i].value.p : "", s->vars[i].value.n);
    }
    return h;
}

// Fields of a kernel that change how it runs, not what it does.
static bool counts(rkp_str key)
{
    static const char *const other[] = { "description", "labels", "priority", "place", "fuse",
                                         "queue",       "batch",  "timeout",  "retry" };

    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strlen(other[i]) == key.n && memcmp(other[i], key.p, key.n) == 0)
            return false;
    return true;
}

uint64_t rki_spec_identity(const rki_spec *s)
{
    static const char *const parts[] = { "topics", "dead_letter", "schemas", "defaults" };
    uint64_t h = RKI_HASH_BEGIN;
    const rkp_node *kernels = rki_node_get(s->root, "kernels");

    for (const rkp_node *k = kernels ? kernels->child : NULL; k; k = k->next) {
        h = rki_hash_text(h, k->key.p, k->key.n);
        for (const rkp_node *f = k->child; f; f = f->next)
            if (counts((rkp_str){ f->key.p, f->key.n }))
                h = rki_hash_node(h, f);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        h = rki_hash_node(h, rki_node_get(s->root, parts[i]));
    return rki_hash_variables(h, s);
}

void rki_spec_checkpoints(const rki_spec *s, char name[40])
{
    if (s->n_vars)
        snprintf(name, 40, "checkpoints-%016llx", (unsigned long long)rki_hash_variables(RKI_HASH_BEGIN, s));
    else
        snprintf(name, 40, "checkpoints");
}
