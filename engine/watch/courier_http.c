// courier_http.c - notices by HTTP or HTTPS, through libcurl.so.4, opened by name so that only who needs it loads it.
//
// Its functions and numbers have been the same since 2006 and are part of its promise; they are declared here, as its headers are not needed to
// build.  A URL and the fields may be secrets: nothing that libcurl says about them is passed on, only what kind of failure it was.
#include "watch/sender.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef void curl;
struct slist;

enum { // of curl/curl.h
    OPT_WRITEDATA = 10001,
    OPT_URL = 10002,
    OPT_POSTFIELDS = 10015,
    OPT_USERAGENT = 10018,
    OPT_HTTPHEADER = 10023,
    OPT_XFERINFODATA = 10057,
    OPT_WRITEFUNCTION = 20011,
    OPT_XFERINFOFUNCTION = 20219,
    OPT_NOPROGRESS = 43,
    OPT_POST = 47,
    OPT_NOSIGNAL = 99,
    OPT_TIMEOUT_MS = 155,
    OPT_CONNECTTIMEOUT_MS = 156,
    OPT_PROTOCOLS = 181,
    OPT_POSTFIELDSIZE_LARGE = 30120,
    PROTO_HTTP_AND_HTTPS = 3,
    INFO_RESPONSE_CODE = 0x200002,
    GLOBAL_ALL = 3,
    E_OK = 0,
    E_BAD_URL = 3,
    E_RESOLVE = 6,
    E_CONNECT = 7,
    E_TIME = 28,
    E_ABORTED = 42,
};

typedef struct lib {
    void *handle;
    int (*global_init)(long flags);
    curl *(*init)(void);
    int (*setopt)(curl *c, int option, ...);
    int (*perform)(curl *c);
    int (*getinfo)(curl *c, int info, ...);
    void (*reset)(curl *c);
    void (*cleanup)(curl *c);
    const char *(*strerror)(int code);
    struct slist *(*append)(struct slist *l, const char *text);
    void (*free_all)(struct slist *l);
} lib;

struct http {
    lib l;
    curl *c;
    struct slist *fields;
    char *url, *agent;
    long timeout_ms;
};

// POSIX lets a void pointer hold a function's address; memcpy says so without a cast that ISO C forbids.
static bool sym(void *handle, const char *name, void *fn)
{
    void *p = dlsym(handle, name);

    memcpy(fn, &p, sizeof p);
    return p != NULL;
}

static bool lib_open(lib *l, char why[RKI_SEND_WHY])
{
    *l = (lib){ .handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL) };
    if (!l->handle) {
        snprintf(why, RKI_SEND_WHY, "libcurl.so.4 cannot be loaded; install it (Debian: libcurl4)");
        return false;
    }
    if (sym(l->handle, "curl_global_init", &l->global_init) && sym(l->handle, "curl_easy_init", &l->init) &&
        sym(l->handle, "curl_easy_setopt", &l->setopt) && sym(l->handle, "curl_easy_perform", &l->perform) &&
        sym(l->handle, "curl_easy_getinfo", &l->getinfo) && sym(l->handle, "curl_easy_reset", &l->reset) &&
        sym(l->handle, "curl_easy_cleanup", &l->cleanup) && sym(l->handle, "curl_easy_strerror", &l->strerror) &&
        sym(l->handle, "curl_slist_append", &l->append) && sym(l->handle, "curl_slist_free_all", &l->free_all))
        return true;
    snprintf(why, RKI_SEND_WHY, "libcurl.so.4 is too old");
    return false; // it stays loaded, as in all that follows: libraries of its own do not like to be unloaded
}

bool rki_http_there(char why[RKI_SEND_WHY])
{
    lib l;

    return lib_open(&l, why);
}

// ---- a request ------------------------------------------------------------------------------------------------------

static size_t let_go(char *p, size_t size, size_t n, void *arg) // what it answers is of no interest
{
    (void)p;
    (void)arg;
    return size * n;
}

static int goes_on(void *arg, int64_t a, int64_t b, int64_t c, int64_t d)
{
    const rki_send_stop *stop = arg;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return __atomic_load_n(&stop->set, __ATOMIC_SEQ_CST);
}

static rki_sent judge(const struct http *x, int code, long status, char why[RKI_SEND_WHY])
{
    if (code == E_OK && status >= 200 && status < 300)
        return RKI_SENT;
    if (code == E_OK) {
        snprintf(why, RKI_SEND_WHY, "it answers with status %ld", status);
        return status >= 500 || status == 408 || status == 429 ? RKI_SEND_AGAIN : RKI_SEND_REFUSED;
    }
    if (code == E_BAD_URL) {
        snprintf(why, RKI_SEND_WHY, "its URL is not one");
        return RKI_SEND_REFUSED;
    }
    snprintf(why, RKI_SEND_WHY, "%s",
             code == E_RESOLVE   ? "the name of its host cannot be resolved"
             : code == E_CONNECT ? "it cannot be connected to"
             : code == E_TIME    ? "no answer in time"
                                 : x->l.strerror(code));
    return RKI_SEND_AGAIN;
}

