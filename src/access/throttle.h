#pragma once
#include "base/error.h"

/*
 * How often somebody may fail to log in: per source and per user name a bucket of 10 failures that
 * fills again by one in 10 s. Nobody is locked out for good by a stranger's guessing.
 */
typedef struct Throttle Throttle;

Throttle *throttle_new(void);
void throttle_free(Throttle *throttle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Throttle, throttle_free)

/** throttle_wait_s: 0: go on; else so many seconds until the next try. @client: (nullable) */
int throttle_wait_s(Throttle *throttle, const char *client, const char *user, int64_t now_ms);
void throttle_failed(Throttle *throttle, const char *client, const char *user, int64_t now_ms);

/** throttle_source: (transfer full): what counts as one source: an IPv4 address, an IPv6 /64 */
char *throttle_source(const char *client);
