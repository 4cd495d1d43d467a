// gzip through libz.so.1 and zstd through libzstd.so.1, both by dlopen, so that neither is needed to start.
#include "base/compress.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct lib {
    void *handle;
    const char *name;
    const char *missing; // first symbol that was not there
} lib;

static rkp_status lib_open(lib *l, const char *name, const char *what, char err[RKP_FILE_ERR])
{
    l->name = name;
    l->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (l->handle)
        return RKP_OK;
    snprintf(err, RKP_FILE_ERR, "%s needs %s, which cannot be loaded here; install it or give uncompressed data", what,
             name);
    return RKP_UNAVAILABLE;
}

// POSIX lets a void pointer hold a function's address; memcpy says so without a cast that ISO C forbids.
static void lib_sym(lib *l, const char *name, void *fn)
{
    void *p = dlsym(l->handle, name);
    if (!p && !l->missing)
        l->missing = name;
    memcpy(fn, &p, sizeof p);
}

static rkp_status lib_done(const lib *l, char err[RKP_FILE_ERR])
{
    if (!l->missing)
        return RKP_OK;
    snprintf(err, RKP_FILE_ERR, "%s has no function %s: too old?", l->name, l->missing);
    return RKP_UNAVAILABLE;
}

static void lib_close(lib *l)
{
    if (l->handle)
        dlclose(l->handle);
}

static rkp_status no_memory(char err[RKP_FILE_ERR])
{
    snprintf(err, RKP_FILE_ERR, "out of memory");
    return RKP_NOMEM;
}

static unsigned at_most_uint(size_t n)
{
    return n > 1u << 30 ? 1u << 30 : (unsigned)n;
}

// ---- decoding -------------------------------------------------------------------------------------------------------

struct rki_decoder {
    int compression;
    lib lib;
    const char *why;
    rki_z_stream z;
    bool z_ready;
    int (*inflate)(rki_z_stream *, int);
    int (*inflate_reset)(rki_z_stream *);
    int (*inflate_end)(rki_z_stream *);
    void *zstd;
    size_t (*zstd_step)(void *, rki_zstd_out *, rki_zstd_in *);
    unsigned (*zstd_is_error)(size_t);
    const char *(*zstd_error)(size_t);
    size_t (*zstd_free)(void *);
};

static rkp_status gzip_decoder(rki_decoder *d, char err[RKP_FILE_ERR])
{
    int (*init)(rki_z_stream *, int, const char *, int);
    const char *(*version)(void);
    int rc;
    rkp_status st = lib_open(&d->lib, "libz.so.1", "gzip", err);
    if (st != RKP_OK)
        return st;
    lib_sym(&d->lib, "inflateInit2_", &init);
    lib_sym(&d->lib, "zlibVersion", &version);
    lib_sym(&d->lib, "inflate", &d->inflate);
    lib_sym(&d->lib, "inflateReset", &d->inflate_reset);
    lib_sym(&d->lib, "inflateEnd", &d->inflate_end);
    st = lib_done(&d->lib, err);
    if (st != RKP_OK)
        return st;
    rc = init(&d->z, RKI_Z_GZIP_WINDOW, version(), (int)sizeof d->z);
    if (rc == RKI_Z_MEM_ERROR)
        return no_memory(err);
    if (rc != RKI_Z_OK) {
        snprintf(err, RKP_FILE_ERR, "libz.so.1 refuses to start (%d)", rc);
        return RKP_UNAVAILABLE;
    }
    d->z_ready = true;
    return RKP_OK;
}

static rkp_status zstd_decoder(rki_decoder *d, char err[RKP_FILE_ERR])
{
    void *(*create)(void);
    rkp_status st = lib_open(&d->lib, "libzstd.so.1", "zstd", err);
    if (st != RKP_OK)
        return st;
    lib_sym(&d->lib, "ZSTD_createDStream", &create);
    lib_sym(&d->lib, "ZSTD_decompressStream", &d->zstd_step);
    lib_sym(&d->lib, "ZSTD_isError", &d->zstd_is_error);
    lib_sym(&d->lib, "ZSTD_getErrorName", &d->zstd_error);
    lib_sym(&d->lib, "ZSTD_freeDStream", &d->zstd_free);
    st = lib_done(&d->lib, err);
    if (st != RKP_OK)
        return st;
    d->zstd = create();
    return d->zstd ? RKP_OK : no_memory(err);
}

