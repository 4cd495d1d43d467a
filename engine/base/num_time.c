// num_time.c - timestamps: text to and from microseconds since 1970-01-01T00:00:00Z.
//
// The calendar is the proleptic Gregorian one; every day has 86,400 seconds, so a second 60 is refused.  Years are
// counted from March, which puts the leap day last: day of the year = (979 m - 2919) / 32 for m = 3 .. 14 (Neri and
// Schneider, "Euclidean affine functions and their application to calendar algorithms", 2023).
//
// The text is read in words of eight bytes: "YYYY-MM-", "DDThh:mm", ":ss.fffZ".  A xor with the same text in zeros
// leaves 0 .. 9 where digits belong and 0 where the separators do; adding 0x76 and 0x7f sets the top bit of a byte that
// is too large.
#include "base/num_pow5.h"

#include <rkpipe/num.h>

#define SECOND ((int64_t)1000000)
#define DAY    (86400 * SECOND)

// Days from 0000-03-01 to 1970-01-01.
enum { DAYS_TO_1970 = 719468 };

// `limit` has 0x76 for a digit and 0x7f for a separator.
static inline bool fits(uint64_t x, uint64_t limit)
{
    return ((x | (x + limit)) & 0x8080808080808080ull) == 0;
}

// The two digits from byte `at` of a word that fits() has passed, after x * 10 + (x >> 8).
#define TWO(pairs, at) ((unsigned)((pairs) >> 8 * (at)) & 0xffu)

static inline bool two(const char *p, unsigned *v)
{
    unsigned a = (unsigned)(unsigned char)p[0] - '0', b = (unsigned)(unsigned char)p[1] - '0';

    *v = a * 10 + b;
    return a <= 9 && b <= 9;
}

static inline bool leap(unsigned y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 16 == 0);
}

static inline int64_t days_of(unsigned y, unsigned m, unsigned d)
{
    unsigned c;

    y += 400; // January of year 0 belongs to the year before
    if (m < 3) {
        m += 12;
        y--;
    }
    c = y / 100;
    return (int64_t)(365 * y + y / 4 - c + c / 4 + (979 * m - 2919) / 32 + d - 1) - 146097 - DAYS_TO_1970;
}

// [:ss[.f+]][Z|+-hh:mm]; *us takes the seconds and the fraction less the offset.
static bool tail(const char *p, const char *end, int64_t *us)
{
    unsigned v, h, m;

    *us = 0;
    if (p < end && *p == ':') {
        if (end - p < 3 || !two(p + 1, &v) || v > 59)
            return false;
        *us = v * SECOND;
        p += 3;
        if (p < end && *p == '.') {
            const char *from = ++p;
            int64_t scale = SECOND;

            for (; p < end && (unsigned)(*p - '0') <= 9; p++) {
                scale /= 10; // 0 for what is finer
                *us += (*p - '0') * scale;
            }
            if (p == from)
                return false;
        }
    }
    if (p == end)
        return true;
    if (*p == 'Z' || *p == 'z')
        return p + 1 == end;
    if ((*p != '+' && *p != '-') || end - p != 6 || !two(p + 1, &h) || p[3] != ':' || !two(p + 4, &m) || h > 23 ||
        m > 59)
        return false;
    v = h * 60 + m;
    *us += *p == '-' ? (int64_t)v * 60 * SECOND : -(int64_t)v * 60 * SECOND;
    return true;
}

