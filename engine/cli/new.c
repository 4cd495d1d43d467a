// cli/new.c - `rkpipe new`: a pipeline to begin with, from the templates that are built in.
//
// A template is a whole pipeline of pipelines/.  Its name stands in `name:` and in the commands of its first comment;
// both get the new name.
#include "cli/templates.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct new_args {
    const char *template;
    bool list;
};

static const rki_arg new_rows[] = {
    { .kind = RKI_ARG_TEXT,
      .name = "template",
      .value = "NAME",
      .at = offsetof(struct new_args, template),
      .help = "what to begin with; csv-filter without it" },
    { .kind = RKI_ARG_FLAG, .name = "list", .at = offsetof(struct new_args, list), .help = "list the templates" },
    { 0 },
};

static const char default_template[] = "csv-filter";

// The first comment line says what a template is for.
static void list(rki_buf *out)
{
    for (const rki_template *t = rki_templates; t->name; t++) {
        const char *p = t->text;
        size_t n = strcspn(p, "\n");
        if (p[0] == '#')
            p += 1 + (p[1] == ' ');
        else
            p = "", n = 0;
        rki_putf(out, "  %-16s  %.*s\n", t->name, n ? (int)(n - (size_t)(p - t->text)) : 0, p);
    }
}

static const rki_template *find(const char *name)
{
    for (const rki_template *t = rki_templates; t->name; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// The text with the template's name, as a whole word followed by a line's end or .yaml, replaced.
static void fill(const rki_template *t, const char *name, rki_buf *out)
{
    size_t n = strlen(t->name);
    const char *p = t->text;
    while (*p) {
        bool begins = p == t->text || !name_char(p[-1]);
        if (begins && strncmp(p, t->name, n) == 0 && (p[n] == '\n' || strncmp(p + n, ".yaml", 5) == 0)) {
            rki_putz(out, name);
            p += n;
        } else {
            rki_putc(out, *p++);
        }
    }
}

static int create(const char *path, rki_buf *text)
{
    size_t at = 0;
    int err = 0, fd;
    if (text->failed)
        return rki_cli_nomem();
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) {
        rki_cli_say("error: '%s' is there already and is not overwritten", path);
        return RKI_EXIT_FAILED;
    }
    err = fd < 0 ? errno : 0;
    while (!err && at < text->n) {
        ssize_t n = write(fd, text->p + at, text->n - at);
        if (n < 0 && errno != EINTR)
            err = errno;
        else if (n > 0)
            at += (size_t)n;
    }
    if (fd >= 0 && close(fd) != 0 && !err)
        err = errno;
    if (!err)
        return RKI_EXIT_OK;
    rki_cli_say("error: cannot write '%s': %s", path, strerror(err));
    if (fd >= 0)
        unlink(path);
    return RKI_EXIT_FAILED;
}

static int unknown_template(const rki_cli *c, const char *name)
{
    const char *names[64], *near;
    char hint[128] = "'rkpipe new --list' has the names";
    size_t n = 0;
    for (const rki_template *t = rki_templates; t->name && n < 63; t++)
        names[n++] = t->name;
    names[n] = NULL;
    near = rki_nearest(rkp_str_of(name), names);
    if (near)
        snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    return rki_cli_usage(c, hint, "there is no template '%s'", name);
}

static int verb_new(rki_cli *c)
{
    const struct new_args *a = c->args;
    const char *name = c->n_pos ? c->pos[0] : NULL;
    const rki_template *t = find(a->template ? a->template : default_template);
    rki_buf b, path;
    char *file;
    size_t n = name ? strlen(name) : 0;
    int code;
    rki_buf_init(&b);
    if (a->list) {
        list(&b);
        code = rki_cli_out(&b) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
        rki_buf_fini(&b);
        return code;
    }
    if (!name)
        return rki_cli_usage(c, NULL, "'new' needs NAME");
    if (!t)
        return unknown_template(c, a->template ? a->template : default_template);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0)
        n -= 5;
    for (size_t i = 0; i < n; i++)
        if (!name_char(name[i]) || (i == 0 && (name[0] == '-' || (name[0] >= '0' && name[0] <= '9'))))
            n = 0;
    if (n == 0 || n > 63)
        return rki_cli_usage(c, "letters, digits, '_' and '-', at most 63, a letter or '_' first",
                             "'%s' is no name for a pipeline", name);
    rki_buf_init(&path);
    rki_put(&path, name, n);
    file = rki_buf_take(&path, NULL);
    if (!file)
        return rki_cli_nomem();
    fill(t, file, &b);
    rki_putf(&path, "%s.yaml", file);
    free(file);
    file = rki_buf_take(&path, NULL);
    code = file ? create(file, &b) : rki_cli_nomem();
    rki_buf_fini(&b);
    if (code == RKI_EXIT_OK) {
        rki_putf(&b, "%s is written\n", file);
        code = rki_cli_out(&b) ? code : RKI_EXIT_FAILED;
        rki_buf_fini(&b);
    }
    free(file);
    return code;
}

const rki_verb rki_verb_new = {
    .name = "new",
    .summary = "Write a pipeline to begin with",
    .pos = { "NAME", 0, 1, RKI_WORDS_NONE, NULL, "the pipeline's name; NAME.yaml is written, never over a file" },
    .args = new_rows,
    .args_size = sizeof(struct new_args),
    .examples = "  rkpipe new --list\n  rkpipe new payments --template csv-filter\n",
    .run = verb_new,
};
