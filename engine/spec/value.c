// value.c - see value.h.  Numbers with a unit are scanned as decimal digits and scaled in integers, so 0.1s is exactly
// 100,000,000 ns; what does not come out whole is cut to the unit below (0.3ms is 300us).
#include "spec/value.h"

#include "base/hex.h"
#include <math.h>
#include <rkpipe/num.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(rkp_str t, size_t i)
{
    size_t n = 0;

    while (i + n < t.n && digit(t.p[i + n]))
        n++;
    return n;
}

static rki_verdict based(rkp_str t, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    bool over = false;

    if (t.n == 0)
        return RKI_VALUE_FORM;
    for (size_t i = 0; i < t.n; i++) {
        int d = rki_hex_digit(t.p[i]);

        if (d < 0 || d >= (int)base)
            return RKI_VALUE_FORM;
        over = over || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v);
    }
    if (over)
        return RKI_VALUE_RANGE;
    *out = v;
    return RKI_VALUE_OK;
}

// The magnitude of an integer without sign.
static rki_verdict magnitude(rkp_str t, uint64_t *out, const char **hint)
{
    rkp_str rest = { t.p + 2, t.n >= 2 ? t.n - 2 : 0 };

    if (t.n > 2 && t.p[0] == '0' && t.p[1] == 'x')
        return based(rest, 16, out);
    if (t.n > 2 && t.p[0] == '0' && t.p[1] == 'o')
        return based(rest, 8, out);
    if (t.n > 1 && t.p[0] == '0' && digits(t, 0) == t.n) {
        *hint = "write it without the leading zero, or as 0o17 if it is octal";
        return RKI_VALUE_FORM;
    }
    if (t.n > 1 && digit(t.p[0]) && memchr(t.p, '_', t.n))
        *hint = "write the digits without '_'";
    else if (t.n > 1 && digit(t.p[0]) && memchr(t.p, ',', t.n))
        *hint = "write the digits without ','";
    return based(t, 10, out);
}

rki_verdict rki_value_uint(rkp_str t, uint64_t *out, const char **hint)
{
    *hint = NULL;
    if (t.n > 1 && t.p[0] == '+')
        return magnitude((rkp_str){ t.p + 1, t.n - 1 }, out, hint);
    if (t.n > 1 && t.p[0] == '-') {
        uint64_t v = 0;
        rki_verdict r = magnitude((rkp_str){ t.p + 1, t.n - 1 }, &v, hint);

        if (r == RKI_VALUE_OK && v == 0)
            *out = 0;
        else if (r == RKI_VALUE_OK)
            r = RKI_VALUE_RANGE;
        return r;
    }
    return magnitude(t, out, hint);
}

rki_verdict rki_value_int(rkp_str t, int64_t *out, const char **hint)
{
    bool neg = t.n > 1 && t.p[0] == '-';
    uint64_t v = 0;
    rki_verdict r;

    *hint = NULL;
    if (t.n > 1 && (t.p[0] == '-' || t.p[0] == '+'))
        t = (rkp_str){ t.p + 1, t.n - 1 };
    r = magnitude(t, &v, hint);
    if (r != RKI_VALUE_OK)
        return r;
    if (v > (uint64_t)INT64_MAX + neg)
        return RKI_VALUE_RANGE;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return RKI_VALUE_OK;
}

// [-+]? ( digits [. digits*] | . digits ) [eE [-+]? digits]: returns the length that matches, 0 for none.
static size_t float_form(rkp_str t)
{
    size_t i = 0, whole, part = 0, n;

    if (i < t.n && (t.p[i] == '-' || t.p[i] == '+'))
        i++;
    whole = digits(t, i);
    i += whole;
    if (i < t.n && t.p[i] == '.') {
        part = digits(t, i + 1);
        i += 1 + part;
    }
    if (whole + part == 0)
        return 0;
    if (i < t.n && (t.p[i] == 'e' || t.p[i] == 'E')) {
        size_t e = i + 1;

        if (e < t.n && (t.p[e] == '-' || t.p[e] == '+'))
            e++;
        n = digits(t, e);
        if (n)
            i = e + n;
    }
    return i;
}

