// courier_file.c - notices at the end of a file, a line of JSON each.
#include "watch/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// The file is opened for each line, so that one that was moved away is made again.  A line that was cut short by a full disk is ended first.
static rki_sent file_send(void *self, rkp_str body, const rki_send_stop *stop, char why[RKI_SEND_WHY])
{
    const char *path = self;
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666), err = 0;
    char last = '\n';
    off_t end;
    rki_buf b;

    (void)stop;
    if (fd < 0 && errno == ENXIO) // a pipe that nobody reads
        err = EPIPE;
    else if (fd < 0)
        err = errno;
    rki_buf_init(&b);
    end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n')
        rki_putc(&b, '\n');
    rki_put(&b, body.p, body.n);
    rki_putc(&b, '\n');
    for (size_t at = 0; !err && at < b.n;) {
        ssize_t k = write(fd, b.p + at, b.n - at);

        if (k < 0 && errno != EINTR)
            err = errno;
        else if (k > 0)
            at += (size_t)k;
    }
    err = !err && b.failed ? ENOMEM : err;
    rki_buf_fini(&b);
    if (fd >= 0 && close(fd) != 0 && !err)
        err = errno;
    if (err)
        snprintf(why, RKI_SEND_WHY, "%s", strerror(err));
    return err ? RKI_SEND_AGAIN : RKI_SENT;
}

bool rki_courier_file(const rki_way *w, rki_courier *out)
{
    *out = (rki_courier){ file_send, free, strndup(w->path.p, w->path.n) };
    return out->self != NULL;
}
