#include "files.h"

#include <rkpipe/file.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

enum { MOST = 4 << 20 };

char *slurp(const char *name, size_t *n)
{
    FILE *f = fopen(name, "rb");
    char *p = malloc(MOST);
    assert_non_null(f);
    assert_non_null(p);
    *n = fread(p, 1, MOST - 1, f);
    p[*n] = 0;
    fclose(f);
    return p;
}

char *slurp_as_read(const char *name, size_t *n)
{
    char err[RKP_FILE_ERR];
    rkp_reader *r = NULL;
    char *p = malloc(MOST);
    int64_t k;
    *n = 0;
    assert_non_null(p);
    if (rkp_reader_open(name, RKP_COMPRESS_AUTO, (rkp_str){ 0 }, &r, err) != RKP_OK)
        fail_msg("%s", err);
    while ((k = rkp_reader_read(r, p + *n, MOST - 1 - *n, err)) > 0)
        *n += (size_t)k;
    if (k < 0)
        fail_msg("%s", err);
    p[*n] = 0;
    rkp_reader_close(r);
    return p;
}

void put_file(const char *name, const char *p, size_t n)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

unsigned open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}
