// files.h - files and descriptors of a test, in few words; what does not work fails the test.
#ifndef FILES_H
#define FILES_H

#include <stddef.h>

char *slurp(const char *name, size_t *n);         // all of a file, and a zero behind it; free it
char *slurp_as_read(const char *name, size_t *n); // as operators read it: decompressed
void put_file(const char *name, const void *p, size_t n);
void put_text(const char *name, const char *text);
void add_text(const char *name, const char *text);
int hidden_files(void);                // temporary files of writers that are left in the folder at hand
int empty_folder(const char *folder);  // 0, or what is left could not be removed
int remove_folder(const char *folder); // and itself
unsigned open_fds(void);               // of this process

#endif
