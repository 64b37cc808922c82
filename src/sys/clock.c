#include "sys/clock.h"
#include <time.h>

static int64_t
read_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
q_clock_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t
q_clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t
q_clock_raw_ms(void)
{
    return read_ms(CLOCK_MONOTONIC_RAW);
}

int64_t
q_clock_wall_s(void)
{
    return time(NULL);
}

int64_t
q_clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}
