// cli/dlq.c - `rkpipe dlq`: the dead letters that a pipeline has kept on disk.
//
// Reading them is letters.c's business, what a replay is replay.c's.
#include "cli/dlq.h"
#include "base/diag.h"
#include "base/secrets.h"
#include "cli/letters.h"
#include "cli/remote.h"
#include "cli/verbs.h"
#include "data/row_text.h"
#include <rkpipe/num.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const format_names[] = { "table", "json", "csv", NULL };
enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV };
static const char *const what_names[] = { "list", "show", "replay", NULL };
enum { LIST, SHOW, REPLAY };
enum { STORES = 32, TABLE_ROWS = 20, OUT_BYTES = 256 << 10 };

static const rki_arg dlq_rows[] = {
    RKI_ARGS_LOAD,
    { .kind = RKI_ARG_TEXT,
      .name = "kernel",
      .value = "ID",
      .at = offsetof(struct rki_dlq_args, kernel),
      .help = "only rows that went wrong in this kernel" },
    { .kind = RKI_ARG_TEXT,
      .name = "reason",
      .value = "REASON",
      .at = offsetof(struct rki_dlq_args, reason),
      .help = "only rows with this reason, such as parse or zero" },
    { .kind = RKI_ARG_TEXT,
      .name = "limit",
      .value = "N",
      .at = offsetof(struct rki_dlq_args, limit),
      .help = "show: at most the newest N; without it 20 in a table and all otherwise" },
    { .kind = RKI_ARG_CHOICE,
      .name = "format",
      .at = offsetof(struct rki_dlq_args, format),
      .choices = format_names,
      .words = RKI_WORDS_CHOICE,
      .help = "a table for people; JSON (show: an object a line) or CSV for programs" },
    { .kind = RKI_ARG_FLAG,
      .name = "dry-run",
      .at = offsetof(struct rki_dlq_args, dry_run),
      .help = "replay: only say what would be replayed, and what would stay" },
    { .kind = RKI_ARG_FLAG,
      .name = "overwrite",
      .at = offsetof(struct rki_dlq_args, overwrite),
      .help = "replay: outputs with commit: rename may replace files that are there by the replayed rows alone" },
    RKI_ARGS_JOB(rki_dlq_args, job),
    { 0 },
};

// ---- finding the store ----------------------------------------------------------------------------------------------

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

// PATH/dlq, or NULL without memory.
static char *inside(const char *path)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_putf(&b, "%s/" RKI_STORE_FOLDER, path);
    return rki_buf_take(&b, NULL);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// The one store of the current folder.
static int find_here(char **out)
{
    char *paths[STORES];
    size_t n = 0;
    DIR *d = opendir(".rkpipe");
    const struct dirent *e;
    int code = 0;
    while (d && n < STORES && (e = readdir(d))) {
        rki_buf b;
        if (e->d_name[0] == '.')
            continue;
        rki_buf_init(&b);
        rki_putf(&b, ".rkpipe/%s/" RKI_STORE_FOLDER, e->d_name);
        paths[n] = rki_buf_take(&b, NULL);
        if (!paths[n]) {
            code = rki_cli_nomem();
            break;
        }
        if (is_folder(paths[n]))
            n++;
        else
            free(paths[n]);
    }
    if (d)
        closedir(d);
    qsort(paths, n, sizeof *paths, by_name);
    if (!code && n == 1) {
        *out = paths[0];
        return 0;
    }
    if (!code && n == 0) {
        rki_cli_say("error: no dead letters are kept in this folder");
        rki_cli_hint("name the pipeline, or the folder of its store");
        code = RKI_EXIT_UNAVAILABLE;
    } else if (!code) {
        rki_cli_say("error: dead letters of %zu pipelines are kept in this folder", n);
        for (size_t i = 0; i < n; i++)
            rki_cli_hint("%s %s", i ? "or" : "one of", paths[i]);
        code = RKI_EXIT_USAGE;
    }
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    return code;
}

// What the pipeline's file has as secrets is shown in none of its letters.
static bool hide(const rkp_diags *d, rki_secrets *hidden)
{
    for (size_t i = 0; i < rki_diags_n_hidden(d); i++)
        if (!rki_secrets_add(hidden, rki_diags_hidden(d, i)))
            return false;
    return true;
}

