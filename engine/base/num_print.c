// num_print.c - numbers as text.
#include <math.h>
#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>

size_t rkp_print_u64(char *to, uint64_t v)
{
    char t[20];
    size_t n = sizeof t;

    do
        t[--n] = (char)('0' + v % 10);
    while (v /= 10);
    memcpy(to, t + n, sizeof t - n);
    return sizeof t - n;
}

size_t rkp_print_i64(char *to, int64_t v)
{
    if (v >= 0)
        return rkp_print_u64(to, (uint64_t)v);
    *to = '-';
    return 1 + rkp_print_u64(to + 1, 0 - (uint64_t)v);
}

// Writes digits d[0 .. n), the first of which has the weight 10^exp.
static size_t layout(char *to, const char *d, size_t n, int exp)
{
    char *p = to;

    if (exp < -5 || exp >= 16) {
        *p++ = d[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, d + 1, n - 1);
            p += n - 1;
        }
        *p++ = 'e';
        *p++ = exp < 0 ? '-' : '+';
        exp = exp < 0 ? -exp : exp;
        if (exp < 10)
            *p++ = '0';
        return (size_t)(p - to) + rkp_print_u64(p, (uint64_t)exp);
    }
    if (exp < 0) {
        *p++ = '0';
        *p++ = '.';
        for (int i = -1; i > exp; i--)
            *p++ = '0';
        memcpy(p, d, n);
        return (size_t)(p - to) + n;
    }
    for (size_t i = 0; i <= (size_t)exp || i < n; i++) {
        if (i == (size_t)exp + 1)
            *p++ = '.';
        *p++ = i < n ? d[i] : '0';
    }
    if (n <= (size_t)exp + 1) {
        *p++ = '.';
        *p++ = '0';
    }
    return (size_t)(p - to);
}

static size_t print_by_trial(char *to, double v, bool single)
{
    char t[40], d[20] = { 0 };
    size_t n = 0, sign = 0;

    if (isnan(v)) {
        memcpy(to, "nan", 3);
        return 3;
    }
    if (signbit(v)) {
        to[sign++] = '-';
        v = -v;
    }
    if (isinf(v)) {
        memcpy(to + sign, "inf", 3);
        return sign + 3;
    }
    for (int prec = 0; prec < 17; prec++) {
        snprintf(t, sizeof t, "%.*e", prec, v);
        if (single ? strtof(t, NULL) == (float)v : strtod(t, NULL) == v)
            break;
    }
    for (const char *p = t; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            d[n++] = *p;
    return sign + layout(to + sign, d, n, (int)strtol(strchr(t, 'e') + 1, NULL, 10));
}

size_t rkp_print_f64(char *to, double v)
{
    return print_by_trial(to, v, false);
}

size_t rkp_print_f32(char *to, float v)
{
    return print_by_trial(to, (double)v, true);
}
