#include "fuzz.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_MAX = 16 * 1024, MUTATIONS_MAX = 8 };

/* For the signal handler alone: what was being tried. */
static const char *volatile trying;
static volatile size_t trying_length;
static char crash_file[256];

static void
on_crash(int number)
{
    int fd = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd >= 0) {
        if (write(fd, trying, trying_length) < 0) {
            _exit(3);
        }
        close(fd);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static const char *
random_seed(const FuzzTarget *target, GRand *dice)
{
    guint count = g_strv_length((char **)target->seeds);

    return target->seeds[g_rand_int_range(dice, 0, (gint32)count)];
}

/* One change of one place. */
static void
mutate(GString *input, const FuzzTarget *target, GRand *dice)
{
    static const char odd[] = "\0\n\r\t :=&;%/,{}[]()\"'\\+-.0\xff\x80~!@#";
    gsize at = input->len > 0 ? (gsize)g_rand_int_range(dice, 0, (gint32)input->len) : 0;
    const char *other;
    gsize length;

    switch (g_rand_int_range(dice, 0, 6)) {
    case 0: /* a byte becomes another */
        if (input->len > 0) {
            input->str[at] = (char)g_rand_int_range(dice, 0, 256);
        }
        break;
    case 1: /* something special is put in */
        g_string_insert_len(input, (gssize)at, odd + g_rand_int_range(dice, 0, sizeof odd - 1), 1);
        break;
    case 2: /* a piece goes */
        length = (gsize)g_rand_int_range(dice, 1, 16);
        length = MIN(input->len - at, length);
        g_string_erase(input, (gssize)at, (gssize)length);
        break;
    case 3: /* a piece comes twice */
        length = (gsize)g_rand_int_range(dice, 1, 64);
        length = MIN(input->len - at, length);
        if (length > 0) {
            g_autofree char *piece = g_memdup2(input->str + at, length);
            g_string_insert_len(input, (gssize)at, piece, (gssize)length);
        }
        break;
    case 4: /* the end of another seed */
        other = random_seed(target, dice);
        length = strlen(other);
        g_string_truncate(input, at);
        g_string_append(
            input, other + (length > 0 ? (gsize)g_rand_int_range(dice, 0, (gint32)length) : 0));
        break;
    default: /* much of the same */
        for (int n = g_rand_int_range(dice, 1, 200); n > 0 && input->len < INPUT_MAX; n--) {
            g_string_insert_c(input, (gssize)at, at < input->len ? input->str[at] : 'A');
        }
        break;
    }
}

static void
try_one(const FuzzTarget *target, const char *text, size_t length)
{
    trying = text;
    trying_length = length;
    target->run(text, length);
}

static guint64
fuzz(const FuzzTarget *target, GRand *dice, double seconds)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)(seconds * 1e6);
    guint64 runs = 0;

    snprintf(crash_file, sizeof crash_file, "fuzz-crash-%s", target->name);
    for (const char *const *seed = target->seeds; *seed != NULL; seed++) {
        try_one(target, *seed, strlen(*seed));
    }
    while (g_get_monotonic_time() < end_us) {
        g_autoptr(GString) input = g_string_new(random_seed(target, dice));
        for (int n = g_rand_int_range(dice, 1, MUTATIONS_MAX); n > 0; n--) {
            mutate(input, target, dice);
        }
        if (input->len > INPUT_MAX) {
            g_string_truncate(input, INPUT_MAX);
        }
        try_one(target, input->str, input->len);
        runs++;
    }
    return runs;
}

int
fuzz_main(int argc, char **argv, const FuzzTarget *targets)
{
    double seconds = argc > 1 ? g_ascii_strtod(argv[1], NULL) : 1;
    guint32 seed = argc > 2 ? (guint32)g_ascii_strtoull(argv[2], NULL, 10) : g_random_int();
    guint count = 0, number = 0;

    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGTRAP, on_crash); /* a fatal GLib message */
    for (const FuzzTarget *target = targets; target->name != NULL; target++) {
        count += argc < 4 || strcmp(argv[3], target->name) == 0;
    }
    printf("1..%u\n# repeat with: %s %g %u\n", count, argv[0], seconds, seed);
    for (const FuzzTarget *target = targets; target->name != NULL; target++) {
        if (argc > 3 && strcmp(argv[3], target->name) != 0) {
            continue;
        }
        g_autoptr(GRand) dice = g_rand_new_with_seed(seed);
        fflush(stdout);
        guint64 runs = fuzz(target, dice, seconds);
        printf("ok %u %s # %" G_GUINT64_FORMAT " inputs\n", ++number, target->name, runs);
    }
    return 0;
}