// Of a pipeline's file.
static int find_of(rki_cli *c, const char *file, rki_secrets *hidden, char **out)
{
    const struct rki_dlq_args *a = c->args;
    rki_loaded l = { 0 };
    char *dir;
    int code = rki_cli_load_spec(c, file, &a->load, NULL, false, &l);
    if (code) {
        if (l.diags)
            rki_load_print(c, l.diags);
    } else {
        dir = rki_cli_data_dir(l.spec);
        *out = dir && hide(l.diags, hidden) ? inside(dir) : NULL;
        if (!*out) {
            code = rki_cli_nomem();
        } else if (!is_folder(*out)) {
            rki_cli_say("error: pipeline '%s' has kept no dead letters in '%s'", l.spec->name.p, *out);
            if (!l.spec->dead_store.bytes)
                rki_cli_hint("it keeps them with dead_letter: {store: {}}");
            code = RKI_EXIT_UNAVAILABLE;
            free(*out);
        }
        free(dir);
    }
    rki_loaded_free(&l);
    return code;
}

static int find(rki_cli *c, rki_secrets *hidden, char **out)
{
    const char *what = c->n_pos > 1 ? c->pos[1] : NULL;
    if (!what)
        return find_here(out);
    if (!is_folder(what))
        return find_of(c, what, hidden, out);
    *out = inside(what); // of a data_dir, or the store itself
    if (*out && !is_folder(*out)) {
        free(*out);
        *out = strdup(what);
    }
    return *out ? 0 : rki_cli_nomem();
}

// ---- reading --------------------------------------------------------------------------------------------------------

static const rkp_status said = RKP_UNSUPPORTED; // of a pass that was ended by who saw the letters

struct store {
    rki_letters l;
    const struct rki_dlq_args *a;
    rki_secrets *hidden;
};

static bool put_out(const struct store *s, rki_buf *b)
{
    rki_secrets_mask(s->hidden, s->a->format == FORMAT_JSON ? RKI_MASK_JSON : RKI_MASK_TEXT, b);
    return rki_cli_out(b);
}

// The exit code of a pass; what is wrong is said here, unless whoever saw the letters has said it (said).
static int exit_of(const struct store *s, rkp_status st)
{
    if (st == RKP_OK)
        return 0;
    if (st != said)
        rki_cli_say("error: %s", s->l.err);
    return RKI_EXIT_FAILED;
}

static void tell_damage(struct store *s)
{
    unsigned long long n = rki_letters_damaged(&s->l);
    if (n)
        rki_cli_say("warning: %llu record%s damaged and left out", n, n == 1 ? " is" : "s are");
}

// ---- tables ---------------------------------------------------------------------------------------------------------

enum { MAX_COLS = 8 };

struct table {
    rki_buf text; // cells, one after the other, each with a NUL
    size_t rows, cols, cell;
    size_t wide[MAX_COLS];
    uint32_t right; // bit c: column c is a number
};

static void cell_end(struct table *t, size_t from)
{
    size_t n = 0;
    for (size_t i = from; i < t->text.n; i++)
        n += ((unsigned char)t->text.p[i] & 0xc0) != 0x80;
    if (n > t->wide[t->cell])
        t->wide[t->cell] = n;
    rki_putc(&t->text, 0);
    if (++t->cell == t->cols) {
        t->cell = 0;
        t->rows++;
    }
}

// At most `most` characters of it (0: all).
static void cell(struct table *t, rkp_str s, size_t most)
{
    size_t from = t->text.n, n = 0;
    rki_remote_text(&t->text, s);
    for (size_t i = from; most && i < t->text.n && !t->text.failed; i++) {
        n += ((unsigned char)t->text.p[i] & 0xc0) != 0x80;
        if (n > most) {
            t->text.n = i;
            rki_putz(&t->text, "..");
            break;
        }
    }
    cell_end(t, from);
}

static void cell_time(struct table *t, uint64_t us)
{
    size_t from = t->text.n;
    rki_letter_time(&t->text, us);
    cell_end(t, from);
}

static void table_text(struct table *t, rki_buf *out)
{
    const char *p = t->text.p;
    for (size_t r = 0; r < t->rows && !t->text.failed; r++) {
        for (size_t c = 0; c < t->cols; c++) {
            size_t bytes = strlen(p), n = 0, gap;
            for (size_t i = 0; i < bytes; i++)
                n += ((unsigned char)p[i] & 0xc0) != 0x80;
            gap = t->wide[c] - n;
            if (t->right & 1u << c)
                rki_putf(out, "%*s", (int)gap, "");
            rki_put(out, p, bytes);
            if (c + 1 < t->cols)
                rki_putf(out, "%*s  ", t->right & 1u << c ? 0 : (int)gap, "");
            p += bytes + 1;
        }
        rki_putc(out, '\n');
    }
    out->failed |= t->text.failed;
    rki_buf_fini(&t->text);
}

