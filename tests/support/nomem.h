// nomem.h - makes the n-th allocation of a test fail.
//
//   Owns     the process's malloc, calloc, realloc, reallocarray, aligned_alloc and posix_memalign
//   Threads  the counter is shared by all threads
//   Fails    nomem_works() says whether allocations can be intercepted here; a test that needs it says why and skips otherwise
//   Limits   none
//   Cost     an atomic add per allocation while armed
//
//     for (long n = 1;; n++) {
//         nomem_at(n);
//         use(&thing);                    // must survive
//         bool done = nomem_count() < n;  // nothing failed: every allocation has had its turn
//         nomem_at(0);
//         if (done)
//             break;
//     }
#ifndef NOMEM_H
#define NOMEM_H

#include <stdbool.h>

void nomem_at(long n);     // the n-th allocation from now fails, once; 0 switches off.  Starts counting at 0
void nomem_from(long n);   // the n-th and all later ones fail
void nomem_pause(bool on); // allocations of the test's own are neither counted nor refused
long nomem_count(void);    // allocations asked for since then
bool nomem_works(void);    // false: it has said why the test is skipped

#endif
