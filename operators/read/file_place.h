// operators/read/file_place.h - where a reader of files is, as a checkpoint keeps it.
//
//   Owns     nothing; a reader that file_place_open has opened is the caller's
//   Threads  bind: control; save and restore: the source's thread
//   Fails    what cannot be read again, or is not what it was: refused with its name; else through the actor
//   Limits   -
//   Cost     save: 8 KiB are read of the file at hand, 8 bytes are kept of each name; restore: a compressed file is read again
#ifndef FILE_PLACE_H
#define FILE_PLACE_H

#include <rkpipe/file.h>
#include <rkpipe/op.h>

typedef struct file_place {
    uint64_t file;  // the one at hand, or the next to be opened
    bool open;      // and these are of it
    rkp_file_id id; // what it was
    uint64_t at;    // decompressed bytes before the next row
    uint64_t carry; // bytes behind that have been read already
} file_place;

// Says which delivery reading these can keep; `files` NULL: not expanded, `path` alone is known.
void file_place_bind(rkp_bind *b, const rkp_words *path, const rkp_words *files);
// r NULL: none is open.  The list of names goes along.
rkp_status file_place_save(rkp_save *to, rkp_actor *a, const rkp_words *files, uint64_t file, const rkp_reader *r,
                           uint64_t at, uint64_t carry);
// The list may have more files at its end, and no other difference.
rkp_status file_place_load(rkp_load *from, const rkp_words *files, file_place *out);
// Opens the file at hand again, goes to its place and reads what was carried, at most `limit` bytes, to *carry, a block of
// *cap bytes that grows.
rkp_status file_place_open(rkp_load *from, rkp_actor *a, const rkp_words *files, const file_place *p, int compression,
                           uint64_t limit, rkp_reader **out, char **carry, size_t *cap);

#endif
