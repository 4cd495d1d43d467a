// plan/many.h - kernels with replicas one of whose ends must be one: who reads for all of them, who sends for all of them
// (docs/design/topics.md, "Replicas behind one reader").
//
//   Owns     nothing
//   Threads  any: of a plan that is being made
//   Fails    -
//   Limits   -
//   Cost     inputs of the pipeline
#ifndef RKI_MANY_H
#define RKI_MANY_H

#include "plan/plan.h"

// Why its messages must be taken by one; NULL: replicas may take them.
const char *rki_many_reader(const rki_plan *p, uint32_t kernel);

// Why what it gives must be sent by one; NULL: replicas may send it.
const char *rki_many_writer(const rki_plan *p, uint32_t kernel);

// Why there can be one of it only, whoever reads and sends for it; NULL: nothing.
const char *rki_many_alone(const rki_plan *p, uint32_t kernel);

bool rki_many_wanted(const rki_kernel *k); // the file asks for replicas: a number above 1, or auto

// Of kernels for which replicas are wanted.  Does one reader deal to them (RKI_DEAL); does one put in order what they make (RKI_GATHER)?
bool rki_many_deals(const rki_plan *p, uint32_t kernel);
bool rki_many_gathers(const rki_plan *p, uint32_t kernel);

#endif
