// cli/watch.c - see watch.h.
//
//   quiet --the signature differs--> settling --two equal readings, debounce apart--> quiet
//
// The signature that goes with a settled text is taken before the text is read: what changes after that changes it, too.
#include "cli/watch.h"

#include <errno.h>
#include <glob.h>
#include <sys/stat.h>

static uint64_t bytes(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * UINT64_C(1099511628211);
    return (h ^ n) * UINT64_C(1099511628211);
}

static uint64_t file(uint64_t h, const char *path)
{
    uint64_t v[8] = { 0 };
    struct stat st;
    if (stat(path, &st) == 0) {
        const uint64_t is[8] = {
            (uint64_t)st.st_dev,          (uint64_t)st.st_ino,          (uint64_t)st.st_size,
            (uint64_t)st.st_mtim.tv_sec,  (uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_ctim.tv_sec,
            (uint64_t)st.st_ctim.tv_nsec, (uint64_t)st.st_mode,
        };
        memcpy(v, is, sizeof v);
    } else {
        v[0] = (uint64_t)errno;
    }
    return bytes(bytes(h, path, strlen(path)), v, sizeof v);
}

static uint64_t signature(const rki_watch *w)
{
    uint64_t h = file(UINT64_C(14695981039346656037), w->args->file);
    for (const rki_source *s = w->known->s.first; s; s = s->next)
        h = file(h, s->name);
    for (const rki_source_glob *p = w->known->s.globs; p; p = p->next) {
        glob_t g = { 0 };
        if (glob(p->pattern, 0, NULL, &g) == 0)
            for (size_t i = 0; i < g.gl_pathc; i++)
                h = file(h, g.gl_pathv[i]);
        globfree(&g);
    }
    return h;
}

bool rki_watch_init(rki_watch *w, const rki_spec_args *args, const rki_sources *now)
{
    // Settling: the file may have changed since what runs was read.
    *w = (rki_watch){ .args = args, .known = rki_snapshot_copy(now), .told = rki_sources_hash(now), .settling = true };
    return w->known != NULL;
}

void rki_watch_fini(rki_watch *w)
{
    rki_snapshot_free(w->known);
    w->known = NULL;
}

rki_watched rki_watch_look(rki_watch *w, uint64_t now_ns, uint64_t debounce_ns, rki_snapshot **out)
{
    uint64_t is = signature(w), hash;
    rki_snapshot *s;
    if (!w->settling && is == w->signature)
        return RKI_WATCH_NOTHING;
    w->settling = true;
    s = rki_snapshot_take(w->args);
    if (!s)
        return RKI_WATCH_NOTHING;
    hash = rki_sources_hash(&s->s);
    rki_snapshot_free(w->known);
    w->known = s;
    if (!w->read || hash != w->hash) {
        w->read = true;
        w->hash = hash;
        w->since_ns = now_ns;
    }
    if (now_ns - w->since_ns < debounce_ns || now_ns == w->since_ns)
        return RKI_WATCH_NOTHING;
    if (hash != w->told && hash && !(*out = rki_snapshot_copy(&s->s)))
        return RKI_WATCH_NOTHING;
    w->settling = w->read = false;
    w->n_settled++;
    w->signature = is;
    if (hash == w->told)
        return RKI_WATCH_NOTHING;
    w->told = hash;
    return hash ? RKI_WATCH_CHANGED : RKI_WATCH_GONE;
}
