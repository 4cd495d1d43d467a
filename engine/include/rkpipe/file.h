// rkpipe/file.h - files as sources and sinks use them: globs, decompression, and outputs that appear only on success.
//
//   Owns     a reader or writer owns its descriptor and buffers
//   Threads  one at a time; reads (but for rkp_reader_no_wait) and writes block: call them from poll or from a BLOCKING sink
//   Fails    a status, and a message in `err`; a failed fsync is final (the writer refuses everything after it)
//   Limits   paths of 4,096 bytes; a reader holds 256 KiB and the data's window (gzip 32 KiB, zstd at most 128 MiB)
//   Cost     one read() or write() per call; gzip and zstd libraries are loaded when first used
#ifndef RKPIPE_FILE_H
#define RKPIPE_FILE_H

#include <rkpipe/base.h>
#include <rkpipe/opt.h>

typedef enum rkp_compression {
    RKP_COMPRESS_AUTO,
    RKP_COMPRESS_NONE,
    RKP_COMPRESS_GZIP,
    RKP_COMPRESS_ZSTD
} rkp_compression;
extern const rkp_choice rkp_compression_names[]; // auto none gzip zstd

enum { RKP_FILE_ERR = 256 };

typedef struct rkp_reader rkp_reader;
typedef struct rkp_writer rkp_writer;

// Expands globs in order (each glob's matches sorted by bytes, folders left out); "-" stays, and /dev/stdin becomes it;
// a path that exists as it is written is no glob.  A pattern without a match, or a missing file, is RKP_UNAVAILABLE
// with a message; so is a folder.  Result memory: c.
rkp_status rkp_files_expand(rkp_opt_ctx *c, const rkp_words *paths, rkp_words *out, char err[RKP_FILE_ERR]);

// "-" is standard input; `kept` is read first (bytes a probe took, borrowed until close).  A NULL path: `kept` is all
// there is.  AUTO looks at the first bytes, not at the name; the first read does it.
rkp_status rkp_reader_open(const char *path, int compression, rkp_str kept, rkp_reader **out, char err[RKP_FILE_ERR]);
// Reads a descriptor that is open, as it is; takes it, also on failure.  `name` is for messages.
rkp_status rkp_reader_open_fd(int fd, const char *name, rkp_reader **out, char err[RKP_FILE_ERR]);
// Decompressed bytes, as many as come in one go (at least 1 unless at the end): 0 at the end, -1 with a message.
int64_t rkp_reader_read(rkp_reader *r, void *to, size_t n, char err[RKP_FILE_ERR]);
// From now on a read of a plain file gives what the system has in memory, and RKP_READ_LATER when that is nothing: the system has been
// asked for what follows, call again in a while.  For a disk that gives nothing for too long it waits all the same.
void rkp_reader_no_wait(rkp_reader *r);
enum { RKP_READ_LATER = -2, RKP_LATER_NS = 200000 }; // and how long that is
// Can rkp_reader_no_wait keep that for all of them?  They are plain files where the system can tell what it has in memory.
bool rkp_files_no_wait(const rkp_words *files, int compression);
int rkp_reader_fd(const rkp_reader *r);         // -1: none
bool rkp_reader_waits(const rkp_reader *r);     // the next read may wait for a pipe or terminal (see rkp_wait_readable)
uint64_t rkp_reader_done(const rkp_reader *r);  // bytes of the file itself read so far
uint64_t rkp_reader_total(const rkp_reader *r); // its size, 0 when not known
void rkp_reader_close(rkp_reader *r);

// What tells a file that is being read from another, and from what it was before somebody changed it.  The checksum is of
// the first and of the last 4 KiB of what has been read.  Numbers of devices are given anew at a boot and are not in it.
typedef struct rkp_file_id {
    uint64_t inode, size, seen; // seen: bytes of the file itself that have been read
    uint32_t crc;
} rkp_file_id;
// RKP_UNAVAILABLE and a message: it cannot be read again (standard input, a pipe, a device).
rkp_status rkp_reader_id(const rkp_reader *r, rkp_file_id *out, char err[RKP_FILE_ERR]);
// Is the file that r has open the one that `was` is of, grown at its end perhaps?  RKP_INVALID: no, and the message says why.
rkp_status rkp_reader_same(const rkp_reader *r, const rkp_file_id *was, char err[RKP_FILE_ERR]);
// Goes over decompressed bytes: like a read, the number of those that it went over, at most n.  A plain file goes over all of
// them at once, a compressed one is read up to there, a few MiB a call.
int64_t rkp_reader_skip(rkp_reader *r, uint64_t n, char err[RKP_FILE_ERR]);

