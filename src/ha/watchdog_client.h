#pragma once
#include "ha/core/env.h"

/*
 * The local manager's side of watchdog.sock: never waits. One request is under way at a time; its
 * answer comes from the main loop. While quorate-watchdogd is away the client connects again every
 * 100 ms, and what was asked is refused.
 */
typedef struct WatchdogClient WatchdogClient;

/** WatchdogNews: something is known that was not: step the manager. */
typedef void (*WatchdogNews)(gpointer data);

WatchdogClient *watchdog_client_new(const char *socket_path, const char *deadlines_path,
                                    WatchdogNews news, gpointer data);
void watchdog_client_free(WatchdogClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WatchdogClient, watchdog_client_free)

/*
 * Each may be called again and again with the same arguments: HA_PENDING until the answer is there,
 * then HA_DONE, or HA_REFUSED once (the next call asks anew). A promise is kept and sent when
 * watchdogd is back; it is HA_REFUSED only if watchdogd will never keep it.
 */
HaOutcome watchdog_client_arm(WatchdogClient *client);
HaOutcome watchdog_client_promise(WatchdogClient *client, HaGeneration owner, HaTime deadline);
HaOutcome watchdog_client_close(WatchdogClient *client, HaGeneration owner);

bool watchdog_client_connected(const WatchdogClient *client);
bool
watchdog_client_open(const WatchdogClient *client); /* the device is armed, as far as we know */
int watchdog_client_timeout_ms(const WatchdogClient *client);     /* H; 0: closed or unknown */
int watchdog_client_granularity_ms(const WatchdogClient *client); /* g */
const char *watchdog_client_why(const WatchdogClient *client);    /* of the last refusal, or NULL */

/** watchdog_client_deadline: whose deadline stands in the file of watchdogd, the earliest; false:
 *  nobody's. Also of a local manager before us. */
bool watchdog_client_deadline(WatchdogClient *client, HaGeneration *owner, HaTime *deadline);
