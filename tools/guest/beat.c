/*
 * beat: what a test guest does all day, so that tests can tell whether it lived, where and how
 * long.
 *
 *   disk     each PERIOD ms "BEAT seq=N mono_ms=M boot=UUID\n", zero-padded to 4 KiB, at
 *            4096*(1 + N mod 1024), then at 0; O_DIRECT and O_DSYNC. N goes on after a reboot.
 *   TCP PORT the newest record that is on disk, as a line for each connection and each byte
 *   TCP PORT+1  "put TEXT\n" stores a text (on disk when answered "ok"); "get\n" answers it
 *   console  a line each second
 *
 * beat DISK|none IS_FILE PERIOD_MS PORT DIRTY_MIB DIRTY_MIB_S WRITE_MIB_S
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 4096,
    SLOTS = 1024,
    TEXT_OFFSET = BLOCK * (1 + SLOTS),
    CLIENTS_MAX = 64,
    LINE_MAX_BYTES = 512,
    WRITE_BYTES = 65536,
    LATE_MS = 5000, /* later than that, beats are left out and not made up for */
};
#define WRITE_OFFSET (64ull << 20)

static struct {
    pthread_mutex_t lock;
    uint64_t seq, mono_ms; /* of the newest record on disk */
    uint64_t io_errors;
    char boot[40];
    int disk;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .disk = -1 };

static uint64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static void
sleep_until(uint64_t ms)
{
    struct timespec at = { ms / 1000, (ms % 1000) * 1000000 };

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void *
block_new(size_t bytes)
{
    void *block = aligned_alloc(BLOCK, bytes);

    if (block == NULL) {
        exit(1);
    }
    memset(block, 0, bytes);
    return block;
}

static bool
block_write(const void *block, size_t bytes, off_t offset)
{
    if (pwrite(state.disk, block, bytes, offset) == (ssize_t)bytes) {
        return true;
    }
    pthread_mutex_lock(&state.lock);
    state.io_errors++;
    pthread_mutex_unlock(&state.lock);
    return false;
}

/* The number of the record at @offset, 0 if there is none. */
static uint64_t
record_at(off_t offset)
{
    char *block = block_new(BLOCK);
    uint64_t seq = 0;

    if (state.disk < 0 || pread(state.disk, block, BLOCK, offset) != BLOCK
        || sscanf(block, "BEAT seq=%" SCNu64, &seq) != 1) {
        seq = 0;
    }
    free(block);
    return seq;
}

static void
beat(uint64_t seq, char *block)
{
    uint64_t now = now_ms();
    bool written = true;

    memset(block, 0, BLOCK);
    snprintf(block, BLOCK, "BEAT seq=%" PRIu64 " mono_ms=%" PRIu64 " boot=%s\n", seq, now,
             state.boot);
    if (state.disk >= 0) {
        written = block_write(block, BLOCK, BLOCK * (off_t)(1 + seq % SLOTS))
                  && block_write(block, BLOCK, 0);
    }
    if (written) { /* what is answered over the network is on disk */
        pthread_mutex_lock(&state.lock);
        state.seq = seq;
        state.mono_ms = now;
        pthread_mutex_unlock(&state.lock);
    }
}

static int
newest_line(char *line, size_t size)
{
    pthread_mutex_lock(&state.lock);
    int length = snprintf(line, size,
                          "BEAT seq=%" PRIu64 " mono_ms=%" PRIu64 " boot=%s io_err=%" PRIu64 "\n",
                          state.seq, state.mono_ms, state.boot, state.io_errors);
    pthread_mutex_unlock(&state.lock);
    return length;
}

/* A client of either port; @line collects what the second one gets. */
typedef struct {
    int fd;
    bool stores;
    size_t length;
    char line[LINE_MAX_BYTES];
} Client;

static bool
answer(int fd, const char *text, size_t length)
{
    return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool
serve_line(Client *client)
{
    char *block = block_new(BLOCK);
    bool ok = false;

    if (strncmp(client->line, "put ", 4) == 0 && state.disk >= 0) {
        snprintf(block, BLOCK, "%s\n", client->line + 4);
        ok = block_write(block, BLOCK, TEXT_OFFSET) && answer(client->fd, "ok\n", 3);
    } else if (strcmp(client->line, "get") == 0 && state.disk >= 0
               && pread(state.disk, block, BLOCK, TEXT_OFFSET) == BLOCK) {
        ok = answer(client->fd, block, strnlen(block, BLOCK));
    }
    free(block);
    client->length = 0;
    return ok;
}

/* Returns: false when the client is to be dropped. */
static bool
serve(Client *client)
{
    char text[LINE_MAX_BYTES];
    ssize_t got = recv(client->fd, text, sizeof text, MSG_DONTWAIT);

    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (!client->stores) {
            int length = newest_line(client->line, sizeof client->line);
            if (!answer(client->fd, client->line, length)) {
                return false;
            }
        } else if (text[i] == '\n') {
            client->line[client->length] = '\0';
            if (!serve_line(client)) {
                return false;
            }
        } else if (client->length + 1 < sizeof client->line) {
            client->line[client->length++] = text[i];
        } else {
            return false;
        }
    }
    return true;
}

static int
listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) {
        perror("beat: listen");
        exit(1);
    }
    return fd;
}

static void
meet(int listener, bool stores, Client *clients, int *count)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), one = 1;
    char line[LINE_MAX_BYTES];

    if (fd < 0) {
        return;
    }
    if (*count == CLIENTS_MAX) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!stores) {
        answer(fd, line, newest_line(line, sizeof line));
    }
    clients[(*count)++] = (Client){ .fd = fd, .stores = stores };
}

