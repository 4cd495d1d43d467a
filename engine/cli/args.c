// cli/args.c - words of the command line to the fields of a verb's struct, by its table; and the help text, by the same
// table.
//
// --name=value, --name value, a flag alone; options and other words in any order; `--` ends the options; `-` is a word,
// and so is what begins with `-` and goes on with neither a letter nor a dash (an expression such as -1 + 2).
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 100, MAX_ARGS = 64, MAX_VERBS = 64 };

static const rki_arg help_row = { .kind = RKI_ARG_FLAG, .name = "help", .help = "show this text" };

static const rki_arg *row_at(const rki_verb *v, size_t i)
{
    return v->args && v->args[i].kind != RKI_ARG_END ? &v->args[i] : NULL;
}

static const rki_arg *find(const rki_verb *v, rkp_str name)
{
    const rki_arg *a;
    for (size_t i = 0; (a = row_at(v, i)); i++)
        if (rkp_str_is(name, a->name))
            return a;
    return NULL;
}

static int unknown(const rki_cli *c, rkp_str name, const char *dashes)
{
    const char *names[MAX_ARGS + 2], *near;
    size_t n = 0;
    char hint[128];
    const rki_arg *a;
    for (size_t i = 0; n < MAX_ARGS && (a = row_at(c->verb, i)); i++)
        if (!a->hidden)
            names[n++] = a->name;
    names[n++] = help_row.name;
    names[n] = NULL;
    near = rki_nearest(name, names);
    if (near)
        snprintf(hint, sizeof hint, "did you mean '--%s'?", near);
    else
        snprintf(hint, sizeof hint, "'rkpipe %s --help' lists its options", c->verb->name);
    return rki_cli_usage(c, hint, "'%s' has no option '%s" RKP_STR_FMT "'", c->verb->name, dashes, RKP_STR_ARG(name));
}

static int set_choice(const rki_cli *c, const rki_arg *a, const char *value, int *field)
{
    rki_buf list;
    char *text;
    const char *near = rki_nearest(rkp_str_of(value), a->choices);
    for (int i = 0; a->choices[i]; i++) {
        if (strcmp(a->choices[i], value) == 0) {
            *field = i;
            return 0;
        }
    }
    rki_buf_init(&list);
    if (near)
        rki_putf(&list, "did you mean '%s'?", near);
    else
        for (int i = 0; a->choices[i]; i++)
            rki_putf(&list, "%s%s", i ? ", " : "it knows ", a->choices[i]);
    text = rki_buf_take(&list, NULL);
    rki_cli_usage(c, text, "--%s does not know '%s'", a->name, value);
    free(text);
    return RKI_EXIT_USAGE;
}

static int set_pair(const rki_cli *c, const rki_arg *a, const char *value, rki_kvs *to)
{
    const char *eq = strchr(value, '=');
    rki_kv *v;
    char *key;
    if (!eq || eq == value)
        return rki_cli_usage(c, NULL, "--%s needs %s, not '%s'", a->name, a->value, value);
    v = reallocarray(to->v, to->n + 1, sizeof *v);
    if (!v)
        return rki_cli_nomem();
    to->v = v;
    key = strndup(value, (size_t)(eq - value));
    if (!key)
        return rki_cli_nomem();
    v[to->n++] = (rki_kv){ key, eq + 1 };
    return 0;
}

static int set(const rki_cli *c, const rki_arg *a, const char *value)
{
    void *field = (char *)c->args + a->at;
    switch (a->kind) {
    case RKI_ARG_FLAG:
        *(bool *)field = true;
        return 0;
    case RKI_ARG_TEXT:
        *(const char **)field = value;
        return 0;
    case RKI_ARG_CHOICE:
        return set_choice(c, a, value, field);
    case RKI_ARG_PAIRS:
        return set_pair(c, a, value, field);
    case RKI_ARG_END:
        break;
    }
    return RKI_EXIT_INTERNAL;
}

