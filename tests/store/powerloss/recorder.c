/* Records, in order, what a process does to the files of one folder, so that a power cut can be replayed later.
 *
 * Preloaded (LD_PRELOAD). RECORD_FOLDER ends in a slash; RECORD_TO is the log. One record is a header, the name of the
 * file within the folder and, for a write, its bytes. FULL_AFTER bytes of writes the folder's disk is full (ENOSPC).
 * Shared memory files aren't recorded: they don't outlive the machine.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_FILES = 1024, LONGEST_NAME = 64 };

struct record {
    char what; /* open, write, truncate, sync, unlink: their first letters */
    uint8_t name_length;
    uint8_t unused[6];
    int64_t offset;
    int64_t length;
};

static char names[MOST_FILES][LONGEST_NAME];
static const char *folder;
static int log_file = -1;
static long long room = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int (*next_open)(const char *, int, ...);
static int (*next_close)(int);
static int (*next_fsync)(int);
static int (*next_fdatasync)(int);
static int (*next_ftruncate)(int, off64_t);
static int (*next_unlink)(const char *);
static ssize_t (*next_write)(int, const void *, size_t);
static ssize_t (*next_pwrite)(int, const void *, size_t, off64_t);

__attribute__((constructor)) static void start(void) {
    next_open = dlsym(RTLD_NEXT, "open64");
    next_close = dlsym(RTLD_NEXT, "close");
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    next_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    next_unlink = dlsym(RTLD_NEXT, "unlink");
    next_write = dlsym(RTLD_NEXT, "write");
    next_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    folder = getenv("RECORD_FOLDER");
    if (getenv("FULL_AFTER"))
        room = atoll(getenv("FULL_AFTER"));
    log_file = next_open(getenv("RECORD_TO"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name within the folder, or NULL for a file that isn't recorded. */
static const char *inside(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length) || strstr(path, "-shm") || strlen(path + length) >= LONGEST_NAME)
        return NULL;
    return path + length;
}

static const char *name_of(int file) {
    return file >= 0 && file < MOST_FILES && names[file][0] ? names[file] : NULL;
}

static void note(char what, const char *name, int64_t offset, const void *bytes, int64_t length) {
    struct record record = {what, (uint8_t)strlen(name), {0}, offset, length};
    struct iovec parts[3] = {{&record, sizeof record}, {(void *)name, record.name_length}, {(void *)bytes, (size_t)length}};
    pthread_mutex_lock(&one_at_a_time);
    if (writev(log_file, parts, bytes ? 3 : 2) < 0)
        abort();
    pthread_mutex_unlock(&one_at_a_time);
}

static int is_a_file(int file) {
    struct stat found;
    return !fstat(file, &found) && S_ISREG(found.st_mode);
}

static int opened(const char *path, int flags, va_list rest) {
    int file = next_open(path, flags, flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0);
    const char *name = inside(path);
    if (file >= 0 && file < MOST_FILES) {
        strcpy(names[file], name && is_a_file(file) ? name : "");
        if (name_of(file))
            note('o', name, 0, NULL, 0);
    }
    return file;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int file = opened(path, flags, rest);
    va_end(rest);
    return file;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int file = opened(path, flags, rest);
    va_end(rest);
    return file;
}

int close(int file) {
    if (name_of(file))
        names[file][0] = 0;
    return next_close(file);
}

static int no_room(int file, size_t length) {
    if (room < 0 || !name_of(file) || !strncmp(names[file], "ack", 3))
        return 0;
    if ((long long)length > room)
        return 1;
    room -= (long long)length;
    return 0;
}

ssize_t write(int file, const void *bytes, size_t length) {
    ssize_t wrote = next_write(file, bytes, length);
    if (name_of(file) && wrote > 0)
        note('w', names[file], lseek(file, 0, SEEK_CUR) - wrote, bytes, wrote);
    return wrote;
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    if (no_room(file, length)) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t wrote = next_pwrite(file, bytes, length, offset);
    if (name_of(file) && wrote > 0)
        note('w', names[file], offset, bytes, wrote);
    return wrote;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return pwrite64(file, bytes, length, offset);
}

int fsync(int file) {
    int failed = next_fsync(file);
    if (name_of(file) && !failed)
        note('s', names[file], 0, NULL, 0);
    return failed;
}

int fdatasync(int file) {
    int failed = next_fdatasync(file);
    if (name_of(file) && !failed)
        note('s', names[file], 0, NULL, 0);
    return failed;
}

int ftruncate64(int file, off64_t length) {
    int failed = next_ftruncate(file, length);
    if (name_of(file) && !failed)
        note('t', names[file], length, NULL, 0);
    return failed;
}

int ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

int unlink(const char *path) {
    int failed = next_unlink(path);
    if (inside(path) && !failed)
        note('u', inside(path), 0, NULL, 0);
    return failed;
}