rkp_status rki_decoder_open(int compression, rki_decoder **out, char err[RKP_FILE_ERR])
{
    rki_decoder *d = calloc(1, sizeof *d);
    rkp_status st;
    if (!d)
        return no_memory(err);
    d->compression = compression;
    d->why = "";
    st = compression == RKP_COMPRESS_GZIP ? gzip_decoder(d, err) : zstd_decoder(d, err);
    if (st != RKP_OK) {
        rki_decoder_close(d);
        return st;
    }
    *out = d;
    return RKP_OK;
}

static rki_comp gzip_decode(rki_decoder *d, const uint8_t *in, size_t *n_in, uint8_t *out, size_t *n_out)
{
    unsigned give = at_most_uint(*n_in), room = at_most_uint(*n_out);
    int rc;
    d->z.next_in = in;
    d->z.avail_in = give;
    d->z.next_out = out;
    d->z.avail_out = room;
    rc = d->inflate(&d->z, RKI_Z_NO_FLUSH);
    *n_in = give - d->z.avail_in;
    *n_out = room - d->z.avail_out;
    switch (rc) {
    case RKI_Z_OK:
    case RKI_Z_BUF_ERROR: // no progress was possible: not an error of the data
        return RKI_COMP_OK;
    case RKI_Z_STREAM_END:
        return RKI_COMP_END;
    case RKI_Z_MEM_ERROR:
        return RKI_COMP_NOMEM;
    default:
        d->why = d->z.msg ? d->z.msg : "data error";
        return RKI_COMP_BAD;
    }
}

static rki_comp zstd_decode(rki_decoder *d, const uint8_t *in, size_t *n_in, uint8_t *out, size_t *n_out)
{
    rki_zstd_in from = { in, *n_in, 0 };
    rki_zstd_out to = { out, *n_out, 0 };
    size_t rc = d->zstd_step(d->zstd, &to, &from);
    *n_in = from.pos;
    *n_out = to.pos;
    if (d->zstd_is_error(rc)) {
        d->why = d->zstd_error(rc);
        return strstr(d->why, "not enough memory") ? RKI_COMP_NOMEM : RKI_COMP_BAD;
    }
    return rc == 0 ? RKI_COMP_END : RKI_COMP_OK;
}

rki_comp rki_decoder_step(rki_decoder *d, const uint8_t *in, size_t *n_in, uint8_t *out, size_t *n_out)
{
    return d->compression == RKP_COMPRESS_GZIP ? gzip_decode(d, in, n_in, out, n_out)
                                               : zstd_decode(d, in, n_in, out, n_out);
}

rkp_status rki_decoder_next(rki_decoder *d)
{
    if (d->compression == RKP_COMPRESS_GZIP && d->inflate_reset(&d->z) != RKI_Z_OK)
        return RKP_INTERNAL;
    return RKP_OK; // zstd starts the next frame by itself
}

const char *rki_decoder_why(const rki_decoder *d)
{
    return d->why;
}

void rki_decoder_close(rki_decoder *d)
{
    if (!d)
        return;
    if (d->z_ready)
        d->inflate_end(&d->z);
    if (d->zstd)
        d->zstd_free(d->zstd);
    lib_close(&d->lib);
    free(d);
}

// ---- encoding -------------------------------------------------------------------------------------------------------

struct rki_encoder {
    int compression;
    lib lib;
    rki_z_stream z;
    bool z_ready;
    int (*deflate)(rki_z_stream *, int);
    int (*deflate_reset)(rki_z_stream *);
    int (*deflate_end)(rki_z_stream *);
    void *zstd;
    size_t (*zstd_step)(void *, rki_zstd_out *, rki_zstd_in *, int);
    unsigned (*zstd_is_error)(size_t);
    size_t (*zstd_free)(void *);
};

