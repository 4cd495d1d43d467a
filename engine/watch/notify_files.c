// notify_files.c - small JSON files of the data folder.
#include "watch/notify_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *folder, const char *name)
{
    rki_buf b;

    rki_buf_init(&b);
    rki_putf(&b, "%s/%s", folder, name);
    return rki_buf_take(&b, NULL);
}

bool rki_notify_file_write(const char *folder, const char *name, rkp_str text, char err[RKP_FILE_ERR])
{
    char *path = path_of(folder, name);
    rkp_writer *w = NULL;
    bool ok;

    snprintf(err, RKP_FILE_ERR, "out of memory");
    ok = path && rkp_writer_open_own(path, RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, 1, &w, NULL, err) == RKP_OK &&
         rkp_writer_write(w, text.p, text.n, err) == RKP_OK && rkp_writer_prepare(w, err) == RKP_OK &&
         rkp_writer_commit(w, err) == RKP_OK;
    if (w)
        rkp_writer_close(w);
    free(path);
    return ok;
}

void rki_notify_file_remove(const char *folder, const char *name)
{
    char *path = path_of(folder, name);

    if (path)
        unlink(path);
    free(path);
}

static bool read_all(int fd, rki_buf *b)
{
    struct stat st;
    ssize_t k = 1;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > RKI_NOTIFY_FILE_BYTES)
        return false;
    while (k > 0 && b->n <= RKI_NOTIFY_FILE_BYTES && rki_buf_reserve(b, 65536)) {
        k = read(fd, b->p + b->n, 65536);
        if (k > 0)
            b->n += (size_t)k;
        else if (k < 0 && errno == EINTR)
            k = 1;
    }
    return k == 0;
}

const rki_json_node *rki_notify_file_read(rki_arena *a, const char *folder, const char *name, char err[RKP_FILE_ERR])
{
    char *path = path_of(folder, name);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    const rki_json_node *n = NULL;
    uint64_t version;
    rki_buf b;

    err[0] = 0;
    rki_buf_init(&b);
    if (fd < 0 && (!path || errno != ENOENT))
        snprintf(err, RKP_FILE_ERR, "%s", path ? strerror(errno) : "out of memory");
    if (fd >= 0) {
        n = read_all(fd, &b) ? rki_json_read(a, (rkp_str){ b.p, b.n }) : NULL;
        if (!n || !rki_json_count(rki_json_get(n, "version"), &version) || version != 1)
            n = NULL;
        if (!n)
            snprintf(err, RKP_FILE_ERR, "it is not what it should be");
        close(fd);
    }
    rki_buf_fini(&b);
    free(path);
    return n;
}
