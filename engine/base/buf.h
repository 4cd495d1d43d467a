// base/buf.h - a growing byte buffer for text that is built piece by piece.
//
//   Owns     its bytes, until rki_buf_fini or rki_buf_take
//   Threads  one at a time
//   Fails    sticky: after a failed growth every append is ignored and `failed` stays set; check once at the end
//   Limits   size_t
//   Cost     doubles when full
#ifndef RKI_BUF_H
#define RKI_BUF_H

#include <rkpipe/base.h>

typedef struct rki_buf {
    char *p;
    size_t n, cap;
    bool failed;
} rki_buf;

void rki_buf_init(rki_buf *b);
void rki_buf_fini(rki_buf *b);
void rki_buf_clear(rki_buf *b);
bool rki_buf_reserve(rki_buf *b, size_t more);
void rki_put(rki_buf *b, const char *p, size_t n);
void rki_putz(rki_buf *b, const char *z);
void rki_putc(rki_buf *b, char c);
void rki_putf(rki_buf *b, const char *fmt, ...) RKP_PRINTF(2, 3);
// NUL terminates and gives the bytes to the caller (free with free()); NULL when failed.
char *rki_buf_take(rki_buf *b, size_t *n);

#endif
