// fields.c - kernel fields that mean something for some operators only: `restart`, `retry`, `state`.
#include "spec/load.h"

// A kernel whose new instance would begin its input again, or lose what it has written, cannot be supervised.  (Of a source that keeps its
// place the plan looks whether it can with its options.)
static void check_restart(rki_load *l, const rkp_node *n, const rki_kernel *k)
{
    const rkp_node *r = rki_node_get(n, "restart");
    bool source = k->op->kind == RKP_SOURCE, restarts = k->op->traits & RKP_RESTARTS;

    if (!k->supervised)
        return;
    if (source && !restarts && k->op->save && k->restart.policy == RKI_RESTART_ALWAYS) {
        rkp_diag(l->d, RKP_ERROR, r->key_at, "restart-impossible",
                 "kernel '%s' (%s) would have nothing to read when it is started again after its end", k->id.p,
                 k->op->name);
        rkp_diag_hint(l->d, "'policy: on_failure' starts it again where it was when it failed");
        return;
    }
    if (source ? restarts || k->op->save : !k->op->commit && !k->op->abort)
        return;
    rkp_diag(l->d, RKP_ERROR, r->key_at, "restart-impossible", "kernel '%s' (%s) cannot be restarted: %s", k->id.p,
             k->op->name,
             source ? "it would begin its input again" : "it would lose what it has written since the last checkpoint");
    if (k->op->retries)
        rkp_diag_hint(
            l->d,
            "'retry' tries again after: %s; after anything else the same command goes on from the last checkpoint",
            k->op->retries);
    else if (!source)
        rkp_diag_hint(l->d, "let what it gives its rows to see to that, or leave 'restart' out");
}

// ---- retry

// The words of a blank separated list; false: too many for the room.
static bool words_of(rki_load *l, const char *list, const char **v, size_t room)
{
    size_t n = 0;

    for (const char *at = list; *at;) {
        size_t len = strcspn(at, " ");

        if (n + 1 == room || !(v[n] = rki_dup(l->arena, at, len)))
            return false;
        n++;
        at += len + (at[len] == ' ');
    }
    v[n] = NULL;
    return true;
}

static bool one_of(const char *const *v, rkp_word w)
{
    for (; *v; v++)
        if (rkp_str_is(rkp_word_str(w), *v))
            return true;
    return false;
}

static void check_retry(rki_load *l, const rkp_node *n, const rki_kernel *k)
{
    const rkp_node *r = rki_node_get(n, "retry");
    const char *names[16];

    if (!k->retry.max_attempts || !r)
        return;
    if (!k->op->retries) {
        rkp_diag(l->d, RKP_ERROR, r->key_at, "field-useless",
                 "'retry' means nothing for '%s' (%s): it does not fail for a reason that may pass", k->id.p,
                 k->op->name);
        rkp_diag_hint(
            l->d, k->op->kind == RKP_SOURCE
                      ? "'restart' starts a source again that has failed"
                      : "leave it out; 'on_error' is about rows that are wrong, 'restart' about a kernel that fails");
        return;
    }
    if (!words_of(l, k->op->retries, names, sizeof names / sizeof *names))
        return;
    for (size_t i = 0; i < k->retry.errors.n; i++) {
        rkp_word w = k->retry.errors.v[i];
        const char *near;

        if (one_of(names, w))
            continue;
        near = rki_opt_nearest(l->d, rkp_word_str(w), names);
        rkp_diag(l->d, RKP_ERROR, w.at, "retry-error", "'%s' is no error after which %s may try again", w.p,
                 k->op->name);
        if (near)
            rkp_diag_hint(l->d, "did you mean '%s'?", near);
        else
            rkp_diag_hint(l->d, "it knows: %s", k->op->retries);
    }
    if (k->retry.errors.v && k->retry.errors.n == 0) {
        rkp_diag(l->d, RKP_ERROR, k->retry.errors.at, "retry-error", "'errors' of 'retry' names none");
        rkp_diag_hint(l->d, "leave it out: then it is after all that the operator knows: %s", k->op->retries);
    }
}

// ---- state

static void check_state(rki_load *l, const rkp_node *n, const rki_kernel *k)
{
    const rkp_node *s = rki_node_get(n, "state");

    if (!s || s->kind != RKI_MAP)
        return;
    if (!(k->op->traits & RKP_KEYED)) {
        rkp_diag(l->d, RKP_ERROR, s->key_at, "field-useless",
                 "'state' means nothing for '%s' (%s): it remembers no keys", k->id.p, k->op->name);
        rkp_diag_hint(l->d, "leave it out; 'engine: {memory_limit}' bounds what all kernels hold");
    } else if (!(k->op->traits & RKP_FORGETS)) {
        rkp_diag(l->d, RKP_ERROR, s->key_at, "field-useless",
                 "'state' means nothing for '%s' (%s): it gives each key once, at the end, and forgets none before",
                 k->id.p, k->op->name);
        rkp_diag_hint(l->d, "leave it out: what does not fit into 'engine: {memory_limit}' goes to disk meanwhile");
    } else if (!rki_node_get(s, "ttl") && !rki_node_get(s, "max_keys")) {
        rkp_diag(l->d, RKP_ERROR, s->at, "key-missing", "'state' needs 'ttl' or 'max_keys'");
    }
}

// `defaults` are for the kernels for which they mean something.
bool rki_field_for(const rkp_op *op, const rkp_node *n)
{
    const rkp_str field = rkp_word_str(n->key);
    const rkp_node *device = n->kind == RKI_MAP ? rki_node_get(n, "device") : n;
    if (op->kind == RKP_SOURCE && (rkp_str_is(field, "batch") || rkp_str_is(field, "queue")))
        return false; // it has no input
    if (rkp_str_is(field, "place") && device && device->kind == RKI_SCALAR && rkp_str_is(device->text, "gpu") &&
        !op->device)
        return false; // it has no form for devices
    return !rkp_str_is(field, "retry") || op->retries;
}

void rki_check_fields(rki_load *l, const rkp_node *n, const rki_kernel *k)
{
    check_restart(l, n, k);
    check_retry(l, n, k);
    check_state(l, n, k);
}
