// fn_time.c - functions of timestamps: i64 microseconds since 1970, UTC, in the calendar that never changed (proleptic
// Gregorian).  Days are cut out of the microseconds by floor division; the civil date comes from counting days from
// 0000-03-01 in eras of 400 years, so that the leap day is the last of its year.
#include "expr/functions.h"

#include <math.h>
#include <rkpipe/num.h>
#include <time.h>

#define ROWS(i)   for (uint32_t i = 0; i < r->n; i++)
#define US(k, i)  RKI_AT(int64_t, a[k], i)
#define OUT(T, i) (((T *)out->v)[i])

#define SECOND ((int64_t)1000000)
#define DAY    (86400 * SECOND)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;

    return m < 0 ? m + b : m;
}

static void date_of(int64_t day, int64_t *year, unsigned *month, unsigned *mday)
{
    int64_t z = day + 719468, era = floor_div(z, 146097);
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;

    *mday = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int64_t)yoe + era * 400 + (*month <= 2);
}

static int64_t day_of(int64_t year, unsigned month, unsigned mday)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400);
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + mday - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + (int64_t)doe - 719468;
}

void rki_civil_of(int64_t us, rki_civil *out)
{
    int64_t day = floor_div(us, DAY), rest = floor_mod(us, DAY);
    unsigned s = (unsigned)(rest / SECOND);

    date_of(day, &out->year, &out->month, &out->day);
    out->hour = s / 3600;
    out->minute = s / 60 % 60;
    out->second = s % 60;
    out->micros = (unsigned)(rest % SECOND);
    out->weekday = (unsigned)floor_mod(day + 3, 7) + 1; // 1970-01-01 was a Thursday
    out->yearday = (unsigned)(day - day_of(out->year, 1, 1)) + 1;
}

bool rki_parse_time(rkp_str s, int64_t *us)
{
    char t[16];

    if (s.n != 10)
        return rkp_parse_timestamp(s.p, s.n, us);
    memcpy(t, s.p, 10);
    memcpy(t + 10, "T00:00", 6);
    return rkp_parse_timestamp(t, sizeof t, us);
}

// ---- parts of a date ------------------------------------------------------------------------------------------------

enum part { YEAR, MONTH, MDAY };

// Rows of one day follow each other often: it is taken apart once.
static bool date_part(const rki_rows *r, const rkp_vec *a, rkp_vec *out, enum part part)
{
    int64_t known = INT64_MIN, year = 0, v = 0;
    unsigned month = 0, mday = 0;

    ROWS(i)
    {
        int64_t day = out->st[i] ? 0 : floor_div(US(0, i), DAY);

        if (day != known) {
            date_of(day, &year, &month, &mday);
            known = day;
            v = part == YEAR ? year : part == MONTH ? (int64_t)month : (int64_t)mday;
        }
        OUT(int64_t, i) = v;
    }
    return true;
}

#define PART(name, expr)                                                                                               \
    static bool name(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)                \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)n;                                                                                                       \
        return expr;                                                                                                   \
    }

PART(f_year, date_part(r, a, out, YEAR))
PART(f_month, date_part(r, a, out, MONTH))
PART(f_day, date_part(r, a, out, MDAY))

#define COUNTED(name, expr)                                                                                            \
    static bool name(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)                \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)n;                                                                                                       \
        ROWS(i)                                                                                                        \
        {                                                                                                              \
            int64_t us = out->st[i] ? 0 : US(0, i);                                                                    \
            OUT(int64_t, i) = expr;                                                                                    \
        }                                                                                                              \
        return true;                                                                                                   \
    }

COUNTED(f_hour, floor_mod(us, DAY) / (3600 * SECOND))
COUNTED(f_minute, floor_mod(us, DAY) / (60 * SECOND) % 60)
COUNTED(f_second, floor_mod(us, DAY) / SECOND % 60)
COUNTED(f_weekday, floor_mod(floor_div(us, DAY) + 3, 7) + 1)

// ---- date_trunc -----------------------------------------------------------------------------------------------------

typedef struct unit {
    const char *name;
    int64_t us; // 0: by the calendar
    unsigned months;
} unit;

