// rkpipe/num.h - numbers and times as text, exactly, without locale.
//
//   Owns     the caller's buffers
//   Threads  any; no state
//   Fails    parsers return false and leave *out untouched; printers cannot fail
//   Limits   see each function for the size of its buffer
//   Cost     parse f64 about 5 to 15 ns for data as people write it; print about 10 to 40 ns
#ifndef RKPIPE_NUM_H
#define RKPIPE_NUM_H

#include <rkpipe/base.h>

// Whole text or nothing: no blanks, no trailing bytes, no hexadecimal, no digit separators.
bool rkp_parse_i64(const char *p, size_t n, int64_t *out);  // [+-]?[0-9]+, in range
bool rkp_parse_u64(const char *p, size_t n, uint64_t *out); // [+]?[0-9]+, in range
// Correctly rounded.  Also inf, -inf, +inf, infinity and nan in any case.  Overflow gives inf, underflow gives 0.
bool rkp_parse_f64(const char *p, size_t n, double *out);
bool rkp_parse_f32(const char *p, size_t n, float *out); // correctly rounded to f32, not through f64
// SPEC.md 14: RFC 3339 or YYYY-MM-DD[ T]hh:mm[:ss[.f]][Z|+-hh:mm]; microseconds since 1970 UTC; finer digits are cut.
bool rkp_parse_timestamp(const char *p, size_t n, int64_t *out);

enum { RKP_I64_TEXT = 21, RKP_F64_TEXT = 32, RKP_TIMESTAMP_TEXT = 32 };

// Each writes at most that many bytes, no NUL, and returns how many.
size_t rkp_print_i64(char *to, int64_t v);
size_t rkp_print_u64(char *to, uint64_t v);
// The shortest text that reads back to the same value, always with .0 or an exponent: 0.1 2.0 1e+300 1.5e-07 nan inf
// -inf. Plain notation for 1e-5 <= |v| < 1e16, else scientific with at least two exponent digits.
size_t rkp_print_f64(char *to, double v);
size_t rkp_print_f32(char *to, float v);
// 2024-01-01T00:00:00Z, with 3 or 6 digits of fraction when they are not zero.  Years that the parser does not take have
// a sign: +10000-01-01T00:00:00Z, -0001-12-31T00:00:00Z.
size_t rkp_print_timestamp(char *to, int64_t us);

#endif