// ---- list -----------------------------------------------------------------------------------------------------------

static void list_csv(const rki_letter_groups *gs, rki_buf *out)
{
    rki_putz(out, "kernel,reason,rows,oldest,newest\n");
    for (size_t i = 0; i < gs->n; i++) {
        rki_put_csv(out, rkp_str_of(gs->v[i].kernel));
        rki_putc(out, ',');
        rki_put_csv(out, rkp_str_of(gs->v[i].reason));
        rki_putf(out, ",%llu,", (unsigned long long)gs->v[i].rows);
        rki_letter_time(out, gs->v[i].oldest);
        rki_putc(out, ',');
        rki_letter_time(out, gs->v[i].newest);
        rki_putc(out, '\n');
    }
}

static void list_table(const rki_letter_groups *gs, const char *path, const rki_spool_stats *st, rki_buf *out)
{
    struct table t = { .cols = 5, .right = 1u << 2 };
    rki_buf_init(&t.text);
    cell(&t, RKP_STR("kernel"), 0);
    cell(&t, RKP_STR("reason"), 0);
    cell(&t, RKP_STR("rows"), 0);
    cell(&t, RKP_STR("oldest"), 0);
    cell(&t, RKP_STR("newest"), 0);
    for (size_t i = 0; i < gs->n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%llu", (unsigned long long)gs->v[i].rows);
        cell(&t, rkp_str_of(gs->v[i].kernel), 0);
        cell(&t, rkp_str_of(gs->v[i].reason), 0);
        cell(&t, rkp_str_of(number), 0);
        cell_time(&t, gs->v[i].oldest);
        cell_time(&t, gs->v[i].newest);
    }
    if (gs->n)
        table_text(&t, out);
    else
        rki_buf_fini(&t.text);
    rki_putf(out, "%llu rows in '%s', %llu bytes on disk\n", (unsigned long long)gs->rows, path,
             (unsigned long long)st->bytes);
}

static int list(struct store *s)
{
    rki_letter_groups gs = { 0 };
    rki_spool_stats st;
    rki_buf out;
    int code = exit_of(s, rki_letters_group(&s->l, &gs));
    rki_buf_init(&out);
    if (!code) {
        rki_deadstore_look(s->l.d, &st);
        if (s->a->format == FORMAT_JSON) {
            rki_letter_groups_json(&s->l, &gs, 2, &out);
            rki_putc(&out, '\n');
        } else if (s->a->format == FORMAT_CSV) {
            list_csv(&gs, &out);
        } else {
            list_table(&gs, s->l.dir, &st, &out);
        }
        if (!put_out(s, &out))
            code = RKI_EXIT_FAILED;
    }
    rki_buf_fini(&out);
    rki_letter_groups_fini(&gs);
    return code;
}

// ---- show -----------------------------------------------------------------------------------------------------------

struct showing {
    struct store *s;
    uint64_t skip; // the oldest
    rki_buf out, json;
    struct table t;
};

static void show_csv(struct showing *w, const rki_dead_record *r, uint32_t row, rkp_str columns)
{
    static const unsigned texts[] = { RKI_DEAD_KERNEL, RKI_DEAD_TO, RKI_DEAD_REASON, RKI_DEAD_ERROR, RKI_DEAD_SOURCE };
    int64_t line = rki_dead_line(r, row);
    rki_putf(&w->out, "%llu.%u,", (unsigned long long)r->seq, row);
    rki_letter_time(&w->out, r->at_us);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        rki_putc(&w->out, ',');
        rki_put_csv(&w->out, rki_dead_text(r, row, texts[i]));
    }
    rki_putc(&w->out, ',');
    if (line)
        rki_putf(&w->out, "%lld", (long long)line);
    rki_putc(&w->out, ',');
    if (r->rows)
        rki_put_csv(&w->out, rkp_batch_topic(r->rows, row));
    rki_putc(&w->out, ',');
    if (r->stamp)
        rki_putf(&w->out, "%llu", (unsigned long long)r->stamp);
    rki_putc(&w->out, ',');
    rki_put_csv(&w->out, rki_dead_text(r, row, RKI_DEAD_TEXT));
    rki_putc(&w->out, ',');
    rki_put_csv(&w->out, columns);
    rki_putc(&w->out, '\n');
}