static const unit units[] = {
    { "microsecond", 1, 0 },      { "millisecond", 1000, 0 }, { "second", SECOND, 0 }, { "minute", 60 * SECOND, 0 },
    { "hour", 3600 * SECOND, 0 }, { "day", DAY, 0 },          { "week", 7 * DAY, 0 },  { "month", 0, 1 },
    { "quarter", 0, 3 },          { "year", 0, 12 },
};

static const unit *unit_of(const rki_node *n)
{
    if (n->op != RKI_X_CONST || n->kind != RKP_STRING || n->null)
        return NULL;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (rkp_str_is(n->v.s, units[i].name))
            return &units[i];
    return NULL;
}

static bool bind_trunc(rki_check *c, rki_node *n)
{
    uint32_t u = unit_of(n->arg[1]) ? 1 : unit_of(n->arg[0]) ? 0 : 1; // DuckDB and PostgreSQL have the unit first
    rki_node *t = n->arg[1 - u], *name = n->arg[u];

    if (t->kind == RKP_STRING && t->op == RKI_X_CONST && t->null)
        t->kind = RKP_TIMESTAMP;
    if (t->kind == RKP_STRING && t->op == RKI_X_CONST) {
        int64_t us;

        if (rki_parse_time(t->v.s, &us)) {
            t->kind = RKP_TIMESTAMP;
            t->v.i = us;
        }
    }
    if (t->kind != RKP_TIMESTAMP) {
        rki_say(&c->s, t->from, t->to, "expr-type", "argument %u of date_trunc must be timestamp, not %s", 2 - u,
                rki_kind_word(t->kind));
        rki_hint(&c->s, "write to_timestamp(x)");
        n->bad = true;
    }
    if (!unit_of(name)) {
        rki_say(&c->s, name->from, name->to, "expr-args", "date_trunc needs the name of a unit");
        rki_hint(&c->s, "'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter' or 'year'");
        n->bad = true;
    }
    n->data = unit_of(name);
    n->v.index = 1 - u;
    return true;
}

// The first instant of the unit that us is in; false: it is before all time.
static bool trunc_to(const unit *u, int64_t us, int64_t *to)
{
    int64_t year, day;
    unsigned month, mday;

    if (u->us) {
        int64_t shift = u->us == 7 * DAY ? 3 * DAY : 0; // weeks begin on Monday, and 1970 on a Thursday

        return !__builtin_sub_overflow(us, floor_mod(floor_mod(us, u->us) + shift, u->us), to);
    }
    date_of(floor_div(us, DAY), &year, &month, &mday);
    day = day_of(year, (month - 1) / u->months * u->months + 1, 1);
    return !__builtin_mul_overflow(day, DAY, to);
}

static bool f_date_trunc(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    ROWS(i)
    {
        OUT(int64_t, i) = 0;
        if (!out->st[i] && !trunc_to(n->data, RKI_AT(int64_t, a[n->v.index], i), &OUT(int64_t, i)))
            rki_row_bad(x, r, i, out, RKP_ROW_OVERFLOW, -1, (rkp_str){ NULL, 0 });
    }
    return true;
}

void rki_trunc_unit(const rki_node *n, int64_t *us, unsigned *months)
{
    const unit *u = n->data;

    *us = u->us;
    *months = u->months;
}

// ---- now ------------------------------------------------------------------------------------------------------------

static bool f_now(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    (void)r;
    (void)a;
    if (!x->now_us) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        x->now_us = (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
    }
    OUT(int64_t, 0) = x->now_us;
    return true;
}

// ---- format_time ----------------------------------------------------------------------------------------------------

static const char *const day_names[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };
static const char *const month_names[] = { "January", "February", "March",     "April",   "May",      "June",
                                           "July",    "August",   "September", "October", "November", "December" };

static char *put(char *to, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; v /= 10)
        to[i] = (char)('0' + v % 10);
    return to + digits;
}

static char *put_year(char *to, int64_t year)
{
    unsigned digits = 4;

    if (year < 0) {
        *to++ = '-';
        year = -year;
    }
    while (digits < 7 && year >= (digits == 4 ? 10000 : digits == 5 ? 100000 : 1000000))
        digits++;
    return put(to, (uint64_t)year, digits);
}

