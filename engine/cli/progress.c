// cli/progress.c - the progress line.
//
// Pieces stand in the order in which they are read and are left out in the order of their rank until the line fits; the
// bar takes what is left.  Rates are smoothed over about two seconds; the time left is that of the whole run so far,
// which jumps less.
#include "cli/progress.h"
#include "base/json.h"
#include "cli/cli.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIECES = 8, PIECE = 40, BAR_MIN = 10, BAR_MAX = 40 };

struct piece {
    int rank; // 0 is never left out
    char text[PIECE];
};

// 1234567 -> "1.23 M rows"; bytes keep their prefix: "1.23 MB"
static void scaled(char to[PIECE], double v, const char *unit)
{
    static const char *const steps[] = { "", "k", "M", "G", "T", "P" };
    size_t s = 0;
    while (v >= 999.5 && s < 5) {
        v /= 1000;
        s++;
    }
    snprintf(to, PIECE, "%.*f %s%s%s",
             s == 0 || v >= 99.95 ? 0
             : v >= 9.995         ? 1
                                  : 2,
             v, steps[s], s && *unit != 'B' ? " " : "", unit);
}

static void clock_text(char to[PIECE], double seconds, const char *after)
{
    uint64_t s = seconds > 0 ? (uint64_t)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(to, PIECE, "%llu:%02llu:%02llu%s", (unsigned long long)(s / 3600), (unsigned long long)(s / 60 % 60),
                 (unsigned long long)(s % 60), after);
    else
        snprintf(to, PIECE, "%llu:%02llu%s", (unsigned long long)(s / 60), (unsigned long long)(s % 60), after);
}

static void rates(rki_bar *b, const rki_progress *p)
{
    double dt = (double)(p->elapsed_ns - b->at_ns) / 1e9, part;
    if (p->elapsed_ns <= b->at_ns)
        return;
    part = b->at_ns == 0 ? 1 : dt / (dt + 2);
    b->rows_rate += part * ((double)(p->rows_in - b->rows) / dt - b->rows_rate);
    b->bytes_rate += part * ((double)(p->bytes_in - b->bytes) / dt - b->bytes_rate);
    b->at_ns = p->elapsed_ns;
    b->rows = p->rows_in;
    b->bytes = p->bytes_in;
}

void rki_bar_line(rki_bar *b, const rki_progress *p, int width, rki_buf *out)
{
    struct piece v[PIECES];
    int n = 0, len, bar = 0;
    double part = p->total ? (double)p->done / (double)p->total : 0, secs = (double)p->elapsed_ns / 1e9;
    part = part > 1 ? 1 : part;
    rates(b, p);
    if (p->total) {
        v[n].rank = 0;
        snprintf(v[n++].text, PIECE, "%3d %%", (int)(part * 100));
    } else {
        v[n].rank = 0;
        scaled(v[n++].text, (double)p->rows_in, "rows");
        v[n].rank = 4;
        scaled(v[n++].text, (double)p->bytes_in, "B");
    }
    v[n].rank = 2;
    scaled(v[n++].text, b->rows_rate, "rows/s");
    v[n].rank = 3;
    snprintf(v[n++].text, PIECE, "%.1f MB/s", b->bytes_rate / 1e6);
    v[n].rank = 1;
    if (p->total && part > 0 && secs >= 1)
        clock_text(v[n++].text, secs / part - secs, " left");
    else
        clock_text(v[n++].text, secs, "");
    if (p->bad) {
        v[n].rank = 1;
        scaled(v[n++].text, (double)p->bad, "bad");
    }
    for (int worst = 5; worst > 0; worst--) {
        len = -2;
        for (int i = 0; i < n; i++)
            len += 2 + (int)strlen(v[i].text);
        if (len <= width)
            break;
        for (int i = n - 1; i >= 0; i--) {
            if (v[i].rank != worst)
                continue;
            for (int k = i; k + 1 < n; k++)
                v[k] = v[k + 1];
            n--;
        }
    }
    len = -2;
    for (int i = 0; i < n; i++)
        len += 2 + (int)strlen(v[i].text);
    if (len > width)
        return;
    if (p->total && width - len - 4 >= BAR_MIN)
        bar = width - len - 4 < BAR_MAX ? width - len - 4 : BAR_MAX;
    if (bar) {
        int full = (int)(part * bar);
        rki_putc(out, '[');
        for (int i = 0; i < bar; i++)
            rki_putc(out, i < full ? '=' : i == full ? '>' : ' ');
        rki_putz(out, "]  ");
    }
    for (int i = 0; i < n; i++)
        rki_putf(out, "%s%s", i ? "  " : "", v[i].text);
}

static int terminal_width(int other)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col)
        return w.ws_col;
    return other > 0 ? other : 80;
}

void rki_progress_bar(void *arg, const rki_progress *p)
{
    rki_bar *b = arg;
    rki_buf out;
    rki_buf_init(&out);
    if (!p->final) {
        rki_putc(&out, '\r');
        rki_bar_line(b, p, terminal_width(b->width) - 1, &out);
        b->shown = true;
    } else if (b->shown) {
        rki_putc(&out, '\r');
    }
    if (out.n)
        rki_putz(&out, "\033[K");
    if (!out.failed)
        rki_cli_err(&out);
    rki_buf_fini(&out);
}

void rki_progress_json(const rki_progress *p, rki_buf *out)
{
    const uint64_t ms = p->elapsed_ns / 1000000u;
    rki_json j;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_f64(&j, "elapsed_seconds", (double)ms / 1e3);
    rki_json_put_u64(&j, "rows_in", p->rows_in);
    rki_json_put_u64(&j, "rows_out", p->rows_out);
    rki_json_put_u64(&j, "bad_rows", p->bad);
    rki_json_put_u64(&j, "bytes_in", p->bytes_in);
    rki_json_put_u64(&j, "done_bytes", p->done);
    rki_json_key(&j, "total_bytes");
    if (p->total)
        rki_json_u64(&j, p->total);
    else
        rki_json_null(&j);
    rki_json_put_bool(&j, "final", p->final);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}

void rki_progress_lines(void *arg, const rki_progress *p)
{
    rki_buf out;
    (void)arg;
    rki_buf_init(&out);
    rki_progress_json(p, &out);
    if (!out.failed)
        rki_cli_err(&out);
    rki_buf_fini(&out);
}