rki_verdict rki_value_float(rkp_str t, double *out, const char **hint)
{
    double v;

    *hint = NULL;
    if (t.n > 1 && digit(t.p[0]) && memchr(t.p, '_', t.n))
        *hint = "write the digits without '_'";
    else if (t.n > 1 && digit(t.p[0]) && memchr(t.p, ',', t.n))
        *hint = "the decimal sign is '.'";
    if (t.n == 0 || float_form(t) != t.n || !rkp_parse_f64(t.p, t.n, &v))
        return RKI_VALUE_FORM;
    if (!isfinite(v))
        return RKI_VALUE_RANGE;
    *out = v;
    return RKI_VALUE_OK;
}

rki_verdict rki_value_bool(rkp_str t, bool *out, const char **hint)
{
    static const char *const yes[] = { "yes", "on", "y", "1", "True", "TRUE", "Yes", "YES", "On", "ON", NULL };
    static const char *const no[] = { "no", "off", "n", "0", "False", "FALSE", "No", "NO", "Off", "OFF", NULL };

    *hint = NULL;
    if (rkp_str_is(t, "true") || rkp_str_is(t, "false")) {
        *out = t.n == 4;
        return RKI_VALUE_OK;
    }
    for (size_t i = 0; yes[i]; i++)
        if (rkp_str_is(t, yes[i]))
            *hint = "write true";
    for (size_t i = 0; no[i]; i++)
        if (rkp_str_is(t, no[i]))
            *hint = "write false";
    return RKI_VALUE_FORM;
}

rki_verdict rki_value_ratio(rkp_str t, double *out, const char **hint)
{
    bool percent = t.n > 1 && t.p[t.n - 1] == '%';
    double v = 0;
    rki_verdict r;

    if (percent)
        t.n--;
    while (percent && t.n && t.p[t.n - 1] == ' ')
        t.n--;
    r = rki_value_float(t, &v, hint);
    if (r != RKI_VALUE_OK)
        return r;
    if (percent)
        v /= 100;
    if (v < 0 || v > 1) {
        *hint = percent ? NULL : "a share of 1; write 5% or 0.05";
        return RKI_VALUE_RANGE;
    }
    *out = v;
    return RKI_VALUE_OK;
}

rki_verdict rki_value_rate(rkp_str t, double *out, const char **hint)
{
    static const struct {
        const char *unit;
        double seconds;
    } per[] = { { "/s", 1 }, { "/m", 60 }, { "/h", 3600 }, { "/d", 86400 } };
    double v = 0, scale = 1;
    size_t n = float_form(t);
    rkp_str unit = { t.p + n, t.n - n };
    rki_verdict r;

    *hint = NULL;
    if (n == 0)
        return RKI_VALUE_FORM;
    r = rki_value_float((rkp_str){ t.p, n }, &v, hint);
    if (r != RKI_VALUE_OK)
        return r;
    if (unit.n && (unit.p[0] == 'k' || unit.p[0] == 'M' || unit.p[0] == 'G')) {
        scale = unit.p[0] == 'k' ? 1e3 : unit.p[0] == 'M' ? 1e6 : 1e9;
        unit = (rkp_str){ unit.p + 1, unit.n - 1 };
    }
    if (unit.n) {
        size_t i = 0;

        while (i < sizeof per / sizeof *per && !rkp_str_is(unit, per[i].unit))
            i++;
        if (i == sizeof per / sizeof *per) {
            *hint = "a rate ends with /s, /m, /h or /d, with k or M before it for thousands and millions";
            return RKI_VALUE_FORM;
        }
        scale /= per[i].seconds;
    }
    v *= scale;
    if (v < 0 || !isfinite(v))
        return RKI_VALUE_RANGE;
    *out = v;
    return RKI_VALUE_OK;
}

struct unit {
    const char *name;
    uint64_t scale;
};

// digits[.digits] times scale, in integers.  Takes the number's text.
static bool scaled(rkp_str t, uint64_t scale, uint64_t *out)
{
    size_t whole = digits(t, 0);
    uint64_t v = 0, part = 0, of = 1;

    for (size_t i = 0; i < whole; i++)
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(t.p[i] - '0'), &v))
            return false;
    if (__builtin_mul_overflow(v, scale, &v))
        return false;
    for (size_t i = whole + 1; i < t.n && of < 1000000000; i++) {
        part = part * 10 + (uint64_t)(t.p[i] - '0');
        of *= 10;
    }
    // scale <= 2^50: split so that the product stays in range
    part = part * (scale / of) + part * (scale % of) / of;
    if (__builtin_add_overflow(v, part, &v) || v > INT64_MAX)
        return false;
    *out = v;
    return true;
}

