#pragma once
#include <stdint.h>

/* Milliseconds. Durations are measured on these; wall time is for people only (safety.md S24). */
int64_t q_clock_boot_ms(void); /* CLOCK_BOOTTIME: goes on while the machine sleeps */
int64_t q_clock_mono_ms(void); /* CLOCK_MONOTONIC: slewed by NTP */
int64_t q_clock_raw_ms(void);  /* CLOCK_MONOTONIC_RAW: the oscillator */
int64_t q_clock_wall_s(void);  /* unix time */
int64_t q_clock_wall_ms(void);