bool rkp_parse_timestamp(const char *p, size_t n, int64_t *out)
{
    // Little-endian words of "0000-00-", "00.00:00" (the separator of date and time is looked at on its own),
    // ":00.000Z"
    const uint64_t date = 0x2d30302d30303030, time = 0x30303a3030003030, rest = 0x5a3030302e30303a;
    const uint64_t date_limit = 0x7f76767f76767676, time_limit = 0x76767f76767f7676, rest_limit = 0x7f7676767f76767f;
    uint64_t a, b, c;
    unsigned y, mo, d, h, mi;
    int64_t us;

    if (n < 16 || (p[10] != 'T' && p[10] != ' ' && p[10] != 't'))
        return false;
    a = rki_load8(p) ^ date;
    b = (rki_load8(p + 8) & ~(0xffull << 16)) ^ time;
    if (!fits(a, date_limit) || !fits(b, time_limit))
        return false;
    a = a * 10 + (a >> 8);
    b = b * 10 + (b >> 8);
    y = TWO(a, 0) * 100 + TWO(a, 2);
    mo = TWO(a, 5);
    d = TWO(b, 0);
    h = TWO(b, 3);
    mi = TWO(b, 6);
    // Months have 30 or 31 days by the parity of m ^ (m >> 3), but for February.
    if (mo - 1 > 11 || d - 1 > 27 + (mo == 2 ? leap(y) : 2 + ((mo ^ mo >> 3) & 1)) || h > 23 || mi > 59)
        return false;
    if (n == 24 && fits(c = rki_load8(p + 16) ^ rest, rest_limit)) {
        unsigned s;

        c = c * 10 + (c >> 8);
        s = TWO(c, 1);
        if (s > 59)
            return false;
        us = (int64_t)(s * 1000 + TWO(c, 4) * 10 + (unsigned)(p[22] - '0')) * 1000;
    } else if (!tail(p + 16, p + n, &us)) {
        return false;
    }
    *out = days_of(y, mo, d) * DAY + (int64_t)(h * 60 + mi) * 60 * SECOND + us;
    return true;
}

static inline char *put2(char *to, unsigned v)
{
    to[0] = (char)('0' + v / 10);
    to[1] = (char)('0' + v % 10);
    return to + 2;
}

// Years outside of 0000 .. 9999, which the parser does not read, get a sign: -0001-12-31T00:00:00Z, +10000-01-01T...
size_t rkp_print_timestamp(char *to, int64_t us)
{
    int64_t days = us / DAY, in_day = us % DAY, era, year;
    unsigned n, c, r, yoc, doy, m, d, s, f;
    char *p = to;

    if (in_day < 0) {
        days--;
        in_day += DAY;
    }
    days += DAYS_TO_1970;
    era = (days >= 0 ? days : days - 146096) / 146097; // of 400 years
    n = (unsigned)(days - era * 146097);
    c = (4 * n + 3) / 146097;     // century of the era
    r = (4 * n + 3) % 146097 / 4; // day of the century
    yoc = (4 * r + 3) / 1461;     // year of the century
    doy = (4 * r + 3) % 1461 / 4; // day of the year, from March
    m = (5 * doy + 2) / 153;      // month from March
    d = doy - (153 * m + 2) / 5 + 1;
    year = era * 400 + c * 100 + yoc + (m >= 10);
    m += m < 10 ? 3 : -9u;
    s = (unsigned)(in_day / SECOND);
    f = (unsigned)(in_day % SECOND);
    if (RKP_UNLIKELY(year < 0 || year > 9999)) {
        unsigned v = (unsigned)(year < 0 ? -year : year);

        *p++ = year < 0 ? '-' : '+';
        if (v > 9999)
            p += rkp_print_u64(p, v / 10000);
        v %= 10000;
        p = put2(put2(p, v / 100), v % 100);
    } else {
        p = put2(put2(p, (unsigned)year / 100), (unsigned)year % 100);
    }
    *p++ = '-';
    p = put2(p, m);
    *p++ = '-';
    p = put2(p, d);
    *p++ = 'T';
    p = put2(p, s / 3600);
    *p++ = ':';
    p = put2(p, s / 60 % 60);
    *p++ = ':';
    p = put2(p, s % 60);
    if (f) {
        *p++ = '.';
        p = put2(p, f / 10000);
        *p++ = (char)('0' + f / 1000 % 10);
        if (f % 1000) {
            *p++ = (char)('0' + f / 100 % 10);
            p = put2(p, f % 100);
        }
    }
    *p++ = 'Z';
    return (size_t)(p - to);
}