static void show_row(struct showing *w, const rki_dead_record *r, uint32_t row, rkp_str columns)
{
    rkp_str kernel = rki_dead_text(r, row, RKI_DEAD_KERNEL), source = rki_dead_text(r, row, RKI_DEAD_SOURCE);
    char id[48];
    size_t most = isatty(STDOUT_FILENO) ? 80 : 0, from;
    snprintf(id, sizeof id, "%llu.%u", (unsigned long long)r->seq, row);
    cell(&w->t, rkp_str_of(id), 0);
    cell_time(&w->t, r->at_us);
    cell(&w->t, kernel, 0);
    cell(&w->t, rki_dead_text(r, row, RKI_DEAD_REASON), 0);
    from = w->t.text.n;
    if (source.p)
        rki_remote_text(&w->t.text, source);
    if (source.p && rki_dead_line(r, row))
        rki_putf(&w->t.text, ":%lld", (long long)rki_dead_line(r, row));
    cell_end(&w->t, from);
    cell(&w->t, rki_dead_text(r, row, RKI_DEAD_ERROR), most);
    cell(&w->t, columns.n ? columns : rki_dead_text(r, row, RKI_DEAD_TEXT), most);
}

static rkp_status show_one(void *arg, const rki_dead_record *r, uint32_t row)
{
    struct showing *w = arg;
    rkp_str columns;
    if (w->skip) {
        w->skip--;
        return RKP_OK;
    }
    rki_buf_clear(&w->json);
    if (!rki_letter_columns(&w->s->l, r, row, &w->json))
        return RKP_NOMEM;
    columns = (rkp_str){ w->json.p, w->json.n };
    if (w->s->a->format == FORMAT_TABLE) {
        show_row(w, r, row, columns);
        return w->t.text.failed ? RKP_NOMEM : RKP_OK;
    }
    if (w->s->a->format == FORMAT_JSON) {
        rki_letter_json(r, row, columns, &w->out);
        rki_putc(&w->out, '\n');
    } else {
        show_csv(w, r, row, columns);
    }
    if (w->out.n >= OUT_BYTES && !put_out(w->s, &w->out))
        return said;
    return w->out.failed ? RKP_NOMEM : RKP_OK;
}

static int show(struct store *s, uint64_t most)
{
    static const char *const titles[] = { "id", "at", "kernel", "reason", "place", "error", "row" };
    struct showing w = { .s = s, .t = { .cols = sizeof titles / sizeof *titles } };
    uint64_t rows = 0;
    int code;
    rki_buf_init(&w.out);
    rki_buf_init(&w.json);
    rki_buf_init(&w.t.text);
    code = most == UINT64_MAX ? 0 : exit_of(s, rki_letters_count(&s->l, &rows));
    w.skip = rows > most ? rows - most : 0;
    if (s->a->format == FORMAT_CSV)
        rki_putz(&w.out, "id,at,kernel,to,reason,error,source,line,topic,stamp,text,row\n");
    for (size_t i = 0; s->a->format == FORMAT_TABLE && i < w.t.cols; i++)
        cell(&w.t, rkp_str_of(titles[i]), 0);
    if (!code)
        code = exit_of(s, rki_letters_each(&s->l, show_one, &w));
    if (!code && s->a->format == FORMAT_TABLE) {
        uint64_t shown = w.t.rows - 1;
        if (shown)
            table_text(&w.t, &w.out);
        if (shown < rows)
            rki_putf(&w.out, "the newest %llu of %llu rows; --limit N shows more\n", (unsigned long long)shown,
                     (unsigned long long)rows);
        else if (!shown)
            rki_putz(&w.out, "no rows\n");
    }
    if (!code && !put_out(s, &w.out))
        code = RKI_EXIT_FAILED;
    rki_buf_fini(&w.t.text);
    rki_buf_fini(&w.json);
    rki_buf_fini(&w.out);
    return code;
}

// ---- the verb -------------------------------------------------------------------------------------------------------

