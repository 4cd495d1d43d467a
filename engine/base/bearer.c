// base/bearer.c - see token.h.
#include "base/bearer.h"

#include <rkpipe/http.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static rkp_status unreadable(const char *path, int err, rki_bearer_error *e)
{
    char t[128];
    snprintf(e->text, sizeof e->text, "cannot read the token in '%s': %s", path, strerror_r(err, t, sizeof t));
    snprintf(e->hint, sizeof e->hint, "(umask 077; head -c 32 /dev/urandom | base64 >'%s') makes one", path);
    return RKP_UNAVAILABLE;
}

// Whose file it is, and who else can read or change it.
static rkp_status look(int fd, const char *path, rki_bearer_error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return unreadable(path, errno, e);
    if (!S_ISREG(st.st_mode)) {
        snprintf(e->text, sizeof e->text, "the token in '%s' cannot be read: it is no ordinary file", path);
    } else if (st.st_mode & 077) {
        snprintf(e->text, sizeof e->text, "the token in '%s' can be read or changed by others (mode %03o)", path,
                 (unsigned)(st.st_mode & 0777));
        snprintf(e->hint, sizeof e->hint, "chmod 600 '%s', and a new token if somebody may have seen it", path);
    } else if (st.st_uid != geteuid() && st.st_uid != 0) {
        snprintf(e->text, sizeof e->text, "the token in '%s' belongs to another user", path);
    } else {
        return RKP_OK;
    }
    return RKP_INVALID;
}

static bool plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return true;
}

rkp_status rki_bearer_read(const char *path, rki_bearer *out, rki_bearer_error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err = errno;
    char b[RKI_BEARER_MOST + 3];
    size_t n = 0;
    ssize_t k = 0;
    rkp_status st;
    *e = (rki_bearer_error){ 0 };
    *out = (rki_bearer){ 0 };
    if (fd < 0)
        return unreadable(path, err, e);
    st = look(fd, path, e);
    while (st == RKP_OK && n < sizeof b && ((k = read(fd, b + n, sizeof b - n)) > 0 || (k < 0 && errno == EINTR)))
        n += k > 0 ? (size_t)k : 0;
    if (st == RKP_OK && k < 0)
        st = unreadable(path, errno, e);
    close(fd);
    if (st != RKP_OK)
        return st;
    while (n > 0 && (b[n - 1] == '\n' || b[n - 1] == '\r'))
        n--;
    if (n < RKI_BEARER_LEAST || n > RKI_BEARER_MOST || !plain(b, n)) {
        snprintf(e->text, sizeof e->text, "the token in '%s' is not one line of %d to %d letters, digits and signs",
                 path, RKI_BEARER_LEAST, RKI_BEARER_MOST);
        snprintf(e->hint, sizeof e->hint, "(umask 077; head -c 32 /dev/urandom | base64 >'%s') makes one", path);
        st = RKP_INVALID;
    } else {
        memcpy(out->text, b, n);
        out->n = n;
    }
    explicit_bzero(b, sizeof b);
    return st;
}

// Looks at every byte that was given, whatever it has seen; how long it takes says how many those are, which whoever gave them knows.
bool rki_bearer_is(const rki_bearer *t, rkp_str given)
{
    volatile unsigned char differs = t->n == 0 || t->n != given.n;
    for (size_t i = 0; i < given.n; i++)
        differs |= (unsigned char)(given.p[i] ^ t->text[i % RKI_BEARER_MOST]);
    return !differs;
}

// "SCHEME what": leaves what.
static bool take_scheme(rkp_str *v, const char *lower)
{
    const char *space = v->n ? memchr(v->p, ' ', v->n) : NULL;
    rkp_str scheme = { v->p, space ? (size_t)(space - v->p) : 0 };
    if (!rkp_http_same_word(scheme, lower))
        return false;
    *v = (rkp_str){ space, v->n - scheme.n };
    while (v->n && *v->p == ' ')
        *v = (rkp_str){ v->p + 1, v->n - 1 };
    return true;
}

bool rki_bearer_bears(const rki_bearer *t, rkp_str v)
{
    return take_scheme(&v, "bearer") && rki_bearer_is(t, v);
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

// Base64 in its one form (padded, nothing left over) to at most `most` bytes; SIZE_MAX: it is none, or too long.
static size_t base64_decode(rkp_str s, unsigned char *to, size_t most)
{
    size_t n = 0, pad = s.n && s.p[s.n - 1] == '=' ? (s.n > 1 && s.p[s.n - 2] == '=' ? 2 : 1) : 0;
    uint32_t bits = 0;
    unsigned left = 0;
    if (s.n % 4 || s.n / 4 * 3 - pad > most)
        return SIZE_MAX;
    for (size_t i = 0; i < s.n - pad; i++) {
        int d = base64_digit(s.p[i]);
        if (d < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)d;
        left += 6;
        if (left >= 8) {
            left -= 8;
            to[n++] = (unsigned char)(bits >> left);
            bits &= (1u << left) - 1;
        }
    }
    return bits ? SIZE_MAX : n;
}

bool rki_bearer_basic(const rki_bearer *t, rkp_str v)
{
    enum { NAME = 256 };
    unsigned char pair[NAME + 1 + RKI_BEARER_MOST];
    const unsigned char *colon;
    size_t n;
    bool is = false;
    if (!take_scheme(&v, "basic"))
        return false;
    n = base64_decode(v, pair, sizeof pair);
    colon = n == SIZE_MAX ? NULL : memchr(pair, ':', n); // a name has none
    if (colon)
        is = rki_bearer_is(t, (rkp_str){ (const char *)colon + 1, n - (size_t)(colon + 1 - pair) });
    explicit_bzero(pair, sizeof pair);
    return is;
}

void rki_bearer_wipe(rki_bearer *t)
{
    explicit_bzero(t, sizeof *t);
}
