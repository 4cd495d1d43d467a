// tests/support/fake_op.h - one transform, fed from text, in the forms in which columns come.
//
//   Owns     op_open .. op_close: the fake, its schema
//   Threads  one
//   Fails    cmocka assertions
//   Limits   lines as fake_batch takes them
//   Cost     for tests
#ifndef FAKE_OP_H
#define FAKE_OP_H

#include "fake_actor.h"

enum op_form {
    OP_FLAT,
    OP_SELECTED, // FLAT behind a selection, with rows between that are not selected
    OP_TEXT,     // text that is parsed when it is read
    OP_FORMS
};

struct op_run {
    fake *f;
    rki_arena arena;
    rkp_schema schema;
    enum op_form form;
};

// Makes the operator; conf.in is set from the text.  The test looks at run->f->st when it expects a failure.
void op_open(struct op_run *run, fake_conf conf, const char *schema, enum op_form form);
// The same, and it must go well.
void op_start(struct op_run *run, const rkp_op *op, const char *with, const char *schema, enum op_form form);
// Feeds lines in batches of `cut` rows (0: all in one).  Returns the last verdict; FAIL and STOP end it.
rkp_verdict op_feed(struct op_run *run, const char *lines, uint32_t cut);
// A batch of lines in the run's form.
rkp_batch *op_batch(struct op_run *run, const char *lines);
// Frees everything; nothing may be referenced any more.
void op_close(struct op_run *run);

// Opens, feeds, ends: the rows on port 0 as text, to be freed.  All must go well.
char *op_rows(const rkp_op *op, const char *with, const char *schema, const char *lines, uint32_t cut,
              enum op_form form);
// op_rows in every form and with several cuts must be `want`.
void op_expect(const rkp_op *op, const char *with, const char *schema, const char *lines, const char *want);
// The options must be refused with this finding (part of its text or code).
void op_refuses(const rkp_op *op, const char *with, const char *schema, const char *finding);

// The descriptor's examples give what they say, in one batch and row by row.
void op_examples(const rkp_op *op);

#endif
