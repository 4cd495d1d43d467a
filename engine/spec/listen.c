// listen.c - addresses on which others reach the engine: of this machine alone, or unix sockets; and who may.
#include "spec/load.h"

#include "base/address.h"
#include "base/bearer.h"

static rkp_status take_loopback(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, const char *want,
                                rki_loopback *to)
{
    rkp_str host;
    uint16_t port;

    if (!rki_address_split(n->text, &host, &port))
        return rki_opt_refuse(c, row, n, want, NULL);
    host = rki_dup_str(c->arena, host);
    if (!host.p)
        return RKP_NOMEM;
    if (!rki_address_is_local(host.p)) {
        if (!n->bad) {
            rkp_diag(c->diags, RKP_ERROR, n->at, "not-supported",
                     "'%s: %s' is not an address of this machine alone, and others are not supported yet", row->name,
                     n->text.p);
            rkp_diag_hint(c->diags, "127.0.0.1:%u is; ssh -L or a proxy with a password takes it further", port);
        }
        return RKP_INVALID;
    }
    to->text = rki_node_word(n);
    to->address = (rkp_word){ host.p, host.n, n->at };
    to->port = port;
    return RKP_OK;
}

static rkp_status parse_loopback(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "an address and a port, as in 127.0.0.1:9464";

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    return take_loopback(c, row, n, want, field);
}

static void print_loopback(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rki_loopback *at = field;
    (void)row;
    if (at->text.p)
        rki_json_str(out, rkp_word_str(at->text));
    else
        rki_json_null(out);
}

#define LOOPBACK "(localhost|127(\\\\.[0-9]+){3}|\\\\[::1\\\\]):[0-9]+"

static void schema_loopback(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out, "{\"type\":\"string\",\"pattern\":\"^" LOOPBACK "$\"}");
}

const rkp_opt_type rki_loopback_type = { "address:port", sizeof(rki_loopback), parse_loopback, print_loopback,
                                         schema_loopback };

// ---- admin

// host:port, or a port alone: no slash, and a number after the last colon.
static bool is_host_port(rkp_str s)
{
    size_t n = s.n;
    if (memchr(s.p, '/', s.n))
        return false;
    while (n && s.p[n - 1] >= '0' && s.p[n - 1] <= '9')
        n--;
    return n < s.n && (n == 0 || s.p[n - 1] == ':');
}

static rkp_status parse_listen(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field)
{
    static const char want[] = "unix:PATH, ADDRESS:PORT or none";
    rki_listen *to = field;
    rkp_word path;

    if (!rki_opt_scalar(c, row, n, want))
        return RKP_INVALID;
    if (rkp_str_is(n->text, "none")) {
        to->kind = RKI_LISTEN_NONE;
        return RKP_OK;
    }
    if (is_host_port(n->text)) {
        to->kind = RKI_LISTEN_TCP;
        return take_loopback(c, row, n, "unix:PATH, or an address and a port as in 127.0.0.1:8077", &to->at);
    }
    if (n->text.n < 5 || memcmp(n->text.p, "unix:", 5) != 0) {
        static const char *const off[] = { "off", "no", "false", "disabled", "null", NULL };
        const char *slash = memchr(n->text.p, '/', n->text.n), *hint = NULL;

        if (slash && slash[1] != '/')
            hint = "write unix: before the path";
        for (size_t i = 0; off[i]; i++)
            if (rkp_str_is(n->text, off[i]))
                hint = "none switches it off";
        return rki_opt_refuse(c, row, n, want, hint);
    }
    path = rki_node_word(n);
    path.p += 5;
    path.n -= 5;
    if (path.n == 0 || path.p[path.n - 1] == '/')
        return rki_opt_refuse(c, row, n, want, "the path names the socket, not its folder");
    if (path.n >= 4096) {
        rkp_diag(c->diags, RKP_ERROR, n->at, "opt-range", "'%s' is longer than a path can be", row->name);
        return RKP_INVALID;
    }
    to->kind = RKI_LISTEN_UNIX;
    to->path = path;
    return RKP_OK;
}

static void print_listen(const rkp_opt *row, const void *field, struct rki_json *out)
{
    const rki_listen *l = field;
    rki_buf b;

    (void)row;
    rki_buf_init(&b);
    if (l->kind == RKI_LISTEN_NONE)
        rki_putz(&b, "none");
    else if (l->kind == RKI_LISTEN_UNIX)
        rki_putf(&b, "unix:%s", l->path.p);
    else if (l->kind == RKI_LISTEN_TCP && l->at.text.p)
        rki_putz(&b, l->at.text.p);
    if (l->kind == RKI_LISTEN_DEFAULT || b.failed)
        rki_json_null(out);
    else
        rki_json_str(out, (rkp_str){ b.p, b.n });
    rki_buf_fini(&b);
}

static void schema_listen(const rkp_opt *row, struct rki_json *out)
{
    (void)row;
    rki_schema_or_var(out, "{\"type\":\"string\",\"pattern\":\"^(none|unix:.*[^/]|" LOOPBACK ")$\"}");
}

static const rkp_opt_type listen_type = { "unix:PATH, ADDRESS:PORT or none", sizeof(rki_listen), parse_listen,
                                          print_listen, schema_listen };

const rkp_opt rki_admin_rows[] = {
    { "listen", &listen_type, offsetof(rki_admin_conf, listen), .optional = true,
      .help = "where commands reach the engine: unix:PATH, an address and a port of this machine, or none (without it "
              "DATA_DIR/admin.sock)",
      .also = "address bind socket" },
    { "token_file", &rkp_path, offsetof(rki_admin_conf, token_file), .optional = true,
      .help = "a file with the token that requests over TCP need, one line that nobody else can read",
      .also = "token auth_token bearer_token_file api_key" },
    { "tls", &rki_any, 0, .optional = true, .help = "certificate and key for TCP", .not_yet = "" },
    { 0 },
};

// Who comes over TCP shows a token; the file may be made later, but not be open to others.
void rki_load_admin(rki_load *l)
{
    const rki_admin_conf *a = &l->s->admin;
    rki_bearer_error e;
    rki_bearer t = { .n = 0 };

    if (a->listen.kind == RKI_LISTEN_TCP && !a->listen.at.address.p)
        return; // that has been said
    if (a->listen.kind != RKI_LISTEN_TCP && a->token_file.p) {
        rkp_diag(l->d, RKP_ERROR, a->token_file.at, "admin-token",
                 "'token_file' is for an address, and 'listen' names none");
        rkp_diag_hint(l->d, "a unix socket takes commands from its user and from root, and from nobody else");
    } else if (a->listen.kind == RKI_LISTEN_TCP && !a->token_file.p) {
        rkp_diag(l->d, RKP_ERROR, a->listen.at.text.at, "admin-token",
                 "'listen: %s' needs 'token_file': every user of this machine can reach it", a->listen.at.text.p);
        rkp_diag_hint(l->d, "(umask 077; head -c 32 /dev/urandom | base64 >admin.token), and token_file: admin.token");
    } else if (a->token_file.p && rki_bearer_read(a->token_file.p, &t, &e) == RKP_INVALID) {
        rkp_diag(l->d, RKP_ERROR, a->token_file.at, "admin-token", "%s", e.text);
        if (e.hint[0])
            rkp_diag_hint(l->d, "%s", e.hint);
    }
    rki_bearer_wipe(&t);
}