typedef enum rkp_commit { RKP_COMMIT_RENAME, RKP_COMMIT_APPEND } rkp_commit;

// RENAME writes to a hidden temporary name in the same folder (0666 & ~umask) and takes the final name in commit; an
// existing regular file is replaced then, its mode kept; a device or pipe (/dev/null, /dev/stdout) is written directly.
// "-" is standard output, written directly, and so are /dev/stdout, /dev/stderr and /dev/fd/N.  A symbolic link stays:
// what it points at is replaced.  AUTO goes by the name: .gz .zst .zstd.  `fresh` (may be NULL) tells whether the
// output starts empty (header wanted).
rkp_status rkp_writer_open(const char *path, int commit, int compression, rkp_writer **out, bool *fresh,
                           char err[RKP_FILE_ERR]);
// The same for an `owner` (not 0) that has a name of its own for the temporary file: what a run of his that ended in the middle has
// left under it is removed.  Whoever goes on with such a file must not open it with this.
rkp_status rkp_writer_open_own(const char *path, int commit, int compression, uint64_t owner, rkp_writer **out,
                               bool *fresh, char err[RKP_FILE_ERR]);
rkp_status rkp_writer_write(rkp_writer *w, const void *p, size_t n, char err[RKP_FILE_ERR]);
// The last write found no room on the disk: the very same write may come again, and goes on where it stopped.  Until then nothing else works.
// *length (may be NULL): bytes of the file itself, so that who tries sees whether it went on.
bool rkp_writer_full(const rkp_writer *w, uint64_t *length);
rkp_status rkp_writer_prepare(rkp_writer *w, char err[RKP_FILE_ERR]); // flush, end the compression frame, fsync (files)
rkp_status rkp_writer_commit(rkp_writer *w, char err[RKP_FILE_ERR]);  // rename, fsync of the folder
uint64_t rkp_writer_bytes(const rkp_writer *w);                       // given to rkp_writer_write
bool rkp_writer_hung_up(const rkp_writer *w); // a write failed because nobody reads the pipe any more (EPIPE)
void rkp_writer_close(rkp_writer *w); // without commit: the temporary file is removed (RENAME); appended bytes stay

// How far a writer is, for another process that goes on with its file.
typedef struct rkp_writer_place {
    const char *file; // that has the bytes, lives as long as w; under RENAME the temporary one.  NULL: a pipe, a device
    uint64_t length;  // of that file
    uint64_t bytes;   // rkp_writer_bytes
    uint64_t inode;
    uint32_t crc; // of the last `tail` bytes of its length
    uint32_t tail;
} rkp_writer_place;

// Is this a pipe, a device or standard output, which is written directly and cannot be cut?
bool rkp_writer_direct(const char *path);
// Makes everything durable that was written: ends the compression frame (what follows begins another), flushes, fsync.
rkp_status rkp_writer_sync(rkp_writer *w, rkp_writer_place *out, char err[RKP_FILE_ERR]);
// Close without commit leaves the temporary file: somebody will go on with it.
void rkp_writer_keep(rkp_writer *w, bool keep);
// Goes on where a writer of this path was: at->file, which must be what that path writes to, is cut to at->length, and what
// is written now is appended; it is kept.  `ended`: nothing more was to come; then the file may have its final name already,
// and commit has nothing left to do.  RKP_INVALID: it is not there, or shorter, or another one; nothing has been changed.
rkp_status rkp_writer_resume(const char *path, int commit, int compression, const rkp_writer_place *at, bool ended,
                             rkp_writer **out, char err[RKP_FILE_ERR]);

#endif
