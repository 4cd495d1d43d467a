// base/compress.h - zlib and zstd, loaded when a file needs them; the few declarations we use, as their ABI has them.
//
//   Owns     a handle of the library and the stream's state, until rki_*_close
//   Threads  one at a time per stream
//   Fails    open: false and a message; steps return rki_comp
//   Limits   a zstd frame's window is at most 128 MiB (as in zstd's own tool)
//   Cost     the libraries' own; loading takes about 100 us
//
// tests/unit/test_file.c compares the declarations with the installed headers.
#ifndef RKI_COMPRESS_H
#define RKI_COMPRESS_H

#include <rkpipe/file.h>

// zlib.h: z_stream of libz.so.1
typedef struct rki_z_stream {
    const uint8_t *next_in;
    unsigned avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *(*zalloc)(void *, unsigned, unsigned);
    void (*zfree)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} rki_z_stream;

enum {
    RKI_Z_OK = 0,
    RKI_Z_STREAM_END = 1,
    RKI_Z_MEM_ERROR = -4,
    RKI_Z_BUF_ERROR = -5,
    RKI_Z_NO_FLUSH = 0,
    RKI_Z_FINISH = 4,
    RKI_Z_DEFLATED = 8,
    RKI_Z_DEFAULT_COMPRESSION = -1,
    RKI_Z_DEFAULT_STRATEGY = 0,
    RKI_Z_GZIP_WINDOW = 15 + 16,
};

// zstd.h of libzstd.so.1
typedef struct rki_zstd_in {
    const void *src;
    size_t size, pos;
} rki_zstd_in;

typedef struct rki_zstd_out {
    void *dst;
    size_t size, pos;
} rki_zstd_out;

enum { RKI_ZSTD_CONTINUE = 0, RKI_ZSTD_END = 2, RKI_ZSTD_CHECKSUM = 201 };

typedef enum rki_comp {
    RKI_COMP_OK,   // made progress, or needs input or room
    RKI_COMP_END,  // a member or frame has ended (decoder); all is written (encoder, at the end)
    RKI_COMP_BAD,  // the data are corrupt; rki_*_why says how
    RKI_COMP_NOMEM // memory is out
} rki_comp;

typedef struct rki_decoder rki_decoder;
typedef struct rki_encoder rki_encoder;

// compression is RKP_COMPRESS_GZIP or RKP_COMPRESS_ZSTD.
rkp_status rki_decoder_open(int compression, rki_decoder **out, char err[RKP_FILE_ERR]);
// Decodes from in[0..*n_in) to out[0..*n_out); both become what was used.
rki_comp rki_decoder_step(rki_decoder *d, const uint8_t *in, size_t *n_in, uint8_t *out, size_t *n_out);
rkp_status rki_decoder_next(rki_decoder *d); // after END: the next member or frame
const char *rki_decoder_why(const rki_decoder *d);
void rki_decoder_close(rki_decoder *d);

rkp_status rki_encoder_open(int compression, rki_encoder **out, char err[RKP_FILE_ERR]);
rki_comp rki_encoder_step(rki_encoder *e, const uint8_t *in, size_t *n_in, uint8_t *out, size_t *n_out, bool end);
rkp_status rki_encoder_next(rki_encoder *e); // after END: another member or frame
void rki_encoder_close(rki_encoder *e);

#endif
