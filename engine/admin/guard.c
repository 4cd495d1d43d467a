// admin/guard.c - see guard.h.
#include "admin/guard.h"

#include "admin/http.h"

bool rki_guard_refuses(const rki_bearer *t, const rki_http_request *r, int parsed, rki_answer *out)
{
    bool whole = parsed == 0 || parsed == 411 || parsed == 413 || parsed == 417;
    if (!whole)
        return false;
    if (!rki_bearer_bears(t, r->authorization)) {
        rki_api_error(out, 401, "unauthorized", "this needs the token of the engine: Authorization: Bearer ..");
        out->fields = "WWW-Authenticate: Bearer\r\n";
        return true;
    }
    if (r->host.p && !rki_guard_host(r->host)) {
        rki_api_error(out, 403, "host", "only the names of this machine are answered here");
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
