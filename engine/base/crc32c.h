// base/crc32c.h - CRC-32C (Castagnoli), the checksum of everything that is kept on disk.
//
//   Owns     nothing
//   Threads  any
//   Fails    -
//   Limits   -
//   Cost     with SSE4.2 about 8 bytes in 3 cycles, from 384 bytes on in one and a bit; about a byte a cycle without
#ifndef RKI_CRC32C_H
#define RKI_CRC32C_H

#include <rkpipe/base.h>

// The checksum of the bytes whose checksum is `crc` (0: none), and then p[0..n).
uint32_t rki_crc32c(uint32_t crc, const void *p, size_t n);
// The same by tables, for the tests and where there is no instruction for it.
uint32_t rki_crc32c_table(uint32_t crc, const void *p, size_t n);

#endif
