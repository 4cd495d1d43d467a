// print.c - the resolved pipeline as YAML, which loads again to the same pipeline: includes, templates and defaults are
// done, variables have the values of this run as defaults, secrets are ***.
#include "spec/load.h"

struct printer {
    rki_buf *out;
    rki_json json; // for quoted texts: JSON's quotes are YAML's double quotes
};

static bool plain_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '.' || c == '/' ||
           c == '+' || c == '-' || c == '%';
}

static bool plain_ok(rkp_str s)
{
    if (s.n == 0 || s.p[0] == '-' || s.p[0] == '%')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!plain_char(s.p[i]))
            return false;
    return true;
}

static void quoted(struct printer *p, rkp_str s)
{
    rki_json_init(&p->json, p->out, 0);
    rki_json_str(&p->json, s);
}

static void text(struct printer *p, const rkp_node *n)
{
    rkp_node bare = { .kind = RKI_SCALAR, .plain = true, .text = n->text };
    rki_buf b;

    if (n->secret) {
        rki_putz(p->out, "\"***\"");
        return;
    }
    if ((n->plain || n->filled) && plain_ok(n->text) && !rki_node_is_null(&bare)) {
        rki_put(p->out, n->text.p, n->text.n);
        return;
    }
    if (rki_node_is_null(n)) {
        rki_putz(p->out, "null");
        return;
    }
    if (n->templated || n->expression || !memmem(n->text.p, n->text.n, "${", 2)) {
        quoted(p, n->text);
        return;
    }
    rki_buf_init(&b);
    for (size_t i = 0; i < n->text.n; i++) {
        if (n->text.p[i] == '$' && i + 1 < n->text.n && n->text.p[i + 1] == '{')
            rki_putc(&b, '$');
        rki_putc(&b, n->text.p[i]);
    }
    quoted(p, (rkp_str){ b.p, b.n });
    p->out->failed |= b.failed;
    rki_buf_fini(&b);
}

static void key(struct printer *p, rkp_word k)
{
    rkp_node bare = { .kind = RKI_SCALAR, .plain = true, .text = rkp_word_str(k) };

    if (plain_ok(bare.text) && !rki_node_is_null(&bare))
        rki_put(p->out, k.p, k.n);
    else
        quoted(p, bare.text);
    rki_putc(p->out, ':');
}

static void pad(struct printer *p, int indent)
{
    rki_putf(p->out, "%*s", indent, "");
}

// What stands after a key or a dash, with the end of its line.  `dash`: the first line goes on where the dash stands.
static void value(struct printer *p, const rkp_node *n, int indent, bool dash);

static void entries(struct printer *p, const rkp_node *n, int indent, bool dash)
{
    for (const rkp_node *c = n->child; c; c = c->next) {
        if (!dash || c != n->child)
            pad(p, indent);
        if (n->kind == RKI_MAP)
            key(p, c->key);
        else
            rki_putc(p->out, '-');
        value(p, c, indent + 2, n->kind == RKI_LIST);
    }
}

static void value(struct printer *p, const rkp_node *n, int indent, bool dash)
{
    if (n->kind == RKI_SCALAR) {
        rki_putc(p->out, ' ');
        text(p, n);
        rki_putc(p->out, '\n');
    } else if (n->n == 0) {
        rki_putz(p->out, n->kind == RKI_MAP ? " {}\n" : " []\n");
    } else if (dash) {
        rki_putc(p->out, ' ');
        entries(p, n, indent, true);
    } else {
        rki_putc(p->out, '\n');
        entries(p, n, indent, false);
    }
}

void rki_spec_print(const rki_spec *s, rki_buf *out)
{
    static const char *const done[] = { "include", "secrets", "defaults", "templates", NULL };
    struct printer p = { .out = out };

    for (const rkp_node *c = s->root->child; c; c = c->next) {
        bool skip = c->key.n > 2 && memcmp(c->key.p, "x-", 2) == 0;

        for (size_t i = 0; done[i]; i++)
            skip = skip || rkp_str_is(rkp_word_str(c->key), done[i]);
        if (skip)
            continue;
        key(&p, c->key);
        value(&p, c, 2, false);
    }
}
