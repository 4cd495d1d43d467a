// cli/remote.c - finding a running engine and asking it.
#include "cli/remote.h"

#include "admin/socket.h"
#include "base/address.h"
#include "base/bearer.h"
#include "base/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ENGINES = 32, TIMEOUT_MS = 30000 };

// ---- finding --------------------------------------------------------------------------------------------------------

// Where it is asked.
struct place {
    char *path; // of its socket; or, as it was given, an address,
    char host[64];
    uint16_t port; //   with this port
    rki_bearer token;
};

static int given_address(const rki_cli *c, const rki_remote_args *a, rkp_str host, struct place *to)
{
    rki_bearer_error e;
    rkp_status st;
    if (host.n < sizeof to->host)
        memcpy(to->host, host.p, host.n);
    if (!rki_address_is_local(to->host)) {
        rki_cli_say("error: '--admin %s' is not an address of this machine, and others are not supported yet",
                    a->admin);
        rki_cli_hint("ssh -L brings it here from another machine");
        return RKI_EXIT_UNAVAILABLE;
    }
    if (!a->token_file)
        return rki_cli_usage(c, "its admin.token_file", "--admin %s needs --token-file FILE", a->admin);
    st = rki_bearer_read(a->token_file, &to->token, &e);
    if (st != RKP_OK) {
        rki_cli_say("error: %s", e.text);
        if (e.hint[0] && st == RKP_INVALID)
            rki_cli_hint("%s", e.hint);
        return RKI_EXIT_UNAVAILABLE;
    }
    to->path = strdup(a->admin);
    return to->path ? 0 : rki_cli_nomem();
}

static int given(const rki_cli *c, const rki_remote_args *a, struct place *to)
{
    const char *admin = a->admin;
    size_t n = strlen(admin);
    rkp_str at, host;
    bool url = strncmp(admin, "http://", 7) == 0;
    if (strncmp(admin, "unix:", 5) == 0) {
        admin += 5;
    } else {
        at = (rkp_str){ admin + (url ? 7 : 0), n - (url ? 7 : 0) };
        at.n -= url && at.n && at.p[at.n - 1] == '/';
        if (rki_address_split(at, &host, &to->port))
            return given_address(c, a, host, to);
    }
    if (!*admin || url)
        return rki_cli_usage(c, NULL, "--admin needs unix:PATH or ADDRESS:PORT");
    if (a->token_file)
        return rki_cli_usage(c, NULL, "--token-file is for an address, and '%s' is a socket", admin);
    to->path = strdup(admin);
    return to->path ? 0 : rki_cli_nomem();
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Sockets of this folder that somebody listens on.  The count, or -1 without memory; `dead` counts the others.
static int look_here(char **paths, int *dead)
{
    DIR *d = opendir(".rkpipe");
    const struct dirent *e;
    int n = 0;
    while (d && n >= 0 && n < ENGINES && (e = readdir(d))) {
        rki_buf b;
        char *path, err[300];
        int fd;
        if (e->d_name[0] == '.')
            continue;
        rki_buf_init(&b);
        rki_putf(&b, ".rkpipe/%s/admin.sock", e->d_name);
        path = rki_buf_take(&b, NULL);
        if (!path) {
            for (int i = 0; i < n; i++)
                free(paths[i]);
            n = -1;
        } else if (access(path, F_OK) == 0 && rki_socket_connect(path, &fd, err, sizeof err) == RKI_CONNECTED) {
            close(fd);
            paths[n++] = path;
        } else {
            *dead += access(path, F_OK) == 0;
            free(path);
        }
    }
    if (d)
        closedir(d);
    if (n > 1)
        qsort(paths, (size_t)n, sizeof *paths, by_name);
    return n;
}

static int find(const rki_cli *c, struct place *to)
{
    const rki_remote_args *a = c->args;
    char *paths[ENGINES];
    int n, dead = 0;
    if (a->admin)
        return given(c, a, to);
    if (a->token_file)
        return rki_cli_usage(c, NULL, "--token-file is for an address: --admin ADDRESS:PORT");
    n = look_here(paths, &dead);
    if (n < 0)
        return rki_cli_nomem();
    if (n == 1) {
        to->path = paths[0];
        return 0;
    }
    if (n == 0) {
        rki_cli_say("error: no engine runs in this folder%s", dead ? " (there are sockets, and nobody listens)" : "");
        rki_cli_hint("go where it was started, or name its socket: --admin unix:PATH");
        return RKI_EXIT_UNAVAILABLE;
    }
    rki_cli_say("error: %d engines run in this folder", n);
    for (int i = 0; i < n; i++) {
        rki_cli_hint("%s --admin unix:%s", i ? "or" : "one of", paths[i]);
        free(paths[i]);
    }
    return RKI_EXIT_USAGE;
}

// ---- asking ---------------------------------------------------------------------------------------------------------

void rki_remote_text(rki_buf *out, rkp_str s)
{
    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t k = rki_utf8_next(s.p + i, s.p + s.n, &cp);
        if (cp != RKI_UTF8_BAD && rki_utf8_plain(cp))
            rki_put(out, s.p + i, k);
        else
            rki_putz(out, "\xef\xbf\xbd");
        i += k;
    }
}