static char *put_text(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return to + n;
}

enum { ONE_SIGN = 16 }; // bytes that one sign of a format gives at most

// One sign of a format; NULL: there is no such sign.
static char *put_sign(char *to, char sign, const rki_civil *t, int64_t us)
{
    const char *name;

    switch (sign) {
    case 'Y':
        return put_year(to, t->year);
    case 'y':
        return put(to, (uint64_t)floor_mod(t->year, 100), 2);
    case 'm':
        return put(to, t->month, 2);
    case 'd':
        return put(to, t->day, 2);
    case 'e':
        to = put(to, t->day, 2);
        if (to[-2] == '0')
            to[-2] = ' ';
        return to;
    case 'j':
        return put(to, t->yearday, 3);
    case 'H':
        return put(to, t->hour, 2);
    case 'I':
        return put(to, (t->hour + 11) % 12 + 1, 2);
    case 'p':
        return put_text(to, t->hour < 12 ? "AM" : "PM", 2);
    case 'M':
        return put(to, t->minute, 2);
    case 'S':
        return put(to, t->second, 2);
    case 'f':
        return put(to, t->micros, 6);
    case 'L':
        return put(to, t->micros / 1000, 3);
    case 's':
        return to + rkp_print_i64(to, floor_div(us, SECOND));
    case 'a':
        return put_text(to, day_names[t->weekday - 1], 3);
    case 'A':
        name = day_names[t->weekday - 1];
        return put_text(to, name, strlen(name));
    case 'b':
    case 'h':
        return put_text(to, month_names[t->month - 1], 3);
    case 'B':
        name = month_names[t->month - 1];
        return put_text(to, name, strlen(name));
    case 'u':
        return put(to, t->weekday, 1);
    case 'w':
        return put(to, t->weekday % 7, 1);
    case 'F':
        to = put_year(to, t->year);
        *to++ = '-';
        to = put(to, t->month, 2);
        *to++ = '-';
        return put(to, t->day, 2);
    case 'T':
    case 'R':
        to = put(to, t->hour, 2);
        *to++ = ':';
        to = put(to, t->minute, 2);
        if (sign == 'R')
            return to;
        *to++ = ':';
        return put(to, t->second, 2);
    case 'z':
        return put_text(to, "+0000", 5);
    case 'Z':
        return put_text(to, "UTC", 3);
    case '%':
        return put_text(to, "%", 1);
    default:
        return NULL;
    }
}

static bool bind_format(rki_check *c, rki_node *n)
{
    const rki_node *f = n->arg[1];
    rki_civil t;
    char to[64];

    rki_civil_of(0, &t);
    for (size_t i = 0; f->op == RKI_X_CONST && !f->null && i < f->v.s.n; i++) {
        char sign = i + 1 < f->v.s.n ? f->v.s.p[i + 1] : 0;

        if (f->v.s.p[i] != '%')
            continue;
        i++;
        if (put_sign(to, sign, &t, 0))
            continue;
        if (sign > ' ' && sign < 0x7f)
            rki_say(&c->s, f->from, f->to, "expr-args", "format_time does not know '%%%c'", sign);
        else
            rki_say(&c->s, f->from, f->to, "expr-args", "a '%%' of the format stands alone");
        rki_hint(&c->s, "%%Y %%m %%d %%H %%M %%S %%f %%L %%j %%y %%a %%A %%b %%B %%e %%I %%p %%u %%w %%s %%F %%T %%R "
                        "%%z %%Z %%%%");
        n->bad = true;
        break;
    }
    return true;
}