static rkp_status gzip_encoder(rki_encoder *e, char err[RKP_FILE_ERR])
{
    int (*init)(rki_z_stream *, int, int, int, int, int, const char *, int);
    const char *(*version)(void);
    int rc;
    rkp_status st = lib_open(&e->lib, "libz.so.1", "gzip", err);
    if (st != RKP_OK)
        return st;
    lib_sym(&e->lib, "deflateInit2_", &init);
    lib_sym(&e->lib, "zlibVersion", &version);
    lib_sym(&e->lib, "deflate", &e->deflate);
    lib_sym(&e->lib, "deflateReset", &e->deflate_reset);
    lib_sym(&e->lib, "deflateEnd", &e->deflate_end);
    st = lib_done(&e->lib, err);
    if (st != RKP_OK)
        return st;
    // No time and no name in the header: the same rows give the same bytes.
    rc = init(&e->z, RKI_Z_DEFAULT_COMPRESSION, RKI_Z_DEFLATED, RKI_Z_GZIP_WINDOW, 8, RKI_Z_DEFAULT_STRATEGY, version(),
              (int)sizeof e->z);
    if (rc == RKI_Z_MEM_ERROR)
        return no_memory(err);
    if (rc != RKI_Z_OK) {
        snprintf(err, RKP_FILE_ERR, "libz.so.1 refuses to start (%d)", rc);
        return RKP_UNAVAILABLE;
    }
    e->z_ready = true;
    return RKP_OK;
}

static rkp_status zstd_encoder(rki_encoder *e, char err[RKP_FILE_ERR])
{
    void *(*create)(void);
    size_t (*set)(void *, int, int);
    rkp_status st = lib_open(&e->lib, "libzstd.so.1", "zstd", err);
    if (st != RKP_OK)
        return st;
    lib_sym(&e->lib, "ZSTD_createCCtx", &create);
    lib_sym(&e->lib, "ZSTD_CCtx_setParameter", &set);
    lib_sym(&e->lib, "ZSTD_compressStream2", &e->zstd_step);
    lib_sym(&e->lib, "ZSTD_isError", &e->zstd_is_error);
    lib_sym(&e->lib, "ZSTD_freeCCtx", &e->zstd_free);
    st = lib_done(&e->lib, err);
    if (st != RKP_OK)
        return st;
    e->zstd = create();
    if (!e->zstd)
        return no_memory(err);
    set(e->zstd, RKI_ZSTD_CHECKSUM, 1);
    return RKP_OK;
}

rkp_status rki_encoder_open(int compression, rki_encoder **out, char err[RKP_FILE_ERR])
{
    rki_encoder *e = calloc(1, sizeof *e);
    rkp_status st;
    if (!e)
        return no_memory(err);
    e->compression = compression;
    st = compression == RKP_COMPRESS_GZIP ? gzip_encoder(e, err) : zstd_encoder(e, err);
    if (st != RKP_OK) {
        rki_encoder_close(e);
        return st;
    }
    *out = e;
    return RKP_OK;
}

rki_comp rki_encoder_step(rki_encoder *e, const uint8_t *in, size_t *n_in, uint8_t *out, size_t *n_out, bool end)
{
    size_t all = *n_in;
    if (e->compression == RKP_COMPRESS_GZIP) {
        unsigned give = at_most_uint(all), room = at_most_uint(*n_out);
        int rc;
        e->z.next_in = in;
        e->z.avail_in = give;
        e->z.next_out = out;
        e->z.avail_out = room;
        rc = e->deflate(&e->z, end && give == all ? RKI_Z_FINISH : RKI_Z_NO_FLUSH);
        *n_in = give - e->z.avail_in;
        *n_out = room - e->z.avail_out;
        if (rc == RKI_Z_STREAM_END)
            return RKI_COMP_END;
        return rc == RKI_Z_OK || rc == RKI_Z_BUF_ERROR ? RKI_COMP_OK : RKI_COMP_BAD;
    } else {
        rki_zstd_in from = { in, all, 0 };
        rki_zstd_out to = { out, *n_out, 0 };
        size_t rc = e->zstd_step(e->zstd, &to, &from, end ? RKI_ZSTD_END : RKI_ZSTD_CONTINUE);
        *n_in = from.pos;
        *n_out = to.pos;
        if (e->zstd_is_error(rc))
            return RKI_COMP_NOMEM; // compressing into room that is there fails for want of memory only
        return end && rc == 0 ? RKI_COMP_END : RKI_COMP_OK;
    }
}

rkp_status rki_encoder_next(rki_encoder *e)
{
    if (e->compression == RKP_COMPRESS_GZIP && e->deflate_reset(&e->z) != RKI_Z_OK)
        return RKP_INTERNAL;
    return RKP_OK; // zstd starts the next frame by itself
}

void rki_encoder_close(rki_encoder *e)
{
    if (!e)
        return;
    if (e->z_ready)
        e->deflate_end(&e->z);
    if (e->zstd)
        e->zstd_free(e->zstd);
    lib_close(&e->lib);
    free(e);
}
