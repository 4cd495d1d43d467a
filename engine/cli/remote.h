// cli/remote.h - verbs that talk to a running engine: finding it, asking it, saying what it refused.
//
//   Owns     replies and paths are the caller's
//   Threads  one
//   Fails    what is wrong has been printed; the functions return the exit code
//   Limits   32 engines in a folder
//   Cost     -
#ifndef RKI_REMOTE_H
#define RKI_REMOTE_H

#include "admin/client.h"
#include "base/json_read.h"
#include "cli/cli.h"

// A verb's struct begins with it, and its rows with RKI_ARGS_ADMIN.
typedef struct rki_remote_args {
    const char *admin, *token_file;
} rki_remote_args;

#define RKI_ARGS_ADMIN                                                                                                 \
    { .kind = RKI_ARG_TEXT,                                                                                            \
      .name = "admin",                                                                                                 \
      .value = "WHERE",                                                                                                \
      .at = offsetof(rki_remote_args, admin),                                                                          \
      .words = RKI_WORDS_FILE,                                                                                         \
      .help = "the engine: unix:PATH, or ADDRESS:PORT; without it the one that runs in this folder" },                 \
    {                                                                                                                  \
        .kind = RKI_ARG_TEXT, .name = "token-file", .value = "FILE", .at = offsetof(rki_remote_args, token_file),      \
        .words = RKI_WORDS_FILE, .help = "the token that the engine wants at an address: its admin.token_file"         \
    }

// How verbs explain how they find it.
#define RKI_REMOTE_DETAILS                                                                                             \
    "Without --admin it is the engine whose socket is .rkpipe/NAME/admin.sock in the current folder, when just one "   \
    "runs there."

// `call` without its path, which is found.  0: the status is 2xx and `out` holds the answer, or `take` wanted no more.
// 1: refused or cut off, 64: several engines run here, 69: not reachable; `out` is empty then.
int rki_remote_call(const rki_cli *c, rki_call *call, rki_reply *out);
// The same for a request whose refusal is an answer, too: also 0 when the status is 409 or 422.
int rki_remote_ask(const rki_cli *c, rki_call *call, rki_reply *out);
int rki_remote_get(const rki_cli *c, const char *target, rki_reply *out);

// A text of the engine on its way to the terminal: controls and bad UTF-8 become U+FFFD.
void rki_remote_text(rki_buf *out, rkp_str s);
// As part of a target: everything but letters, digits and -._~ as %XX.
void rki_remote_escape(rki_buf *out, rkp_str s);

#endif
