// files.h - files and descriptors of a test, in few words; what does not work fails the test.
#ifndef FILES_H
#define FILES_H

#include <stddef.h>

char *slurp(const char *name, size_t *n);         // all of a file, and a zero behind it; free it
char *slurp_as_read(const char *name, size_t *n); // as operators read it: decompressed
void put_file(const char *name, const char *p, size_t n);
unsigned open_fds(void); // of this process

#endif