static bool f_format_time(rki_eval *x, const rki_node *n, const rki_rows *r, const rkp_vec *a, rkp_vec *out)
{
    (void)n;
    ROWS(i)
    {
        rkp_str f = RKI_AT(rkp_str, a[1], i);
        char *from, *to;
        rki_civil t;

        OUT(rkp_str, i) = (rkp_str){ "", 0 };
        if (out->st[i])
            continue;
        if (f.n > RKI_EXPR_VALUE / ONE_SIGN) {
            rki_row_bad(x, r, i, out, RKP_ROW_SIZE, -1, (rkp_str){ NULL, 0 });
            continue;
        }
        from = to = rki_text(x, f.n * ONE_SIGN);
        if (!to)
            return false;
        rki_civil_of(US(0, i), &t);
        for (size_t k = 0; k < f.n && to; k++) {
            if (f.p[k] != '%')
                *to++ = f.p[k];
            else
                to = k + 1 < f.n ? put_sign(to, f.p[k + 1], &t, US(0, i)) : NULL;
            k += f.p[k] == '%';
        }
        if (to)
            OUT(rkp_str, i) = (rkp_str){ from, (size_t)(to - from) };
        else
            rki_row_bad(x, r, i, out, RKP_ROW_DOMAIN, -1, f);
    }
    return true;
}

const rki_fn rki_fns_time[] = {
    { .name = "now",
      .args = "",
      .result = 't',
      .changes = true,
      .eval = f_now,
      .host = "asks the clock of the host",
      .usage = "now()",
      .help = "the time at which the batch is worked on, the same for all of its rows",
      .example = "now() > '2020-01-01'",
      .gives = "true" },
    { .name = "year",
      .args = "t",
      .result = 'i',
      .eval = f_year,
      .emit = rki_emit_call,
      .usage = "year(time)",
      .help = "the year",
      .example = "year('2024-03-09T10:20:30Z')",
      .gives = "2024" },
    { .name = "month",
      .args = "t",
      .result = 'i',
      .eval = f_month,
      .emit = rki_emit_call,
      .usage = "month(time)",
      .help = "1 to 12",
      .example = "month('2024-03-09')",
      .gives = "3" },
    { .name = "day",
      .args = "t",
      .result = 'i',
      .eval = f_day,
      .emit = rki_emit_call,
      .usage = "day(time)",
      .help = "the day of the month, from 1",
      .example = "day('2024-03-09')",
      .gives = "9" },
    { .name = "hour",
      .args = "t",
      .result = 'i',
      .eval = f_hour,
      .emit = rki_emit_call,
      .usage = "hour(time)",
      .help = "0 to 23",
      .example = "hour('2024-03-09T10:20:30Z')",
      .gives = "10" },
    { .name = "minute",
      .args = "t",
      .result = 'i',
      .eval = f_minute,
      .emit = rki_emit_call,
      .usage = "minute(time)",
      .help = "0 to 59",
      .example = "minute('2024-03-09T10:20:30Z')",
      .gives = "20" },
    { .name = "second",
      .args = "t",
      .result = 'i',
      .eval = f_second,
      .emit = rki_emit_call,
      .usage = "second(time)",
      .help = "0 to 59, without the fraction",
      .example = "second('2024-03-09T10:20:30.9Z')",
      .gives = "30" },
    { .name = "weekday",
      .args = "t",
      .result = 'i',
      .eval = f_weekday,
      .emit = rki_emit_call,
      .usage = "weekday(time)",
      .help = "1 for Monday to 7 for Sunday (ISO 8601)",
      .example = "weekday('2024-03-09')",
      .gives = "6" },
    { .name = "date_trunc",
      .args = "aa",
      .result = 't',
      .bind = bind_trunc,
      .eval = f_date_trunc,
      .emit = rki_emit_date_trunc,
      .usage = "date_trunc(time, unit)",
      .help = "the begin of its second, minute, hour, day, week (Monday), month, quarter or year; the unit may stand "
              "first",
      .example = "date_trunc('2024-03-09T10:20:30Z', 'hour')",
      .gives = "2024-03-09T10:00:00Z" },
    { .name = "format_time",
      .args = "ts",
      .result = 's',
      .bind = bind_format,
      .eval = f_format_time,
      .usage = "format_time(time, format)",
      .help = "text by the signs of strftime, in English and UTC: %Y %m %d %H %M %S, %f microseconds, %L "
              "milliseconds, %j %y %a %A %b %B %e %I %p %u %w %s %F %T %R %z %Z",
      .example = "format_time('2024-03-09T10:20:30Z', '%d.%m.%Y %H:%M')",
      .gives = "09.03.2024 10:20" },
    { 0 },
};
