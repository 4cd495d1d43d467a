// export.c - rules as a file that Prometheus reads.  Texts are written as JSON strings, which are YAML as well.
#include "watch/export.h"

#include "base/json.h"

const char *rki_rule_unsaid(const rki_rule_conf *c)
{
    if (c->where.p)
        return "it is about rows";
    if (c->resolve.p)
        return "it has resolve_expr";
    return c->no_data == RKI_NO_DATA_OK ? NULL : "it has no_data";
}

static void put_text(rkp_str s, rki_buf *out)
{
    rki_json j;

    rki_json_init(&j, out, 0);
    rki_json_str(&j, s);
}

static void put_duration(const char *key, int64_t ms, int indent, rki_buf *out)
{
    if (ms <= 0)
        return;
    rki_putf(out, "%*s%s: ", indent, "", key);
    if (ms % 1000)
        rki_putf(out, "%lldms\n", (long long)ms);
    else
        rki_putf(out, "%llds\n", (long long)ms / 1000);
}

static void put_texts(const char *key, const rki_rule_text *v, size_t n, rki_buf *out)
{
    if (n)
        rki_putf(out, "        %s:\n", key);
    for (size_t i = 0; i < n; i++) {
        rki_putf(out, "          " RKP_STR_FMT ": ", RKP_STR_ARG(v[i].name));
        put_text(rkp_word_str(v[i].text), out);
        rki_putc(out, '\n');
    }
}

static void put_rule(const rki_rule_conf *c, rki_buf *out)
{
    const char *unsaid = rki_rule_unsaid(c);

    if (unsaid) {
        rki_putf(out, "      # " RKP_STR_FMT ": left out, because %s, which Prometheus does not have\n",
                 RKP_STR_ARG(c->name), unsaid);
        return;
    }
    rki_putf(out, "      - alert: " RKP_STR_FMT "\n        expr: ", RKP_STR_ARG(c->name));
    put_text(rkp_word_str(c->expr), out);
    rki_putc(out, '\n');
    put_duration("for", c->for_ms, 8, out);
    put_duration("keep_firing_for", c->keep_ms, 8, out);
    put_texts("labels", c->labels, c->n_labels, out);
    put_texts("annotations", c->notes, c->n_notes, out);
}

static bool same_group(const rki_rule_conf *a, const rki_rule_conf *b)
{
    return a->every_ms == b->every_ms && a->limit == b->limit;
}

static bool is_first(const rki_rule_conf *v, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_group(&v[k], &v[i]))
            return false;
    return true;
}

void rki_rules_export(const rki_rule_conf *v, size_t n, rkp_str name, rki_buf *out)
{
    size_t groups = 0;

    rki_putz(out, n ? "groups:\n" : "groups: []\n");
    for (size_t i = 0; i < n; i++) {
        if (!is_first(v, i))
            continue;
        rki_putf(out, "  - name: \"" RKP_STR_FMT, RKP_STR_ARG(name));
        if (groups++)
            rki_putf(out, "-%zu", groups);
        rki_putz(out, "\"\n");
        put_duration("interval", v[i].every_ms, 4, out);
        if (v[i].limit)
            rki_putf(out, "    limit: %u\n", v[i].limit);
        rki_putz(out, "    rules:\n");
        for (size_t k = i; k < n; k++)
            if (same_group(&v[i], &v[k]))
                put_rule(&v[k], out);
    }
}
