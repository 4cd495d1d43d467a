// Any bytes as a pipeline file.  What loads must print as YAML that loads again, to the same YAML.
#include "spec/spec.h"
#include <stdlib.h>

static const char *const env[] = { "HOME=/root", "EMPTY=", NULL };

static rki_spec *load(const char *p, size_t n, rkp_diags *d)
{
    return rki_spec_load(&(rki_spec_args){ .file = "f.yaml", .text = { p, n }, .env = env, .ops = rkp_ops }, d);
}

static bool has_secret(const rkp_node *n)
{
    bool any = n->secret;

    for (const rkp_node *c = n->child; c && !any; c = c->next)
        any = has_secret(c);
    return any;
}

// The resolved pipeline has no more to say than the file itself.
static void prints_and_loads_again(const rki_spec *s)
{
    rki_buf one, two;

    rki_buf_init(&one);
    rki_buf_init(&two);
    rki_spec_print(s, &one);
    if (!one.failed && one.n < RKI_FILE_BYTES && !has_secret(s->root)) {
        rkp_diags *d = rki_diags_new();
        rki_spec *again = load(one.p, one.n, d);

        if (!again)
            abort();
        rki_spec_print(again, &two);
        if (one.n != two.n || memcmp(one.p, two.p, one.n) != 0)
            abort();
        rki_spec_free(again);
        rki_diags_free(d);
    }
    rki_buf_fini(&one);
    rki_buf_fini(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rkp_diags *d = rki_diags_new();
    rki_spec *s = load(size ? (const char *)data : "", size, d);
    rki_buf out;

    if (s)
        prints_and_loads_again(s);
    rki_buf_init(&out);
    rki_diags_text(d, &out, false);
    if (!s && !rki_diags_failed(d)) // refused in silence
        abort();
    rki_buf_fini(&out);
    rki_spec_free(s);
    rki_diags_free(d);
    return 0;
}
