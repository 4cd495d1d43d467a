// expr/kernels.h - the inner loops over numbers, in a form that the compiler turns into vector code.
//
//   Owns     nothing
//   Threads  any
//   Fails    integer arithmetic returns true when any row overflowed; which ones, the caller looks up
//   Limits   steps are 0 (one value for all rows) or 1
//   Cost     memory speed: about 0.1 to 0.3 ns a row for registers in the first cache
//
// o is neither a nor b.  Values of null and wrong rows are computed like the others; they mean nothing.
#ifndef RKI_KERNELS_H
#define RKI_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RKI_K_ARGS(T) T *restrict o, const T *a, uint32_t sa, const T *b, uint32_t sb, uint32_t n

void rki_k_add_f64(RKI_K_ARGS(double));
void rki_k_sub_f64(RKI_K_ARGS(double));
void rki_k_mul_f64(RKI_K_ARGS(double));
void rki_k_div_f64(RKI_K_ARGS(double));
bool rki_k_add_i64(RKI_K_ARGS(int64_t));
bool rki_k_sub_i64(RKI_K_ARGS(int64_t));
bool rki_k_mul_i64(RKI_K_ARGS(int64_t));
bool rki_k_add_u64(RKI_K_ARGS(uint64_t));
bool rki_k_sub_u64(RKI_K_ARGS(uint64_t));
bool rki_k_mul_u64(RKI_K_ARGS(uint64_t));
// a // b, or a % b, by a multiplication, which is exact.  b is not -1, 0 or 1.
void rki_k_idiv_i64(int64_t *restrict o, const int64_t *a, int64_t b, bool rem, uint32_t n);
// b > 1.  False when a value is 2^63 or above: then o means nothing.
bool rki_k_idiv_u64(uint64_t *restrict o, const uint64_t *a, uint64_t b, bool rem, uint32_t n);

void rki_k_neg_f64(double *restrict o, const double *a, uint32_t n);
void rki_k_abs_f64(double *restrict o, const double *a, uint32_t n);
void rki_k_sqrt_f64(double *restrict o, const double *a, uint32_t n);
void rki_k_floor_f64(double *restrict o, const double *a, uint32_t n);
void rki_k_ceil_f64(double *restrict o, const double *a, uint32_t n);
// Half away from zero at a power of ten: round(a * m) / m, or a where that is not finite.
void rki_k_round_f64(double *restrict o, const double *a, double m, uint32_t n);
double rki_round_half_away(double x);
void rki_k_f64_i64(double *restrict o, const int64_t *a, uint32_t n);
void rki_k_f64_u64(double *restrict o, const uint64_t *a, uint32_t n);

// op: rki_cmp
void rki_k_cmp_f64(unsigned op, uint8_t *restrict o, const double *a, uint32_t sa, const double *b, uint32_t sb,
                   uint32_t n);
void rki_k_cmp_i64(unsigned op, uint8_t *restrict o, const int64_t *a, uint32_t sa, const int64_t *b, uint32_t sb,
                   uint32_t n);
void rki_k_cmp_u64(unsigned op, uint8_t *restrict o, const uint64_t *a, uint32_t sa, const uint64_t *b, uint32_t sb,
                   uint32_t n);

// o = max(o, a): joins states.
void rki_k_max_u8(uint8_t *restrict o, const uint8_t *a, uint32_t n);
bool rki_k_any_u8(const uint8_t *a, uint32_t n);
void rki_k_not_u8(uint8_t *restrict o, const uint8_t *a, uint32_t n);
// Indexes of the rows with v != 0 (and st == 0, when st is not NULL); returns how many.
uint32_t rki_k_true(const uint8_t *v, const uint8_t *st, uint32_t n, uint32_t *out);

// The first place of part in s, or NULL; an empty part is at the begin.
const char *rki_find(const char *s, size_t n, const char *part, size_t m);

#endif