static rki_sent http_send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY])
{
    struct http *x = self;
    const lib *l = &x->l;
    curl *c = x->c;
    long status = 0;
    int code;

    l->reset(c); // connections are kept
    if (l->setopt(c, OPT_URL, x->url) || l->setopt(c, OPT_PROTOCOLS, (long)PROTO_HTTP_AND_HTTPS) ||
        l->setopt(c, OPT_NOSIGNAL, 1L) || l->setopt(c, OPT_POST, 1L) || l->setopt(c, OPT_POSTFIELDS, body.p) ||
        l->setopt(c, OPT_POSTFIELDSIZE_LARGE, (int64_t)body.n) || l->setopt(c, OPT_HTTPHEADER, x->fields) ||
        l->setopt(c, OPT_USERAGENT, x->agent) || l->setopt(c, OPT_TIMEOUT_MS, x->timeout_ms) ||
        l->setopt(c, OPT_CONNECTTIMEOUT_MS, x->timeout_ms) || l->setopt(c, OPT_WRITEFUNCTION, let_go) ||
        l->setopt(c, OPT_WRITEDATA, NULL) || l->setopt(c, OPT_NOPROGRESS, 0L) ||
        l->setopt(c, OPT_XFERINFOFUNCTION, goes_on) || l->setopt(c, OPT_XFERINFODATA, stop)) {
        snprintf(why, RKI_SEND_WHY, "libcurl does not take its options");
        return RKI_SEND_AGAIN;
    }
    code = l->perform(c);
    if (code == E_OK)
        l->getinfo(c, INFO_RESPONSE_CODE, &status);
    return judge(x, code, status, why);
}

static void http_close(void *self)
{
    struct http *x = self;

    if (x->c && x->l.cleanup)
        x->l.cleanup(x->c);
    if (x->fields && x->l.free_all)
        x->l.free_all(x->fields);
    free(x->url);
    free(x->agent);
    free(x);
}

static bool add_field(struct http *x, rkp_str name, rkp_str value)
{
    struct slist *l;
    rki_buf b;
    char *z;

    rki_buf_init(&b);
    rki_putf(&b, RKP_STR_FMT ": " RKP_STR_FMT, RKP_STR_ARG(name), RKP_STR_ARG(value));
    z = rki_buf_take(&b, NULL);
    l = z ? x->l.append(x->fields, z) : NULL;
    free(z);
    if (l)
        x->fields = l;
    return l != NULL;
}

// An Alertmanager is given by its address; /api/v2/alerts is its door.
static char *url_of(const rki_way *w)
{
    static const char door[] = "/api/v2/alerts";
    size_t n = w->url.n;
    rki_buf b;

    rki_buf_init(&b);
    if (w->kind != RKI_WAY_ALERTMANAGER) {
        rki_put(&b, w->url.p, n);
        return rki_buf_take(&b, NULL);
    }
    while (n && w->url.p[n - 1] == '/')
        n--;
    rki_put(&b, w->url.p, n);
    if (n < sizeof door - 1 || memcmp(w->url.p + n - (sizeof door - 1), door, sizeof door - 1) != 0)
        rki_putz(&b, door);
    return rki_buf_take(&b, NULL);
}

bool rki_courier_http(const rki_way *w, const char *version, rki_courier *out)
{
    struct http *x = calloc(1, sizeof *x);
    char why[RKI_SEND_WHY];
    rki_buf agent;
    bool ok;

    if (!x)
        return false;
    *out = (rki_courier){ http_send, http_close, x };
    rki_buf_init(&agent);
    rki_putf(&agent, "rkpipe/%s", version);
    x->agent = rki_buf_take(&agent, NULL);
    x->url = url_of(w);
    x->timeout_ms = (long)w->timeout_ms;
    ok = x->agent && x->url && lib_open(&x->l, why) && x->l.global_init(GLOBAL_ALL) == 0;
    x->c = ok ? x->l.init() : NULL;
    ok = x->c && add_field(x, RKP_STR("Content-Type"), RKP_STR("application/json"));
    for (size_t i = 0; ok && i < w->headers.n; i++)
        ok = add_field(x, rkp_word_str(w->headers.v[i].key), rkp_word_str(w->headers.v[i].val));
    if (!ok)
        http_close(x);
    return ok;
}