// digits[.digits] at i: its length, 0 for none.
static size_t number_form(rkp_str t, size_t i)
{
    size_t n = digits(t, i), part;

    if (n == 0 || i + n >= t.n || t.p[i + n] != '.')
        return n;
    part = digits(t, i + n + 1);
    return part ? n + 1 + part : 0;
}

static const struct unit *unit_find(const struct unit *u, rkp_str t)
{
    for (; u->name; u++)
        if (rkp_str_is(t, u->name))
            return u;
    return NULL;
}

static size_t letters(rkp_str t, size_t i)
{
    size_t n = 0;

    while (i + n < t.n && ((t.p[i + n] | 0x20) >= 'a' && (t.p[i + n] | 0x20) <= 'z'))
        n++;
    return n;
}

rki_verdict rki_value_duration(rkp_str t, uint64_t *out, const char **hint)
{
    static const struct unit units[] = { { "us", 1000 },
                                         { "ms", 1000000 },
                                         { "s", 1000000000 },
                                         { "m", 60000000000 },
                                         { "h", 3600000000000 },
                                         { "d", 86400000000000 },
                                         { 0 } };
    uint64_t sum = 0, last = UINT64_MAX;

    *hint = NULL;
    if (rkp_str_is(t, "0")) {
        *out = 0;
        return RKI_VALUE_OK;
    }
    if (t.n == 0)
        return RKI_VALUE_FORM;
    for (size_t i = 0; i < t.n;) {
        size_t n = number_form(t, i), k = letters(t, i + n);
        const struct unit *u = unit_find(units, (rkp_str){ t.p + i + n, k });
        uint64_t v = 0;

        if (n == 0)
            return RKI_VALUE_FORM;
        if (k == 0 && i + n == t.n) {
            *hint = "add a unit: us, ms, s, m, h or d";
            return RKI_VALUE_FORM;
        }
        if (!u) {
            *hint = "the units are us, ms, s, m, h and d";
            return RKI_VALUE_FORM;
        }
        if (u->scale >= last || (last != UINT64_MAX && memchr(t.p + i, '.', n)))
            return RKI_VALUE_FORM; // 1s1h, 1h1.5m
        if (!scaled((rkp_str){ t.p + i, n }, u->scale, &v) || __builtin_add_overflow(sum, v, &sum) || sum > INT64_MAX)
            return RKI_VALUE_RANGE;
        last = memchr(t.p + i, '.', n) ? 0 : u->scale; // nothing after a fraction
        i += n + k;
    }
    *out = sum;
    return RKI_VALUE_OK;
}

rki_verdict rki_value_size(rkp_str t, uint64_t *out, const char **hint)
{
    static const struct unit units[] = { { "", 1 },
                                         { "B", 1 },
                                         { "kB", 1000 },
                                         { "KB", 1000 },
                                         { "KiB", 1u << 10 },
                                         { "MB", 1000000 },
                                         { "MiB", 1u << 20 },
                                         { "GB", 1000000000 },
                                         { "GiB", 1u << 30 },
                                         { "TB", 1000000000000 },
                                         { "TiB", (uint64_t)1 << 40 },
                                         { 0 } };
    size_t n = number_form(t, 0), k = letters(t, n);
    const struct unit *u = unit_find(units, (rkp_str){ t.p + n, k });

    *hint = NULL;
    if (n == 0)
        return RKI_VALUE_FORM;
    if (!u || n + k != t.n || (u->scale == 1 && memchr(t.p, '.', n))) {
        *hint = "the units are B, KiB, MiB, GiB, TiB (1024) and KB, MB, GB, TB (1000)";
        return RKI_VALUE_FORM;
    }
    return scaled((rkp_str){ t.p, n }, u->scale, out) ? RKI_VALUE_OK : RKI_VALUE_RANGE;
}

bool rki_is_id(rkp_str t)
{
    if (t.n == 0 || t.n > 63 || digit(t.p[0]) || t.p[0] == '-')
        return false;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];

        if (!digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '_' && c != '-')
            return false;
    }
    return true;
}
