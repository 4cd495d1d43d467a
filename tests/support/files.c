#include "files.h"

#include <rkpipe/file.h>

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void put(const char *name, const char *mode, const void *p, size_t n)
{
    FILE *f = fopen(name, mode);
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void put_file(const char *name, const void *p, size_t n)
{
    put(name, "wb", p, n);
}

void put_text(const char *name, const char *text)
{
    put(name, "wb", text, strlen(text));
}

void add_text(const char *name, const char *text)
{
    put(name, "ab", text, strlen(text));
}

int hidden_files(void)
{
    DIR *d = opendir(".");
    const struct dirent *e;
    int n = 0;
    assert_non_null(d);
    while ((e = readdir(d)))
        n += strstr(e->d_name, ".rkpipe-") != NULL;
    closedir(d);
    return n;
}

static int remove_inside(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s;
    (void)kind;
    return at->level ? remove(path) : 0;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

int empty_folder(const char *folder)
{
    return nftw(folder, remove_inside, 16, FTW_DEPTH | FTW_PHYS);
}

int remove_folder(const char *folder)
{
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
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
