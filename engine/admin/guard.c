// admin/guard.c - see guard.h.
#include "admin/guard.h"

#include "admin/http.h"

#include <strings.h>

// Of a socket any word does (curl --unix-socket .. http://x/): no other machine can give a name without a dot an address.
static bool is_word(rkp_str host)
{
    return !host.n || (!memchr(host.p, '.', host.n) && host.p[0] != '[');
}

// Origin: http://HOST, and nothing else.
static bool is_own(rkp_str origin, rkp_str host)
{
    static const char scheme[] = "http://";
    size_t n = sizeof scheme - 1;
    if (!host.p || origin.n != n + host.n || !rkp_http_same_word((rkp_str){ origin.p, n }, scheme))
        return false;
    return strncasecmp(origin.p + n, host.p, host.n) == 0;
}

// The page itself may be asked for from anywhere: a link leads to it, it says nothing of the run, and cannot be framed.
static bool of_another_page(const rki_http_request *r)
{
    bool looks = rkp_str_is(r->method, "GET") || rkp_str_is(r->method, "HEAD");
    if (r->origin.p && !is_own(r->origin, r->host))
        return true;
    if (!r->fetch_site.p || rkp_http_same_word(r->fetch_site, "same-origin") ||
        rkp_http_same_word(r->fetch_site, "none"))
        return false;
    return !looks || !rkp_str_is(r->path, "/");
}

bool rki_guard_refuses(const rki_bearer *t, const rki_http_request *r, int parsed, rki_answer *out)
{
    bool whole = parsed == 0 || parsed == 411 || parsed == 413 || parsed == 417;
    if (!whole)
        return false;
    if (t->n && !rki_bearer_bears(t, r->authorization) && !rki_bearer_basic(t, r->authorization)) {
        rki_api_error(out, 401, "unauthorized",
                      "this needs the token of the engine: Authorization: Bearer .., or as the password of any name");
        // A browser takes the one that it knows, and asks its user.
        out->fields = "WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm=\"rkpipe\", charset=\"UTF-8\"\r\n";
        return true;
    }
    if (r->host.p && !rki_guard_host(r->host) && (t->n || !is_word(r->host))) {
        rki_api_error(out, 403, "host", "only the names of this machine are answered here");
        return true;
    }
    if (of_another_page(r)) {
        rki_api_error(out, 403, "origin", "a page of another origin has asked for this");
        return true;
    }
    return false;
}

bool rki_guard_host(rkp_str host)
{
    static const char *const names[] = { "localhost", "127.", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        rkp_str rest;
        if (host.n < n || !rkp_http_same_word((rkp_str){ host.p, n }, names[i]))
            continue;
        rest = (rkp_str){ host.p + n, host.n - n };
        if (i == 1) // the rest of an address
            while (rest.n && ((rest.p[0] >= '0' && rest.p[0] <= '9') || rest.p[0] == '.'))
                rest = (rkp_str){ rest.p + 1, rest.n - 1 };
        return rest.n == 0 || rest.p[0] == ':';
    }
    return false;
}