static void *
server(void *data)
{
    int port = *(int *)data, count = 0;
    int listeners[2] = { listen_on(port), listen_on(port + 1) };
    static Client clients[CLIENTS_MAX];

    for (;;) {
        struct pollfd set[CLIENTS_MAX + 2];
        int polled = count;

        for (int i = 0; i < count; i++) {
            set[i] = (struct pollfd){ clients[i].fd, POLLIN, 0 };
        }
        for (int i = 0; i < 2; i++) {
            set[count + i] = (struct pollfd){ listeners[i], POLLIN, 0 };
        }
        poll(set, count + 2, -1);
        for (int i = polled - 1; i >= 0; i--) {
            if (set[i].revents != 0 && !serve(&clients[i])) {
                close(clients[i].fd);
                clients[i] = clients[--count];
            }
        }
        for (int i = 0; i < 2; i++) {
            if (set[polled + i].revents != 0) {
                meet(listeners[i], i == 1, clients, &count);
            }
        }
    }
    return NULL;
}

static uint64_t
next_random(uint64_t *value)
{
    *value ^= *value << 13;
    *value ^= *value >> 7;
    *value ^= *value << 17;
    return *value;
}

/* Load for migrations: memory that changes, MIB mebibytes at RATE MiB/s, not compressible. */
typedef struct {
    long mib, rate;
} Load;

static void *
dirty_memory(void *data)
{
    const Load *load = data;
    uint64_t value = 88172645463325252ull, next = now_ms();
    size_t pages = load->mib * 256, page = 0, per_step = load->rate * 256 / 100;
    uint64_t *memory = block_new(pages * BLOCK);

    for (size_t i = 0; i < pages * BLOCK / 8; i++) {
        memory[i] = next_random(&value);
    }
    for (;;) {
        for (size_t i = 0; i < (per_step > 0 ? per_step : 1); i++, page = (page + 1) % pages) {
            memory[page * (BLOCK / 8)] = next_random(&value);
        }
        next = now_ms() > next + 1000 ? now_ms() : next + 10;
        sleep_until(next);
    }
    return NULL;
}

/* And a disk that is written at RATE MiB/s, from 64 MiB upward. */
static void *
write_disk(void *data)
{
    const Load *load = data;
    uint64_t value = 99172645463325252ull, next = now_ms();
    off_t size = lseek(state.disk, 0, SEEK_END);
    uint64_t *block = block_new(WRITE_BYTES);
    uint64_t places = size > (off_t)WRITE_OFFSET ? (size - WRITE_OFFSET) / WRITE_BYTES : 0;

    while (places > 0) {
        for (size_t i = 0; i < WRITE_BYTES / 8; i++) {
            block[i] = next_random(&value);
        }
        block_write(block, WRITE_BYTES, WRITE_OFFSET + next_random(&value) % places * WRITE_BYTES);
        next = now_ms() > next + 1000
                   ? now_ms()
                   : next + (1000 * WRITE_BYTES + (load->rate << 20) - 1) / (load->rate << 20);
        sleep_until(next);
    }
    return NULL;
}

static void
start(void *(*run)(void *), void *data)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, data) != 0) {
        exit(1);
    }
}

static void
open_disk(const char *path, bool is_file)
{
    if (strcmp(path, "none") != 0) {
        state.disk = open(path, O_RDWR | O_DSYNC | (is_file ? O_CREAT : O_DIRECT), 0644);
    }
    /* A power cut may have come between the two writes of a record: the newer of the two counts. */
    state.seq = record_at(0);
    if (record_at(BLOCK * (off_t)(1 + (state.seq + 1) % SLOTS)) == state.seq + 1) {
        state.seq++;
    }
}

int
main(int argc, char **argv)
{
    int console = open("/dev/console", O_WRONLY | O_NOCTTY);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    static Load memory, disk;
    static int port;

    if (argc != 8) {
        fprintf(stderr, "beat DISK IS_FILE PERIOD_MS PORT DIRTY_MIB DIRTY_MIB_S WRITE_MIB_S\n");
        return 1;
    }
    if (file == NULL || fscanf(file, "%36s", state.boot) != 1) {
        return 1;
    }
    long period = strtol(argv[3], NULL, 10), each_second = period < 1000 ? 1000 / period : 1;
    char *block = block_new(BLOCK), line[LINE_MAX_BYTES];
    port = strtol(argv[4], NULL, 10);
    memory = (Load){ strtol(argv[5], NULL, 10), strtol(argv[6], NULL, 10) };
    disk.rate = strtol(argv[7], NULL, 10);
    open_disk(argv[1], strtol(argv[2], NULL, 10) != 0);
    dprintf(console, "BEAT-START seq=%" PRIu64 " disk=%s boot=%s\n", state.seq, argv[1],
            state.boot);
    if (memory.mib > 0) {
        start(dirty_memory, &memory);
    }
    if (port > 0) {
        start(server, &port);
    }
    if (disk.rate > 0 && state.disk >= 0) {
        start(write_disk, &disk);
    }
    uint64_t seq = state.seq, next = now_ms();
    for (;;) {
        beat(++seq, block);
        if (seq % each_second == 0) {
            newest_line(line, sizeof line);
            dprintf(console, "%s", line);
        }
        next = now_ms() > next + LATE_MS ? now_ms() : next + period;
        sleep_until(next);
    }
}
