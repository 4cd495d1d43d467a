// cli/data_dir.h - the folder that one run has to itself: made when needed, locked, gone when it was only ours.
//
//   Owns     the lock, until rki_data_dir_close
//   Threads  one
//   Fails    one sentence; nothing is left behind
//   Limits   -
//   Cost     half a dozen system calls
//
// The lock is flock(2) on DIR/lock, so it ends with the process, however that ends.  Who closes removes the file while
// holding the lock, and then the folders that it made, as far as they are empty; who opens makes sure that what it
// locked is still what stands there.
#ifndef RKI_DATA_DIR_H
#define RKI_DATA_DIR_H

#include <rkpipe/base.h>

typedef struct rki_data_dir {
    char *path;  // with room for the name of the lock
    size_t n;    // bytes of path
    int fd;      // of the lock; -1: not locked
    size_t made; // how many folders at the end of the path are to go, when they are empty
} rki_data_dir;

typedef enum rki_data_dir_state {
    RKI_DIR_LOCKED,
    RKI_DIR_BUSY, // another run has it
    RKI_DIR_NONE, // it cannot be made, or not be locked
} rki_data_dir_state;

// `ours`: so many folders at the end of the path go when they are empty, whoever made them (an earlier run that was
// killed).
rki_data_dir_state rki_data_dir_open(const char *path, size_t ours, rki_data_dir *out, char *err, size_t n);
void rki_data_dir_close(rki_data_dir *d);

#endif
