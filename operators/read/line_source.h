// operators/read/line_source.h - what read.lines and read.jsonl share: files in, chunks of whole lines out.
//
//   Owns     the reader, and the beginning of a line whose end has not been read yet
//   Threads  expand: control; poll: the source's thread
//   Fails    through the actor; a record above max_record is rejected (reason `size`) and the rest goes on
//   Limits   a chunk has less than 2^31 bytes
//   Cost     one copy of what read() gives; a partial line at the end of a chunk is copied once more
//
// A chunk is a batch without columns.  Its blob is the lines, the last one ends with '\n' too (added at the end of a
// file that has none); blob.p[-1] is a readable '\n', LINE_PAD bytes behind it are readable, blob_rows is the
// number of lines.
#ifndef LINE_SOURCE_H
#define LINE_SOURCE_H

#include <rkpipe/file.h>
#include <rkpipe/op.h>

enum { LINE_PAD = 64 };

// What the probe found.
typedef struct line_input {
    rkp_words files;
    rkp_status status; // of finding them
    const char *why;   // what is wrong
    bool no_wait;      // all can be read without waiting
} line_input;

typedef struct line_source {
    rkp_words path; // options
    int compression;
    uint64_t chunk_bytes, max_record, idle_ns;
    bool follow;
    bool no_wait;         // set by bind: a worker runs poll
    const line_input *in; // set before the first poll
    size_t next;          // poll thread from here on
    rkp_reader *reader;
    rkp_str name;
    char *carry; // what has been read of a line without an end
    size_t carry_n, carry_cap;
    uint64_t line, offset;      // of carry[0]
    uint64_t done_bytes, total; // of the files before this one; of all (0: not known)
    uint64_t fresh;             // bytes that have been read since the last chunk
    bool skipping;              // inside a record that is too large
    size_t later;               // the last poll had no more in memory: room of the chunk that goes on; else 0
    bool begun;                 // the kept bytes of standard input were given to a reader
} line_source;

// clang-format off
// The rows of these options, for a struct T with a member `src`.
#define LINE_SOURCE_PATH(T) \
    { .name = "path", .type = &rkp_word_list, .at = offsetof(T, src.path), .required = true, \
      .help = "files to read, globs too, in this order; `-` is standard input", \
      .also = "paths file files filename include glob uri" }
#define LINE_SOURCE_MORE(T) \
    { .name = "compression", .type = &rkp_choice_type, .at = offsetof(T, src.compression), .def = "auto", \
      .choices = rkp_compression_names, \
      .help = "how the files are compressed; `auto` looks at their first bytes", \
      .also = "decompress codec encoding" }, \
    { .name = "follow", .type = &rkp_bool, .at = offsetof(T, src.follow), .def = "false", \
      .help = "keep reading what is appended, also after a rotation", .also = "tail watch" }, \
    { .name = "chunk_bytes", .type = &rkp_size, .at = offsetof(T, src.chunk_bytes), .def = "510KiB", \
      .bounded = true, .min = 4096, .max = 64 << 20, .unit = "bytes", .help = "input that makes one batch", \
      .also = "buffer_size block_size batch_bytes buffer_chunk_size" }, \
    { .name = "max_record", .type = &rkp_size, .at = offsetof(T, src.max_record), .def = "16MiB", \
      .bounded = true, .min = 1, .max = 256 << 20, .unit = "bytes", \
      .help = "longest line; a longer one is a bad row, reason `size`", \
      .also = "max_line_bytes max_length max_record_size buffer_max_size max_buffer" }, \
    { .name = "idle", .type = &rkp_duration, .at = offsetof(T, src.idle_ns), .def = "200ms", \
      .bounded = true, .min = 0, .max = 3600e9, \
      .help = "when a pipe gives nothing for so long, pass on the lines that have come; 0: wait for a full chunk", \
      .also = "flush_interval multiline_flush_timeout" }
// clang-format on

// Expands the globs into *in.  A missing file is a note, and an error when the source is polled.
rkp_status line_source_probe(const line_source *s, rkp_probe *p, line_input *in);
// `follow` is not supported yet.  Says which delivery the files can keep.
rkp_status line_source_bind(line_source *s, rkp_bind *b);
// For a source that has the bytes from elsewhere: one input of this name, in place of what a probe finds; and its bytes
// (takes r), before the first poll.
rkp_status line_source_piped(line_source *s, rkp_opt_ctx *mem, rkp_word name);
void line_source_begin(line_source *s, rkp_reader *r);
rkp_verdict line_source_poll(line_source *s, rkp_actor *a);
// A chunk of the lines in two pieces, of which the first begins at that line and offset of what has this name; the last
// one may have no end.  NULL: out of memory, or more than 2^31 bytes.
rkp_batch *line_chunk(rkp_actor *a, rkp_str name, rkp_str one, rkp_str two, uint64_t line, uint64_t offset);
// The slot `again` of its operators.
rkp_status line_source_again(rkp_actor *a, const rkp_record *r);
// The slots `save` and `restore` of its operators: the place behind the last chunk.
rkp_status line_source_save(const line_source *s, rkp_actor *a, rkp_save *to);
rkp_status line_source_restore(line_source *s, rkp_actor *a, rkp_load *from);
void line_source_fini(line_source *s);

#endif
