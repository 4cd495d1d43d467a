// fake_device.c - the builder of chains, for operators that are tested without an engine: none of these tests asks for a device.
#include <rkpipe/op.h>

#include <stdlib.h>

uint32_t rkp_dev_in(rkp_dev *d, uint32_t column)
{
    (void)d, (void)column;
    abort();
}

void rkp_dev_filter(rkp_dev *d, const rkp_expr *e, const uint32_t *regs)
{
    (void)d, (void)e, (void)regs;
    abort();
}

uint32_t rkp_dev_derive(rkp_dev *d, const rkp_expr *e, const uint32_t *regs)
{
    (void)d, (void)e, (void)regs;
    abort();
}

uint32_t rkp_dev_cast(rkp_dev *d, uint32_t reg, rkp_type to)
{
    (void)d, (void)reg, (void)to;
    abort();
}

void rkp_dev_out(rkp_dev *d, uint32_t column, uint32_t reg)
{
    (void)d, (void)column, (void)reg;
    abort();
}

void rkp_dev_out_same(rkp_dev *d)
{
    (void)d;
    abort();
}

void rkp_dev_nomem(rkp_dev *d)
{
    (void)d;
    abort();
}

bool rkp_dev_needed(const rkp_dev *d, uint32_t out_column)
{
    (void)d, (void)out_column;
    abort();
}
