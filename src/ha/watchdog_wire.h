#pragma once
#include <stdint.h>

/*
 * Records on /run/quorate/watchdog.sock (SOCK_SEQPACKET, root only), in host order. An owner is a
 * lease generation; it promises that all it guards is dead by its deadline, and may promise later
 * deadlines as long as its renewals are heard. The earliest deadline of all owners rules.
 */
#define WATCHDOG_MAGIC 0x31445751u /* "QWD1" */

enum {
    WATCHDOG_ASK = 1,
    WATCHDOG_ARM = 2,     /* open the device; from here the host is reset unless it is fed */
    WATCHDOG_PROMISE = 3, /* the owner's new deadline */
    WATCHDOG_CLOSE = 4,   /* the owner states that all it guarded is dead */
};

typedef struct {
    uint32_t magic;
    uint32_t verb;
    uint64_t epoch; /* the owner's generation; {0,0} with ARM: nothing is guarded yet */
    uint64_t sequence;
    int64_t deadline_boot_ms; /* CLOCK_BOOTTIME; 0 with ASK and ARM */
    int64_t deadline_raw_ms;  /* CLOCK_MONOTONIC_RAW */
} WatchdogRequest;

typedef struct {
    uint32_t magic;
    uint32_t status;         /* 0 or an errno: ENODEV no device, EBUSY runs without our deadlines,
                              * EPERM not this owner's, EINVAL */
    uint32_t timeout_ms;     /* H, as read back from the device; 0: it is closed */
    uint32_t granularity_ms; /* g */
    int64_t deadline_ms;     /* the earliest kept, on BOOTTIME; 0: none */
} WatchdogAnswer;
