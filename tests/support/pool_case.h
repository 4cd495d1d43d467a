// pool_case.h - a pool for each test, of which nothing may be left.
#ifndef POOL_CASE_H
#define POOL_CASE_H

// Setup and teardown of a cmocka test: *state is an rkp_pool of 256 MiB; what is still held of it at the end fails the test.
int pool_case_begin(void **state);
int pool_case_end(void **state);

#endif
