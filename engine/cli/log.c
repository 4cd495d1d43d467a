// cli/log.c - see log.h.
#include "cli/log.h"

#include "base/json.h"
#include "cli/remote.h"
#include <rkpipe/num.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SAME = 10 }; // lines of one kind in a window
static const uint64_t WINDOW_NS = 10000000000u, LOOK_NS = 1000000000u;

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// ---- where it goes --------------------------------------------------------------------------------------------------

static int open_file(rki_logger *l)
{
    struct stat st;
    int fd = open(l->conf.file.p, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
    return fd;
}

// Whether the file still stands under its name.
static void look_at_file(rki_logger *l, uint64_t now)
{
    struct stat st;
    int fd;
    if (l->fd < 0 || now < l->next_look)
        return;
    l->next_look = now + LOOK_NS;
    if (stat(l->conf.file.p, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        return;
    fd = open_file(l);
    if (fd < 0)
        return; // the old one is better than none
    close(l->fd);
    l->fd = fd;
}

static void write_out(rki_logger *l, rki_buf *b)
{
    size_t at = 0;
    if (l->fd < 0) {
        rki_cli_err(b);
        return;
    }
    look_at_file(l, l->now_ns());
    while (!b->failed && at < b->n) {
        ssize_t n = write(l->fd, b->p + at, b->n - at);
        if (n < 0 && errno != EINTR)
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    if (b->failed || at < b->n) {
        l->lost++;
        if (!l->said_lost)
            rki_cli_say("warning: the log '%s' cannot be written: %s", l->conf.file.p,
                        b->failed ? "out of memory" : strerror(errno));
        l->said_lost = true;
    }
    rki_buf_clear(b);
}

bool rki_logger_open(rki_logger *l, const rki_logs_conf *conf, char *err, size_t n)
{
    *l = (rki_logger){ .conf = *conf, .fd = -1, .now_ns = monotonic_ns, .secrets = rki_secrets_new() };
    if (!l->secrets || pthread_mutex_init(&l->lock, NULL) != 0) {
        snprintf(err, n, "out of memory");
        rki_secrets_free(l->secrets);
        return false;
    }
    if (!conf->file.p)
        return true;
    l->fd = open_file(l);
    if (l->fd >= 0)
        return true;
    snprintf(err, n, "telemetry.logs: cannot open '%s': %s", conf->file.p, strerror(errno));
    pthread_mutex_destroy(&l->lock);
    rki_secrets_free(l->secrets);
    return false;
}

bool rki_logger_owns_stderr(const rki_logger *l)
{
    return l->conf.format == RKI_LOG_JSON && l->fd < 0;
}

void rki_logger_hide(rki_logger *l, const rkp_diags *d)
{
    for (size_t i = 0; i < rki_diags_n_hidden(d); i++)
        if (!rki_secrets_add(l->secrets, rki_diags_hidden(d, i)))
            rki_logger_say(l, "warning: a secret cannot be put over where it is shown: out of memory");
}

// ---- one line -------------------------------------------------------------------------------------------------------

static const char *const level_words[] = {
    [RKI_LOG_INFO] = "info", [RKI_LOG_WARN] = "warn", [RKI_LOG_ERROR] = "error"
};

static size_t print_now(char to[RKP_TIMESTAMP_TEXT])
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return rkp_print_timestamp(to, (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

static bool take(rkp_str *s, const char *begins)
{
    size_t n = strlen(begins);
    if (s->n < n || memcmp(s->p, begins, n) != 0)
        return false;
    *s = (rkp_str){ s->p + n, s->n - n };
    return true;
}

static rki_log_level level_of(rkp_str *line)
{
    take(line, "rkpipe: ");
    if (take(line, "error: "))
        return RKI_LOG_ERROR;
    if (take(line, "warning: "))
        return RKI_LOG_WARN;
    take(line, "note: ");
    return RKI_LOG_INFO;
}

// "kernel 'x': " before what it says.
static rkp_str kernel_of(rkp_str *line)
{
    rkp_str rest = *line, id;
    const char *end;
    if (!take(&rest, "kernel '") || !(end = memmem(rest.p, rest.n, "': ", 3)))
        return (rkp_str){ NULL, 0 };
    id = (rkp_str){ rest.p, (size_t)(end - rest.p) };
    *line = (rkp_str){ end + 3, rest.n - id.n - 3 };
    return id;
}

// `line` as it is on standard error, without its end.  `extra`: a member of an object, or NULL.
static void put_line(const rki_logger *l, rki_log_level level, rkp_str whole, const char *extra, const rki_buf *json,
                     rki_buf *out)
{
    char at[RKP_TIMESTAMP_TEXT];
    rkp_str line = whole, kernel;
    size_t n;
    rki_json j;
    if (l->conf.format == RKI_LOG_TEXT && l->fd < 0) { // as a person likes it; who keeps it puts the time before it
        rki_put(out, whole.p, whole.n);
        rki_putc(out, '\n');
        return;
    }
    level_of(&line);
    n = print_now(at);
    if (l->conf.format == RKI_LOG_TEXT) {
        rki_put(out, at, n);
        rki_putf(out, " %s ", level_words[level]);
        rki_remote_text(out, line);
        rki_putc(out, '\n');
        return;
    }
    kernel = kernel_of(&line);
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_str(&j, "time", (rkp_str){ at, n });
    rki_json_put_z(&j, "level", level_words[level]);
    if (kernel.p)
        rki_json_put_str(&j, "kernel", kernel);
    rki_json_put_str(&j, "message", line);
    if (extra) {
        rki_json_key(&j, extra);
        rki_json_raw(&j, (rkp_str){ json->p, json->n });
    }
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}

// ---- limits ---------------------------------------------------------------------------------------------------------

// Of a line without its numbers.
static uint64_t kind_of(rkp_str line)
{
    uint64_t h = UINT64_C(14695981039346656037);
    bool digit = false;
    for (size_t i = 0; i < line.n; i++) {
        char ch = line.p[i];
        bool d = ch >= '0' && ch <= '9';
        if (!d || !digit)
            h = (h ^ (unsigned char)(d ? '0' : ch)) * UINT64_C(1099511628211);
        digit = d;
    }
    return h;
}

static void tell_left_out(rki_logger *l, size_t i, rki_buf *out)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s%llu more line%s of the kind before were left out",
                     l->kinds[i].level == RKI_LOG_WARN    ? "warning: "
                     : l->kinds[i].level == RKI_LOG_ERROR ? "error: "
                                                          : "",
                     (unsigned long long)l->kinds[i].left_out, l->kinds[i].left_out == 1 ? "" : "s");
    if (l->kinds[i].left_out && n > 0)
        put_line(l, l->kinds[i].level, (rkp_str){ text, (size_t)n }, NULL, NULL, out);
    l->kinds[i].since = 0;
}

// Windows that are over make room, and say what they have kept back.
static void end_windows(rki_logger *l, uint64_t now, bool all, rki_buf *out)
{
    for (size_t i = 0; i < RKI_LOG_KINDS; i++)
        if (l->kinds[i].since && (all || now - l->kinds[i].since >= WINDOW_NS))
            tell_left_out(l, i, out);
}

static bool may_say(rki_logger *l, rkp_str line, rki_log_level level, uint64_t now, rki_buf *out)
{
    uint64_t hash = kind_of(line);
    size_t at = RKI_LOG_KINDS, oldest = 0;
    for (size_t i = 0; i < RKI_LOG_KINDS; i++) {
        if (l->kinds[i].since && l->kinds[i].hash == hash) {
            if (l->kinds[i].said++ < SAME)
                return true;
            l->kinds[i].left_out++;
            return false;
        }
        if (!l->kinds[i].since && at == RKI_LOG_KINDS)
            at = i;
        if (l->kinds[i].since < l->kinds[oldest].since)
            oldest = i;
    }
    if (at == RKI_LOG_KINDS) { // more kinds than that: the oldest one begins again
        tell_left_out(l, oldest, out);
        at = oldest;
    }
    l->kinds[at].hash = hash;
    l->kinds[at].since = now ? now : 1;
    l->kinds[at].said = 1;
    l->kinds[at].left_out = 0;
    l->kinds[at].level = level;
    return true;
}

// ---- what comes -----------------------------------------------------------------------------------------------------

typedef enum how { LIMITED, FREE, ROWS } how;

// A row of write.log that is JSON already stays as it is.
static void put_row(const rki_logger *l, rkp_str line, rki_buf *out)
{
    bool object = line.n > 1 && line.p[0] == '{' && line.p[line.n - 1] == '}';
    char at[RKP_TIMESTAMP_TEXT];
    rki_json j;
    if (l->conf.format != RKI_LOG_JSON || object) {
        rki_put(out, line.p, line.n);
    } else {
        rki_json_init(&j, out, 0);
        rki_json_object(&j);
        rki_json_put_str(&j, "time", (rkp_str){ at, print_now(at) });
        rki_json_put_z(&j, "level", level_words[RKI_LOG_INFO]);
        rki_json_put_str(&j, "row", line);
        rki_json_end_object(&j);
    }
    rki_putc(out, '\n');
}

static void lines(rki_logger *l, rkp_str text, how as)
{
    rki_buf out, in;
    uint64_t now = l->now_ns();
    rki_buf_init(&out);
    rki_buf_init(&in);
    rki_put(&in, text.p, text.n);
    rki_secrets_mask(l->secrets, RKI_MASK_TEXT, &in); // before it is written in another way
    text = in.failed ? RKP_STR("error: out of memory for a line of the log") : (rkp_str){ in.p, in.n };
    pthread_mutex_lock(&l->lock);
    end_windows(l, now, false, &out);
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        rkp_str line = { text.p, end ? (size_t)(end - text.p) : text.n }, rest = line;
        rki_log_level level = level_of(&rest);
        text = (rkp_str){ line.p + line.n + (end != NULL), text.n - line.n - (end != NULL) };
        if (as == ROWS)
            put_row(l, line, &out);
        else if ((int)level >= l->conf.level && (as == FREE || may_say(l, line, level, now, &out)))
            put_line(l, level, line, NULL, NULL, &out);
    }
    if (out.n && l->bar && l->fd < 0) {
        rki_buf b = out;
        rki_buf_init(&out);
        rki_putz(&out, "\r\033[K");
        rki_put(&out, b.p, b.n);
        out.failed |= b.failed;
        rki_buf_fini(&b);
    }
    if (out.n || out.failed)
        write_out(l, &out);
    pthread_mutex_unlock(&l->lock);
    rki_buf_fini(&out);
    rki_buf_fini(&in);
}

void rki_logger_close(rki_logger *l)
{
    rki_buf out;
    rki_buf_init(&out);
    end_windows(l, 0, true, &out);
    if (out.n)
        write_out(l, &out);
    rki_buf_fini(&out);
    if (l->lost)
        rki_cli_say("warning: %llu lines of the log were lost", (unsigned long long)l->lost);
    if (l->fd >= 0)
        close(l->fd);
    pthread_mutex_destroy(&l->lock);
    rki_secrets_free(l->secrets);
}

void rki_logger_lines(void *logger, rkp_str text)
{
    lines(logger, text, LIMITED);
}

void rki_logger_rows(void *logger, rkp_str text)
{
    lines(logger, text, ROWS);
}

void rki_logger_alert(void *logger, rkp_str line)
{
    rki_buf b;
    rki_buf_init(&b);
    line.n -= line.n && line.p[line.n - 1] == '\n';
    rki_putz(&b, "rkpipe: ");
    rki_remote_text(&b, line);
    rki_putc(&b, '\n');
    if (!b.failed)
        lines(logger, (rkp_str){ b.p, b.n }, FREE);
    rki_buf_fini(&b);
}

void rki_logger_say(rki_logger *l, const char *fmt, ...)
{
    char text[2048];
    rkp_str line;
    va_list ap;
    int n = snprintf(text, sizeof text, "rkpipe: "), m;
    va_start(ap, fmt);
    m = vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m < 0)
        return;
    if (l->quiet && strncmp(text + n, "note: ", 6) == 0)
        return;
    n = m < (int)sizeof text - 2 - n ? n + m : (int)sizeof text - 2;
    text[n++] = '\n';
    lines(l, (rkp_str){ text, (size_t)n }, FREE);
    line = (rkp_str){ text, (size_t)n };
    if (l->fd >= 0 && level_of(&line) == RKI_LOG_ERROR) {
        rki_buf b;
        rki_buf_init(&b);
        rki_put(&b, text, (size_t)n);
        rki_secrets_mask(l->secrets, RKI_MASK_TEXT, &b);
        rki_cli_err(&b);
        rki_buf_fini(&b);
    }
}

void rki_logger_findings(rki_logger *l, const rki_cli *c, rkp_diags *d)
{
    if (l->conf.format == RKI_LOG_TEXT && l->fd < 0) {
        rki_load_print(c, d);
        return;
    }
    rki_diags_sort(d);
    for (size_t i = 0; i < rki_diags_n(d); i++) {
        const rki_finding *f = rki_diags_at(d, i);
        const char *word = f->sev == RKP_ERROR ? "error: " : f->sev == RKP_WARNING ? "warning: " : "note: ";
        rki_buf b;
        rki_buf_init(&b);
        rki_putz(&b, word);
        if (f->at.file && f->at.line)
            rki_putf(&b, "%s:%u:%u: ", f->at.file, (unsigned)f->at.line, (unsigned)f->at.col);
        else if (f->at.file)
            rki_putf(&b, "%s: ", f->at.file);
        rki_putf(&b, "%s [%s]", f->text, f->code);
        if (f->hint)
            rki_putf(&b, "; hint: %s", f->hint);
        for (size_t k = 0; k < b.n; k++) // one finding, one line
            b.p[k] = b.p[k] == '\n' ? ' ' : b.p[k];
        if (!b.failed)
            lines(l, (rkp_str){ b.p, b.n }, FREE);
        rki_buf_fini(&b);
    }
}

// JSON in one line: without the blanks and line ends between its values.
static void in_one_line(rki_buf *b)
{
    bool string = false;
    size_t to = 0;
    for (size_t i = 0; i < b->n; i++) {
        char ch = b->p[i];
        if (!string && (ch == '\n' || ch == ' '))
            continue;
        b->p[to++] = ch;
        if (string && ch == '\\' && i + 1 < b->n)
            b->p[to++] = b->p[++i];
        else if (ch == '"')
            string = !string;
    }
    b->n = to;
}

void rki_logger_summary(rki_logger *l, rki_buf *json)
{
    rki_buf out;
    rki_buf_init(&out);
    in_one_line(json);
    rki_secrets_mask(l->secrets, RKI_MASK_JSON, json);
    if (!json->failed && l->conf.level <= RKI_LOG_INFO)
        put_line(l, RKI_LOG_INFO, RKP_STR("the run has ended"), "summary", json, &out);
    pthread_mutex_lock(&l->lock);
    if (out.n)
        write_out(l, &out);
    pthread_mutex_unlock(&l->lock);
    rki_buf_fini(&out);
}
