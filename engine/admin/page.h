// admin/page.h - the status page, as the build has joined it from engine/admin/page/ (cmake/page.cmake).
//
//   Owns     nothing: constants
//   Threads  any
//   Fails    -
//   Limits   -
//   Cost     -
//
// One text with its style and its scripts inside; what it shows comes from the other routes.  Its policy names the hashes of
// those, so nothing else runs in it, and nothing is loaded from anywhere.
#ifndef RKI_PAGE_H
#define RKI_PAGE_H

#include <stddef.h>

extern const char rki_page[];
extern const size_t rki_page_bytes;
extern const char rki_page_fields[]; // of its answer: whole lines

#endif