// Options that mean something only elsewhere.
static int check_options(const rki_cli *c, const struct rki_dlq_args *a, int what)
{
    if (what != REPLAY && (a->dry_run || a->overwrite))
        return rki_cli_usage(c, NULL, "--%s is about replay", a->dry_run ? "dry-run" : "overwrite");
    if (what == REPLAY && a->limit)
        return rki_cli_usage(c, "--kernel and --reason choose rows", "--limit is about show");
    if (what == REPLAY && a->format != FORMAT_TABLE)
        return rki_cli_usage(c, "'dlq list --format json' counts the rows", "--format is about list and show");
    if (what == REPLAY && c->n_pos < 2)
        return rki_cli_usage(c, NULL, "'dlq replay' needs the pipeline's file");
    if (what == REPLAY && is_folder(c->pos[1]))
        return rki_cli_usage(c, NULL, "'dlq replay' needs the pipeline's file, and '%s' is a folder", c->pos[1]);
    return 0;
}

static int verb_dlq(rki_cli *c)
{
    struct store s = { .a = c->args };
    char hint[80], *path = NULL;
    uint64_t most = s.a->format == FORMAT_TABLE ? TABLE_ROWS : UINT64_MAX;
    const char *near;
    rkp_status st;
    int what = 0, code;
    while (what_names[what] && strcmp(what_names[what], c->pos[0]) != 0)
        what++;
    if (!what_names[what]) {
        near = rki_nearest(rkp_str_of(c->pos[0]), what_names);
        if (!near)
            return rki_cli_usage(c, "it knows list, show and replay", "'dlq' does not know '%s'", c->pos[0]);
        snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        return rki_cli_usage(c, hint, "'dlq' does not know '%s'", c->pos[0]);
    }
    if (s.a->limit && !rkp_parse_u64(s.a->limit, strlen(s.a->limit), &most))
        return rki_cli_usage(c, NULL, "--limit needs a number, not '%s'", s.a->limit);
    code = check_options(c, s.a, what);
    if (code)
        return code;
    if (what == REPLAY)
        return rki_dlq_replay(c, s.a, c->pos[1]);
    s.hidden = rki_secrets_new();
    if (!s.hidden)
        return rki_cli_nomem();
    code = find(c, s.hidden, &path);
    if (code) {
        rki_secrets_free(s.hidden);
        return code;
    }
    s.l = (rki_letters){ .dir = path, .kernel = s.a->kernel, .reason = s.a->reason };
    st = rki_letters_open(&s.l);
    if (st != RKP_OK) {
        rki_cli_say("error: %s", s.l.err);
        code = rki_status_exit(st);
    } else {
        if (*rki_deadstore_warning(s.l.d))
            rki_cli_say("warning: %s", rki_deadstore_warning(s.l.d));
        code = what == SHOW ? show(&s, most) : list(&s);
        tell_damage(&s);
    }
    rki_letters_close(&s.l);
    rki_secrets_free(s.hidden);
    free(path);
    return code;
}

const rki_verb rki_verb_dlq = {
    .name = "dlq",
    .summary = "List, show and replay the dead letters that a pipeline has kept",
    .pos = { "list|show|replay [PIPELINE|FOLDER]", 1, 2, RKI_WORDS_YAML, NULL,
             "what to do, and the pipeline, its data_dir, or the folder of its store; without it the one store in "
             ".rkpipe; replay needs the pipeline" },
    .args = dlq_rows,
    .args_size = sizeof(struct rki_dlq_args),
    .details =
        "A pipeline keeps dead letters with dead_letter: {store: {bytes: 1GiB, age: 7d}}, in data_dir/dlq. They can be "
        "listed and shown while it runs and afterwards. 'list' counts them by kernel and reason; 'show' has the newest "
        "last, each with what was said about it, where it came from, its text when it had one, and its columns as they "
        "stood before the kernel.\n\n"
        "'replay' puts the stored rows in front of the kernels in which they went wrong, of the pipeline as its file "
        "is "
        "now, and reads nothing else. When the pipeline runs, its engine does that with what runs. When all has gone "
        "well, outputs are published "
        "and the rows leave the store; a row that goes wrong again is kept again. Otherwise nothing leaves the store. "
        "Exit codes are those of run; 64 also when an output with commit: rename would replace a file that is there.",
    .examples = "  rkpipe dlq list job.yaml\n"
                "  rkpipe dlq show job.yaml --kernel parse --limit 5\n"
                "  rkpipe dlq show .rkpipe/job --reason zero --format json\n"
                "  rkpipe dlq replay job.yaml --reason zero --dry-run\n"
                "  rkpipe dlq replay job.yaml --set kernels.out.with.path=replayed.csv\n",
    .run = verb_dlq,
};
