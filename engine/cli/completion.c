// cli/completion.c - `rkpipe completion`: scripts for shells, generated from the tables of the verbs.
#include "cli/functions.h"
#include "cli/verbs.h"

static const char *const shell_names[] = { "bash", "zsh", "fish", NULL };

static const rki_arg *row_at(const rki_verb *v, size_t i)
{
    return v->args && v->args[i].kind != RKI_ARG_END ? &v->args[i] : NULL;
}

// The fixed words of a place, blank separated; nothing for files.
static void words(const rki_cli *c, rki_words w, const char *const *choices, rki_buf *out)
{
    rki_function f;
    switch (w) {
    case RKI_WORDS_CHOICE:
        for (size_t i = 0; choices[i]; i++)
            rki_putf(out, "%s%s", i ? " " : "", choices[i]);
        break;
    case RKI_WORDS_OPS:
    case RKI_WORDS_NAMES:
        for (size_t i = 0; c->ops[i]; i++)
            rki_putf(out, "%s%s", i ? " " : "", c->ops[i]->name);
        if (w == RKI_WORDS_OPS)
            break;
        for (size_t i = 0; rki_function_at(i, &f); i++)
            rki_putf(out, " %s", f.name);
        break;
    case RKI_WORDS_VERBS:
        for (size_t i = 0, n = 0; c->verbs[i]; i++)
            if (c->verbs[i]->run)
                rki_putf(out, "%s%s", n++ ? " " : "", c->verbs[i]->name);
        break;
    case RKI_WORDS_NONE:
    case RKI_WORDS_YAML:
    case RKI_WORDS_FILE:
    case RKI_WORDS_FOLDER:
        break;
    }
}

// ---- bash -----------------------------------------------------------------------------------------------------------

static void bash_words(const rki_cli *c, rki_words w, const char *const *choices, const char *indent, rki_buf *out)
{
    switch (w) {
    case RKI_WORDS_NONE:
        rki_putf(out, "%s:\n", indent);
        break;
    case RKI_WORDS_YAML:
        rki_putf(out, "%sfiles='!*.@(yaml|yml)'\n", indent);
        break;
    case RKI_WORDS_FILE:
        rki_putf(out, "%sfiles='-'\n", indent);
        break;
    case RKI_WORDS_FOLDER:
        rki_putf(out, "%sfolders=1\n", indent);
        break;
    case RKI_WORDS_OPS:
    case RKI_WORDS_NAMES:
    case RKI_WORDS_VERBS:
    case RKI_WORDS_CHOICE:
        rki_putf(out, "%swords='", indent);
        words(c, w, choices, out);
        rki_putz(out, "'\n");
        break;
    }
}