void rki_remote_escape(rki_buf *out, rkp_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if ((ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || (ch && strchr("-._~", ch)))
            rki_putc(out, ch);
        else
            rki_putf(out, "%%%02X", (unsigned)(unsigned char)ch);
    }
}

// {"error": {"code", "message"}}
static void say_refused(const rki_reply *r)
{
    rki_arena a;
    rki_buf text;
    const rki_json_node *n;
    rki_arena_init(&a);
    rki_buf_init(&text);
    n = rki_json_read(&a, (rkp_str){ r->body.p, r->body.n });
    rki_remote_text(&text, rki_json_text(rki_json_get(rki_json_get(n, "error"), "message"), "it does not say why"));
    if (text.failed)
        rki_cli_nomem();
    else
        rki_cli_say("error: %.*s", (int)text.n, text.p);
    rki_buf_fini(&text);
    rki_arena_fini(&a);
}

static int ask(const rki_cli *c, rki_call *call, bool refusals, rki_reply *out)
{
    struct place to = { 0 };
    char err[400] = "";
    int code = find(c, &to);
    rki_called rc;
    *out = (rki_reply){ 0 };
    if (code)
        return code;
    call->path = to.path;
    call->address = to.host[0] ? to.host : NULL;
    call->port = to.port;
    call->token = to.token.n ? &to.token : NULL;
    rc = rki_admin_call(call, out, err, sizeof err);
    if (rc == RKI_ANSWERED && (out->status < 200 || out->status > 299) &&
        !(refusals && (out->status == 409 || out->status == 422))) {
        say_refused(out);
        code = RKI_EXIT_FAILED;
    } else if (rc == RKI_UNREACHED || rc == RKI_CUT) {
        rki_cli_say("error: %s", err);
        code = rc == RKI_UNREACHED ? RKI_EXIT_UNAVAILABLE : RKI_EXIT_FAILED;
    }
    if (code)
        rki_buf_fini(&out->body);
    call->path = call->address = NULL;
    call->token = NULL;
    free(to.path);
    rki_bearer_wipe(&to.token);
    return code;
}

int rki_remote_call(const rki_cli *c, rki_call *call, rki_reply *out)
{
    return ask(c, call, false, out);
}

int rki_remote_ask(const rki_cli *c, rki_call *call, rki_reply *out)
{
    return ask(c, call, true, out);
}

int rki_remote_get(const rki_cli *c, const char *target, rki_reply *out)
{
    return rki_remote_call(c, &(rki_call){ .method = "GET", .target = target, .timeout_ms = TIMEOUT_MS }, out);
}
