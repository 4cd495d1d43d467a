// admin/api.h - which request gets which answer: the routes of SPEC.md 12, without sockets.
//
//   Owns     an answer's body and tap belong to the caller
//   Threads  the server's
//   Fails    every request has an answer; one that is wrong has {"error": {"code", "message"}}
//   Limits   those of http.h
//   Cost     what the source's functions cost
#ifndef RKI_API_H
#define RKI_API_H

#include "admin/http.h"
#include "admin/source.h"

typedef enum rki_answer_kind {
    RKI_ANSWER_BODY,    // `status` and `body`, now
    RKI_ANSWER_RELOAD,  // what `ask` says, by a thread, then its answer
    RKI_ANSWER_COMMAND, // `command` on `kernel` may have to wait: by a thread, then rki_api_outcome
    RKI_ANSWER_TAP,     // rows of `tap` as they come
    RKI_ANSWER_END,     // when the run has ended: rki_api_ended
} rki_answer_kind;

typedef enum rki_ask {
    RKI_ASK_RELOAD,   // `file` ("": the one that it was started with)
    RKI_ASK_ROLLBACK, // to `generation`
    RKI_ASK_GENERATIONS,
    RKI_ASK_CONFIG,
    RKI_ASK_CHECK,   // `file`, or `text` in its place
    RKI_ASK_LETTERS, // of `kernel` and `reason`: counted, or (limit not 0) the newest so many
    RKI_ASK_REPLAY,
} rki_ask;

typedef struct rki_answer {
    rki_answer_kind kind;
    int status;
    const char *fields; // more lines of the head: "Allow: GET\r\n"; never NULL
    const char *type;   // of the body; never NULL
    bool fixed;         // the body says nothing of the run: no secret can be in it
    rki_buf body;
    rki_command command;
    char kernel[64];
    char file[4096];
    char reason[64];
    rkp_str text; // of the request; p NULL: none
    rki_ask ask;
    uint64_t generation;
    bool dry; // only what would change
    rki_tap *tap;
    rki_tap_format format;
    uint64_t limit; // rows; UINT64_MAX: none
} rki_answer;

// `body` has r->body bytes.
void rki_api_answer(const rki_admin_source *s, const rki_http_request *r, rkp_str body, rki_answer *out);
// The same on a listener that serves metrics at one path, and nothing else, to whoever can reach it.  What asks for a name that is not an
// address of this machine is refused: a web page could have bent it.
void rki_api_scrape(const rki_admin_source *s, const char *path, const rki_http_request *r, rkp_str body,
                    rki_answer *out);
// The answer to a request that is not well formed, or comes at a bad time.
void rki_api_error(rki_answer *out, int status, const char *code, const char *message);
void rki_api_outcome(rki_answer *out, const char *kernel, rki_command c, rki_outcome o, const char *text);
void rki_api_error_json(rki_buf *out, const char *code, rkp_str message); // the body of rki_api_error
void rki_api_reloaded(rki_answer *out, int status, rki_buf *body);        // takes the text of body
void rki_api_ended(rki_answer *out, int exit_code);
const char *rki_api_status_code(int status); // "too-large": the code of rki_http_parse's statuses
void rki_answer_fini(rki_answer *a);         // its body; not its tap

typedef struct rki_api_route {
    const char *method;
    char path[64];             // "/v1/kernels/{id}:suspend"
    const char *const *params; // NULL terminated; NULL: none
    bool body;                 // it may have one
} rki_api_route;

bool rki_api_route_at(size_t i, rki_api_route *out); // false: there are no more

#endif