static void bash(const rki_cli *c, rki_buf *out)
{
    const rki_arg *a;
    rki_putz(out, "# bash completion for rkpipe; in ~/.bashrc: source <(rkpipe completion bash)\n"
                  "_rkpipe() {\n"
                  "    local cur=${COMP_WORDS[COMP_CWORD]} prev= verb=${COMP_WORDS[1]} words= files= folders=\n"
                  "    COMPREPLY=()\n"
                  "    if ((COMP_CWORD == 1)); then\n"
                  "        words='");
    words(c, RKI_WORDS_VERBS, NULL, out);
    rki_putz(out, " --help --version'\n"
                  "    else\n"
                  "        prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                  "        case $verb:$prev in\n");
    for (size_t v = 0; c->verbs[v]; v++) {
        for (size_t i = 0; c->verbs[v]->run && (a = row_at(c->verbs[v], i)); i++) {
            if (a->hidden || a->kind == RKI_ARG_FLAG)
                continue;
            rki_putf(out, "        %s:--%s)\n", c->verbs[v]->name, a->name);
            bash_words(c, a->words, a->choices, "            ", out);
            rki_putz(out, "            ;;\n");
        }
    }
    rki_putz(out, "        *)\n            case $verb in\n");
    for (size_t v = 0; c->verbs[v]; v++) {
        const rki_verb *verb = c->verbs[v];
        if (!verb->run)
            continue;
        rki_putf(out, "            %s)\n                if [[ $cur == -* ]]; then\n                    words='",
                 verb->name);
        for (size_t i = 0; (a = row_at(verb, i)); i++)
            if (!a->hidden)
                rki_putf(out, "--%s ", a->name);
        rki_putz(out, "--help'\n                else\n");
        bash_words(c, verb->pos.words, verb->pos.choices, "                    ", out);
        rki_putz(out, "                fi\n                ;;\n");
    }
    rki_putz(out, "            esac\n            ;;\n        esac\n    fi\n"
                  "    local IFS=$' \\t\\n' extglob\n"
                  "    if [ -n \"$words\" ]; then\n"
                  "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                  "        return\n"
                  "    fi\n"
                  "    IFS=$'\\n'\n"
                  "    compopt -o filenames 2>/dev/null\n"
                  "    if [ \"$files\" = - ]; then\n"
                  "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                  "    elif [ -n \"$files\" ]; then\n"
                  "        extglob=$(shopt -p extglob)\n"
                  "        shopt -s extglob\n"
                  "        COMPREPLY=($(compgen -d -- \"$cur\") $(compgen -f -X \"$files\" -- \"$cur\"))\n"
                  "        eval \"$extglob\"\n"
                  "    elif [ -n \"$folders\" ]; then\n"
                  "        COMPREPLY=($(compgen -d -- \"$cur\"))\n"
                  "    fi\n"
                  "}\n"
                  "complete -F _rkpipe rkpipe\n");
}

// ---- zsh ------------------------------------------------------------------------------------------------------------

// Text inside '..' of an _arguments specification.
static void zsh_text(const char *z, rki_buf *out)
{
    for (; *z; z++) {
        if (*z == '\'')
            rki_putz(out, "'\\''");
        else if (strchr("[]:\\", *z))
            rki_putf(out, "\\%c", *z);
        else
            rki_putc(out, *z);
    }
}

static void zsh_action(const rki_cli *c, rki_words w, const char *const *choices, rki_buf *out)
{
    switch (w) {
    case RKI_WORDS_NONE:
        break;
    case RKI_WORDS_YAML:
        rki_putz(out, "_files -g \"*.(yaml|yml)(-.)\"");
        break;
    case RKI_WORDS_FILE:
        rki_putz(out, "_files");
        break;
    case RKI_WORDS_FOLDER:
        rki_putz(out, "_files -/");
        break;
    case RKI_WORDS_OPS:
    case RKI_WORDS_NAMES:
    case RKI_WORDS_VERBS:
    case RKI_WORDS_CHOICE:
        rki_putc(out, '(');
        words(c, w, choices, out);
        rki_putc(out, ')');
        break;
    }
}

static void zsh(const rki_cli *c, rki_buf *out)
{
    const rki_arg *a;
    rki_putz(out, "#compdef rkpipe\n"
                  "# zsh completion for rkpipe; rkpipe completion zsh > a folder of $fpath, as _rkpipe\n"
                  "_rkpipe() {\n"
                  "    local -a commands\n"
                  "    commands=(\n");
    for (size_t v = 0; c->verbs[v]; v++) {
        if (!c->verbs[v]->run)
            continue;
        rki_putf(out, "        '%s:", c->verbs[v]->name);
        zsh_text(c->verbs[v]->summary, out);
        rki_putz(out, "'\n");
    }
    rki_putz(out, "    )\n"
                  "    if ((CURRENT == 2)); then\n"
                  "        _describe command commands\n"
                  "        return\n"
                  "    fi\n"
                  "    local verb=$words[2]\n"
                  "    shift words\n"
                  "    ((CURRENT--))\n"
                  "    case $verb in\n");
    for (size_t v = 0; c->verbs[v]; v++) {
        const rki_verb *verb = c->verbs[v];
        if (!verb->run)
            continue;
        rki_putf(out, "    %s)\n        _arguments \\\n", verb->name);
        for (size_t i = 0; (a = row_at(verb, i)); i++) {
            if (a->hidden)
                continue;
            rki_putf(out, "            '%s--%s%s[", a->kind == RKI_ARG_PAIRS ? "*" : "", a->name,
                     a->kind == RKI_ARG_FLAG ? "" : "=");
            zsh_text(a->help, out);
            rki_putc(out, ']');
            if (a->kind != RKI_ARG_FLAG) {
                rki_putf(out, ":%s:", a->name);
                zsh_action(c, a->words, a->choices, out);
            }
            rki_putz(out, "' \\\n");
        }
        if (verb->pos.name) {
            rki_putf(out, "            '%s:", verb->pos.max > 1 ? "*" : "1");
            zsh_text(verb->pos.name, out);
            rki_putc(out, ':');
            zsh_action(c, verb->pos.words, verb->pos.choices, out);
            rki_putz(out, "' \\\n");
        }
        rki_putz(out, "            '--help[show the help]'\n        ;;\n");
    }
    rki_putz(out, "    esac\n"
                  "}\n"
                  "if [ \"$funcstack[1]\" = _rkpipe ]; then\n"
                  "    _rkpipe \"$@\"\n"
                  "else\n"
                  "    compdef _rkpipe rkpipe\n"
                  "fi\n");
}

// ---- fish -----------------------------------------------------------------------------------------------------------

static void fish_text(const char *z, rki_buf *out)
{
    rki_putc(out, '\'');
    for (; *z; z++) {
        if (*z == '\'' || *z == '\\')
            rki_putc(out, '\\');
        rki_putc(out, *z);
    }
    rki_putc(out, '\'');
}

static void fish_action(const rki_cli *c, rki_words w, const char *const *choices, rki_buf *out)
{
    switch (w) {
    case RKI_WORDS_NONE:
        rki_putz(out, " -x");
        break;
    case RKI_WORDS_YAML:
        rki_putz(out, " -k -x -a '(__fish_complete_suffix .yaml .yml)'");
        break;
    case RKI_WORDS_FILE:
        rki_putz(out, " -r -F");
        break;
    case RKI_WORDS_FOLDER:
        rki_putz(out, " -x -a '(__fish_complete_directories)'");
        break;
    case RKI_WORDS_OPS:
    case RKI_WORDS_NAMES:
    case RKI_WORDS_VERBS:
    case RKI_WORDS_CHOICE:
        rki_putz(out, " -x -a '");
        words(c, w, choices, out);
        rki_putc(out, '\'');
        break;
    }
}

static void fish(const rki_cli *c, rki_buf *out)
{
    const rki_arg *a;
    rki_putz(out, "# fish completion for rkpipe; rkpipe completion fish > ~/.config/fish/completions/rkpipe.fish\n"
                  "complete -c rkpipe -f\n");
    for (size_t v = 0; c->verbs[v]; v++) {
        const rki_verb *verb = c->verbs[v];
        if (!verb->run)
            continue;
        rki_putf(out, "complete -c rkpipe -n __fish_use_subcommand -a %s -d ", verb->name);
        fish_text(verb->summary, out);
        rki_putc(out, '\n');
        if (verb->pos.name && verb->pos.words != RKI_WORDS_NONE) {
            rki_putf(out, "complete -c rkpipe -n '__fish_seen_subcommand_from %s'", verb->name);
            fish_action(c, verb->pos.words, verb->pos.choices, out);
            rki_putc(out, '\n');
        }
        for (size_t i = 0; (a = row_at(verb, i)); i++) {
            if (a->hidden)
                continue;
            rki_putf(out, "complete -c rkpipe -n '__fish_seen_subcommand_from %s' -l %s", verb->name, a->name);
            if (a->kind != RKI_ARG_FLAG)
                fish_action(c, a->words, a->choices, out);
            rki_putz(out, " -d ");
            fish_text(a->help, out);
            rki_putc(out, '\n');
        }
    }
}

static int verb_completion(rki_cli *c)
{
    rki_buf out;
    bool ok;
    rki_buf_init(&out);
    if (c->pos[0][0] == 'b')
        bash(c, &out);
    else if (c->pos[0][0] == 'z')
        zsh(c, &out);
    else
        fish(c, &out);
    ok = rki_cli_out(&out);
    rki_buf_fini(&out);
    return ok ? RKI_EXIT_OK : RKI_EXIT_FAILED;
}

const rki_verb rki_verb_completion = {
    .name = "completion",
    .summary = "Print completion for a shell",
    .pos = { "bash|zsh|fish", 1, 1, RKI_WORDS_CHOICE, shell_names, "the shell" },
    .examples = "  source <(rkpipe completion bash)\n",
    .run = verb_completion,
};
