// post.c - POST requests through libcurl.
//
// Its functions and numbers have been the same since 2006 and are part of its promise; they are declared here, as its headers are not needed to
// build.
#include "watch/post.h"

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
    INFO_RETRY_AFTER = 0x600039, // since 7.66; before, it fails
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

struct rki_post {
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

bool rki_post_there(char why[RKI_SEND_WHY])
{
    lib l;

    return lib_open(&l, why);
}

// ---- a request ------------------------------------------------------------------------------------------------------

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    rki_buf *b = arg;
    size_t room = b && b->n < RKI_POST_BODY ? RKI_POST_BODY - b->n : 0;

    if (room)
        rki_put(b, p, size * n < room ? size * n : room);
    return size * n; // the rest is of no interest
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

static bool prepare(const rki_post *x, rkp_str body, const rki_send_stop *stop, rki_buf *to)
{
    const lib *l = &x->l;
    curl *c = x->c;

    l->reset(c); // connections are kept
    return !l->setopt(c, OPT_URL, x->url) && !l->setopt(c, OPT_PROTOCOLS, (long)PROTO_HTTP_AND_HTTPS) &&
           !l->setopt(c, OPT_NOSIGNAL, 1L) && !l->setopt(c, OPT_POST, 1L) && !l->setopt(c, OPT_POSTFIELDS, body.p) &&
           !l->setopt(c, OPT_POSTFIELDSIZE_LARGE, (int64_t)body.n) && !l->setopt(c, OPT_HTTPHEADER, x->fields) &&
           !l->setopt(c, OPT_USERAGENT, x->agent) && !l->setopt(c, OPT_TIMEOUT_MS, x->timeout_ms) &&
           !l->setopt(c, OPT_CONNECTTIMEOUT_MS, x->timeout_ms) && !l->setopt(c, OPT_WRITEFUNCTION, take) &&
           !l->setopt(c, OPT_WRITEDATA, to) && !l->setopt(c, OPT_NOPROGRESS, 0L) &&
           !l->setopt(c, OPT_XFERINFOFUNCTION, goes_on) && !l->setopt(c, OPT_XFERINFODATA, stop);
}

static void explain(const rki_post *x, int code, rki_answer *a)
{
    a->never = code == E_BAD_URL;
    snprintf(a->why, sizeof a->why, "%s",
             code == E_BAD_URL   ? "its URL is not one"
             : code == E_RESOLVE ? "the name of its host cannot be resolved"
             : code == E_CONNECT ? "it cannot be connected to"
             : code == E_TIME    ? "no answer in time"
                                 : x->l.strerror(code));
}

void rki_post_send(rki_post *x, rkp_str body, const rki_send_stop *stop, rki_answer *a)
{
    int64_t after_s = 0;
    int code;

    *a = (rki_answer){ .body = a->body };
    if (!prepare(x, body, stop, a->body)) {
        snprintf(a->why, sizeof a->why, "libcurl does not take its options");
        return;
    }
    code = x->l.perform(x->c);
    if (code != E_OK) {
        explain(x, code, a);
        return;
    }
    x->l.getinfo(x->c, INFO_RESPONSE_CODE, &a->status);
    if (x->l.getinfo(x->c, INFO_RETRY_AFTER, &after_s) == E_OK && after_s > 0)
        a->after_ms = (after_s < 86400 ? after_s : 86400) * 1000;
    if (a->status < 200 || a->status > 299)
        snprintf(a->why, sizeof a->why, "it answers with status %ld", a->status);
}

// ---- life -----------------------------------------------------------------------------------------------------------

void rki_post_free(rki_post *x)
{
    if (!x)
        return;
    if (x->c && x->l.cleanup)
        x->l.cleanup(x->c);
    if (x->fields && x->l.free_all)
        x->l.free_all(x->fields);
    free(x->url);
    free(x->agent);
    free(x);
}

static bool add_field(rki_post *x, rkp_str name, rkp_str value)
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

rki_post *rki_post_new(const rki_post_args *args)
{
    rki_post *x = calloc(1, sizeof *x);
    char why[RKI_SEND_WHY];
    rki_buf agent;
    bool ok;

    if (!x)
        return NULL;
    rki_buf_init(&agent);
    rki_putf(&agent, "rkpipe/%s", args->version);
    x->agent = rki_buf_take(&agent, NULL);
    x->url = strndup(args->url.p, args->url.n);
    x->timeout_ms = (long)args->timeout_ms;
    ok = x->agent && x->url && lib_open(&x->l, why) && x->l.global_init(GLOBAL_ALL) == 0;
    x->c = ok ? x->l.init() : NULL;
    // Expect: who does not know it would let each large body wait for a second.
    ok = x->c && add_field(x, RKP_STR("Content-Type"), RKP_STR("application/json")) &&
         add_field(x, RKP_STR("Expect"), RKP_STR(""));
    if (ok && args->encoding)
        ok = add_field(x, RKP_STR("Content-Encoding"), rkp_str_of(args->encoding));
    for (size_t i = 0; ok && args->headers && i < args->headers->n; i++)
        ok = add_field(x, rkp_word_str(args->headers->v[i].key), rkp_word_str(args->headers->v[i].val));
    if (ok)
        return x;
    rki_post_free(x);
    return NULL;
}