// Which word of the command line is an option: it has a name after one or two dashes.
static bool is_option(const char *w)
{
    return w[0] == '-' && (w[1] == '-' || isalpha((unsigned char)w[1]));
}

static int parse(rki_cli *c, int argc, const char *const *argv, bool *help)
{
    bool words_only = false;
    for (int i = 0; i < argc; i++) {
        const char *w = argv[i], *eq, *value = NULL;
        const rki_arg *a;
        rkp_str name;
        int rc;
        if (words_only || !is_option(w)) {
            c->pos[c->n_pos++] = w;
            continue;
        }
        if (strcmp(w, "--") == 0) {
            words_only = true;
            continue;
        }
        if (strcmp(w, "-h") == 0 || strcmp(w, "--help") == 0) {
            *help = true;
            continue;
        }
        if (w[1] != '-')
            return unknown(c, rkp_str_of(w + 1), "-");
        eq = strchr(w, '=');
        name = (rkp_str){ w + 2, eq ? (size_t)(eq - w - 2) : strlen(w + 2) };
        a = find(c->verb, name);
        if (!a)
            return unknown(c, name, "--");
        if (a->kind == RKI_ARG_FLAG && eq)
            return rki_cli_usage(c, NULL, "--%s takes no value", a->name);
        if (a->kind != RKI_ARG_FLAG) {
            if (!eq && i + 1 == argc)
                return rki_cli_usage(c, NULL, "--%s needs a value: %s", a->name, a->value ? a->value : "a word");
            value = eq ? eq + 1 : argv[++i];
        }
        rc = set(c, a, value);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_words(const rki_cli *c)
{
    const rki_pos *p = &c->verb->pos;
    if (c->n_pos < p->min)
        return rki_cli_usage(c, NULL, "'%s' needs %s", c->verb->name, p->name);
    if (c->n_pos > p->max && p->max == 0)
        return rki_cli_usage(c, NULL, "'%s' takes options only, not '%s'", c->verb->name, c->pos[0]);
    if (c->n_pos > p->max)
        return rki_cli_usage(c, NULL, "'%s' takes one %s, and '%s' is one too many", c->verb->name, p->name,
                             c->pos[p->max]);
    if (p->words == RKI_WORDS_CHOICE) {
        for (size_t i = 0; i < c->n_pos; i++) {
            size_t k = 0;
            const char *near;
            char hint[128] = "";
            while (p->choices[k] && strcmp(p->choices[k], c->pos[i]) != 0)
                k++;
            if (p->choices[k])
                continue;
            near = rki_nearest(rkp_str_of(c->pos[i]), p->choices);
            for (k = 0; near == NULL && p->choices[k]; k++)
                snprintf(hint + strlen(hint), sizeof hint - strlen(hint), "%s%s", k ? ", " : "it knows ",
                         p->choices[k]);
            if (near)
                snprintf(hint, sizeof hint, "did you mean '%s'?", near);
            return rki_cli_usage(c, hint, "'%s' does not know '%s'", c->verb->name, c->pos[i]);
        }
    }
    return 0;
}

static void free_args(rki_cli *c)
{
    const rki_arg *a;
    for (size_t i = 0; c->args && (a = row_at(c->verb, i)); i++) {
        rki_kvs *kvs = (void *)((char *)c->args + a->at);
        if (a->kind != RKI_ARG_PAIRS)
            continue;
        for (size_t k = 0; k < kvs->n; k++)
            free((char *)(uintptr_t)kvs->v[k].key);
        free(kvs->v);
    }
    free(c->args);
    free(c->pos);
}

static int unknown_verb(rki_cli *c, const char *word)
{
    const char *names[MAX_VERBS + 1], *near;
    char hint[128];
    size_t n = 0;
    for (; n < MAX_VERBS && c->verbs[n]; n++)
        names[n] = c->verbs[n]->name;
    names[n] = NULL;
    near = rki_nearest(rkp_str_of(word), names);
    n = strlen(word);
    if (near)
        snprintf(hint, sizeof hint, "did you mean 'rkpipe %s'?", near);
    else if (n > 5 && (strcmp(word + n - 5, ".yaml") == 0 || strcmp(word + n - 4, ".yml") == 0))
        snprintf(hint, sizeof hint, "'rkpipe run FILE' runs a pipeline");
    else
        snprintf(hint, sizeof hint, "'rkpipe help' lists the commands");
    return rki_cli_usage(c, hint, "there is no command '%s'", word);
}

int rki_cli_main(const rki_verb *const *verbs, int argc, const char *const *argv, const char *const *env)
{
    rki_cli c = { .verbs = verbs, .env = env, .ops = rkp_ops, .backends = rkp_backends };
    const char *word = argc > 1 ? argv[1] : NULL;
    bool help = false;
    rki_buf text;
    int rc;
    if (!word || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        rki_buf_init(&text);
        rki_help_all(&c, &text);
        rc = word ? rki_cli_out(&text) ? 0 : RKI_EXIT_FAILED : RKI_EXIT_USAGE;
        if (!word)
            rki_cli_err(&text);
        rki_buf_fini(&text);
        return rc;
    }
    if (strcmp(word, "--version") == 0)
        word = "version";
    c.verb = rki_find_verb(&c, word);
    if (!c.verb)
        return unknown_verb(&c, word);
    if (!c.verb->run) {
        for (int i = 2; i < argc; i++)
            help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (help) {
            rki_buf_init(&text);
            rki_help_verb(c.verb, &text);
            rc = rki_cli_out(&text) ? 0 : RKI_EXIT_FAILED;
            rki_buf_fini(&text);
            return rc;
        }
        rki_cli_say("'%s' is not supported yet", c.verb->name);
        return RKI_EXIT_UNAVAILABLE;
    }
    c.args = calloc(1, c.verb->args_size ? c.verb->args_size : 1);
    c.pos = calloc((size_t)argc + 1, sizeof *c.pos);
    if (!c.args || !c.pos) {
        rc = rki_cli_nomem();
        goto out;
    }
    rc = parse(&c, argc - 2, argv + 2, &help);
    if (rc == 0 && help) {
        rki_buf_init(&text);
        rki_help_verb(c.verb, &text);
        rc = rki_cli_out(&text) ? 0 : RKI_EXIT_FAILED;
        rki_buf_fini(&text);
        goto out;
    }
    if (rc == 0)
        rc = check_words(&c);
    if (rc == 0)
        rc = c.verb->run(&c);
out:
    free_args(&c);
    return rc;
}

// ---- help -----------------------------------------------------------------------------------------------------------

void rki_wrap(rki_buf *out, const char *text, size_t at, size_t indent, size_t width)
{
    const char *p = text;
    while (*p) {
        size_t n = strcspn(p, " \n");
        bool begins = at <= indent;
        if (!begins && at + 1 + n > width) {
            rki_putf(out, "\n%*s", (int)indent, "");
            at = indent;
            begins = true;
        }
        if (!begins) {
            rki_putc(out, ' ');
            at++;
        }
        rki_put(out, p, n);
        at += n;
        p += n;
        while (*p == ' ')
            p++;
        if (*p == '\n') {
            size_t lines = strspn(p, "\n");
            for (size_t i = 0; i < lines; i++)
                rki_putc(out, '\n');
            p += lines;
            rki_putf(out, "%*s", (int)indent, "");
            at = indent;
        }
    }
}

static void arg_usage(const rki_arg *a, rki_buf *out)
{
    rki_putf(out, "--%s", a->name);
    if (a->kind == RKI_ARG_CHOICE) {
        for (int i = 0; a->choices[i]; i++)
            rki_putf(out, "%c%s", i ? '|' : ' ', a->choices[i]);
    } else if (a->kind != RKI_ARG_FLAG) {
        rki_putf(out, " %s", a->value);
    }
}

void rki_help_usage(const rki_verb *v, rki_buf *out, size_t indent)
{
    size_t at = indent + 7 + strlen(v->name);
    rki_buf one;
    const rki_arg *a;
    rki_putf(out, "rkpipe %s", v->name);
    rki_buf_init(&one);
    if (v->pos.name) {
        rki_putf(out, v->pos.min ? " %s" : " [%s]", v->pos.name);
        at += strlen(v->pos.name) + (v->pos.min ? 1 : 3);
    }
    for (size_t i = 0; (a = row_at(v, i)); i++) {
        if (a->hidden)
            continue;
        rki_buf_clear(&one);
        rki_putz(&one, "[");
        arg_usage(a, &one);
        rki_putz(&one, a->kind == RKI_ARG_PAIRS ? "].." : "]");
        if (at + 1 + one.n > WIDTH) {
            rki_putf(out, "\n%*s", (int)(indent + 8), "");
            at = indent + 8;
        } else {
            rki_putc(out, ' ');
            at++;
        }
        rki_put(out, one.p, one.n);
        at += one.n;
        out->failed |= one.failed;
    }
    rki_putc(out, '\n');
    rki_buf_fini(&one);
}

static void arg_help(const rki_arg *a, size_t wide, rki_buf *out)
{
    size_t start = out->n;
    rki_putz(out, "  ");
    arg_usage(a, out);
    if (out->n - start > wide + 2)
        rki_putf(out, "\n%*s", (int)wide + 4, "");
    else
        rki_putf(out, "%*s", (int)(wide + 4 - (out->n - start)), "");
    rki_wrap(out, a->help, wide + 4, wide + 4, WIDTH);
    rki_putc(out, '\n');
}

void rki_help_verb(const rki_verb *v, rki_buf *out)
{
    enum { WIDE = 26 };
    const rki_arg *a;
    rki_putz(out, "usage: ");
    rki_help_usage(v, out, 7);
    rki_putf(out, "\n%s.\n", v->summary);
    if (!v->run)
        rki_putz(out, "This command is not supported yet.\n");
    if (v->pos.name && v->pos.help) {
        rki_putf(out, "\n  %-*s  ", WIDE, v->pos.name);
        rki_wrap(out, v->pos.help, WIDE + 4, WIDE + 4, WIDTH);
        rki_putc(out, '\n');
    } else {
        rki_putc(out, '\n');
    }
    for (size_t i = 0; (a = row_at(v, i)); i++)
        if (!a->hidden)
            arg_help(a, WIDE, out);
    arg_help(&help_row, WIDE, out);
    if (v->details) {
        rki_putc(out, '\n');
        rki_wrap(out, v->details, 0, 0, WIDTH);
        rki_putc(out, '\n');
    }
    if (v->examples)
        rki_putf(out, "\nexamples:\n%s", v->examples);
}

void rki_help_all(const rki_cli *c, rki_buf *out)
{
    size_t wide = 0;
    bool later = false;
    rki_putz(out, "usage: rkpipe COMMAND [OPTION..]\n\n");
    for (size_t i = 0; c->verbs[i]; i++)
        wide = strlen(c->verbs[i]->name) > wide ? strlen(c->verbs[i]->name) : wide;
    for (size_t i = 0; c->verbs[i]; i++) {
        if (c->verbs[i]->run)
            rki_putf(out, "  %-*s  %s\n", (int)wide, c->verbs[i]->name, c->verbs[i]->summary);
        later |= !c->verbs[i]->run;
    }
    if (later) {
        rki_buf names;
        char *text;
        rki_buf_init(&names);
        for (size_t i = 0; c->verbs[i]; i++)
            if (!c->verbs[i]->run)
                rki_putf(&names, "%s%s", names.n ? ", " : "", c->verbs[i]->name);
        text = rki_buf_take(&names, NULL);
        rki_putz(out, "\nnot supported yet:");
        rki_wrap(out, text ? text : "", 18, 2, WIDTH);
        rki_putc(out, '\n');
        out->failed |= !text;
        free(text);
    }
    rki_putz(out, "\n'rkpipe COMMAND --help' tells more about one of them.\n");
}
