// A disk that fails, for LD_PRELOAD: of all writes below FAULTY_BELOW, every FAULTY_EVERY-th meets FAULTY_KIND.
// "kill": the process is gone with half of the write done; "io": EIO; "full": ENOSPC; "short": half is written, and said so.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int count;

static int is_ours(int fd) {
    const char *below = getenv("FAULTY_BELOW");
    char link[64], path[4096];
    if (!below) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 0 && !strncmp(path, below, strlen(below));
}

static int is_due(void) {
    int every = getenv("FAULTY_EVERY") ? atoi(getenv("FAULTY_EVERY")) : 0;
    return every && atomic_fetch_add(&count, 1) % every == every - 1;
}

static int is_kind(const char *kind) { return getenv("FAULTY_KIND") && !strcmp(getenv("FAULTY_KIND"), kind); }

// Whether the write of `size` bytes is to fail outright; may leave less of it to do, or never return.
static int fails(ssize_t (*half)(int, const void *, size_t, off_t), int fd, const void *data, size_t *size, off_t at) {
    if (!is_ours(fd) || !is_due()) return 0;
    if (is_kind("kill")) {
        half(fd, data, *size / 2, at);
        kill(getpid(), SIGKILL);
        pause();
    }
    if (is_kind("short")) {
        *size = *size > 1 ? *size / 2 : *size;
        return 0;
    }
    errno = is_kind("full") ? ENOSPC : EIO;
    return 1;
}

static ssize_t real_write(int fd, const void *data, size_t size, off_t at) {
    static ssize_t (*real)(int, const void *, size_t);
    (void)at;
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return real(fd, data, size);
}

static ssize_t real_pwrite(int fd, const void *data, size_t size, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size) {
    return fails(real_write, fd, data, &size, 0) ? -1 : real_write(fd, data, size, 0);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    return fails(real_pwrite, fd, data, &size, at) ? -1 : real_pwrite(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (is_ours(fd) && is_due()) {
        if (is_kind("kill")) kill(getpid(), SIGKILL);
        if (is_kind("io")) return errno = EIO, -1;
    }
    return real(fd);
}
