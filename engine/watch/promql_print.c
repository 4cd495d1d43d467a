// promql_print.c - a tree as text, in one form for all ways of writing it.
#include "watch/promql_lex.h"
#include "watch/promql_tree.h"

#include <rkpipe/num.h>

static const char *const how[] = { "=", "!=", "=~", "!~" };

static void print_number(double v, rki_buf *out)
{
    char text[RKP_F64_TEXT];

    rki_put(out, text, rkp_print_f64(text, v));
}

static void print_labels(const rki_prom *e, const char *word, rki_buf *out)
{
    rki_putf(out, "%s (", word);
    for (uint32_t i = 0; i < e->n_labels; i++)
        rki_putf(out, "%s" RKP_STR_FMT, i ? ", " : "", RKP_STR_ARG(e->labels[i]));
    rki_putc(out, ')');
}

static void print_selector(const rki_prom *e, rki_buf *out)
{
    uint32_t first = e->name.p ? 1 : 0;

    if (e->name.p)
        rki_put(out, e->name.p, e->name.n);
    if (e->n_matchers > first)
        rki_putc(out, '{');
    for (uint32_t i = first; i < e->n_matchers; i++) {
        const rki_matcher *m = &e->matchers[i];

        rki_putf(out, "%s" RKP_STR_FMT "%s", i > first ? "," : "", RKP_STR_ARG(m->name), how[m->how]);
        rki_quote(m->value, out);
    }
    if (e->n_matchers > first)
        rki_putc(out, '}');
    if (!e->range_ms)
        return;
    rki_putc(out, '[');
    rki_prom_print_duration(e->range_ms, out);
    rki_putc(out, ']');
}

static void print_binary(const rki_prom *e, rki_buf *out)
{
    rki_prom_print(e->arg[0], out);
    rki_putf(out, " %s%s ", rki_prom_ops[e->op], e->is_bool ? " bool" : "");
    if (e->grouped) {
        print_labels(e, e->on ? "on" : "ignoring", out);
        rki_putc(out, ' ');
    }
    rki_prom_print(e->arg[1], out);
}

static void print_args(const rki_prom *e, rki_buf *out)
{
    rki_putc(out, '(');
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (i)
            rki_putz(out, ", ");
        rki_prom_print(e->arg[i], out);
    }
    rki_putc(out, ')');
}

void rki_prom_print(const rki_prom *e, rki_buf *out)
{
    switch (e->kind) {
    case RKI_PROM_NUMBER:
        print_number(e->number, out);
        break;
    case RKI_PROM_SELECTOR:
        print_selector(e, out);
        break;
    case RKI_PROM_SIGN:
        rki_putz(out, rki_prom_ops[e->op]);
        rki_prom_print(e->arg[0], out);
        break;
    case RKI_PROM_PAREN:
        print_args(e, out);
        break;
    case RKI_PROM_BINARY:
        print_binary(e, out);
        break;
    case RKI_PROM_AGGREGATE:
        rki_putz(out, rki_prom_aggs[e->op]);
        if (e->grouped) {
            rki_putc(out, ' ');
            print_labels(e, e->on ? "by" : "without", out);
            rki_putc(out, ' ');
        }
        print_args(e, out);
        break;
    default:
        rki_putz(out, e->fn->name);
        print_args(e, out);
        break;
    }
}
